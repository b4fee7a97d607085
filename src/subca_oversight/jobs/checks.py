"""Job ``checks``: every check over every subject that is new or was judged by older rules."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select
from sqlmodel import Session, col

from subca_oversight.check.api import (
    AuditFacts,
    CheckOutcome,
    Subject,
)
from subca_oversight.check.registry import Registry
from subca_oversight.check.runner import run_checks
from subca_oversight.evidence.disclosure import load_audits
from subca_oversight.evidence.harvest import malformed_entries_naming
from subca_oversight.evidence.known_logs import load_known_logs
from subca_oversight.evidence.registration import load_authority_spans, load_subordinates
from subca_oversight.evidence.seen_authorities import register_seen
from subca_oversight.evidence.units import load_units
from subca_oversight.findings.recorder import JudgedBreach, Judgment, Tally, record_judgments
from subca_oversight.jobs.authorities import load_authorities
from subca_oversight.jobs.context import JobContext, JobOutcome, done, skipped
from subca_oversight.jobs.coverage import store_coverage, store_unit_coverage
from subca_oversight.jobs.log_readings import load_log_readings, reopen_unlogged
from subca_oversight.model.certificate import LogReading, UnitFacts
from subca_oversight.model.finding import (
    EvidenceItem,
    Outcome,
    Revocation,
    Severity,
    SubjectKind,
)
from subca_oversight.model.subordinate import Subordinate
from subca_oversight.store.tables import (
    AlertEventRow,
    CertificateRow,
    FindingRow,
    UnitRow,
)

UNPARSEABLE = "certificate-unparseable"
BATCH = 250
"""Units judged and recorded in one transaction."""


async def check_all(context: JobContext) -> JobOutcome:
    """Judge what is new; every outcome is stored, "could not run" among them."""
    return await asyncio.to_thread(_check_all, context)


def _check_all(context: JobContext) -> JobOutcome:
    with context.database.write() as session:
        learned = register_seen(session, now=context.now())
        readings = load_log_readings(session)
        reopen_unlogged(session, list(readings))
    with context.database.read() as session:
        subordinates = load_subordinates(session, retired=True)
    if len(subordinates) == 0:
        return skipped("no subordinate is configured")
    tally = Tally()
    looked = 0
    for subordinate in subordinates:
        looked += _check_units(context, subordinate, readings, tally)
        looked += _judge_entries(context, subordinate, tally)
        if subordinate.retired is None:
            looked += _check_authorities(context, subordinate, tally)
        _finish_subordinate(context, subordinate)
    detail = (
        f"{looked} subjects looked at; findings: {tally.created} new, {tally.reopened} reopened,"
        f" {tally.closed} closed, {tally.could_not_run} judgments could not be made"
    )
    if learned > 0:
        detail += f"; {learned} CA certificates of watched keys learned from logs and chains"
    return done(detail)


def _check_units(
    context: JobContext,
    subordinate: Subordinate,
    readings: Mapping[str, LogReading],
    tally: Tally,
) -> int:
    registry = context.registry
    keys = [key.spki_sha256 for key in subordinate.keys]
    with context.database.read() as session:
        spans = {key: load_authority_spans(session, key) for key in keys}
        logs = load_known_logs(session, as_of=context.now())
        total = _count_stale(session, keys, registry.digest)
    looked = 0
    last = ""
    context.progress.begin(f"checks {subordinate.name}", total)
    while not context.should_stop():
        with context.database.read() as session:
            rows = _stale_units(session, keys, registry.digest, after=last)
            units = load_units(session, rows, spans, logs, readings)
        if len(units) == 0:
            break
        last = units[-1].unit_id
        judged = list(_judge_units(registry, units))
        now = context.now()
        with context.database.write() as session:
            judgments = [
                _judgment(outcome, subordinate.anchor, registry, is_baseline=_is_past(unit, now))
                for unit, outcome in judged
            ]
            _add(tally, record_judgments(session, judgments, rule_version=registry.digest, now=now))
            _mark_checked(session, rows, units, registry.digest)
            looked += len(units)
            if looked >= total:  # with the last batch, so that a crash cannot come between
                store_unit_coverage(session, subordinate.anchor, keys, registry, now=now)
        context.progress.advance(f"checks {subordinate.name}", looked)
    context.progress.end(f"checks {subordinate.name}")
    return looked


def _judge_units(
    registry: Registry, units: Sequence[UnitFacts]
) -> Iterator[tuple[UnitFacts, CheckOutcome]]:
    by_id = {unit.unit_id: unit for unit in units}
    for outcome in run_checks(registry, units, executor=None):
        yield by_id[outcome.subject], outcome


def _mark_checked(
    session: Session, rows: Sequence[UnitRow], units: Sequence[UnitFacts], digest: str
) -> None:
    """Note who looked, but not on a unit that grew meanwhile: it is to be judged again."""
    looked_at = {unit.unit_id: len(unit.certificates) for unit in units}
    counted = session.execute(
        select(CertificateRow.unit_id, func.count())  # type: ignore[call-overload]  # columns, to SQLAlchemy
        .where(col(CertificateRow.unit_id).in_(looked_at))
        .group_by(col(CertificateRow.unit_id))
    )
    held = {unit_id: count for unit_id, count in counted}  # noqa: C416 - rows are not tuples to mypy
    for row in rows:
        stored = session.get(UnitRow, row.unit_id)
        if (
            stored is not None
            and stored.first_logged_ms == row.first_logged_ms
            and held.get(row.unit_id, 0) == looked_at[row.unit_id]
        ):
            stored.checked_with = digest
            session.add(stored)


def _judge_entries(context: JobContext, subordinate: Subordinate, tally: Tally) -> int:
    """Log entries under a watched key that hold nothing to decode: evidence, never skipped."""
    keys = [key.spki_sha256 for key in subordinate.keys]
    with context.database.read() as session:
        entries = malformed_entries_naming(session, keys)
    if len(entries) == 0:
        return 0
    check = context.registry.checks[UNPARSEABLE]
    judgments = [
        Judgment(
            scope=UNPARSEABLE,
            anchor=subordinate.anchor,
            kind=SubjectKind.ENTRY,
            subject=f"{entry.log_id}:{entry.index}",
            outcome=Outcome.BREACH,
            breaches=(
                JudgedBreach(
                    check=UNPARSEABLE,
                    key="",
                    severity=Severity.NOTICE,
                    requirement=check.requirement,
                    revocation=Revocation.NONE,
                    message=f"a log entry under this key cannot be decoded: {entry.reason}",
                    evidence=(EvidenceItem("log-entry", f"{entry.log_id}:{entry.index}"),),
                ),
            ),
        )
        for entry in entries
    ]
    now = context.now()
    with context.database.write() as session:
        _add(
            tally,
            record_judgments(session, judgments, rule_version=context.registry.digest, now=now),
        )
    return len(entries)


def _check_authorities(context: JobContext, subordinate: Subordinate, tally: Tally) -> int:
    now = context.now()
    with context.database.read() as session:
        authorities = load_authorities(session, subordinate, as_of=now)
        audits = load_audits(session, subordinate, as_of=now)
    subjects: list[Subject] = [*authorities]
    subjects += [
        AuditFacts(
            anchor=subordinate.anchor,
            subordinate=subordinate.name,
            relation=subordinate.relation,
            freshness=freshness,
            as_of=now,
        )
        for freshness in audits
    ]
    outcomes = list(run_checks(context.registry, subjects, executor=None))
    with context.database.write() as session:
        judgments = [
            _judgment(outcome, subordinate.anchor, context.registry) for outcome in outcomes
        ]
        _add(
            tally,
            record_judgments(session, judgments, rule_version=context.registry.digest, now=now),
        )
        store_coverage(session, subordinate.anchor, outcomes, context.registry, now=now)
    return len(subjects)


def _judgment(
    outcome: CheckOutcome, anchor: str, registry: Registry, *, is_baseline: bool = False
) -> Judgment:
    check = registry.checks[outcome.check]
    return Judgment(
        scope=outcome.check,
        anchor=anchor,
        kind=outcome.subject_kind,
        subject=outcome.subject,
        outcome=outcome.outcome,
        breaches=tuple(
            JudgedBreach(
                check=check.id,
                key=breach.key,
                severity=check.severity if breach.severity is None else breach.severity,
                requirement=check.requirement if breach.requirement is None else breach.requirement,
                revocation=check.revocation if breach.revocation is None else breach.revocation,
                message=breach.message,
                evidence=breach.evidence,
            )
            for breach in outcome.breaches
        ),
        reason=outcome.reason,
        is_baseline=is_baseline,
    )


def _is_past(unit: UnitFacts, now: datetime) -> bool:
    """Whether every certificate of the unit had expired: found too late to act on."""
    ends = [one.not_after for one in unit.certificates if one.not_after is not None]
    return len(ends) > 0 and max(ends) < now


def _count_stale(session: Session, keys: Sequence[str], digest: str) -> int:
    count = session.scalar(select(func.count()).select_from(UnitRow).where(*_stale(keys, digest)))
    return 0 if count is None else count


def _stale_units(
    session: Session, keys: Sequence[str], digest: str, *, after: str
) -> Sequence[UnitRow]:
    """The next units to judge: found by position, so that a batch costs the same at any depth."""
    return session.scalars(
        select(UnitRow)
        .where(*_stale(keys, digest), col(UnitRow.unit_id) > after)
        .order_by(col(UnitRow.unit_id))
        .limit(BATCH)
    ).all()


def _stale(keys: Sequence[str], digest: str) -> tuple[ColumnElement[bool], ...]:
    return (
        col(UnitRow.issuer_key_sha256).in_(keys),
        col(UnitRow.confirmed).is_(True),
        or_(col(UnitRow.checked_with).is_(None), col(UnitRow.checked_with) != digest),
    )


def _finish_subordinate(context: JobContext, subordinate: Subordinate) -> None:
    """Tell of the quiet baseline once, as one summary, when the linters have looked too."""
    keys = [one.spki_sha256 for one in subordinate.keys]
    key = hashlib.sha256(f"baseline\x00{subordinate.anchor}".encode()).hexdigest()
    with context.database.write() as session:
        known = session.scalar(
            select(func.count()).select_from(AlertEventRow).where(col(AlertEventRow.key) == key)
        )
        baseline = session.scalar(
            select(func.count())
            .select_from(FindingRow)
            .where(col(FindingRow.anchor) == subordinate.anchor, col(FindingRow.baseline).is_(True))
        )
        if known != 0 or baseline is None or baseline == 0 or _is_awaited(session, keys):
            return
        session.add(
            AlertEventRow(
                key=key,
                kind="baseline_recorded",
                anchor=subordinate.anchor,
                severity="notice",
                text=(
                    f"{baseline} findings on certificates that had expired when they were first"
                    " read; recorded as a baseline, without clocks"
                ),
                at=context.now(),
            )
        )


def _is_awaited(session: Session, keys: Sequence[str]) -> bool:
    """Whether a certificate of these keys was not linted yet."""
    unlinted = session.scalars(
        select(CertificateRow.sha256)  # type: ignore[call-overload]  # a column, to SQLAlchemy
        .join(UnitRow, col(UnitRow.unit_id) == col(CertificateRow.unit_id))
        .where(
            col(UnitRow.issuer_key_sha256).in_(keys),
            col(UnitRow.confirmed).is_(True),
            col(CertificateRow.linted_with).is_(None),
        )
        .limit(1)
    ).first()
    return unlinted is not None


def _add(total: Tally, part: Tally) -> None:
    total.created += part.created
    total.left += part.left
    total.closed += part.closed
    total.reopened += part.reopened
    total.could_not_run += part.could_not_run
