"""A subordinate's findings as they stood at an instant, one at a time.

The state is that of the last transition by then, and what the finding said is its last version by
then: its own row follows the rules and the evidence of the day. A deadline that was stored is never
moved by a later change of the rules (DESIGN section 2, principle 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, and_, case, func, or_, select
from sqlmodel import Session, col

from subca_oversight.findings.lifecycle import ACTIONABLE
from subca_oversight.model.finding import FindingState, Revocation, Severity, SubjectKind
from subca_oversight.store.tables import (
    FindingRow,
    FindingUnitRow,
    FindingVersionRow,
    TransitionRow,
    UnitRow,
)

SHORT_ID = 16
"""Hex digits of the fingerprint that people type."""


@dataclass(frozen=True, slots=True)
class FindingEntry:
    """One finding, as it stood."""

    fingerprint: str
    check: str
    severity: Severity
    state: FindingState
    subject_kind: SubjectKind
    subject: str
    key: str
    serial_hex: str | None
    requirement: str
    revocation: Revocation
    message: str
    first_seen: datetime
    deadline: datetime | None
    baseline: bool
    affected: int
    """Units that it touched; 1 where it is not about units."""
    opened: bool
    """First seen in the period."""
    reopened: int
    """How often it was opened again in the period."""
    closed: int
    """How often it was closed in the period."""
    decided_by: str
    """Who took the last step."""
    decision: str
    """The reason given with it."""
    expires: datetime | None
    """Until when a risk was accepted."""

    @property
    def id(self) -> str:
        """What people type."""
        return self.fingerprint[:SHORT_ID]

    @property
    def is_actionable(self) -> bool:
        """Whether somebody still had to act."""
        return self.state in ACTIONABLE

    def is_overdue(self, as_of: datetime) -> bool:
        """Whether its deadline had passed while somebody still had to act."""
        return self.is_actionable and self.deadline is not None and self.deadline < as_of


def find_entries(
    session: Session, anchor: str, start: datetime, end: datetime, *, as_of: datetime
) -> Iterator[FindingEntry]:
    """Every finding known at ``as_of``, by check and fingerprint; [start, end) is the period."""
    statement = _statement(anchor, start, end, as_of)
    for row in session.execute(statement.execution_options(yield_per=1000)):
        finding: FindingRow = row[0]
        said: FindingRow | FindingVersionRow = finding if row[1] is None else row[1]
        yield FindingEntry(
            fingerprint=finding.fingerprint,
            check=finding.check_id,
            severity=said.severity,
            state=FindingState(row.to_state),
            subject_kind=finding.subject_kind,
            subject=finding.subject,
            key=finding.key,
            serial_hex=row.serial_hex,
            requirement=said.requirement,
            revocation=said.revocation,
            message=said.message,
            first_seen=finding.first_seen,
            deadline=said.deadline,
            baseline=said.baseline,
            affected=row.affected or 1,
            opened=start <= finding.first_seen < end,
            reopened=row.reopened or 0,
            closed=row.closed or 0,
            decided_by=row.actor,
            decision=row.reason,
            expires=row.expires,
        )


def _statement(
    anchor: str, start: datetime, end: datetime, as_of: datetime
) -> Select[tuple[Any, ...]]:
    last_step = _last_of(TransitionRow, anchor, as_of)
    last_version = _last_of(FindingVersionRow, anchor, as_of)
    steps, units = _steps(anchor, start, end, as_of), _units(anchor, as_of)
    fingerprint = col(FindingRow.fingerprint)
    return (
        select(
            FindingRow,
            FindingVersionRow,
            col(TransitionRow.to_state),
            col(TransitionRow.actor),
            col(TransitionRow.reason),
            col(TransitionRow.expires),
            col(UnitRow.serial_hex),
            steps.c.closed,
            steps.c.reopened,
            units.c.affected,
        )
        .select_from(FindingRow)
        .join(last_step, last_step.c.fingerprint == fingerprint)
        .join(TransitionRow, col(TransitionRow.id) == last_step.c.id)
        .outerjoin(last_version, last_version.c.fingerprint == fingerprint)
        .outerjoin(FindingVersionRow, col(FindingVersionRow.id) == last_version.c.id)
        .outerjoin(steps, steps.c.fingerprint == fingerprint)
        .outerjoin(units, units.c.fingerprint == fingerprint)
        .outerjoin(UnitRow, col(UnitRow.unit_id) == col(FindingRow.subject))
        .where(col(FindingRow.anchor) == anchor, col(FindingRow.first_seen) <= as_of)
        .order_by(col(FindingRow.check_id), fingerprint)
    )


def _last_of(
    table: type[TransitionRow | FindingVersionRow], anchor: str, as_of: datetime
) -> Subquery:
    """The last row of each finding by ``as_of``; ids ascend with time."""
    return (
        select(col(table.fingerprint), func.max(col(table.id)).label("id"))
        .join(FindingRow, col(FindingRow.fingerprint) == col(table.fingerprint))
        .where(col(FindingRow.anchor) == anchor, col(table.at) <= as_of)
        .group_by(col(table.fingerprint))
        .subquery()
    )


def _steps(anchor: str, start: datetime, end: datetime, as_of: datetime) -> Subquery:
    """How often each finding was closed and opened again in the period."""
    target = col(TransitionRow.to_state)
    is_reopening = and_(target == FindingState.OPEN, col(TransitionRow.from_state) != "")
    return (
        select(
            col(TransitionRow.fingerprint),
            func.sum(_one_if(target == FindingState.CLOSED)).label("closed"),
            func.sum(_one_if(is_reopening)).label("reopened"),
        )
        .join(FindingRow, col(FindingRow.fingerprint) == col(TransitionRow.fingerprint))
        .where(
            col(FindingRow.anchor) == anchor,
            col(TransitionRow.at) >= start,
            col(TransitionRow.at) < end,
            col(TransitionRow.at) <= as_of,
        )
        .group_by(col(TransitionRow.fingerprint))
        .subquery()
    )


def _units(anchor: str, as_of: datetime) -> Subquery:
    row = FindingUnitRow
    return (
        select(col(row.fingerprint), func.count().label("affected"))
        .join(FindingRow, col(FindingRow.fingerprint) == col(row.fingerprint))
        .where(
            col(FindingRow.anchor) == anchor,
            col(row.first_seen) <= as_of,
            or_(col(row.gone_at).is_(None), col(row.gone_at) > as_of),
        )
        .group_by(col(row.fingerprint))
        .subquery()
    )


def _one_if(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return case((condition, 1), else_=0)
