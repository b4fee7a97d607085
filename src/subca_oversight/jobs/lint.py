"""Job ``lint``: every new certificate through the linter, its answer stored and recorded.

Of a corresponding pair one is linted: the other's findings are the same (BR 4.3.1.2). A certificate
that the tool could not judge is stored as not linted; it is neither clean nor a breach.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlmodel import Session, col

from subca_oversight.check.lint.api import LintOutcome, LintRequest
from subca_oversight.check.lint.pkilint_adapter import versions
from subca_oversight.check.lint.pool import LintPool
from subca_oversight.check.lint.profiles import choose_profile, lint_request
from subca_oversight.evidence.registration import load_subordinates
from subca_oversight.evidence.units import load_units
from subca_oversight.findings.recorder import JudgedBreach, Judgment, record_judgments
from subca_oversight.jobs.context import JobContext, JobOutcome, done, skipped
from subca_oversight.model.certificate import CertificateFacts, UnitFacts
from subca_oversight.model.finding import EvidenceItem, Outcome, Revocation, Severity, SubjectKind
from subca_oversight.model.subordinate import Subordinate
from subca_oversight.store.tables import CertificateRow, LintResultRow, LintRunRow, UnitRow

BATCH = 200
"""Units linted and recorded in one transaction."""
TOOL = "pkilint"
SCOPE = f"{TOOL}:"


async def lint_all(context: JobContext) -> JobOutcome:
    """Lint what no linter of these versions has looked at."""
    return await asyncio.to_thread(_lint_all, context)


def _lint_all(context: JobContext) -> JobOutcome:
    with context.database.read() as session:
        subordinates = load_subordinates(session, retired=True)
    if len(subordinates) == 0:
        return skipped("no subordinate is configured")
    version = " ".join(f"{name} {value}" for name, value in versions())
    linted = errors = 0
    with LintPool(
        workers=context.settings.lint.workers,
        seconds_per_certificate=context.settings.lint.seconds_per_certificate,
    ) as pool:
        for subordinate in subordinates:
            some, failed = _lint_subordinate(context, subordinate, pool, version)
            linted += some
            errors += failed
    return done(f"{linted} certificates linted with {version}; {errors} could not be judged")


def _lint_subordinate(
    context: JobContext, subordinate: Subordinate, pool: LintPool, version: str
) -> tuple[int, int]:
    keys = [key.spki_sha256 for key in subordinate.keys]
    task = f"lint {subordinate.name}"
    linted = errors = 0
    with context.database.read() as session:
        total = session.scalar(
            select(func.count())
            .select_from(CertificateRow)
            .join(UnitRow, col(UnitRow.unit_id) == col(CertificateRow.unit_id))
            .where(*_stale(keys, version))
        )
    context.progress.begin(task, total)
    done_so_far = 0
    last = ""
    while not context.should_stop():
        with context.database.read() as session:
            rows = _stale_units(session, keys, version, after=last)
            units = load_units(session, rows, {})
        if len(units) == 0:
            break
        last = units[-1].unit_id
        requests = [request for unit in units for request in _requests(unit)]
        outcomes = {outcome.sha256: outcome for outcome in pool.lint(requests)}
        now = context.now()
        with context.database.write() as session:
            _store(session, units, outcomes, version, now)
            record_judgments(
                session,
                _judgments(session, units, subordinate.anchor, now),
                rule_version=version[:64],
                now=now,
            )
        linted += len(outcomes)
        errors += sum(outcome.error is not None for outcome in outcomes.values())
        done_so_far += sum(len(unit.certificates) for unit in units)
        context.progress.advance(task, done_so_far)
    context.progress.end(task)
    return linted, errors


def _requests(unit: UnitFacts) -> list[LintRequest]:
    """Finals, and the precertificates that correspond to none of them."""
    bodies = {final.tbs_without_ct for final in unit.finals if final.tbs_without_ct is not None}
    chosen = [
        *unit.finals,
        *(one for one in unit.precertificates if one.tbs_without_ct not in bodies),
    ]
    return [_request(facts) for facts in chosen]


def _request(facts: CertificateFacts) -> LintRequest:
    return dataclasses.replace(
        lint_request(facts, choose_profile(facts)), issued_at=_linting_date(facts)
    )


def _linting_date(facts: CertificateFacts) -> datetime | None:
    """What tools that take one date get: max(notBefore, latest SCT) (DESIGN section 7)."""
    instants = [*facts.sct_timestamps]
    if facts.not_before is not None:
        instants.append(facts.not_before)
    return max(instants, default=None)


def _store(
    session: Session,
    units: Sequence[UnitFacts],
    outcomes: Mapping[str, LintOutcome],
    version: str,
    now: datetime,
) -> None:
    for unit in units:
        for certificate in unit.certificates:
            outcome = outcomes.get(certificate.sha256)
            if outcome is not None:
                _store_outcome(session, unit.unit_id, outcome, version, now)
            row = session.get(CertificateRow, certificate.sha256)
            if row is not None:
                row.linted_with = version
                session.add(row)
    session.flush()


def _store_outcome(
    session: Session, unit_id: str, outcome: LintOutcome, version: str, now: datetime
) -> None:
    session.merge(
        LintRunRow(
            certificate_sha256=outcome.sha256,
            tool=TOOL,
            profile=str(outcome.profile),
            versions=version,
            error=None if outcome.error is None else outcome.error.reason,
            at=now,
        )
    )
    session.execute(
        delete(LintResultRow).where(
            col(LintResultRow.certificate_sha256) == outcome.sha256,
            col(LintResultRow.tool) == TOOL,
        )
    )
    for result in outcome.results:
        session.add(
            LintResultRow(
                certificate_sha256=outcome.sha256,
                unit_id=unit_id,
                tool=TOOL,
                lint=result.id,
                severity=result.severity.value,
                profile=result.profile,
                message=result.message if len(result.message) > 0 else result.id,
            )
        )


def _judgments(
    session: Session, units: Sequence[UnitFacts], anchor: str, now: datetime
) -> Iterable[Judgment]:
    """One judgment a unit over everything that is stored of its certificates."""
    ids = [unit.unit_id for unit in units]
    results: dict[str, list[LintResultRow]] = {}
    for row in session.scalars(
        select(LintResultRow)
        .where(col(LintResultRow.unit_id).in_(ids), col(LintResultRow.tool) == TOOL)
        .order_by(col(LintResultRow.lint), col(LintResultRow.certificate_sha256))
    ):
        results.setdefault(row.unit_id, []).append(row)
    shas = [one.sha256 for unit in units for one in unit.certificates]
    failures = {
        run.certificate_sha256: run.error
        for run in session.scalars(
            select(LintRunRow).where(
                col(LintRunRow.certificate_sha256).in_(shas), col(LintRunRow.error).is_not(None)
            )
        )
    }
    for unit in units:
        ends = [one.not_after for one in unit.certificates if one.not_after is not None]
        is_baseline = len(ends) > 0 and max(ends) < now
        reasons = [failures[one.sha256] for one in unit.certificates if one.sha256 in failures]
        breaches = tuple(_breaches(results.get(unit.unit_id, [])))
        outcome = Outcome.BREACH if len(breaches) > 0 else Outcome.CLEAR
        reason = "" if len(reasons) == 0 else str(reasons[0])
        if len(reasons) > 0 and len(breaches) == 0:
            outcome = Outcome.COULD_NOT_RUN
        yield _judgment(unit, anchor, outcome, breaches, reason, is_baseline)


def _judgment(
    unit: UnitFacts,
    anchor: str,
    outcome: Outcome,
    breaches: tuple[JudgedBreach, ...],
    reason: str,
    is_baseline: bool,  # noqa: FBT001 - private, and named at its definition
) -> Judgment:
    return Judgment(
        scope=SCOPE,
        anchor=anchor,
        kind=SubjectKind.UNIT,
        subject=unit.unit_id,
        outcome=outcome,
        breaches=breaches,
        reason=reason,
        is_baseline=is_baseline,
    )


def _breaches(rows: Sequence[LintResultRow]) -> Iterable[JudgedBreach]:
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if (row.lint, row.profile) in seen:
            continue
        seen.add((row.lint, row.profile))
        severity = Severity(row.severity)
        is_violation = severity is Severity.VIOLATION
        yield JudgedBreach(
            check=f"{SCOPE}{row.lint}"[:200],
            key=row.profile,
            severity=severity,
            requirement=f"pkilint {row.lint}",
            revocation=Revocation.DAYS_5 if is_violation else Revocation.NONE,
            message=row.message,
            evidence=(EvidenceItem("certificate", row.certificate_sha256, row.profile),),
        )


def _stale_units(
    session: Session, keys: Sequence[str], version: str, *, after: str
) -> Sequence[UnitRow]:
    ids = (
        select(UnitRow.unit_id)  # type: ignore[call-overload]  # a column, to SQLAlchemy
        .join(CertificateRow, col(CertificateRow.unit_id) == col(UnitRow.unit_id))
        .where(*_stale(keys, version), col(UnitRow.unit_id) > after)
        .distinct()
        .order_by(col(UnitRow.unit_id))
        .limit(BATCH)
    )
    return session.scalars(
        select(UnitRow).where(col(UnitRow.unit_id).in_(ids)).order_by(col(UnitRow.unit_id))
    ).all()


def _stale(keys: Sequence[str], version: str) -> tuple[ColumnElement[bool], ...]:
    return (
        col(UnitRow.issuer_key_sha256).in_(keys),
        col(UnitRow.confirmed).is_(True),
        or_(col(CertificateRow.linted_with).is_(None), col(CertificateRow.linted_with) != version),
    )
