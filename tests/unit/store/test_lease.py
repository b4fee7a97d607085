"""One leader at a time, by the database's clock, with an epoch that only rises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from subca_oversight.errors import LeaseHeld
from subca_oversight.store.database import Database
from subca_oversight.store.lease import acquire_lease, release_lease, renew_lease
from subca_oversight.store.tables import LeaseRow

MINUTE = timedelta(minutes=1)


def _expire(database: Database) -> None:
    with database.write() as session:
        row = session.get_one(LeaseRow, "leader")
        row.expires_at = database.clock(session) - timedelta(seconds=1)


def test_a_second_holder_is_refused_by_name_of_the_first(database: Database) -> None:
    acquire_lease(database, holder="host-a:1 token", time_to_live=MINUTE)
    with pytest.raises(LeaseHeld, match=r"^the daemon is running: host-a:1 leads until \d\d:"):
        acquire_lease(database, holder="host-b:2", time_to_live=MINUTE)
    assert LeaseHeld.exit_code == 4


def test_an_expired_lease_is_taken_and_the_epoch_rises(database: Database) -> None:
    first = acquire_lease(database, holder="a", time_to_live=MINUTE)
    _expire(database)
    second = acquire_lease(database, holder="b", time_to_live=MINUTE)
    assert (first.epoch, second.epoch) == (1, 2)


def test_a_leader_that_slept_notices_that_it_lost(database: Database) -> None:
    sleeper = acquire_lease(database, holder="a", time_to_live=MINUTE)
    _expire(database)
    acquire_lease(database, holder="b", time_to_live=MINUTE)
    with pytest.raises(LeaseHeld, match="lost"):
        renew_lease(database, sleeper)
    release_lease(database, sleeper)  # harmless
    with pytest.raises(LeaseHeld):
        acquire_lease(database, holder="c", time_to_live=MINUTE)


def test_the_epoch_fences_off_an_earlier_self(database: Database) -> None:
    before = acquire_lease(database, holder="a", time_to_live=MINUTE)
    acquire_lease(database, holder="a", time_to_live=MINUTE)
    with pytest.raises(LeaseHeld, match="lost"):
        renew_lease(database, before)


def test_renewal_extends_by_the_databases_clock(database: Database) -> None:
    lease = acquire_lease(database, holder="a", time_to_live=MINUTE)
    _expire(database)
    renew_lease(database, lease)
    with database.write() as session:
        left = session.get_one(LeaseRow, "leader").expires_at - database.clock(session)
    assert timedelta(seconds=50) < left <= MINUTE


def test_a_released_lease_is_free_at_once(database: Database) -> None:
    release_lease(database, acquire_lease(database, holder="a", time_to_live=MINUTE))
    assert acquire_lease(database, holder="b", time_to_live=MINUTE).epoch == 2


def test_a_holder_known_to_be_dead_is_not_waited_for(database: Database) -> None:
    acquire_lease(database, holder="dead", time_to_live=MINUTE)
    asked: list[str] = []

    def is_gone(holder: str) -> bool:
        asked.append(holder)
        return holder == "dead"

    lease = acquire_lease(database, holder="b", time_to_live=MINUTE, is_gone=is_gone)
    assert (asked, lease.epoch) == (["dead"], 2)


def test_of_several_that_ask_at_once_one_leads(database: Database) -> None:
    def ask(holder: str) -> bool:
        try:
            acquire_lease(database, holder=holder, time_to_live=MINUTE)
        except LeaseHeld:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(ask, "abcd")) == [False, False, False, True]
