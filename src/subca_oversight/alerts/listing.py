"""Every notice with how far it has come, those that no channel takes among them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlmodel import Session, col

from subca_oversight.alerts.routing import worst
from subca_oversight.store.outbox import find_deliveries
from subca_oversight.store.tables import AlertEventRow, DeliveryRow, SubordinateRow

UNROUTED = "unrouted"
"""State of a notice that no channel takes, and that is therefore only listed."""


@dataclass(frozen=True, slots=True)
class ListedNotice:
    """One notice on one channel, or on none."""

    notice_id: str
    channel: str | None
    state: str
    severity: str
    subordinate: str | None
    subject: str
    created_at: datetime
    attempts: int
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    last_error: str | None


def find_notices(session: Session) -> list[ListedNotice]:
    """Newest first; of a notice without a channel, the time of its last event counts."""
    names = {row.anchor: row.name for row in session.scalars(select(SubordinateRow))}
    listed = [
        ListedNotice(
            notice_id=one.notice.notice_id,
            channel=one.channel,
            state=one.state.value,
            severity=one.notice.severity,
            subordinate=None if one.notice.anchor is None else names.get(one.notice.anchor),
            subject=one.notice.subject,
            created_at=one.notice.created_at,
            attempts=one.attempts,
            next_attempt_at=one.next_attempt_at if one.state.value == "pending" else None,
            delivered_at=one.delivered_at,
            last_error=one.last_error,
        )
        for one in find_deliveries(session)
    ]
    listed += _find_unrouted(session, names)
    return sorted(
        listed,
        key=lambda one: (-one.created_at.timestamp(), one.notice_id, one.channel or ""),
    )


def count_untold(session: Session) -> int:
    """Events that wait for the next notice."""
    count = session.scalar(
        select(func.count())
        .select_from(AlertEventRow)
        .where(col(AlertEventRow.notice_id).is_(None))
    )
    return 0 if count is None else count


def _find_unrouted(session: Session, names: dict[str, str]) -> list[ListedNotice]:
    routed = select(DeliveryRow.notice_id).where(  # type: ignore[call-overload]  # a column, to SQLAlchemy
        col(DeliveryRow.notice_id) == col(AlertEventRow.notice_id)
    )
    rows = session.execute(
        select(  # type: ignore[call-overload]
            AlertEventRow.notice_id,
            AlertEventRow.kind,
            AlertEventRow.check_id,
            AlertEventRow.anchor,
            AlertEventRow.severity,
            func.count().label("events"),
            func.max(AlertEventRow.at).label("last_at"),
        )
        .where(col(AlertEventRow.notice_id).is_not(None), ~routed.exists())
        .group_by(
            col(AlertEventRow.notice_id),
            col(AlertEventRow.kind),
            col(AlertEventRow.check_id),
            col(AlertEventRow.anchor),
            col(AlertEventRow.severity),
        )
    ).all()
    by_notice: dict[str, list[int]] = {}
    for position, row in enumerate(rows):
        by_notice.setdefault(row.notice_id, []).append(position)
    listed: list[ListedNotice] = []
    for notice_id, positions in by_notice.items():
        parts = [rows[position] for position in positions]
        first = parts[0]
        count = sum(part.events for part in parts)
        what = first.kind.replace("_", " ")
        subject = what if len(first.check_id) == 0 else f"{first.check_id}: {what}"
        listed.append(
            ListedNotice(
                notice_id=notice_id,
                channel=None,
                state=UNROUTED,
                severity=worst(frozenset(part.severity for part in parts)),
                subordinate=None if first.anchor is None else names.get(first.anchor),
                subject=f"{subject} ({count})",
                created_at=max(part.last_at for part in parts),
                attempts=0,
                next_attempt_at=None,
                delivered_at=None,
                last_error=None,
            )
        )
    return listed
