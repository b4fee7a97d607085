"""Going back: recent history first, each window proven on its own, and nothing read twice."""

from __future__ import annotations

import random
import shutil
from datetime import date
from itertools import count as counting
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlmodel import col

from subca_oversight.errors import LogMisbehaved
from subca_oversight.evidence.harvest import (
    HarvestState,
    coverage,
    harvest,
    planning,
    reader,
)
from subca_oversight.evidence.harvest.coverage import Stretch
from subca_oversight.model.log import LogApi
from subca_oversight.settings import CtSettings
from subca_oversight.store.database import Database
from subca_oversight.store.tables import (
    LogEvidenceRow,
    PendingEntryRow,
    SightingRow,
    UnitRow,
    WindowRow,
)
from tests.integration.harvesting import (
    FROM_NOW,
    Crash,
    CrashingDatabase,
    count,
    new_database,
    rows_of,
    run_harvest,
    watch,
)
from tests.integration.log_server import FaultyLog, Leaf, flip
from tests.integration.made_entries import Authority, mixed, noise

BOTH = pytest.mark.parametrize("api", list(LogApi))
ACME = Authority("Acme CA")
OTHER = Authority("Other CA")
WINDOW = 256


@pytest.fixture(autouse=True)
def _short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "BACKFILL_ENTRIES", WINDOW)


def both(size: int, first: int = 0) -> list[Leaf]:
    """Entries of two CAs among those of nobody."""
    leaves = mixed(ACME, size, every=20, first=first)
    for number in range(10, size - 1, 20):
        leaves[number] = OTHER.precertificate(first + number)
    return leaves


def windows(database: Database) -> list[tuple[str, int, int, bool]]:
    with database.read() as session:
        rows = session.scalars(select(WindowRow).order_by(col(WindowRow.id)))
        return [(row.kind, row.first, row.verified, row.closed) for row in rows]


def covered(database: Database, authority: Authority) -> tuple[tuple[Stretch, ...], ...]:
    with database.read() as session:
        [one] = [one for one in coverage(session) if one.spki_sha256 == authority.key_hash.hex()]
    return one.ranges, one.unread


def sighted(database: Database) -> set[int]:
    with database.read() as session:
        return set(session.scalars(select(col(SightingRow.index))))


def indexes(log: FaultyLog, *authorities: Authority) -> set[int]:
    certificates = {one.certificate for one in authorities}
    return {at for at, leaf in enumerate(log.leaves) if leaf.chain[0] in certificates}


@BOTH
def test_recent_history_counts_before_older(tmp_path: Path, api: LogApi) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(both(1500), api)
    log.leaf_mutations[300] = flip(60)
    with pytest.raises(LogMisbehaved):
        run_harvest(database, log)
    assert covered(database, ACME) == (((512, 1500),), ((0, 512),))
    assert sighted(database) == {one for one in indexes(log, ACME) if one >= 512}
    assert count(database, PendingEntryRow) == 0
    with pytest.raises(LogMisbehaved):
        run_harvest(database, log)
    log.leaf_mutations.clear()
    result = run_harvest(database, log)
    assert (result.state, result.entries) == (HarvestState.CURRENT, 512)
    assert covered(database, ACME) == (((0, 1500),), ())
    assert sighted(database) == indexes(log, ACME)
    assert windows(database) == [("tail", 1280, 1500, False), ("backfill", 0, 1280, True)]
    with database.read() as session:  # all of it was there when reading began
        assert {row.baseline for row in session.scalars(select(UnitRow))} == {True}


@BOTH
def test_the_tail_is_followed_while_history_waits(tmp_path: Path, api: LogApi) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(both(1000), api)
    result = run_harvest(database, log, backfill_seconds=0)
    assert (result.state, result.verified_size) == (HarvestState.GOING_BACK, 1000)
    assert covered(database, ACME) == (((768, 1000),), ((0, 768),))
    log.grow(both(100, first=1000))
    result = run_harvest(database, log, backfill_seconds=0)
    assert (result.state, result.entries) == (HarvestState.GOING_BACK, 100)
    assert run_harvest(database, log).entries == 768
    assert sighted(database) == indexes(log, ACME)


@BOTH
def test_a_window_is_gone_on_with_where_time_ran_out(
    tmp_path: Path, api: LogApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "CHUNK_ENTRIES", 50)
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(both(1000), api, max_page=50)
    ticks = counting()
    for module in (reader, harvest):
        monkeypatch.setattr(module, "monotonic", lambda: next(ticks) / 10)
    states, entries = [], 0
    for _ in range(40):
        result = run_harvest(database, log, backfill_seconds=0.3)
        states.append(result.state)
        entries += result.entries
        if result.state is HarvestState.CURRENT:
            break
    assert states[0] is HarvestState.GOING_BACK
    assert states[-1] is HarvestState.CURRENT
    assert len(states) > 2
    assert sighted(database) == indexes(log, ACME)
    assert entries == 1000


@BOTH
def test_a_key_added_on_the_way_is_read_for_once(tmp_path: Path, api: LogApi) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(both(1500), api)
    log.leaf_mutations[600] = flip(60)
    with pytest.raises(LogMisbehaved):
        run_harvest(database, log)
    log.leaf_mutations.clear()
    assert covered(database, ACME)[1] == ((0, 768),)
    watch(database, certificates=[OTHER.certificate])
    result = run_harvest(database, log)
    # What nobody had read yet is read once for both; what Acme has, again for the other alone.
    assert result.entries == 768 + (1500 - 768)
    for authority in (ACME, OTHER):
        assert covered(database, authority) == (((0, 1500),), ())
    assert sighted(database) == indexes(log, ACME, OTHER)


@BOTH
@pytest.mark.parametrize("start", ["all", 300, date(2000, 1, 1), date(2100, 1, 1)])
def test_an_earlier_beginning_is_read_back_to(
    tmp_path: Path, api: LogApi, start: str | int | date
) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(both(1000), api)
    assert run_harvest(database, log, FROM_NOW).entries == 0
    settings = CtSettings.model_validate({"start": start})
    log.grow(both(50, first=1000))
    first = {"all": 0, 300: 300, date(2000, 1, 1): 0}.get(start, 1000)
    result = run_harvest(database, log, settings)
    assert (result.state, result.entries) == (HarvestState.CURRENT, 1050 - first)
    with database.read() as session:
        [known] = coverage(session)
    assert (known.start, known.ranges, known.is_complete) == (first, ((first, 1050),), True)
    asked = len(log.asked)
    assert run_harvest(database, log, settings).entries == 0
    assert len(log.asked) == asked + 1  # the head, and no search again
    assert run_harvest(database, log, FROM_NOW).entries == 0
    assert covered(database, ACME) == (((first, 1050),), ())


@pytest.mark.parametrize(
    ("api", "path", "octet"),
    [
        (LogApi.RFC6962, "/ct/v1/get-entry-and-proof?leaf_index=767&tree_size=1100", -9),
        (LogApi.STATIC, "/tile/1/000.p/4", 9),
    ],
)
def test_a_wrong_proof_between_windows_is_refused(
    tmp_path: Path, api: LogApi, path: str, octet: int
) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(both(1100), api)
    run_harvest(database, log, backfill_seconds=0)
    before = windows(database)
    log.mutations[path] = flip(octet, 1)
    with pytest.raises(LogMisbehaved):
        run_harvest(database, log)
    assert windows(database) == before
    with database.read() as session:
        assert session.scalars(select(LogEvidenceRow)).one().kind == "wrong_proof"
    log.mutations.clear()
    run_harvest(database, log)
    assert sighted(database) == indexes(log, ACME)


@BOTH
def test_a_crash_at_any_commit_of_going_back_leaves_the_same_tables(
    tmp_path: Path, api: LogApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "CHUNK_ENTRIES", 150)
    prepared = new_database(tmp_path, "prepared.db")
    watch(prepared, certificates=[ACME.certificate])
    log = FaultyLog(both(600), api)
    prepared.close()

    def copied(name: str) -> str:
        return f"sqlite:///{shutil.copy(tmp_path / 'prepared.db', tmp_path / name)}"

    undisturbed = Database(copied("undisturbed.db"))
    run_harvest(undisturbed, log)
    expected = rows_of(undisturbed)
    assert windows(undisturbed) == [("tail", 512, 600, False), ("backfill", 0, 512, True)]
    commits = 0
    for after in (False, True):
        at = 2  # the first is the test's own, for the log list
        while True:
            url = copied(f"crash-{after}-{at}.db")
            crashing = CrashingDatabase(url, at, after=after)
            try:
                run_harvest(crashing, log)
            except Crash:
                crashing.close()
            else:
                break
            mended = Database(url)
            run_harvest(mended, log)
            assert rows_of(mended) == expected
            mended.close()
            at += 1
        commits += at - 2
    assert commits >= 20


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_watched_when_coverage_tells_what_was_read(tmp_path: Path, seed: int) -> None:
    """Keys come and go, time runs out, the log grows: what is covered is what was found."""
    chosen = random.Random(seed)  # noqa: S311 - a sample, not a secret
    api = chosen.choice(list(LogApi))
    log = FaultyLog(both(chosen.randrange(300, 900)), api)
    database = new_database(tmp_path)
    authorities = [ACME, OTHER]
    chosen.shuffle(authorities)
    watch(database, certificates=[authorities[0].certificate])
    watched = authorities[:1]
    for _ in range(5):
        run_harvest(
            database,
            log,
            CtSettings.model_validate({"start": chosen.choice(["now", 100, 400, "all"])}),
            backfill_seconds=chosen.choice([0, 0.02, None]),
        )
        seen = sighted(database)
        for authority in watched:
            ranges, _unread = covered(database, authority)
            for index in indexes(log, authority):
                assert (index in seen) == any(first <= index < end for first, end in ranges)
        if len(watched) == 1 and chosen.random() < 0.5:
            watch(database, certificates=[authorities[1].certificate])
            watched = authorities
        log.grow([*noise(30, first=len(log.leaves)), *both(40, first=len(log.leaves) + 30)])
    run_harvest(database, log)
    for authority in watched:
        assert covered(database, authority) == (((0, len(log.leaves)),), ())
    assert sighted(database) == indexes(log, *watched)
