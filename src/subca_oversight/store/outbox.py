"""The outbox: notices on their way, one row for each channel that has to take them.

A notice is enqueued in the transaction that marks its events, and each attempt is counted before it
is made, so a crash repeats a delivery under the same id and never loses one (DESIGN section 9).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import cast

from sqlalchemy import CursorResult, func, select, update
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from subca_oversight.store.tables import DeliveryRow


class DeliveryState(StrEnum):
    """How far a delivery has come."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    """Given up; a person has to look."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told, in the form in which it is sent."""

    notice_id: str
    """Stable; receivers remove repetitions by it."""
    severity: str
    anchor: str | None
    subject: str
    payload: str
    """JSON."""
    grouping: str
    sequence: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notice on its way through one channel."""

    notice: Notice
    channel: str
    state: DeliveryState
    attempts: int
    """Made so far, the one in progress included."""
    next_attempt_at: datetime
    delivered_at: datetime | None = None
    last_error: str | None = None


def enqueue(session: Session, notice: Notice, channels: Iterable[str]) -> None:
    """Put ``notice`` on its way through ``channels``, due at once."""
    for channel in channels:
        session.add(
            DeliveryRow(
                notice_id=notice.notice_id,
                channel=channel,
                severity=notice.severity,
                anchor=notice.anchor,
                subject=notice.subject,
                payload=notice.payload,
                grouping=notice.grouping,
                sequence=notice.sequence,
                created_at=notice.created_at,
                state=DeliveryState.PENDING.value,
                next_attempt_at=notice.created_at,
            )
        )


def find_due(session: Session, channel: str, *, now: datetime, limit: int) -> list[Delivery]:
    """What may be sent through ``channel``: of each grouping, its earliest pending notice only."""
    earlier = aliased(DeliveryRow)
    blocked = select(earlier.notice_id).where(  # type: ignore[call-overload]  # a column, to SQLAlchemy
        col(earlier.channel) == channel,
        col(earlier.state) == DeliveryState.PENDING.value,
        col(earlier.grouping) == col(DeliveryRow.grouping),
        col(earlier.sequence) < col(DeliveryRow.sequence),
    )
    rows = session.scalars(
        select(DeliveryRow)
        .where(
            col(DeliveryRow.channel) == channel,
            col(DeliveryRow.state) == DeliveryState.PENDING.value,
            col(DeliveryRow.next_attempt_at) <= now,
            ~blocked.exists(),
        )
        .order_by(col(DeliveryRow.sequence), col(DeliveryRow.notice_id))
        .limit(limit)
    )
    return [_delivery(row) for row in rows]


def claim(session: Session, delivery: Delivery) -> bool:
    """Count the attempt that is about to be made; False where somebody else was faster."""
    result = session.execute(
        update(DeliveryRow)
        .where(
            col(DeliveryRow.notice_id) == delivery.notice.notice_id,
            col(DeliveryRow.channel) == delivery.channel,
            col(DeliveryRow.state) == DeliveryState.PENDING.value,
            col(DeliveryRow.attempts) == delivery.attempts,
        )
        .values(attempts=delivery.attempts + 1)
    )
    return cast("CursorResult[object]", result).rowcount == 1


def mark_delivered(session: Session, delivery: Delivery, *, now: datetime, note: str) -> None:
    """Note that the channel took it; ``note`` says what was not perfect, and is mostly empty."""
    row = _row(session, delivery)
    row.state = DeliveryState.DELIVERED.value
    row.delivered_at = now
    row.last_error = note if len(note) > 0 else None
    session.add(row)


def mark_failed(session: Session, delivery: Delivery, *, error: str, retry_at: datetime) -> None:
    """Note a failure that may pass."""
    row = _row(session, delivery)
    row.next_attempt_at = retry_at
    row.last_error = error
    session.add(row)


def mark_dead(session: Session, delivery: Delivery, *, error: str) -> None:
    """Give the delivery up."""
    row = _row(session, delivery)
    row.state = DeliveryState.DEAD.value
    row.last_error = error
    session.add(row)


def find_deliveries(session: Session) -> list[Delivery]:
    """Every delivery, newest notice first."""
    rows = session.scalars(
        select(DeliveryRow).order_by(
            col(DeliveryRow.created_at).desc(),
            col(DeliveryRow.notice_id),
            col(DeliveryRow.channel),
        )
    )
    return [_delivery(row) for row in rows]


def count_pending(session: Session) -> int:
    """How many deliveries are still to be made."""
    count = session.scalar(
        select(func.count())
        .select_from(DeliveryRow)
        .where(col(DeliveryRow.state) == DeliveryState.PENDING.value)
    )
    return 0 if count is None else count


def find_last_enqueued(session: Session, grouping: str, *, now: datetime) -> datetime | None:
    """When a notice of ``grouping`` was last put on its way, up to ``now``."""
    return session.scalar(
        select(func.max(DeliveryRow.created_at)).where(
            col(DeliveryRow.grouping) == grouping, col(DeliveryRow.created_at) <= now
        )
    )


def _row(session: Session, delivery: Delivery) -> DeliveryRow:
    return session.get_one(DeliveryRow, (delivery.notice.notice_id, delivery.channel))


def _delivery(row: DeliveryRow) -> Delivery:
    return Delivery(
        notice=Notice(
            notice_id=row.notice_id,
            severity=row.severity,
            anchor=row.anchor,
            subject=row.subject,
            payload=row.payload,
            grouping=row.grouping,
            sequence=row.sequence,
            created_at=row.created_at,
        ),
        channel=row.channel,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        delivered_at=row.delivered_at,
        last_error=row.last_error,
    )
