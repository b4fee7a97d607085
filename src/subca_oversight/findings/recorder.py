"""The recorder: outcomes become findings, and re-runs create, leave, close or reopen them.

A ``violation`` is one finding per subject; ``should`` and ``notice`` results are one finding per
check and subordinate with a table of affected units. Only a judgment that looked may close
anything: "could not run" leaves every finding as it is, and is itself stored (DESIGN section 5).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson
from sqlalchemy import delete, func, select
from sqlmodel import Session, col

from subca_oversight.findings.lifecycle import PROGRAM, UNDECIDED
from subca_oversight.model.finding import (
    EvidenceItem,
    FindingState,
    Outcome,
    Revocation,
    Severity,
    SubjectKind,
    finding_fingerprint,
)
from subca_oversight.store.tables import (
    AlertEventRow,
    CheckFailureRow,
    FindingRow,
    FindingUnitRow,
    TransitionRow,
    WaiverRow,
)

CLOCKS = {
    Revocation.HOURS_24: timedelta(hours=24),
    Revocation.DAYS_5: timedelta(days=5),
    Revocation.DAYS_7_DECISION: timedelta(days=7),
}
"""BR 4.9.1.1 and 4.9.1.2; the third is the time to decide, not to revoke."""
_GROUP = "*"
_LOOKUP = 500
"""Subjects looked up in one statement, well below every driver's limit of parameters."""


@dataclass(frozen=True, slots=True)
class JudgedBreach:
    """A breach with everything that the check's declaration adds to it."""

    check: str
    key: str
    severity: Severity
    requirement: str
    revocation: Revocation
    message: str
    evidence: tuple[EvidenceItem, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgment:
    """What was said of one subject by one check, or by one run of a linter.

    ``scope`` names the checks that looked: a check id, or a tool's prefix ending in ``:``. Findings
    inside the scope that are not among ``breaches`` are thereby clear.
    """

    scope: str
    anchor: str
    kind: SubjectKind
    subject: str
    outcome: Outcome
    breaches: tuple[JudgedBreach, ...] = ()
    reason: str = ""
    """Why it could not run; beside breaches: why there may be more than these."""
    is_baseline: bool = False
    """Already expired when found: recorded quietly, without clock or notice."""


@dataclass(slots=True)
class Tally:
    """What a recording changed."""

    created: int = 0
    left: int = 0
    closed: int = 0
    reopened: int = 0
    could_not_run: int = 0
    fingerprints: list[str] = field(default_factory=list)


def record_judgments(
    session: Session, judgments: Iterable[Judgment], *, rule_version: str, now: datetime
) -> Tally:
    """Apply ``judgments`` in order within the caller's transaction."""
    batch = list(judgments)
    known = _load_known(session, {judgment.subject for judgment in batch})
    tally = Tally()
    waivers = _active_waivers(session, now)
    for judgment in batch:
        is_whole = len(judgment.reason) == 0 and judgment.outcome is not Outcome.COULD_NOT_RUN
        if not is_whole:
            _record_failure(session, judgment, now)
            tally.could_not_run += 1
        elif (judgment.scope, judgment.subject) in known.failures:
            session.execute(
                delete(CheckFailureRow).where(
                    col(CheckFailureRow.check_id) == judgment.scope,
                    col(CheckFailureRow.subject) == judgment.subject,
                )
            )
        confirmed = {
            _record_breach(session, judgment, breach, waivers, rule_version, now, tally)
            for breach in judgment.breaches
        }
        if is_whole:
            _clear_others(session, judgment, known, confirmed, now, tally)
    return tally


@dataclass(frozen=True, slots=True)
class _Known:
    """What the store holds on the subjects of a batch: most have nothing, and cost nothing."""

    failures: set[tuple[str, str]]
    findings: dict[str, list[tuple[str, str]]]
    """By subject or unit: (check id, fingerprint)."""


def _load_known(session: Session, subjects: set[str]) -> _Known:
    ordered = sorted(subjects)
    failures: set[tuple[str, str]] = set()
    findings: dict[str, list[tuple[str, str]]] = {}
    for start in range(0, len(ordered), _LOOKUP):
        chunk = ordered[start : start + _LOOKUP]
        failures.update(
            (row.check_id, row.subject)
            for row in session.scalars(
                select(CheckFailureRow).where(col(CheckFailureRow.subject).in_(chunk))
            )
        )
        own = select(FindingRow.subject, FindingRow.check_id, FindingRow.fingerprint).where(  # type: ignore[call-overload]  # columns, to SQLAlchemy
            col(FindingRow.subject).in_(chunk)
        )
        touched = (
            select(FindingUnitRow.unit_id, FindingRow.check_id, FindingRow.fingerprint)  # type: ignore[call-overload]
            .join(FindingRow, col(FindingRow.fingerprint) == col(FindingUnitRow.fingerprint))
            .where(col(FindingUnitRow.unit_id).in_(chunk), col(FindingUnitRow.gone_at).is_(None))
        )
        for statement in (own, touched):
            for subject, check, fingerprint in session.execute(statement):
                entry = (check, fingerprint)
                entries = findings.setdefault(subject, [])
                if entry not in entries:
                    entries.append(entry)
    return _Known(failures, findings)


def _record_failure(session: Session, judgment: Judgment, now: datetime) -> None:
    session.merge(
        CheckFailureRow(
            check_id=judgment.scope,
            subject=judgment.subject,
            anchor=judgment.anchor,
            reason=judgment.reason,
            at=now,
        )
    )


def _record_breach(
    session: Session,
    judgment: Judgment,
    breach: JudgedBreach,
    waivers: Sequence[WaiverRow],
    rule_version: str,
    now: datetime,
    tally: Tally,
) -> str:
    grouped = breach.severity is not Severity.VIOLATION and judgment.kind is SubjectKind.UNIT
    subject = _GROUP if grouped else judgment.subject
    identity = subject if len(breach.key) == 0 else f"{subject}#{breach.key}"
    fingerprint = finding_fingerprint(breach.check, judgment.anchor, identity)
    row = session.get(FindingRow, fingerprint)
    if row is None:
        row = _create(session, judgment, breach, fingerprint, subject, rule_version, now)
        tally.created += 1
        _apply_waiver(session, row, judgment, waivers, now)
        if row.state is FindingState.OPEN and not row.baseline:
            _write_event(session, "finding_opened", row, now)
    elif row.state is FindingState.CLOSED and not _closed_by_person(session, fingerprint):
        _step(session, row, FindingState.OPEN, "found again", now)
        row.reproduced = True
        row.deadline = _deadline(breach, judgment, now)
        tally.reopened += 1
        if not row.baseline:
            _write_event(session, "finding_reopened", row, now)
    else:
        row.reproduced = True
        tally.left += 1
    row.last_seen = now
    row.rule_version = rule_version
    if not grouped:
        row.message = breach.message
        row.evidence = _encode_evidence(breach.evidence)
    session.add(row)
    if judgment.kind is SubjectKind.UNIT:
        _touch_unit(session, fingerprint, judgment.subject, now)
    session.flush()
    tally.fingerprints.append(fingerprint)
    return fingerprint


def _create(
    session: Session,
    judgment: Judgment,
    breach: JudgedBreach,
    fingerprint: str,
    subject: str,
    rule_version: str,
    now: datetime,
) -> FindingRow:
    row = FindingRow(
        fingerprint=fingerprint,
        check_id=breach.check,
        anchor=judgment.anchor,
        subject_kind=judgment.kind,
        subject=subject,
        key=breach.key,
        severity=breach.severity,
        state=FindingState.OPEN,
        requirement=breach.requirement,
        revocation=breach.revocation,
        message=breach.message,
        evidence=_encode_evidence(breach.evidence),
        first_seen=now,
        last_seen=now,
        deadline=_deadline(breach, judgment, now),
        baseline=judgment.is_baseline,
        rule_version=rule_version,
    )
    session.add(row)
    session.flush()
    session.add(
        TransitionRow(
            fingerprint=fingerprint,
            at=now,
            from_state="",
            to_state=FindingState.OPEN,
            actor=PROGRAM,
            reason="baseline: already expired when first read" if row.baseline else "found",
        )
    )
    return row


def _deadline(breach: JudgedBreach, judgment: Judgment, now: datetime) -> datetime | None:
    if judgment.is_baseline or breach.severity is not Severity.VIOLATION:
        return None
    clock = CLOCKS.get(breach.revocation)
    return None if clock is None else now + clock


def _clear_others(
    session: Session,
    judgment: Judgment,
    known: _Known,
    confirmed: set[str],
    now: datetime,
    tally: Tally,
) -> None:
    """Close what the scope no longer finds; a person's confirmed finding is only marked."""
    for check, fingerprint in known.findings.get(judgment.subject, ()):
        if fingerprint in confirmed or not _in_scope(check, judgment.scope):
            continue
        row = session.get(FindingRow, fingerprint)
        if row is None or row.anchor != judgment.anchor:
            continue
        unit = session.get(FindingUnitRow, (fingerprint, judgment.subject))
        if unit is not None and unit.gone_at is None:
            unit.gone_at = now
            session.add(unit)
            session.flush()
        if row.subject != _GROUP or affected_units(session, fingerprint) == 0:
            _clear(session, row, now, tally)


def _in_scope(check: str, scope: str) -> bool:
    return check.startswith(scope) if scope.endswith(":") else check == scope


def _clear(session: Session, row: FindingRow, now: datetime, tally: Tally) -> None:
    if row.state in UNDECIDED:
        _step(session, row, FindingState.CLOSED, "looked again, found nothing", now)
        tally.closed += 1
    elif row.state is not FindingState.CLOSED and row.reproduced:
        row.reproduced = False
        session.add(row)


def affected_units(session: Session, fingerprint: str) -> int:
    """How many units a finding touches now."""
    count = session.scalar(
        select(func.count())
        .select_from(FindingUnitRow)
        .where(
            col(FindingUnitRow.fingerprint) == fingerprint, col(FindingUnitRow.gone_at).is_(None)
        )
    )
    return 0 if count is None else count


def _touch_unit(session: Session, fingerprint: str, unit_id: str, now: datetime) -> None:
    row = session.get(FindingUnitRow, (fingerprint, unit_id))
    if row is None:
        row = FindingUnitRow(fingerprint=fingerprint, unit_id=unit_id, first_seen=now)
    row.gone_at = None
    session.add(row)


def _step(
    session: Session, row: FindingRow, target: FindingState, reason: str, now: datetime
) -> None:
    session.add(
        TransitionRow(
            fingerprint=row.fingerprint,
            at=now,
            from_state=row.state,
            to_state=target,
            actor=PROGRAM,
            reason=reason,
        )
    )
    row.state = target
    session.add(row)


def _closed_by_person(session: Session, fingerprint: str) -> bool:
    actor = session.scalar(
        select(TransitionRow.actor)  # type: ignore[call-overload]  # a column, to SQLAlchemy
        .where(
            col(TransitionRow.fingerprint) == fingerprint,
            col(TransitionRow.to_state) == FindingState.CLOSED,
        )
        .order_by(col(TransitionRow.id).desc())
        .limit(1)
    )
    return actor is not None and actor != PROGRAM


def _active_waivers(session: Session, now: datetime) -> Sequence[WaiverRow]:
    return session.scalars(
        select(WaiverRow).where(col(WaiverRow.expires) > now, col(WaiverRow.revoked_at).is_(None))
    ).all()


def _apply_waiver(
    session: Session,
    row: FindingRow,
    judgment: Judgment,
    waivers: Sequence[WaiverRow],
    now: datetime,
) -> None:
    for waiver in waivers:
        if waiver.check_id != row.check_id or waiver.anchor not in (None, row.anchor):
            continue
        if waiver.subject not in (None, judgment.subject):
            continue
        session.add(
            TransitionRow(
                fingerprint=row.fingerprint,
                at=now,
                from_state=row.state,
                to_state=FindingState.RISK_ACCEPTED,
                actor=PROGRAM,
                reason=f"waiver {waiver.id}: {waiver.reason}",
                approver=waiver.approver,
                owner=waiver.approver,
                expires=waiver.expires,
            )
        )
        row.state = FindingState.RISK_ACCEPTED
        row.deadline = None
        return


def _write_event(session: Session, kind: str, row: FindingRow, now: datetime) -> None:
    occasion = f"{kind}\x00{row.fingerprint}\x00{_occurrence(session, row.fingerprint)}"
    session.add(
        AlertEventRow(
            key=hashlib.sha256(occasion.encode()).hexdigest(),
            kind=kind,
            anchor=row.anchor,
            check_id=row.check_id,
            fingerprint=row.fingerprint,
            severity=row.severity,
            text=row.message,
            at=now,
        )
    )


def _occurrence(session: Session, fingerprint: str) -> int:
    """How often the finding was opened: the same event keeps its key through crash and re-run."""
    count = session.scalar(
        select(func.count())
        .select_from(TransitionRow)
        .where(
            col(TransitionRow.fingerprint) == fingerprint,
            col(TransitionRow.to_state) == FindingState.OPEN,
        )
    )
    return 0 if count is None else count


def _encode_evidence(evidence: tuple[EvidenceItem, ...]) -> str:
    return orjson.dumps(
        [
            {"kind": item.kind, "reference": item.reference, "detail": item.detail}
            for item in evidence
        ]
    ).decode()
