"""People's decisions on findings, their trail, and what expires.

Every transition is a row with who, when and why; rows are only ever added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import func, select
from sqlmodel import Session, col

from subca_oversight.errors import ConfigurationError
from subca_oversight.findings.lifecycle import Decision, target_of
from subca_oversight.findings.trail import REOPENED, take_step, tell_of_finding
from subca_oversight.model.finding import EvidenceItem, Finding, FindingState, Severity, SubjectKind
from subca_oversight.store.tables import (
    FindingRow,
    FindingUnitRow,
    SubordinateRow,
    TransitionRow,
)

SHORT_ID = 16
"""Hex digits of the fingerprint that people type."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of a finding's life."""

    at: datetime
    source: str
    target: str
    actor: str
    reason: str
    approver: str | None
    owner: str | None
    expires: datetime | None


def find_findings(
    session: Session,
    *,
    anchor: str | None = None,
    states: frozenset[FindingState] | None = None,
    check: str | None = None,
) -> list[Finding]:
    """Findings, most severe first, then by check, subject and id."""
    statement = select(FindingRow)
    if anchor is not None:
        statement = statement.where(col(FindingRow.anchor) == anchor)
    if states is not None:
        statement = statement.where(col(FindingRow.state).in_(states))
    if check is not None:
        statement = statement.where(col(FindingRow.check_id) == check)
    names = _names(session)
    affected = _affected(session)
    rows = session.scalars(statement).all()
    findings = [_finding(row, names, affected) for row in rows]
    order = list(Severity)
    return sorted(findings, key=lambda f: (order.index(f.severity), f.check, f.subject, f.id))


def load_finding(session: Session, prefix: str) -> Finding:
    """The one finding whose fingerprint starts with ``prefix``.

    Raises ConfigurationError where there is none or more than one.
    """
    row = _load_row(session, prefix)
    return _finding(row, _names(session), _affected(session, row.fingerprint))


def find_transitions(session: Session, fingerprint: str) -> list[Transition]:
    """A finding's trail, oldest first."""
    rows = session.scalars(
        select(TransitionRow)
        .where(col(TransitionRow.fingerprint) == fingerprint)
        .order_by(col(TransitionRow.id))
    )
    return [
        Transition(
            at=row.at,
            source=row.from_state,
            target=row.to_state,
            actor=row.actor,
            reason=row.reason,
            approver=row.approver,
            owner=row.owner,
            expires=row.expires,
        )
        for row in rows
    ]


def find_affected_units(session: Session, fingerprint: str) -> list[str]:
    """Ids of the units that a finding touches now, sorted."""
    return sorted(
        session.scalars(
            select(FindingUnitRow.unit_id).where(  # type: ignore[call-overload]  # a column, to SQLAlchemy
                col(FindingUnitRow.fingerprint) == fingerprint,
                col(FindingUnitRow.gone_at).is_(None),
            )
        )
    )


def decide(session: Session, prefix: str, decision: Decision, *, now: datetime) -> Finding:
    """Take a person's step. Raises ConfigurationError where the step is not possible."""
    row = _load_row(session, prefix)
    target = target_of(decision, row.state, now=now)
    session.add(
        TransitionRow(
            fingerprint=row.fingerprint,
            at=now,
            from_state=row.state,
            to_state=target,
            actor=decision.actor,
            reason=decision.reason,
            approver=decision.approver,
            owner=decision.owner,
            expires=decision.expires,
        )
    )
    row.state = target
    session.add(row)
    session.flush()
    return load_finding(session, row.fingerprint)


def expire_decisions(session: Session, *, now: datetime) -> int:
    """Reopen every finding whose accepted risk has run out; returns how many.

    One that was no longer found when last looked for is closed instead.
    """
    rows = session.scalars(
        select(FindingRow).where(col(FindingRow.state) == FindingState.RISK_ACCEPTED)
    ).all()
    reopened = 0
    for row in rows:
        expires = session.scalar(
            select(TransitionRow.expires)  # type: ignore[call-overload]  # a column, to SQLAlchemy
            .where(
                col(TransitionRow.fingerprint) == row.fingerprint,
                col(TransitionRow.to_state) == FindingState.RISK_ACCEPTED,
            )
            .order_by(col(TransitionRow.id).desc())
            .limit(1)
        )
        if expires is None or expires > now:
            continue
        if not row.reproduced:
            reason = "the acceptance expired, and the breach is no longer found"
            take_step(session, row, FindingState.CLOSED, reason, now=now)
            continue
        take_step(session, row, FindingState.OPEN, "the acceptance expired", now=now)
        if not row.baseline:
            tell_of_finding(session, REOPENED, row, now=now)
        reopened += 1
    return reopened


def _load_row(session: Session, prefix: str) -> FindingRow:
    cleaned = prefix.strip().lower()
    rows: Sequence[FindingRow] = ()
    if len(cleaned) > 0:
        rows = session.scalars(
            select(FindingRow)
            .where(col(FindingRow.fingerprint).startswith(cleaned, autoescape=True))
            .limit(2)
        ).all()
    if len(rows) == 0:
        raise ConfigurationError(f"no finding has the id {prefix}; see: findings list")
    if len(rows) > 1:
        raise ConfigurationError(f"more than one finding starts with {prefix}; give more digits")
    return rows[0]


def _names(session: Session) -> dict[str, str]:
    return {row.anchor: row.name for row in session.scalars(select(SubordinateRow))}


def _affected(session: Session, fingerprint: str | None = None) -> Mapping[str, int]:
    statement = (
        select(FindingUnitRow.fingerprint, func.count())  # type: ignore[call-overload]  # columns, to SQLAlchemy
        .where(col(FindingUnitRow.gone_at).is_(None))
        .group_by(col(FindingUnitRow.fingerprint))
    )
    if fingerprint is not None:
        statement = statement.where(col(FindingUnitRow.fingerprint) == fingerprint)
    rows = session.execute(statement)
    return {fingerprint: count for fingerprint, count in rows}  # noqa: C416 - rows are not tuples to mypy


def _finding(row: FindingRow, names: Mapping[str, str], affected: Mapping[str, int]) -> Finding:
    itself = 0 if row.subject_kind is SubjectKind.UNIT else 1
    return Finding(
        id=row.fingerprint[:SHORT_ID],
        fingerprint=row.fingerprint,
        check=row.check_id,
        anchor=row.anchor,
        subordinate=names.get(row.anchor, ""),
        subject_kind=row.subject_kind,
        subject=row.subject if len(row.key) == 0 else f"{row.subject}#{row.key}",
        severity=row.severity,
        state=row.state,
        requirement=row.requirement,
        revocation=row.revocation,
        message=row.message,
        evidence=tuple(
            EvidenceItem(item["kind"], item["reference"], item["detail"])
            for item in orjson.loads(row.evidence)
        ),
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        deadline=row.deadline,
        baseline=row.baseline,
        reproduced=row.reproduced,
        affected=affected.get(row.fingerprint, itself),
        rule_version=row.rule_version,
    )
