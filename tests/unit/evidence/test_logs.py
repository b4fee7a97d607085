"""What lists say of logs: events, the word that counts, and states by date."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from sqlalchemy import select
from sqlmodel import col

from subca_oversight.evidence.logs.history import state_at, states_at
from subca_oversight.evidence.logs.listings import forget_other_lists, record_list
from subca_oversight.evidence.logs.precedence import (
    Merged,
    Voice,
    find_disagreements,
    merge_listings,
)
from subca_oversight.evidence.logs.rows import log_of
from subca_oversight.model.log import FinalTreeHead, Log, LogApi, LogState
from subca_oversight.sources.log_list import LogList
from subca_oversight.store.database import Database
from subca_oversight.store.tables import LogEventRow, LogListingRow, LogRow
from tests.unit.evidence.listed_logs import NOW, YEAR_2025, listed, made_log

DAY = timedelta(days=1)
CHROME = Voice("chrome", is_signed=True)
APPLE = Voice("apple")
MONITOR = Voice("monitor")
ALL = (MONITOR, APPLE, CHROME)
ONE = made_log(1)
FINAL = FinalTreeHead(7, sha256(b"final").digest())


def record(
    database: Database, source: str, log_list: LogList, now: datetime = NOW
) -> list[LogEventRow]:
    """Record a list; returns the events that it brought."""
    with database.write() as session:
        before = list(session.scalars(select(col(LogEventRow.id))))
        count = record_list(session, source, log_list, now)
        events = session.scalars(select(LogEventRow).order_by(col(LogEventRow.id)))
        new = [event for event in events if event.id not in before]
        assert len(new) == count
        return new


def kinds(events: list[LogEventRow]) -> list[str]:
    return [event.kind for event in events]


def merge(database: Database, *voices: Voice, now: datetime = NOW) -> Merged:
    with database.write() as session:
        return merge_listings(session, voices, now)


def stored(database: Database, log: Log = ONE) -> LogRow:
    with database.read() as session:
        return session.get_one(LogRow, log.log_id.hex())


# Events


@pytest.mark.parametrize(
    ("changes", "kind", "before", "after"),
    [
        (
            {"state": LogState.READONLY, "state_since": NOW},
            "state_changed",
            "usable since 2026-01-01T00:00:00Z",
            "readonly since 2026-11-24T12:00:00Z",
        ),
        (
            {"state_since": NOW},
            "state_changed",
            "usable since 2026-01-01T00:00:00Z",
            "usable since 2026-11-24T12:00:00Z",
        ),
        (
            {"monitoring_url": "https://mon.operator.test/"},
            "url_changed",
            "https://ct.operator.test/1/",
            "https://mon.operator.test/ (submission: https://ct.operator.test/1/)",
        ),
        ({"api": LogApi.STATIC}, "api_changed", "rfc6962", "static"),
        ({"description": "Other"}, "description_changed", "Log 1", "Other"),
        ({"operator": "Other"}, "operator_changed", "Operator", "Other"),
        (
            {"interval": None},
            "interval_changed",
            "2027-01-01T00:00:00Z/2028-01-01T00:00:00Z",
            None,
        ),
        ({"mmd": 60}, "mmd_changed", "86400", "60"),
        (
            {"final_tree_head": FINAL},
            "final_tree_head_changed",
            None,
            f"7 {FINAL.root_hash.hex()}",
        ),
        ({"log_type": "test"}, "log_type_changed", None, "test"),
    ],
)
def test_each_change_is_an_event_of_its_own(
    database: Database,
    changes: dict[str, object],
    kind: str,
    before: str | None,
    after: str | None,
) -> None:
    [appeared] = record(database, "chrome", listed(ONE))
    assert (appeared.kind, appeared.version, appeared.published_at) == ("appeared", "1", NOW)
    assert record(database, "chrome", listed(ONE), NOW + DAY) == []
    changed = made_log(1, **changes)  # type: ignore[arg-type]
    [event] = record(database, "chrome", listed(changed, version="2", at=NOW + DAY), NOW + DAY)
    assert (event.kind, event.before, event.after) == (kind, before, after)
    assert (event.version, event.source, event.at) == ("2", "chrome", NOW + DAY)
    assert record(database, "chrome", listed(changed), NOW + DAY) == []


def test_a_log_that_vanishes_and_returns_keeps_its_key_throughout(database: Database) -> None:
    two = made_log(2)
    record(database, "chrome", listed(ONE, two))
    assert kinds(record(database, "chrome", listed(two))) == ["vanished"]
    assert kinds(record(database, "chrome", listed(two))) == []
    assert stored(database).key == ONE.key
    returned = replace(ONE, state=LogState.READONLY)
    [event] = record(database, "chrome", listed(returned, two))
    assert (event.kind, event.state) == ("appeared", "readonly")
    assert record(database, "chrome", listed(returned, two)) == []


def test_another_key_at_the_same_url_is_told_with_both_ids(database: Database) -> None:
    successor = replace(made_log(2), submission_url=ONE.submission_url)
    record(database, "chrome", listed(ONE))
    events = record(database, "chrome", listed(successor))
    assert kinds(events) == ["vanished", "appeared", "key_changed"]
    assert (events[2].before, events[2].after) == (ONE.log_id.hex(), successor.log_id.hex())
    assert events[2].log_id == successor.log_id.hex()


def test_an_entry_that_cannot_be_read_has_not_vanished(database: Database) -> None:
    two = made_log(2)
    record(database, "chrome", listed(ONE, two))
    garbled = replace(listed(two), problems=("?",), unusable=frozenset({ONE.log_id}))
    assert record(database, "chrome", garbled) == []
    lost = replace(listed(two), problems=("?",), is_whole=False)
    assert record(database, "chrome", lost) == []
    merge(database, CHROME)
    assert stored(database).monitored
    assert kinds(record(database, "chrome", listed(two))) == ["vanished"]


def test_text_that_the_store_escapes_is_not_news_each_time(database: Database) -> None:
    odd = replace(ONE, description="Log\x00 1", operator="\x07", log_type="\x1b[31m")
    assert kinds(record(database, "chrome", listed(odd))) == ["appeared"]
    assert record(database, "chrome", listed(odd)) == []


def test_a_list_taken_out_of_the_configuration_speaks_no_more(database: Database) -> None:
    record(database, "chrome", listed(ONE))
    record(database, "apple", listed(ONE))
    with database.write() as session:
        forget_other_lists(session, ["apple"], NOW)
        forget_other_lists(session, ["apple"], NOW)
        events = list(session.scalars(select(LogEventRow)))
    assert [(event.source, event.kind) for event in events] == [
        ("chrome", "appeared"),
        ("apple", "appeared"),
        ("chrome", "vanished"),
    ]
    assert kinds(record(database, "chrome", listed(ONE))) == ["appeared"]


# Precedence


def test_a_signed_list_comes_before_an_unsigned_one_whatever_the_order(database: Database) -> None:
    other = replace(
        ONE, description="Other", operator="Other", mmd=60, monitoring_url="https://else.test/"
    )
    record(database, "apple", listed(other))
    record(database, "chrome", listed(ONE))
    merge(database, APPLE, CHROME)
    assert log_of(stored(database)) == ONE
    with database.read() as session:
        assert find_disagreements(list(session.scalars(select(LogListingRow)))) == ["url"]


def test_of_two_unsigned_lists_the_first_configured_one_counts(database: Database) -> None:
    record(database, "apple", listed(replace(ONE, description="Other")))
    record(database, "monitor", listed(ONE))
    merge(database, MONITOR, APPLE)
    assert stored(database).description == "Log 1"
    merge(database, APPLE, MONITOR)
    assert stored(database).description == "Other"


STATES = [
    # chrome, apple, merged
    (LogState.REJECTED, LogState.USABLE, LogState.USABLE),
    (LogState.USABLE, LogState.REJECTED, LogState.USABLE),
    (LogState.PENDING, LogState.QUALIFIED, LogState.QUALIFIED),
    (LogState.RETIRED, LogState.READONLY, LogState.READONLY),
    (LogState.REJECTED, LogState.RETIRED, LogState.RETIRED),
    (LogState.UNKNOWN, LogState.REJECTED, LogState.REJECTED),
    (LogState.USABLE, LogState.UNKNOWN, LogState.USABLE),
    (LogState.UNKNOWN, LogState.UNKNOWN, LogState.UNKNOWN),
]


@pytest.mark.parametrize(("chrome", "apple", "merged"), STATES)
def test_the_most_alive_of_the_stated_states_counts(
    database: Database, chrome: LogState, apple: LogState, merged: LogState
) -> None:
    record(database, "chrome", listed(made_log(1, chrome)))
    record(database, "apple", listed(made_log(1, apple)))
    result = merge(database, CHROME, APPLE)
    assert stored(database).state == merged
    is_read = merged not in {LogState.RETIRED, LogState.REJECTED}
    assert result == Merged(1, int(is_read))


def test_once_its_interval_is_over_one_list_that_ended_a_log_is_enough(database: Database) -> None:
    over = {"interval": YEAR_2025}
    record(database, "apple", listed(made_log(1, LogState.USABLE, **over)))
    merge(database, CHROME, APPLE)
    assert stored(database).monitored
    record(database, "chrome", listed(made_log(1, LogState.REJECTED, **over)))
    merge(database, CHROME, APPLE)
    assert (stored(database).state, stored(database).monitored) == ("rejected", False)
    assert stored(database).unmonitored_since == NOW
    record(database, "chrome", listed(made_log(2)))
    merge(database, CHROME, APPLE, now=NOW + DAY)
    assert stored(database).state == "rejected"
    assert stored(database).unmonitored_since == NOW


def test_a_stale_list_is_heard_on_states_only_where_no_other_speaks(database: Database) -> None:
    stale = replace(CHROME, is_stale=True)
    record(database, "chrome", listed(made_log(1), made_log(2)))
    record(database, "apple", listed(made_log(1, LogState.REJECTED)))
    merge(database, stale, APPLE)
    assert not stored(database).monitored
    assert stored(database, made_log(2)).monitored
    merge(database, CHROME, APPLE)
    assert stored(database).monitored
    assert stored(database).unmonitored_since is None


def test_a_list_without_states_does_not_bring_back_what_was_rejected(database: Database) -> None:
    bare = made_log(1, LogState.UNKNOWN)
    record(database, "chrome", listed(made_log(1, LogState.REJECTED), made_log(2)))
    record(database, "monitor", listed(bare, made_log(3, LogState.UNKNOWN)))
    merge(database, *ALL)
    assert not stored(database).monitored
    record(database, "chrome", listed(made_log(2)))
    merge(database, *ALL)
    assert (stored(database).state, stored(database).monitored) == ("rejected", False)
    assert stored(database, made_log(3)).monitored


def test_a_log_that_every_list_dropped_is_not_followed_and_keeps_its_state(
    database: Database,
) -> None:
    record(database, "chrome", listed(ONE, made_log(2)))
    merge(database, *ALL)
    record(database, "chrome", listed(made_log(2)))
    assert merge(database, *ALL, now=NOW + DAY) == Merged(1, 1)
    row = stored(database)
    assert (row.state, row.monitored, row.unmonitored_since) == ("usable", False, NOW + DAY)
    assert row.last_seen == NOW
    record(database, "monitor", listed(made_log(1, LogState.UNKNOWN)))
    merge(database, *ALL)
    assert stored(database).monitored


@pytest.mark.parametrize(
    "changes",
    [
        {"log_type": "test"},
        {"submission_url": "https://ct.example.com/bogus/"},
        {"monitoring_url": "https://ct-mimics.example.com/"},
    ],
)
def test_placeholders_mimics_and_test_logs_are_never_followed(
    database: Database, changes: dict[str, object]
) -> None:
    record(database, "chrome", listed(made_log(1, **changes)))  # type: ignore[arg-type]
    record(database, "apple", listed(ONE))
    assert merge(database, CHROME, APPLE) == Merged(1, 0)


def test_a_final_head_outlives_the_state_that_states_it_but_not_a_return(
    database: Database,
) -> None:
    frozen = made_log(1, LogState.READONLY, final_tree_head=FINAL)
    record(database, "apple", listed(frozen))
    record(database, "chrome", listed(made_log(1, LogState.USABLE)))
    merge(database, CHROME, APPLE)
    assert log_of(stored(database)).final_tree_head == FINAL
    for state in (LogState.RETIRED, LogState.REJECTED):
        record(database, "apple", listed(made_log(1, state)))
        record(database, "chrome", listed(made_log(1, state)))
        merge(database, CHROME, APPLE)
        assert log_of(stored(database)).final_tree_head == FINAL
    record(database, "chrome", listed(made_log(1, LogState.USABLE)))
    merge(database, CHROME, APPLE)
    assert log_of(stored(database)).final_tree_head is None


# States by date


def at(month: int) -> datetime:
    return datetime(2026, month, 1, tzinfo=UTC)


def test_the_state_at_an_instant_is_the_one_that_the_list_dates_to_it(database: Database) -> None:
    def word(state: LogState, since: int, seen: int) -> None:
        log = made_log(1, state, state_since=at(since))
        record(database, "chrome", listed(log, made_log(2), at=at(seen)), at(seen))

    word(LogState.QUALIFIED, since=2, seen=3)
    word(LogState.USABLE, since=4, seen=5)
    word(LogState.READONLY, since=8, seen=8)
    record(database, "chrome", listed(made_log(2), at=at(10)), at(10))
    with database.read() as session:
        states = {
            month: state_at(session, ONE.log_id, at(month), source="chrome")
            for month in range(1, 13)
        }
        assert state_at(session, ONE.log_id, at(9), source="apple") is None
        assert state_at(session, made_log(9).log_id, at(9)) is None
    assert states[1] is None
    found = {month: one.state for month, one in states.items() if one is not None}
    assert found == {
        **dict.fromkeys((2, 3), LogState.QUALIFIED),
        **dict.fromkeys((4, 5, 6, 7), LogState.USABLE),
        **dict.fromkeys((8, 9, 10, 11, 12), LogState.READONLY),
    }
    listed_in = {month: one.is_listed for month, one in states.items() if one is not None}
    assert listed_in == {month: month < 10 for month in range(2, 13)}


def test_a_later_word_corrects_an_earlier_one(database: Database) -> None:
    """A list that takes a state back means that it never was."""
    for state, since, seen in (
        (LogState.USABLE, 2, 3),
        (LogState.READONLY, 4, 4),
        (LogState.USABLE, 2, 5),
    ):
        log = made_log(1, state, state_since=at(since))
        record(database, "chrome", listed(log, at=at(seen)), at(seen))
    with database.read() as session:
        found = [state_at(session, ONE.log_id, at(month)) for month in (2, 4, 12)]
    assert [one.state for one in found if one is not None] == [LogState.USABLE] * 3


def test_lists_are_heard_each_for_itself(database: Database) -> None:
    rejected = made_log(1, LogState.REJECTED, state_since=at(2))
    record(database, "chrome", listed(rejected))
    record(database, "apple", listed(made_log(1, LogState.USABLE, state_since=at(3))))
    with database.read() as session:
        assert [one.source for one in states_at(session, ONE.log_id, at(2))] == ["chrome"]
        both = states_at(session, ONE.log_id, at(3))
        assert [(one.source, one.state) for one in both] == [
            ("apple", LogState.USABLE),
            ("chrome", LogState.REJECTED),
        ]
        merged = state_at(session, ONE.log_id, at(3))
    assert merged is not None
    assert merged.source == "apple"
