"""The outbox keeps order within a grouping and counts attempts before they are made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlmodel import Session

from subca_oversight.store.database import Database
from subca_oversight.store.outbox import (
    Delivery,
    DeliveryState,
    Notice,
    claim,
    count_pending,
    enqueue,
    find_deliveries,
    find_due,
    find_last_enqueued,
    mark_dead,
    mark_delivered,
    mark_failed,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def notice(number: int, *, grouping: str = "g", at: datetime = NOW) -> Notice:
    return Notice(
        notice_id=f"{number:064x}",
        severity="violation",
        anchor=None,
        subject=f"notice {number}",
        payload="{}",
        grouping=grouping,
        sequence=number,
        created_at=at,
    )


def fill(database: Database, *notices: Notice, channels: tuple[str, ...] = ("smtp",)) -> None:
    with database.write() as session:
        for one in notices:
            enqueue(session, one, channels)


def due(session: Session, now: datetime = NOW, limit: int = 10) -> list[int]:
    return [one.notice.sequence for one in find_due(session, "smtp", now=now, limit=limit)]


def first(database: Database) -> Delivery:
    with database.read() as session:
        return find_due(session, "smtp", now=NOW, limit=1)[0]


def test_only_the_earliest_of_a_grouping_is_due(database: Database) -> None:
    fill(database, notice(2), notice(1), notice(3, grouping="other"))
    with database.read() as session:
        assert due(session) == [1, 3]
        assert due(session, limit=1) == [1]
        assert due(session, now=NOW - timedelta(seconds=1)) == []
    with database.write() as session:
        mark_delivered(session, first(database), now=NOW, note="")
    with database.read() as session:
        assert due(session) == [2, 3]


def test_what_waits_holds_back_its_own_grouping_only(database: Database) -> None:
    fill(database, notice(1), notice(2), notice(3, grouping="other"))
    with database.read() as session:
        head = find_due(session, "smtp", now=NOW, limit=1)[0]
    with database.write() as session:
        mark_failed(session, head, error="no", retry_at=NOW + timedelta(minutes=5))
    with database.read() as session:
        assert due(session) == [3]
        assert due(session, now=NOW + timedelta(minutes=5)) == [1, 3]


def test_the_dead_hold_back_nobody(database: Database) -> None:
    fill(database, notice(1), notice(2))
    with database.write() as session:
        mark_dead(session, first(database), error="gone")
    with database.read() as session:
        assert due(session) == [2]
        assert count_pending(session) == 1


def test_channels_are_apart(database: Database) -> None:
    fill(database, notice(1), channels=("smtp", "webhook"))
    with database.write() as session:
        mark_dead(session, first(database), error="gone")
    with database.read() as session:
        assert [one.channel for one in find_due(session, "webhook", now=NOW, limit=9)] == [
            "webhook"
        ]
        assert find_due(session, "fax", now=NOW, limit=9) == []


def test_a_claim_counts_and_is_won_once(database: Database) -> None:
    fill(database, notice(1))
    seen = first(database)
    with database.write() as session:
        assert claim(session, seen)
    with database.write() as session:
        assert not claim(session, seen)
    assert first(database).attempts == 1
    with database.write() as session:
        mark_delivered(session, seen, now=NOW, note="refused for one")
    with database.write() as session:
        assert not claim(session, first_of_all(session))
    with database.read() as session:
        told = first_of_all(session)
    assert (told.state, told.attempts, told.delivered_at, told.last_error) == (
        DeliveryState.DELIVERED,
        1,
        NOW,
        "refused for one",
    )


def first_of_all(session: Session) -> Delivery:
    return find_deliveries(session)[0]


def test_the_last_notice_of_a_grouping_is_known_until_now(database: Database) -> None:
    later = NOW + timedelta(hours=1)
    fill(database, notice(1), notice(2, at=later), notice(3, grouping="other", at=later))
    with database.read() as session:
        assert find_last_enqueued(session, "g", now=NOW) == NOW
        assert find_last_enqueued(session, "g", now=later) == later
        assert find_last_enqueued(session, "other", now=NOW) is None
        assert [one.notice.sequence for one in find_deliveries(session)] == [2, 3, 1]
