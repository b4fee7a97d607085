"""What is read for which key: beginnings, backfills, coverage, crashes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlmodel import col

from subca_oversight.errors import LogMisbehaved, SourceError
from subca_oversight.evidence.harvest import HarvestState, coverage, reader, staging
from subca_oversight.model.log import LogApi
from subca_oversight.store.database import Database
from subca_oversight.store.tables import (
    LogEvidenceRow,
    SightingRow,
    UnitRow,
    WatchedKeyRow,
    WindowRow,
)
from tests.integration.harvesting import (
    FROM_NOW,
    NOW,
    Crash,
    CrashingDatabase,
    count,
    new_database,
    rows_of,
    run_harvest,
    watch,
)
from tests.integration.log_server import FaultyLog, flip
from tests.integration.made_entries import Authority, mixed, noise

BOTH = pytest.mark.parametrize("api", list(LogApi))
ACME = Authority("Acme CA")
OTHER = Authority("Other CA")
ROOT = Path(__file__).parents[3]


def windows(database: Database) -> list[tuple[str, int, int, bool]]:
    with database.read() as session:
        rows = session.scalars(select(WindowRow).order_by(col(WindowRow.id)))
        return [(row.kind, row.first, row.verified, row.closed) for row in rows]


# Where reading begins


@BOTH
@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 700])
def test_reading_begins_at_a_proven_head(tmp_path: Path, api: LogApi, size: int) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(mixed(ACME, size), api)
    result = run_harvest(database, log, FROM_NOW)
    assert (result.entries, result.verified_size) == (0, size)
    log.grow(mixed(ACME, 40, first=size))
    result = run_harvest(database, log, FROM_NOW)
    assert (result.entries, result.verified_size, result.matches) == (40, size + 40, 8)
    with database.read() as session:
        [known] = coverage(session)
    assert (known.start, known.ranges, known.unread) == (size, ((size, size + 40),), ())


def test_a_log_without_get_entry_and_proof_proves_by_hash(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(noise(70), LogApi.RFC6962)
    log.missing.add("/ct/v1/get-entry-and-proof?leaf_index=69&tree_size=70")
    assert run_harvest(database, log, FROM_NOW).verified_size == 70


@pytest.mark.parametrize(
    ("api", "path"),
    [
        (LogApi.RFC6962, "/ct/v1/get-entry-and-proof?leaf_index=299&tree_size=300"),
        (LogApi.STATIC, "/tile/0/001.p/44"),
        (LogApi.STATIC, "/tile/1/000.p/1"),
    ],
)
def test_a_wrong_proof_of_the_beginning_is_refused(tmp_path: Path, api: LogApi, path: str) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(noise(300), api)
    log.mutations[path] = flip(-9, 1)  # the last hash, or the last characters of the last hash
    with pytest.raises((LogMisbehaved, SourceError)):
        run_harvest(database, log, FROM_NOW)
    assert windows(database) == []
    assert count(database, LogEvidenceRow) == 1
    log.mutations.clear()
    assert run_harvest(database, log, FROM_NOW).verified_size == 300


def test_nothing_is_asked_where_no_key_is_watched(tmp_path: Path) -> None:
    log = FaultyLog(noise(5), LogApi.STATIC)
    result = run_harvest(new_database(tmp_path), log)
    assert (result.state, log.asked) == (HarvestState.IDLE, [])


# Keys added and removed


@BOTH
def test_a_key_added_later_is_read_back_and_covered(tmp_path: Path, api: LogApi) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog([*mixed(ACME, 300), *mixed(OTHER, 100, first=300)], api)
    assert run_harvest(database, log).matches == 60
    watch(database, certificates=[OTHER.certificate], since=NOW)
    with database.read() as session:
        assert [one.ranges for one in coverage(session) if one.spki_sha256 == OTHER.key_hash.hex()]
        by_key = {one.spki_sha256: one for one in coverage(session)}
    assert by_key[OTHER.key_hash.hex()].unread == ((0, 400),)
    assert by_key[ACME.key_hash.hex()].is_complete
    log.grow([*mixed(OTHER, 20, first=400), *mixed(ACME, 20, first=420)])
    result = run_harvest(database, log)
    assert (result.matches, result.entries) == (4 + 4 + 20, 40 + 400)
    assert windows(database) == [
        ("tail", 0, 400, True),
        ("tail", 400, 440, False),
        ("backfill", 0, 400, True),
    ]
    with database.read() as session:
        assert all(one.is_complete for one in coverage(session))
        baselines = {
            (row.issuer_key_sha256, row.baseline) for row in session.scalars(select(UnitRow))
        }
    # What was logged before the key was watched is history, however it was read.
    assert baselines == {(ACME.key_hash.hex(), True), (OTHER.key_hash.hex(), True)} | {
        (ACME.key_hash.hex(), False),
        (OTHER.key_hash.hex(), False),
    }


@BOTH
def test_a_backfill_that_does_not_hash_to_its_target_is_refused(
    tmp_path: Path, api: LogApi
) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(mixed(ACME, 300), api)
    run_harvest(database, log)
    before = rows_of(database, UnitRow, SightingRow)
    watch(database, certificates=[OTHER.certificate])
    log.leaf_mutations[100] = flip(60)
    with pytest.raises(LogMisbehaved):
        run_harvest(database, log)
    assert rows_of(database, UnitRow, SightingRow) == before
    log.leaf_mutations.clear()
    run_harvest(database, log)
    assert windows(database)[-1] == ("backfill", 0, 300, True)


def test_a_key_no_longer_watched_ends_its_backfill_and_its_reading(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(mixed(ACME, 100), LogApi.RFC6962)
    run_harvest(database, log)
    watch(database, certificates=[OTHER.certificate])
    log.leaf_mutations[50] = flip(60)
    with pytest.raises(LogMisbehaved):
        run_harvest(database, log)
    log.leaf_mutations.clear()
    with database.write() as session:
        session.get_one(WatchedKeyRow, OTHER.key_hash.hex()).unwatched_at = NOW
    log.grow(mixed(OTHER, 30, first=100))
    assert run_harvest(database, log).matches == 0
    assert all(closed for kind, _, _, closed in windows(database) if kind == "backfill")
    with database.write() as session:
        session.get_one(WatchedKeyRow, OTHER.key_hash.hex()).unwatched_at = None
    result = run_harvest(database, log)
    assert result.matches == 6
    with database.read() as session:
        assert all(one.is_complete for one in coverage(session))


# Long readings


@BOTH
def test_a_long_reading_is_proven_in_stages(
    tmp_path: Path, api: LogApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "STAGE_ENTRIES", 256)
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(mixed(ACME, 900), api)
    log.leaf_mutations[600] = flip(60)
    with pytest.raises(LogMisbehaved):
        run_harvest(database, log)
    assert windows(database) == [("tail", 0, 512, False)]
    assert count(database, SightingRow) == 2 * 52
    log.leaf_mutations.clear()
    result = run_harvest(database, log)
    assert (result.verified_size, result.promoted) == (900, 2)
    assert count(database, SightingRow) == 2 * 90
    with database.read() as session:  # all of it is what was there when reading began
        assert {row.baseline for row in session.scalars(select(UnitRow))} == {True}


@BOTH
def test_a_log_that_gives_no_proof_on_the_way_is_verified_at_its_head(
    tmp_path: Path, api: LogApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "STAGE_ENTRIES", 256)
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(mixed(ACME, 900), api)
    log.missing |= {f"/ct/v1/get-sth-consistency?first={n}&second=900" for n in (256, 512, 768)}
    log.missing |= {"/tile/0/001", "/tile/0/002", "/tile/0/003.p/132", "/tile/0/003"}
    result = run_harvest(database, log)
    assert (result.verified_size, result.promoted) == (900, 1)


# Crashes


def scenario(folder: Path, log: FaultyLog) -> Path:
    """A database in which a first reading is done, and a key added: tail and backfill are due."""
    database = new_database(folder, "prepared.db")
    watch(database, certificates=[ACME.certificate])
    log.size = 300
    run_harvest(database, log)
    watch(database, certificates=[OTHER.certificate])
    log.size = None
    database.close()
    return folder / "prepared.db"


@BOTH
def test_a_crash_at_any_commit_leaves_the_same_tables(
    tmp_path: Path, api: LogApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "CHUNK_ENTRIES", 100)
    leaves = [*mixed(ACME, 200), *mixed(OTHER, 100, first=200), *mixed(ACME, 150, first=300)]
    log = FaultyLog(leaves, api, max_page=64)
    prepared = scenario(tmp_path, log)
    undisturbed = Database(f"sqlite:///{shutil.copy(prepared, tmp_path / 'undisturbed.db')}")
    run_harvest(undisturbed, log)
    expected = rows_of(undisturbed)
    commits = 0
    for after in (False, True):
        at = 2  # the first is the test's own, for the log list
        while True:
            url = f"sqlite:///{shutil.copy(prepared, tmp_path / f'crash-{after}-{at}.db')}"
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
    assert commits >= 14


CHILD = """
import sys
from subca_oversight.evidence.harvest import reader
from subca_oversight.model.log import LogApi
from tests.integration.harvesting import CrashingDatabase, run_harvest
from tests.integration.log_server import FaultyLog
from tests.integration.made_entries import Authority, mixed

api, url, port, at = sys.argv[1:]
reader.CHUNK_ENTRIES = 100
log = FaultyLog(mixed(Authority("Acme CA"), 450), LogApi(api), port=int(port))
run_harvest(CrashingDatabase(url, int(at), after=False, hard=True), log)
"""


@BOTH
def test_a_killed_process_leaves_the_same_tables(tmp_path: Path, api: LogApi) -> None:
    log = FaultyLog(mixed(ACME, 450), api)
    undisturbed = new_database(tmp_path, "undisturbed.db")
    watch(undisturbed, certificates=[ACME.certificate])
    run_harvest(undisturbed, log)
    database = new_database(tmp_path, "killed.db")
    watch(database, certificates=[ACME.certificate])
    database.close()
    url = f"sqlite:///{tmp_path / 'killed.db'}"
    for at in ("4", "5"):  # a chunk, another chunk
        arguments = [sys.executable, "-c", CHILD, api.value, url, str(log.port), at]
        died = subprocess.run(arguments, cwd=ROOT, check=False)  # noqa: S603 - our own
        assert died.returncode == 9
    mended = Database(url)
    run_harvest(mended, log)
    assert rows_of(mended) == rows_of(undisturbed)
