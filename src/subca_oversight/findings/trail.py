"""The trail of a finding: rows that say who moved it, when and why, and what is told of it.

Rows are only ever added. An alert event is written in the transaction of its cause, under a key
that the same occasion always has, so that a crash and a re-run do not tell of it twice.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import func, select
from sqlmodel import Session, col

from subca_oversight.findings.lifecycle import PROGRAM
from subca_oversight.model.finding import FindingState
from subca_oversight.store.tables import AlertEventRow, FindingRow, TransitionRow

OPENED = "finding_opened"
REOPENED = "finding_reopened"


def take_step(
    session: Session, row: FindingRow, target: FindingState, reason: str, *, now: datetime
) -> None:
    """Move a finding by the program's own doing."""
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


def is_closed_by_person(session: Session, fingerprint: str) -> bool:
    """Whether it was a person who last closed the finding."""
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


def tell_of_finding(
    session: Session, kind: str, row: FindingRow, *, now: datetime, occasion: str = ""
) -> None:
    """Write the event that the finding was opened; ``occasion`` tells two of one opening apart."""
    write_event(
        session,
        kind=kind,
        occasion=f"{row.fingerprint}\x00{_openings(session, row.fingerprint)}\x00{occasion}",
        severity=row.severity,
        text=row.message,
        now=now,
        anchor=row.anchor,
        check_id=row.check_id,
        fingerprint=row.fingerprint,
    )


def write_event(
    session: Session,
    *,
    kind: str,
    occasion: str,
    severity: str,
    text: str,
    now: datetime,
    anchor: str | None = None,
    check_id: str = "",
    fingerprint: str | None = None,
) -> None:
    """Write an alert event; the same occasion is never written twice."""
    key = hashlib.sha256(f"{kind}\x00{occasion}".encode()).hexdigest()
    known = session.scalar(
        select(func.count()).select_from(AlertEventRow).where(col(AlertEventRow.key) == key)
    )
    if known == 0:
        session.add(
            AlertEventRow(
                key=key,
                kind=kind,
                anchor=anchor,
                check_id=check_id,
                fingerprint=fingerprint,
                severity=severity,
                text=text,
                at=now,
            )
        )


def _openings(session: Session, fingerprint: str) -> int:
    """How often the finding was opened: an event keeps its key through crash and re-run."""
    count = session.scalar(
        select(func.count())
        .select_from(TransitionRow)
        .where(
            col(TransitionRow.fingerprint) == fingerprint,
            col(TransitionRow.to_state) == FindingState.OPEN,
        )
    )
    return 0 if count is None else count
