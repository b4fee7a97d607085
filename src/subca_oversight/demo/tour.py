"""The tour: the demo world overseen once from end to end, and measured against what was planted.

Everything goes the way it goes in production: real HTTP to the world's logs and exports, the real
jobs, a real webhook. Only the clock is the world's own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.demo.server import ServedWorld
from subca_oversight.demo.world.manifest import PlantedFault, WorldManifest
from subca_oversight.evidence.registration import load_anchor
from subca_oversight.findings.decisions import find_findings
from subca_oversight.jobs.catalogue import JOBS, Job
from subca_oversight.jobs.context import JobOutcome
from subca_oversight.jobs.once import run_once
from subca_oversight.jobs.sample import draw_sample
from subca_oversight.model.finding import Finding, Severity
from subca_oversight.model.progress import Progress
from subca_oversight.settings import Settings
from subca_oversight.store.database import Database
from subca_oversight.store.tables import FindingUnitRow

PUBLIC_VALUE = "demo public value: announced after the population was committed to"
"""Stands in for a value that nobody could foresee, such as a beacon's round."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the run found of what was planted."""

    planted: int
    missed: tuple[PlantedFault, ...]
    flagged: tuple[tuple[str, str], ...]
    """(check, unit) of violations on units without a planted fault."""

    @property
    def is_perfect(self) -> bool:
        """Every planted fault found, and nothing clean flagged."""
        return len(self.missed) == 0 and len(self.flagged) == 0


async def run_tour(
    settings: Settings, *, now: Callable[[], datetime], progress: Progress
) -> AsyncIterator[tuple[Job, JobOutcome]]:
    """Every job once, with a sample drawn for each subordinate before the reports are made."""
    jobs = list(JOBS.values())
    before = [job for job in jobs if job.name not in ("sample", "deliver", "report", "backup")]
    async for job, outcome in run_once(settings, before, now=now, progress=progress):
        yield job, outcome
    draw_samples(settings, now())
    after = [job for job in jobs if job not in before]
    async for job, outcome in run_once(settings, after, now=now, progress=progress):
        yield job, outcome


def draw_samples(settings: Settings, at: datetime) -> None:
    """Draw one sample for every subordinate."""
    database = Database(settings.database_url)
    try:
        with database.read() as session:
            anchors = [load_anchor(session, entry.name) for entry in settings.subordinate]
        for anchor in anchors:
            draw_sample(
                database,
                anchor,
                public_value=PUBLIC_VALUE,
                population_end=at,
                now=at,
            )
    finally:
        database.close()


def load_findings(settings: Settings) -> list[Finding]:
    """All findings of the run."""
    database = Database(settings.database_url)
    try:
        with database.read() as session:
            return find_findings(session)
    finally:
        database.close()


def measure(settings: Settings, manifest: WorldManifest) -> Measurement:
    """Compare the findings with the manifest."""
    database = Database(settings.database_url)
    try:
        with database.read() as session:
            touched = _touched(session)
    finally:
        database.close()
    missed = tuple(fault for fault in manifest.planted if not _is_found(fault, touched))
    clean = {*manifest.clean_units, *manifest.clean_authorities}
    flagged = tuple(
        sorted(
            (check, subject)
            for check, subject, severity in touched
            if severity is Severity.VIOLATION and subject in clean
        )
    )
    return Measurement(planted=len(manifest.planted), missed=missed, flagged=flagged)


def received_notice_ids(world: ServedWorld) -> set[str]:
    """Ids of the notices that the world's webhook received, repetitions removed."""
    return {one.headers.get("webhook-id", "") for one in world.received_webhooks}


def find_reports(state_directory: Path) -> list[Path]:
    """The HTML reports that were written."""
    return sorted((state_directory / "reports").rglob("*.html"))


def _is_found(fault: PlantedFault, touched: set[tuple[str, str, Severity]]) -> bool:
    check = f"pkilint:{fault.code}" if fault.check == "pkilint" else fault.check
    return any(found == check and subject == fault.subject for found, subject, _ in touched)


def _touched(session: Session) -> set[tuple[str, str, Severity]]:
    """(check, unit or certificate, severity) of every finding."""
    touched = {
        (finding.check, finding.subject.split("#")[0], finding.severity)
        for finding in find_findings(session)
    }
    by_fingerprint = {finding.fingerprint: finding for finding in find_findings(session)}
    for row in session.scalars(select(FindingUnitRow).where(col(FindingUnitRow.gone_at).is_(None))):
        finding = by_fingerprint[row.fingerprint]
        touched.add((finding.check, row.unit_id, finding.severity))
    return touched
