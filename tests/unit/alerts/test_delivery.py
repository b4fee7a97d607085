"""Every notice arrives at least once under one id, in order, or dies aloud."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import select
from sqlmodel import col

from subca_oversight.alerts.delivery import (
    MAX_ATTEMPTS,
    RETRY_DELAYS,
    DeliveryTally,
    drain_through,
)
from subca_oversight.alerts.notices import group_events
from subca_oversight.errors import DeliveryError
from subca_oversight.settings import AlertsSettings, SmtpSettings, WebhookSettings
from subca_oversight.store.database import Database
from subca_oversight.store.outbox import Delivery, Notice, enqueue, find_deliveries
from subca_oversight.store.tables import AlertEventRow
from tests.unit.alerts.events import NOW, add_event
from tests.unit.alerts.messages import numbered

Verdict = Callable[[Delivery], DeliveryError | None]


def taken(delivery: Delivery) -> None:
    del delivery


def refused(delivery: Delivery) -> DeliveryError:
    return DeliveryError(f"refused {delivery.notice.sequence}")


@dataclass
class Receiver:
    """A channel that answers as ``verdict`` has it."""

    verdict: Verdict = taken
    received: list[tuple[int, datetime]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    async def send(self, delivery: Delivery, *, now: datetime) -> str:
        self.received.append((delivery.notice.sequence, now))
        self.ids.append(delivery.notice.notice_id)
        error = self.verdict(delivery)
        if error is not None:
            raise error
        return ""

    @property
    def sequence(self) -> list[int]:
        return [number for number, _ in self.received]


def fill(database: Database, *notices: Notice, channels: tuple[str, ...] = ("webhook",)) -> None:
    with database.write() as session:
        for one in notices:
            enqueue(session, one, channels)


def run(
    database: Database,
    *,
    now: datetime = NOW,
    jitter: float = 0.0,
    **channels: Receiver,
) -> DeliveryTally:
    return asyncio.run(drain_through(database, channels, now=lambda: now, random=lambda: jitter))


def states(database: Database) -> list[tuple[str, str, int]]:
    with database.read() as session:
        found = find_deliveries(session)
    return sorted((one.channel, one.state.value, one.attempts) for one in found)


def test_what_is_due_is_sent_once_and_in_order(database: Database) -> None:
    fill(database, *(numbered(number) for number in (3, 1, 2)))
    receiver = Receiver()
    assert run(database, webhook=receiver) == DeliveryTally(delivered=3)
    assert receiver.sequence == [1, 2, 3]
    assert run(database, webhook=receiver) == DeliveryTally()
    assert states(database) == [("webhook", "delivered", 1)] * 3


def test_a_notice_is_not_overtaken_by_a_later_one_of_its_grouping(database: Database) -> None:
    fill(database, numbered(1), numbered(2), numbered(3, grouping="other"))
    receiver = Receiver(
        lambda delivery: refused(delivery) if delivery.notice.sequence == 1 else None
    )
    tally = run(database, webhook=receiver)
    assert receiver.sequence == [1, 3]
    assert (tally.delivered, tally.failed) == (1, 1)
    receiver.verdict = taken
    run(database, now=NOW + timedelta(seconds=4), webhook=receiver)
    assert receiver.sequence == [1, 3]
    run(database, now=NOW + timedelta(seconds=5), webhook=receiver)
    assert receiver.sequence == [1, 3, 1, 2]


def test_one_channels_failure_holds_up_no_other(database: Database) -> None:
    fill(database, *(numbered(n, grouping=str(n)) for n in range(1, 11)), channels=("a", "b"))
    broken, sound = Receiver(refused), Receiver()
    tally = run(database, a=broken, b=sound)
    assert len(sound.received) == 10
    assert tally.delivered == 10
    # A channel that fails thrice running is left alone until the next run.
    assert (len(broken.received), tally.failed) == (3, 3)
    assert tally.problems == {"a": "refused 3"}
    broken.verdict = taken
    assert run(database, a=broken, b=sound).delivered == 7
    assert len(sound.received) == 10


def test_a_hanging_channel_holds_up_no_other(database: Database) -> None:
    fill(database, numbered(1), channels=("slow", "fast"))
    arrived = asyncio.Event()

    class Slow(Receiver):
        async def send(self, delivery: Delivery, *, now: datetime) -> str:
            await asyncio.wait_for(arrived.wait(), 10)
            return await super().send(delivery, now=now)

    class Fast(Receiver):
        async def send(self, delivery: Delivery, *, now: datetime) -> str:
            arrived.set()
            return await super().send(delivery, now=now)

    # The slow one only ends because the fast one was served meanwhile.
    assert run(database, slow=Slow(), fast=Fast()).delivered == 2


def test_attempts_follow_the_schedule_and_end_in_a_dead_letter(database: Database) -> None:
    fill(database, numbered(1))
    receiver = Receiver(refused)
    instants: list[datetime] = []
    now = NOW
    tally = DeliveryTally()
    for delay in (*RETRY_DELAYS, None):
        tally = run(database, now=now, webhook=receiver)
        instants.append(now)
        assert len(receiver.received) == len(instants)
        if delay is None:
            break
        assert (tally.failed, tally.dead) == (1, 0)
        run(database, now=now + delay - timedelta(milliseconds=1), webhook=receiver)
        assert len(receiver.received) == len(instants), "too early"
        now += delay
    assert tally.dead == 1
    assert len(instants) == MAX_ATTEMPTS == 10
    waits = [later - earlier for earlier, later in pairwise(instants)]
    assert waits == [
        timedelta(seconds=5),
        timedelta(minutes=5),
        timedelta(minutes=30),
        *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
    ]
    assert states(database) == [("webhook", "dead", 10)]
    assert len(set(receiver.ids)) == 1
    run(database, now=now + timedelta(days=99), webhook=receiver)
    assert len(receiver.received) == 10


def test_jitter_only_ever_delays(database: Database) -> None:
    fill(database, numbered(1))
    run(database, jitter=0.999, webhook=Receiver(refused))
    with database.read() as session:
        [one] = find_deliveries(session)
    assert timedelta(seconds=5) < one.next_attempt_at - NOW < timedelta(seconds=5.5)


@pytest.mark.parametrize(
    ("asked", "wait"),
    [(2.0, 5.0), (90.0, 90.0), (10.0**9, 86_400.0)],
)
def test_a_receiver_may_ask_for_a_longer_wait(
    database: Database, asked: float, wait: float
) -> None:
    fill(database, numbered(1))
    receiver = Receiver(lambda _: DeliveryError("busy", retry_after=asked))
    run(database, webhook=receiver)
    with database.read() as session:
        [one] = find_deliveries(session)
    assert one.next_attempt_at - NOW == timedelta(seconds=wait)


def test_a_permanent_refusal_is_dead_at_once_and_holds_back_nobody(database: Database) -> None:
    fill(database, numbered(1), numbered(2))
    receiver = Receiver(
        lambda delivery: (
            DeliveryError("gone", permanent=True) if delivery.notice.sequence == 1 else None
        )
    )
    tally = run(database, webhook=receiver)
    assert (tally.delivered, tally.dead, tally.failed) == (1, 1, 0)
    assert states(database) == [("webhook", "dead", 1), ("webhook", "delivered", 1)]


def test_a_crash_between_sending_and_marking_sends_again_under_the_same_id(
    database: Database,
) -> None:
    fill(database, numbered(1))

    class Crash(BaseException):
        """Nothing that a program may catch: the process is gone."""

    class Dying(Receiver):
        async def send(self, delivery: Delivery, *, now: datetime) -> str:
            await super().send(delivery, now=now)
            raise Crash

    dying = Dying()
    with pytest.raises(Crash):
        run(database, webhook=dying)
    assert states(database) == [("webhook", "pending", 1)]
    receiver = Receiver()
    assert run(database, webhook=receiver).delivered == 1
    assert receiver.ids == dying.ids


def test_a_notice_whose_sending_kills_the_process_is_given_up_in_the_end(
    database: Database,
) -> None:
    fill(database, numbered(1))

    class Killing(Receiver):
        async def send(self, delivery: Delivery, *, now: datetime) -> str:
            await super().send(delivery, now=now)
            raise GeneratorExit

    killing = Killing()
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(BaseException):  # noqa: B017, PT011 - whatever a dying process raises
            run(database, webhook=killing)
    assert run(database, webhook=killing).dead == 1
    assert len(killing.received) == MAX_ATTEMPTS


def test_a_dead_letter_is_told_of_through_the_other_channel_and_no_further(
    database: Database,
) -> None:
    alerts = AlertsSettings(
        smtp=SmtpSettings.model_validate(
            {"host": "mail.ca.example", "from": "o@ca.example", "to": ["team@ca.example"]}
        ),
        webhook=WebhookSettings(url="https://hooks.ca.example/in"),
    )
    gone = Receiver(lambda _: DeliveryError("webhook: status 410", permanent=True))
    no_mail = Receiver(lambda _: DeliveryError("mail: no such mailbox", permanent=True))
    with database.write() as session:
        add_event(session, "a")
        group_events(session, alerts, now=NOW)
    mail = Receiver()
    assert run(database, webhook=gone, smtp=mail).dead == 1
    with database.write() as session:
        tally = group_events(session, alerts, now=NOW)
    assert (tally.notices, tally.unrouted) == (1, 0)
    assert run(database, webhook=gone, smtp=no_mail).dead == 1
    assert len(gone.received) == 1
    assert len(no_mail.received) == 1
    with database.read() as session:
        events = session.scalars(
            select(AlertEventRow).where(col(AlertEventRow.kind) == "delivery_dead")
        ).all()
    assert [(one.check_id, one.notice_id is not None) for one in events] == [("webhook", True)]
    assert "status 410" in events[0].text


def test_many_dead_letters_are_one_notice(database: Database) -> None:
    fill(database, *(numbered(n, grouping=str(n)) for n in range(150)))
    gone = Receiver(lambda _: DeliveryError("gone", permanent=True))
    assert run(database, webhook=gone).dead == 150
    alerts = AlertsSettings(webhook=WebhookSettings(url="https://hooks.ca.example/in"))
    with database.write() as session:
        tally = group_events(session, alerts, now=NOW)
    assert (tally.notices, tally.events, tally.unrouted) == (1, 150, 1)


def test_what_waits_for_a_channel_that_is_not_configured_goes_on_waiting(
    database: Database,
) -> None:
    fill(database, numbered(1), channels=("smtp", "webhook"))
    assert run(database, webhook=Receiver()).delivered == 1
    assert states(database) == [("smtp", "pending", 0), ("webhook", "delivered", 1)]


def test_reasons_are_kept_printable(database: Database) -> None:
    fill(database, numbered(1))
    run(database, webhook=Receiver(lambda _: DeliveryError("\x1b[2J\u202e" + "x" * 999)))
    with database.read() as session:
        [one] = find_deliveries(session)
    assert one.last_error is not None
    assert one.last_error.isprintable()
    assert len(one.last_error) == 300
