"""What linters said, stored by certificate and judged by unit.

Results stay in the store when a certificate is not linted again, so that a judgment always speaks
of all certificates of its unit. Each linter is judged by itself: what one could not look at says
nothing of another's findings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlmodel import Session, col

from subca_oversight.check.lint.api import LintOutcome
from subca_oversight.check.lint.linters import Linter
from subca_oversight.findings.recorder import JudgedBreach, Judgment
from subca_oversight.model.certificate import UnitFacts
from subca_oversight.model.finding import EvidenceItem, Outcome, Revocation, Severity, SubjectKind
from subca_oversight.store.tables import LintResultRow, LintRunRow

_LOOKUP = 500
"""Certificates looked up in one statement, well below every driver's limit of parameters."""


def find_looks(session: Session, certificates: Sequence[str]) -> Mapping[tuple[str, str], str]:
    """Find by (certificate, tool) with which version each tool looked last."""
    looks: dict[tuple[str, str], str] = {}
    for start in range(0, len(certificates), _LOOKUP):
        part = certificates[start : start + _LOOKUP]
        for run in session.scalars(
            select(LintRunRow).where(col(LintRunRow.certificate_sha256).in_(part))
        ):
            looks[run.certificate_sha256, run.tool] = run.versions
    return looks


def store_outcomes(
    session: Session,
    units: Sequence[UnitFacts],
    outcomes: Iterable[LintOutcome],
    linter: Linter,
    now: datetime,
) -> None:
    """Put the linter's outcomes in the place of what it said of the same certificates before."""
    units_by_certificate = {one.sha256: unit.unit_id for unit in units for one in unit.certificates}
    for outcome in outcomes:
        _store_outcome(session, units_by_certificate[outcome.sha256], outcome, linter, now)
    session.flush()


def judge_units(
    session: Session, units: Sequence[UnitFacts], linter: Linter, anchor: str, now: datetime
) -> Iterable[Judgment]:
    """Give one judgment a unit over everything that is stored of its certificates."""
    ids = [unit.unit_id for unit in units]
    results: dict[str, list[LintResultRow]] = {}
    for row in session.scalars(
        select(LintResultRow)
        .where(col(LintResultRow.unit_id).in_(ids), col(LintResultRow.tool) == linter.tool)
        .order_by(col(LintResultRow.lint), col(LintResultRow.certificate_sha256))
    ):
        results.setdefault(row.unit_id, []).append(row)
    shas = [one.sha256 for unit in units for one in unit.certificates]
    failures = {
        run.certificate_sha256: run.error
        for run in session.scalars(
            select(LintRunRow).where(
                col(LintRunRow.certificate_sha256).in_(shas),
                col(LintRunRow.tool) == linter.tool,
                col(LintRunRow.error).is_not(None),
            )
        )
    }
    for unit in units:
        ends = [one.not_after for one in unit.certificates if one.not_after is not None]
        reasons = [failures[one.sha256] for one in unit.certificates if one.sha256 in failures]
        breaches = tuple(_breaches(results.get(unit.unit_id, []), linter))
        outcome = Outcome.BREACH if len(breaches) > 0 else Outcome.CLEAR
        if len(reasons) > 0 and len(breaches) == 0:
            outcome = Outcome.COULD_NOT_RUN
        yield Judgment(
            scope=linter.scope,
            anchor=anchor,
            kind=SubjectKind.UNIT,
            subject=unit.unit_id,
            outcome=outcome,
            breaches=breaches,
            reason="" if len(reasons) == 0 else str(reasons[0]),
            is_baseline=len(ends) > 0 and max(ends) < now,
        )


def _store_outcome(
    session: Session, unit_id: str, outcome: LintOutcome, linter: Linter, now: datetime
) -> None:
    session.merge(
        LintRunRow(
            certificate_sha256=outcome.sha256,
            tool=linter.tool,
            profile=str(outcome.profile),
            versions=linter.version,
            error=None if outcome.error is None else outcome.error.reason,
            at=now,
        )
    )
    session.execute(
        delete(LintResultRow).where(
            col(LintResultRow.certificate_sha256) == outcome.sha256,
            col(LintResultRow.tool) == linter.tool,
        )
    )
    for result in outcome.results:
        session.add(
            LintResultRow(
                certificate_sha256=outcome.sha256,
                unit_id=unit_id,
                tool=linter.tool,
                lint=result.id,
                severity=result.severity.value,
                profile=result.profile,
                message=result.message if len(result.message) > 0 else result.id,
            )
        )


def _breaches(rows: Sequence[LintResultRow], linter: Linter) -> Iterable[JudgedBreach]:
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if (row.lint, row.profile) in seen:
            continue
        seen.add((row.lint, row.profile))
        severity = Severity(row.severity)
        is_violation = severity is Severity.VIOLATION
        yield JudgedBreach(
            check=f"{linter.scope}{row.lint}"[:200],
            key=row.profile,
            severity=severity,
            requirement=f"{linter.tool} {row.lint}",
            revocation=Revocation.DAYS_5 if is_violation else Revocation.NONE,
            message=row.message,
            evidence=(EvidenceItem("certificate", row.certificate_sha256, row.profile),),
        )
