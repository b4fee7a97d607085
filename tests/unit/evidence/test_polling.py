"""Which logs are asked, and how often: the lists decide, and how far each was read."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlmodel import col

from subca_oversight.errors import LogMisbehaved
from subca_oversight.evidence.harvest.polling import (
    FINISHING_INTERVAL,
    FINISHING_PATIENCE,
    RESTING_INTERVAL,
    Polling,
    load_pollings,
    logs_to_read,
    note_poll,
)
from subca_oversight.evidence.harvest.registry import sync_logs
from subca_oversight.model.log import FinalTreeHead, Log, LogApi, LogState
from subca_oversight.store.database import Database
from subca_oversight.store.tables import AlertEventRow, LogEvidenceRow, LogRow
from tests.integration.harvesting import NOW, new_database, run_harvest, watch
from tests.integration.log_server import FaultyLog, Tree
from tests.integration.made_entries import Authority, noise
from tests.unit.evidence.listed_logs import listed, made_log

HOUR = timedelta(hours=1)
LATER = NOW + timedelta(days=3)
ACME = Authority("Acme CA")


def polling(database: Database, log: Log, now: datetime = LATER) -> Polling:
    with database.read() as session:
        return load_pollings(session, now)[log.log_id.hex()]


def is_due(database: Database, now: datetime) -> bool:
    with database.read() as session:
        return len(logs_to_read(session, now)) == 1


def poll(database: Database, log: Log, now: datetime) -> None:
    with database.write() as session:
        note_poll(session, log.log_id, now)


def say(database: Database, log: Log, now: datetime = LATER) -> None:
    """A list says this of the log."""
    with database.write() as session:
        sync_logs(session, listed(log, made_log(9, LogState.REJECTED)), now)


def silence(database: Database, now: datetime = LATER) -> None:
    """The list names the log no more."""
    with database.write() as session:
        sync_logs(session, listed(made_log(9, LogState.REJECTED)), now)


@pytest.fixture
def harvested(tmp_path: Path) -> tuple[Database, FaultyLog, Log]:
    """A log of 300 entries, read to its end; the log as a list names it."""
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    served = FaultyLog(noise(300), LogApi.RFC6962)
    run_harvest(database, served)
    with database.read() as session:
        url = session.scalars(select(col(LogRow.monitoring_url))).one()
    log = replace(served.log(), submission_url=url, monitoring_url=url)
    return database, served, log


def frozen(served: FaultyLog, log: Log, size: int = 300) -> Log:
    """The log as a list names it that states its final head."""
    root = Tree([leaf.merkle_leaf() for leaf in served.leaves]).root(0, size)
    return replace(log, state=LogState.READONLY, final_tree_head=FinalTreeHead(size, root))


@pytest.mark.parametrize("state", [LogState.PENDING, LogState.QUALIFIED, LogState.USABLE])
def test_a_living_log_is_asked_on_every_run(
    harvested: tuple[Database, FaultyLog, Log], state: LogState
) -> None:
    database, _, log = harvested
    say(database, replace(log, state=state))
    poll(database, log, LATER)
    assert polling(database, log) is Polling.FOLLOWED
    assert is_due(database, LATER)


def test_a_read_only_log_that_was_read_to_its_final_head_is_asked_once_a_day(
    harvested: tuple[Database, FaultyLog, Log],
) -> None:
    database, served, log = harvested
    say(database, replace(log, state=LogState.READONLY))
    assert polling(database, log) is Polling.FOLLOWED  # its end is not known yet
    say(database, frozen(served, log))
    assert polling(database, log) is Polling.RESTING
    poll(database, log, LATER)
    assert not is_due(database, LATER + RESTING_INTERVAL - HOUR)
    assert is_due(database, LATER + RESTING_INTERVAL)


def test_a_read_only_log_is_read_until_its_final_head(
    harvested: tuple[Database, FaultyLog, Log],
) -> None:
    database, served, log = harvested
    served.grow(noise(20, first=300))
    say(database, frozen(served, log, 320))
    assert polling(database, log) is Polling.FOLLOWED
    run_harvest(database, served)
    say(database, frozen(served, log, 320))
    assert polling(database, log) is Polling.RESTING


def test_a_key_watched_since_wakes_a_resting_log(
    harvested: tuple[Database, FaultyLog, Log],
) -> None:
    database, served, log = harvested
    say(database, frozen(served, log))
    assert polling(database, log) is Polling.RESTING
    watch(database, certificates=[Authority("Another CA").certificate])
    assert polling(database, log) is Polling.FOLLOWED


@pytest.mark.parametrize("size", [300, 320])
def test_another_root_at_the_final_size_or_growth_past_it_is_evidence_and_an_alert(
    harvested: tuple[Database, FaultyLog, Log], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    database, served, log = harvested
    ended = frozen(served, log)
    assert ended.final_tree_head is not None
    if size == 300:
        ended = replace(ended, final_tree_head=replace(ended.final_tree_head, root_hash=bytes(32)))
    else:
        served.grow(noise(20, first=300))
    say(database, ended)
    plain = served.log

    def with_its_end() -> Log:
        return replace(plain(), state=LogState.READONLY, final_tree_head=ended.final_tree_head)

    monkeypatch.setattr(served, "log", with_its_end)
    with pytest.raises(LogMisbehaved, match="final head"):
        run_harvest(database, served)
    with database.read() as session:
        [evidence] = session.scalars(select(LogEvidenceRow))
        assert (evidence.kind, evidence.tree_size) == ("past_final_head", size)
        assert evidence.head is not None
        [alert] = session.scalars(select(AlertEventRow))
        assert alert.kind == "log_misbehaved"
    assert polling(database, log) is Polling.FOLLOWED
    run_harvest(database, served)  # told once, and what it grew by is read
    with database.read() as session:
        assert len(session.scalars(select(LogEvidenceRow)).all()) == 1
    assert polling(database, log) is Polling.FOLLOWED


def test_a_retired_log_is_finished_if_it_still_answers(
    harvested: tuple[Database, FaultyLog, Log],
) -> None:
    database, served, log = harvested
    poll(database, log, LATER - HOUR)
    say(database, replace(log, state=LogState.RETIRED))
    with database.read() as session:
        [due] = logs_to_read(session, LATER)
    assert (due.polling, due.is_owed) == (Polling.FINISHING, False)
    poll(database, log, LATER)
    assert not is_due(database, LATER + FINISHING_INTERVAL - HOUR)
    assert is_due(database, LATER + FINISHING_INTERVAL)
    assert is_due(database, LATER + FINISHING_PATIENCE)
    assert not is_due(database, LATER + FINISHING_PATIENCE + HOUR)
    run_harvest(database, served, now=LATER)
    say(database, replace(log, state=LogState.RETIRED))
    assert polling(database, log) is Polling.STOPPED


def test_a_log_dropped_by_every_list_is_finished_like_a_retired_one(
    harvested: tuple[Database, FaultyLog, Log],
) -> None:
    database, _, log = harvested
    silence(database)
    assert polling(database, log) is Polling.FINISHING


def test_a_retired_log_that_was_never_begun_is_not_touched(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    log = made_log(1)
    say(database, log, NOW)
    say(database, replace(log, state=LogState.RETIRED))
    assert polling(database, log) is Polling.STOPPED


def test_a_rejected_log_stops_whatever_is_left_and_keeps_its_key(
    harvested: tuple[Database, FaultyLog, Log],
) -> None:
    database, _, log = harvested
    say(database, replace(log, state=LogState.REJECTED))
    assert polling(database, log) is Polling.STOPPED
    silence(database)
    assert polling(database, log) is Polling.STOPPED
    with database.read() as session:
        assert session.get_one(LogRow, log.log_id.hex()).key == log.key
