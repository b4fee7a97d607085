"""The recorder: outcomes become findings, and re-runs create, leave, close or reopen them.

A ``violation`` is one finding per subject; ``should`` and ``notice`` results are one finding per
check and subordinate with a table of affected units. Only a judgment that looked may close
anything: "could not run" leaves every finding as it is, and is itself stored (DESIGN section 5).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson
from sqlalchemy import delete, func, select
from sqlmodel import Session, col

from subca_oversight.findings.judgment import GROUP, JudgedBreach, Judgment
from subca_oversight.findings.lifecycle import ACTIONABLE, PROGRAM, UNDECIDED
from subca_oversight.findings.trail import (
    OPENED,
    REOPENED,
    is_closed_by_person,
    take_step,
    tell_of_finding,
)
from subca_oversight.findings.waivers import apply_waiver, load_waivers
from subca_oversight.model.finding import EvidenceItem, FindingState, Severity, SubjectKind
from subca_oversight.store.tables import (
    CheckFailureRow,
    FindingRow,
    FindingUnitRow,
    TransitionRow,
    WaiverRow,
)

__all__ = ["JudgedBreach", "Judgment", "Tally", "affected_units", "record_judgments"]

_LOOKUP = 500
"""Subjects looked up in one statement, well below every driver's limit of parameters."""
_MOST_SEVERE_FIRST = tuple(Severity)


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
    recording = _Recording(
        session=session,
        known=_load_known(session, {judgment.subject for judgment in batch}),
        waivers=load_waivers(session, now=now),
        rule_version=rule_version,
        now=now,
    )
    for judgment in batch:
        recording.record(judgment)
    return recording.tally


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


@dataclass(frozen=True, slots=True)
class _Known:
    """What the store holds on the subjects of a batch: most have nothing, and cost nothing."""

    failures: set[tuple[str, str]] = field(default_factory=set)
    """(scope, subject)."""
    findings: dict[str, dict[str, str]] = field(default_factory=dict)
    """By subject or unit: check ids by fingerprint."""

    def add(self, subject: str, fingerprint: str, check: str) -> None:
        self.findings.setdefault(subject, {})[fingerprint] = check


@dataclass(frozen=True, slots=True)
class _Recording:
    """One batch under way."""

    session: Session
    known: _Known
    waivers: Sequence[WaiverRow]
    rule_version: str
    now: datetime
    tally: Tally = field(default_factory=Tally)

    def record(self, judgment: Judgment) -> None:
        self._record_coverage(judgment)
        found = {self._record_breach(judgment, breach) for breach in judgment.breaches}
        if judgment.is_whole:
            self._clear_others(judgment, found)

    def _record_coverage(self, judgment: Judgment) -> None:
        identity = (judgment.scope, judgment.subject)
        if not judgment.is_whole:
            self.session.merge(
                CheckFailureRow(
                    check_id=judgment.scope,
                    subject=judgment.subject,
                    anchor=judgment.anchor,
                    reason=judgment.reason,
                    at=self.now,
                )
            )
            self.known.failures.add(identity)
            self.tally.could_not_run += 1
        elif identity in self.known.failures:
            self.session.execute(
                delete(CheckFailureRow).where(
                    col(CheckFailureRow.check_id) == judgment.scope,
                    col(CheckFailureRow.subject) == judgment.subject,
                )
            )
            self.known.failures.discard(identity)

    def _record_breach(self, judgment: Judgment, breach: JudgedBreach) -> str:
        fingerprint = judgment.fingerprint_of(breach)
        row = self.session.get(FindingRow, fingerprint)
        if row is None:
            row = self._create(judgment, breach, fingerprint)
        else:
            self._find_again(row, judgment, breach)
        row.reproduced = True
        row.last_seen = self.now
        row.rule_version = self.rule_version
        if row.subject != GROUP:
            row.message = breach.message
            row.evidence = _encode_evidence(breach.evidence)
        self.session.add(row)
        if judgment.kind is SubjectKind.UNIT:
            self._touch_unit(fingerprint, judgment.subject)
        self.session.flush()
        self.known.add(judgment.subject, fingerprint, breach.check)
        self.tally.fingerprints.append(fingerprint)
        return fingerprint

    def _create(self, judgment: Judgment, breach: JudgedBreach, fingerprint: str) -> FindingRow:
        row = FindingRow(
            fingerprint=fingerprint,
            check_id=breach.check,
            anchor=judgment.anchor,
            subject_kind=judgment.kind,
            subject=judgment.subject_of(breach),
            key=breach.key,
            severity=breach.severity,
            state=FindingState.OPEN,
            requirement=breach.requirement,
            revocation=breach.revocation,
            message=breach.message,
            evidence=_encode_evidence(breach.evidence),
            first_seen=self.now,
            last_seen=self.now,
            deadline=judgment.deadline_of(breach, self.now),
            baseline=judgment.is_baseline,
            rule_version=self.rule_version,
        )
        self.session.add(row)
        self.session.flush()
        self.session.add(
            TransitionRow(
                fingerprint=fingerprint,
                at=self.now,
                from_state="",
                to_state=FindingState.OPEN,
                actor=PROGRAM,
                reason="baseline: already expired when first read" if row.baseline else "found",
            )
        )
        self.tally.created += 1
        self._announce(row, OPENED)
        return row

    def _find_again(self, row: FindingRow, judgment: Judgment, breach: JudgedBreach) -> None:
        was_quiet = row.baseline
        row.baseline = row.baseline and judgment.is_baseline
        is_worse = self._follow_severity(row, breach)
        if row.state is FindingState.CLOSED and not is_closed_by_person(
            self.session, row.fingerprint
        ):
            take_step(self.session, row, FindingState.OPEN, "found again", now=self.now)
            row.deadline = judgment.deadline_of(breach, self.now)
            self.tally.reopened += 1
            self._announce(row, REOPENED)
            return
        self.tally.left += 1
        if row.state in ACTIONABLE and (is_worse or (was_quiet and not row.baseline)):
            if row.deadline is None:
                row.deadline = judgment.deadline_of(breach, self.now)
            if not row.baseline:
                tell_of_finding(
                    self.session, OPENED, row, now=self.now, occasion=f"now {row.severity}"
                )

    def _follow_severity(self, row: FindingRow, breach: JudgedBreach) -> bool:
        """Take over what the rule says today, but for deadlines; whether it became more severe."""
        is_worse = _rank(breach.severity) < _rank(row.severity)
        row.severity = breach.severity
        row.requirement = breach.requirement
        row.revocation = breach.revocation
        if is_worse:
            row.message = breach.message
        return is_worse

    def _announce(self, row: FindingRow, kind: str) -> None:
        """Tell of an opening, unless it is waived or of the quiet baseline."""
        apply_waiver(self.session, row, self.waivers, now=self.now)
        if row.state is FindingState.OPEN and not row.baseline:
            tell_of_finding(self.session, kind, row, now=self.now)

    def _touch_unit(self, fingerprint: str, unit_id: str) -> None:
        row = self.session.get(FindingUnitRow, (fingerprint, unit_id))
        if row is None:
            row = FindingUnitRow(fingerprint=fingerprint, unit_id=unit_id, first_seen=self.now)
        row.gone_at = None
        self.session.add(row)

    def _clear_others(self, judgment: Judgment, found: set[str]) -> None:
        """Close what the scope no longer finds; a person's confirmed finding is only marked."""
        for fingerprint, check in self.known.findings.get(judgment.subject, {}).items():
            if fingerprint in found or not judgment.covers(check):
                continue
            row = self.session.get(FindingRow, fingerprint)
            if row is None or row.anchor != judgment.anchor:
                continue
            unit = self.session.get(FindingUnitRow, (fingerprint, judgment.subject))
            if unit is not None and unit.gone_at is None:
                unit.gone_at = self.now
                self.session.add(unit)
                self.session.flush()
            if row.subject != GROUP or affected_units(self.session, fingerprint) == 0:
                self._clear(row)

    def _clear(self, row: FindingRow) -> None:
        if row.state in UNDECIDED:
            take_step(
                self.session,
                row,
                FindingState.CLOSED,
                "looked again, found nothing",
                now=self.now,
            )
            self.tally.closed += 1
        elif row.state is not FindingState.CLOSED and row.reproduced:
            row.reproduced = False
            self.session.add(row)


def _load_known(session: Session, subjects: set[str]) -> _Known:
    ordered = sorted(subjects)
    known = _Known()
    for start in range(0, len(ordered), _LOOKUP):
        chunk = ordered[start : start + _LOOKUP]
        known.failures.update(
            (row.check_id, row.subject)
            for row in session.scalars(
                select(CheckFailureRow).where(col(CheckFailureRow.subject).in_(chunk))
            )
        )
        own = select(FindingRow.subject, FindingRow.fingerprint, FindingRow.check_id).where(  # type: ignore[call-overload]  # columns, to SQLAlchemy
            col(FindingRow.subject).in_(chunk)
        )
        touched = (
            select(FindingUnitRow.unit_id, FindingRow.fingerprint, FindingRow.check_id)  # type: ignore[call-overload]
            .join(FindingRow, col(FindingRow.fingerprint) == col(FindingUnitRow.fingerprint))
            .where(col(FindingUnitRow.unit_id).in_(chunk), col(FindingUnitRow.gone_at).is_(None))
        )
        for statement in (own, touched):
            for subject, fingerprint, check in session.execute(statement):
                known.add(subject, fingerprint, check)
    return known


def _rank(severity: Severity) -> int:
    return _MOST_SEVERE_FIRST.index(severity)


def _encode_evidence(evidence: tuple[EvidenceItem, ...]) -> str:
    return orjson.dumps(
        [
            {"kind": item.kind, "reference": item.reference, "detail": item.detail}
            for item in evidence
        ]
    ).decode()
