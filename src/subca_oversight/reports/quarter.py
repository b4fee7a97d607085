"""The quarterly report of one subordinate as one value: every number, all from the store.

It is reconstructed as of an instant: what became known later does not show, and no clock is read,
so that the same instant gives the same report however far the store has moved on. HTML, JSON and
CSV are renderings of this value and of the rows that stream by while it is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight import __version__
from subca_oversight.check.api import Check
from subca_oversight.check.registry import Registry
from subca_oversight.reports.actions import Action, ActionTally, list_actions
from subca_oversight.reports.audit_section import AuditSection, load_audit_section
from subca_oversight.reports.documents import DocumentEntry, load_documents
from subca_oversight.reports.finding_rows import FindingEntry, find_entries
from subca_oversight.reports.finding_section import FindingSection, FindingTally
from subca_oversight.reports.issuance import Issuance, IssuanceTally
from subca_oversight.reports.observation import record_observation
from subca_oversight.reports.period import Quarter
from subca_oversight.reports.population import IssuedUnit, count_issued, find_issued, find_keys
from subca_oversight.reports.samples import SampleSection, load_samples
from subca_oversight.reports.scope import Scope, load_scope
from subca_oversight.reports.summary import Summary, summarize
from subca_oversight.reports.unseen import Unseen, load_unseen
from subca_oversight.store.tables import ReportRow


@dataclass(frozen=True, slots=True)
class GlossaryEntry:
    """One check, explained."""

    check: str
    family: str
    title: str
    severity: str
    requirement: str
    revocation: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cover:
    """What the report is, and what made it."""

    quarter: str
    start: datetime
    end: datetime
    """The first instant after the period."""
    as_of: datetime
    is_partial: bool
    """Whether the quarter was not over at ``as_of``."""
    generator: str
    rule_version: str
    """SHA-256 over the checks and their versions."""


@dataclass(frozen=True, slots=True)
class QuarterReport:
    """All numbers of one report, in the order in which they are shown."""

    cover: Cover
    summary: Summary
    unseen: Unseen
    scope: Scope
    issuance: Issuance
    findings: FindingSection
    samples: SampleSection
    audits: AuditSection
    documents: tuple[DocumentEntry, ...]
    actions: tuple[Action, ...]
    glossary: tuple[GlossaryEntry, ...]


class RowSink(Protocol):
    """Receiver of the rows that are too many to keep."""

    def add_unit(self, unit: IssuedUnit) -> None:
        """One unit of the period."""

    def add_finding(self, entry: FindingEntry) -> None:
        """One finding known at the instant."""


class NoRows:
    """A receiver that keeps nothing."""

    def add_unit(self, unit: IssuedUnit) -> None:
        """Nothing."""

    def add_finding(self, entry: FindingEntry) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """Which report."""

    anchor: str
    quarter: Quarter
    as_of: datetime
    organization: str = ""
    """The signing CA's name, for the cover."""


def load_quarter(
    session: Session, request: ReportRequest, registry: Registry, sink: RowSink | None = None
) -> QuarterReport:
    """The report, in one consistent reading transaction of the caller's."""
    rows: RowSink = NoRows() if sink is None else sink
    quarter, as_of, anchor = request.quarter, request.as_of, request.anchor
    start, end = quarter.start, quarter.end
    scope = load_scope(session, anchor, organization=request.organization, as_of=as_of)
    unseen = load_unseen(session, scope, start, end, as_of=as_of)
    keys = find_keys(session, anchor, as_of=as_of)
    issued = IssuanceTally(quarter, as_of)
    for unit in find_issued(session, keys, start, end, as_of=as_of):
        issued.add(unit)
        rows.add_unit(unit)
    before = quarter.previous
    previous_total = count_issued(session, keys, before.start, before.end, as_of=as_of)
    found, due = FindingTally(as_of, registry.checks), ActionTally(as_of)
    for entry in find_entries(session, anchor, start, end, as_of=as_of):
        found.add(entry)
        due.add(entry)
        rows.add_finding(entry)
    findings = found.finish(session)
    samples = load_samples(session, scope, start, end, as_of=as_of)
    audits = load_audit_section(session, scope, as_of=as_of)
    documents = load_documents(session, scope, as_of=as_of)
    return QuarterReport(
        cover=Cover(
            quarter=str(quarter),
            start=start,
            end=end,
            as_of=as_of,
            is_partial=not quarter.has_ended(as_of),
            generator=f"subca-oversight {__version__}",
            rule_version=registry.digest,
        ),
        summary=summarize(scope, unseen, findings, samples, audits, documents),
        unseen=unseen,
        scope=scope,
        issuance=issued.finish(previous_total=previous_total),
        findings=findings,
        samples=samples,
        audits=audits,
        documents=documents,
        actions=list_actions(due, scope, audits, documents, samples),
        glossary=_glossary(registry.checks),
    )


def settle_instant(session: Session, anchor: str, quarter: Quarter, *, now: datetime) -> datetime:
    """The instant as of which a report is made where none is named; within a writing transaction.

    A finished quarter keeps the instant of its first making. A quarter that is not over is reported
    as of ``now``. A new instant stores an observation with it, for what is overwritten elsewhere.
    """
    row = session.scalars(
        select(ReportRow).where(
            col(ReportRow.anchor) == anchor, col(ReportRow.quarter) == str(quarter)
        )
    ).first()
    if row is not None:
        return row.as_of
    record_observation(session, anchor, now=now)
    if quarter.has_ended(now):
        session.add(ReportRow(anchor=anchor, quarter=str(quarter), as_of=now))
    return now


def keep_instant(session: Session, anchor: str, quarter: Quarter, *, as_of: datetime) -> None:
    """Store a named instant where it is the first at which a finished quarter is reported."""
    known = session.get(ReportRow, (anchor, str(quarter)))
    if known is None and quarter.has_ended(as_of):
        session.add(ReportRow(anchor=anchor, quarter=str(quarter), as_of=as_of))


def _glossary(checks: Mapping[str, Check]) -> tuple[GlossaryEntry, ...]:
    return tuple(
        GlossaryEntry(
            check=check.id,
            family=check.family,
            title=check.title,
            severity=check.severity.value,
            requirement=check.requirement,
            revocation=check.revocation.value,
            paragraphs=tuple(
                " ".join(paragraph.split())
                for paragraph in check.documentation.split("\n\n")[1:]
                if len(paragraph.strip()) > 0
            ),
        )
        for check in checks.values()
    )
