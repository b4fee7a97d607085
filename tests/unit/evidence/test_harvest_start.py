"""Where reading begins: dates and indexes, and the proof of what was not read."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from subca_oversight.errors import LogMisbehaved
from subca_oversight.evidence.harvest import coverage
from subca_oversight.evidence.harvest.tile_proof import TileReader
from subca_oversight.evidence.merkle import CompactRange, leaf_hash
from subca_oversight.model.log import LogApi
from subca_oversight.settings import CtSettings
from subca_oversight.sources.static_ct import StaticLog
from subca_oversight.store.database import Database
from subca_oversight.store.tables import LogEvidenceRow, SightingRow, WindowRow
from tests.integration.harvesting import count, new_database, run_harvest, watch
from tests.integration.log_server import FaultyLog, Leaf, flip
from tests.integration.made_entries import Authority, mixed, noise

BOTH = pytest.mark.parametrize("api", list(LogApi))
ACME = Authority("Acme CA")
BEGAN = datetime(2026, 12, 1, tzinfo=UTC)
DELAY = timedelta(hours=24)
"""The maximum merge delay of the test's logs."""
HOUR_MS = 3_600_000


def watched(folder: Path) -> Database:
    database = new_database(folder)
    watch(database, certificates=[ACME.certificate])
    return database


def first_read(database: Database) -> int:
    with database.read() as session:
        return session.scalars(select(WindowRow)).one().first


def dated(leaves: list[Leaf], *, seed: int = 1) -> list[Leaf]:
    """One entry an hour, each merged up to a day late, as the log promised."""
    chosen = random.Random(seed)  # noqa: S311 - a sample, not a secret
    began = int(BEGAN.timestamp() * 1000)
    return [
        replace(leaf, timestamp=began + at * HOUR_MS - chosen.randrange(24 * HOUR_MS))
        for at, leaf in enumerate(leaves)
    ]


@BOTH
@pytest.mark.parametrize("day", [date(2026, 11, 1), date(2026, 12, 10), date(2026, 12, 25)])
def test_everything_before_the_beginning_is_older_than_the_date(
    tmp_path: Path, api: LogApi, day: date
) -> None:
    log = FaultyLog(dated(mixed(ACME, 700)), api)
    database = watched(tmp_path)
    result = run_harvest(database, log, CtSettings(start=day))
    first = first_read(database)
    limit = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
    assert all(leaf.timestamp < limit for leaf in log.leaves[:first])
    # Not more than the delays on both sides is read for nothing.
    slack = limit - 2 * int(DELAY.total_seconds() * 1000) - 3 * HOUR_MS
    assert all(leaf.timestamp >= slack for leaf in log.leaves[first:])
    assert (result.entries, result.verified_size) == (700 - first, 700)
    assert count(database, SightingRow) == sum(
        leaf.chain == (ACME.certificate,) for leaf in log.leaves[first:]
    )
    assert (first == 0) == (day == date(2026, 11, 1))


@BOTH
def test_a_date_after_the_head_begins_there(tmp_path: Path, api: LogApi) -> None:
    log = FaultyLog(dated(noise(300)), api)
    database = watched(tmp_path)
    assert run_harvest(database, log, CtSettings(start=date(2027, 6, 1))).entries == 0
    assert first_read(database) == 300


@BOTH
@pytest.mark.parametrize("index", [0, 1, 255, 256, 300, 511, 699, 700, 5000])
def test_reading_begins_at_an_index(tmp_path: Path, api: LogApi, index: int) -> None:
    log = FaultyLog(mixed(ACME, 700), api)
    database = watched(tmp_path)
    result = run_harvest(database, log, CtSettings(start=index))
    first = min(index, 700)
    assert (result.entries, result.verified_size, first_read(database)) == (700 - first, 700, first)
    log.grow(mixed(ACME, 40, first=700))
    assert run_harvest(database, log, CtSettings(start=index)).verified_size == 740
    with database.read() as session:
        [known] = coverage(session)
    assert (known.start, known.ranges, known.unread) == (first, ((first, 740),), ())


@pytest.mark.parametrize(
    ("api", "path", "octet"),
    [
        (LogApi.RFC6962, "/ct/v1/get-entry-and-proof?leaf_index=399&tree_size=700", -9),
        (LogApi.STATIC, "/tile/0/001", 9),
        (LogApi.STATIC, "/tile/1/000.p/2", 9),
        (LogApi.STATIC, "/tile/0/002.p/188", -9),
    ],
)
def test_a_wrong_proof_of_a_position_is_refused(
    tmp_path: Path, api: LogApi, path: str, octet: int
) -> None:
    log = FaultyLog(noise(700), api)
    log.mutations[path] = flip(octet, 1)
    database = watched(tmp_path)
    with pytest.raises(LogMisbehaved):
        run_harvest(database, log, CtSettings(start=400))
    assert count(database, WindowRow) == 0
    with database.read() as session:
        [evidence] = session.scalars(select(LogEvidenceRow))
    assert evidence.kind == "wrong_proof"
    log.mutations.clear()
    assert run_harvest(database, log, CtSettings(start=400)).entries == 300


@BOTH
def test_a_wrong_timestamp_at_the_date_is_refused(tmp_path: Path, api: LogApi) -> None:
    """A log that hides its recent past behind old timestamps is held to what it signed."""
    log = FaultyLog(dated(noise(700)), api)
    old = int(BEGAN.timestamp() * 1000).to_bytes(8)
    for index in range(200, 690):
        log.leaf_mutations[index] = lambda leaf: leaf[:2] + old + leaf[10:]
    database = watched(tmp_path)
    with pytest.raises(LogMisbehaved):
        run_harvest(database, log, CtSettings(start=date(2026, 12, 10)))
    assert count(database, WindowRow) == 0
    log.leaf_mutations.clear()
    assert run_harvest(database, log, CtSettings(start=date(2026, 12, 10))).verified_size == 700


def test_a_malformed_entry_never_moves_the_beginning_on(tmp_path: Path) -> None:
    leaves = dated(noise(64))
    for index in (31, 32, 40, 47):
        leaves[index] = replace(leaves[index], timestamp=0, body=b"")
    database = watched(tmp_path)
    run_harvest(database, FaultyLog(leaves, LogApi.RFC6962), CtSettings(start=date(2027, 6, 1)))
    assert first_read(database) <= 32


class TilesAtHand(StaticLog):
    """The hash tiles of a log, without a network."""

    def __init__(self, log: FaultyLog) -> None:
        self._served = log

    async def fetch_hash_tile(self, level: int, number: int, width: int) -> bytes:
        partial = "" if width == 256 else f".p/{width}"
        status, body = self._served.answer(f"/tile/{level}/{number:03}{partial}")
        assert (status, len(body)) == (200, width * 32)
        return body


def test_positions_and_proofs_from_tiles_are_those_of_the_tree() -> None:
    log = FaultyLog(noise(700), LogApi.STATIC)
    hashes = [leaf_hash(leaf.merkle_leaf()) for leaf in log.leaves]
    for size in (1, 2, 255, 256, 257, 511, 512, 513, 699, 700):
        log.size = size
        tiles = TileReader(TilesAtHand(log), size)
        for first in range(1, size + 1, 7):
            position = asyncio.run(tiles.position(first))
            expected = CompactRange()
            expected.extend(hashes[:first])
            assert position == expected
            assert list(asyncio.run(tiles.consistency(first))) == log.tree.consistency(first, size)
