"""Draining the outbox: at least once, in order within a grouping, and never for ever.

An attempt is counted, made, and marked, in this order: a crash in between repeats the delivery
under its id. The schedule of attempts is that of Standard Webhooks 1.0; after it a delivery is dead
and is told of through the other channels.
"""

from __future__ import annotations

import asyncio
import hashlib
import random as random_module
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson
import structlog
from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.alerts.channels import Channel, open_channels
from subca_oversight.alerts.message import decode_message
from subca_oversight.alerts.routing import DELIVERY_DEAD
from subca_oversight.alerts.text import visible
from subca_oversight.errors import DeliveryError
from subca_oversight.http import Client
from subca_oversight.settings import Settings
from subca_oversight.store.database import Database
from subca_oversight.store.outbox import (
    Delivery,
    claim,
    find_due,
    mark_dead,
    mark_delivered,
    mark_failed,
)
from subca_oversight.store.tables import AlertEventRow, SubordinateRow

RETRY_DELAYS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""After the first attempt, the second, and so on; the tenth is the last."""
MAX_ATTEMPTS = len(RETRY_DELAYS) + 1
_JITTER = 0.1
_PATIENCE = 3
"""Failures in a row after which a channel is left alone until the next run."""
_LIMIT = 100
_ERROR = 300

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class DeliveryTally:
    """What a run of the outbox did."""

    delivered: int = 0
    failed: int = 0
    """To be tried again."""
    dead: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    """The last problem of each channel that had one."""

    def add(self, other: DeliveryTally) -> None:
        """Take the figures of another run in."""
        self.delivered += other.delivered
        self.failed += other.failed
        self.dead += other.dead
        self.problems |= other.problems


async def drain(
    database: Database,
    client: Client,
    settings: Settings,
    *,
    now: Callable[[], datetime],
    random: Callable[[], float] = random_module.random,
) -> DeliveryTally:
    """Send everything that is due; one channel's failure holds up no other.

    What waits for a channel that is no longer configured goes on waiting.
    """
    contacts = await asyncio.to_thread(_load_contacts, database)
    channels = open_channels(settings, client, contacts=contacts)
    return await drain_through(database, channels, now=now, random=random)


async def drain_through(
    database: Database,
    channels: Mapping[str, Channel],
    *,
    now: Callable[[], datetime],
    random: Callable[[], float] = random_module.random,
) -> DeliveryTally:
    """``drain`` with the channels given."""
    drains = [_Drain(database, name, channel, now, random) for name, channel in channels.items()]
    total = DeliveryTally()
    for tally in await asyncio.gather(*(one.run() for one in drains)):
        total.add(tally)
    return total


@dataclass(frozen=True, slots=True)
class _Drain:
    """The part of the outbox that one channel takes."""

    database: Database
    name: str
    channel: Channel
    now: Callable[[], datetime]
    random: Callable[[], float]

    async def run(self) -> DeliveryTally:
        tally = DeliveryTally()
        failures = 0
        while True:
            due = await asyncio.to_thread(self._find_due)
            if len(due) == 0:
                return tally
            for delivery in due:
                failures = 0 if await self._deliver(delivery, tally) else failures + 1
                if failures == _PATIENCE:
                    return tally

    async def _deliver(self, delivery: Delivery, tally: DeliveryTally) -> bool:
        """Make one attempt; False where it failed and may be repeated."""
        if not await asyncio.to_thread(self._claim, delivery):
            return True
        try:
            if delivery.attempts >= MAX_ATTEMPTS:
                # Only crashes in the middle of an attempt lead here.
                raise DeliveryError(f"{self.name}: given up after {MAX_ATTEMPTS} attempts")  # noqa: TRY301
            note = await self.channel.send(delivery, now=self.now())
        except DeliveryError as error:
            reason = visible(str(error), _ERROR)
            tally.problems[self.name] = reason
            is_dead = error.permanent or delivery.attempts + 1 >= MAX_ATTEMPTS
            _log.warning(
                "delivery_failed",
                channel=self.name,
                notice=delivery.notice.notice_id,
                reason=reason,
                dead=is_dead,
            )
            if is_dead:
                await asyncio.to_thread(self._bury, delivery, reason)
                tally.dead += 1
                return True
            await asyncio.to_thread(self._postpone, delivery, reason, error.retry_after)
            tally.failed += 1
            return False
        await asyncio.to_thread(self._finish, delivery, note)
        if len(note) > 0:
            tally.problems[self.name] = f"{self.name}: {visible(note, _ERROR)}"
        tally.delivered += 1
        return True

    def _find_due(self) -> list[Delivery]:
        with self.database.read() as session:
            return find_due(session, self.name, now=self.now(), limit=_LIMIT)

    def _claim(self, delivery: Delivery) -> bool:
        with self.database.write() as session:
            return claim(session, delivery)

    def _finish(self, delivery: Delivery, note: str) -> None:
        with self.database.write() as session:
            mark_delivered(session, delivery, now=self.now(), note=visible(note, _ERROR))

    def _postpone(self, delivery: Delivery, reason: str, retry_after: float | None) -> None:
        wait = RETRY_DELAYS[delivery.attempts] * (1 + _JITTER * self.random())
        if retry_after is not None:
            asked = timedelta(seconds=min(retry_after, RETRY_DELAYS[-1].total_seconds()))
            wait = max(wait, asked)
        with self.database.write() as session:
            mark_failed(session, delivery, error=reason, retry_at=self.now() + wait)

    def _bury(self, delivery: Delivery, reason: str) -> None:
        with self.database.write() as session:
            mark_dead(session, delivery, error=reason)
            _write_death(session, delivery, reason, self.now())


def _write_death(session: Session, delivery: Delivery, reason: str, now: datetime) -> None:
    """Have the other channels tell of it; the death of such a notice itself is told no further."""
    notice = delivery.notice
    if decode_message(notice.payload).kind == DELIVERY_DEAD:
        return
    occasion = f"{DELIVERY_DEAD}\x00{notice.notice_id}\x00{delivery.channel}"
    key = hashlib.sha256(occasion.encode()).hexdigest()
    is_known = session.scalars(select(AlertEventRow).where(col(AlertEventRow.key) == key)).first()
    if is_known is not None:
        return
    session.add(
        AlertEventRow(
            key=key,
            kind=DELIVERY_DEAD,
            check_id=delivery.channel,
            severity=notice.severity,
            text=f"not delivered through {delivery.channel}: {notice.subject}"
            f" (notice {notice.notice_id[:16]}): {reason}",
            at=now,
        )
    )


def _load_contacts(database: Database) -> dict[str, tuple[str, ...]]:
    with database.read() as session:
        return {
            row.anchor: tuple(orjson.loads(row.contacts))
            for row in session.scalars(select(SubordinateRow))
        }
