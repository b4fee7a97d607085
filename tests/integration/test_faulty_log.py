"""Each fault of a log: nothing is lost, nothing wrong is kept, and nobody is hammered.

The clock stands still but for the product's own sleeping, so that what it waits is seen and costs
no time; the server counts what it is asked.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import select

from subca_oversight.check.registry import make_registry
from subca_oversight.errors import LogMisbehaved, NotYetServed, SourceError
from subca_oversight.evidence.harvest import HarvestResult, HarvestState, sync_logs
from subca_oversight.evidence.harvest.lag import LAG_PATIENCE
from subca_oversight.evidence.logs.rows import log_of
from subca_oversight.http import Client, Limits
from subca_oversight.jobs.context import JobContext, JobOutcome, JobState
from subca_oversight.jobs.harvest import harvest
from subca_oversight.jobs.log_reading import LAG_WAITS, Awaited, read_log
from subca_oversight.model.log import LogApi
from subca_oversight.settings import Settings
from subca_oversight.sources import rfc6962, static_ct
from subca_oversight.sources.log_list import LogList
from subca_oversight.sources.pace import FIRST_REST, TRIP
from subca_oversight.sources.pacing import HeldBack, Pacer
from subca_oversight.store.database import Database
from subca_oversight.store.tables import (
    CertificateRow,
    LogEvidenceRow,
    LogRow,
    MalformedEntryRow,
    PendingEntryRow,
    SightingRow,
    SourceRow,
    UnconfirmedMatchRow,
    UnitRow,
    WindowRow,
)
from tests.integration import faults
from tests.integration.faults import ENTRIES, begins
from tests.integration.harvesting import NOW, count, new_database, rows_of, watch
from tests.integration.log_server import FaultyLog, Instead, Leaf, serving, with_leaf_index
from tests.integration.made_entries import Authority, mixed

ACME = Authority("Acme CA")
SIZE = 1300
PAGE = 256
RFC6962, STATIC = LogApi.RFC6962, LogApi.STATIC
T = TypeVar("T")
KEPT = (UnitRow, CertificateRow, SightingRow, UnconfirmedMatchRow, MalformedEntryRow)


@pytest.fixture(autouse=True)
def _small_caps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Caps that cost a test no seconds to reach."""
    small = Limits(body_bytes=4 << 20, decompressed_bytes=4 << 20)
    monkeypatch.setattr(rfc6962, "_PAGE", small)
    monkeypatch.setattr(static_ct, "_DATA", small)


@dataclass
class Time:
    """Moves when the product sleeps."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


class _Silence:
    def advance(self, stage: str, log: str, done: int, total: int, rate: float) -> None:
        pass


@dataclass
class Site:
    """A database, and a pacer that lives through several runs."""

    folder: Path
    api: LogApi
    log: FaultyLog = field(init=False)
    database: Database = field(init=False)
    time: Time = field(default_factory=Time)
    pacer: Pacer = field(init=False)
    seconds: float = 5.0
    """Total deadline of a request."""
    page: int = PAGE

    def __post_init__(self) -> None:
        leaves = list(some_leaves())
        self.log = FaultyLog(with_leaf_index(leaves) if self.api is STATIC else leaves, self.api)
        self.folder.mkdir(exist_ok=True)
        self.database = new_database(self.folder)
        watch(self.database, certificates=[ACME.certificate])
        self.pacer = Pacer(
            page_entries=self.page, clock=self.time, sleep=self.time.sleep, random=lambda: 1.0
        )

    def read(self, *, minutes: float = 0) -> HarvestResult:
        """One run of the job for this log, at an instant after the first."""
        return asyncio.run(self._read(NOW + timedelta(minutes=minutes)))

    def run_job(self, *, minutes: float = 0) -> JobOutcome:
        """One run of the whole job, which knows of this log only."""
        return asyncio.run(self._run(harvest, NOW + timedelta(minutes=minutes)))

    async def _read(self, now: datetime) -> HarvestResult:
        async def read(context: JobContext) -> HarvestResult:
            with self.database.read() as session:
                log = log_of(session.get_one(LogRow, self.log.log_id.hex()))
            return await read_log(context, log, _Silence())

        return await self._run(read, now)

    async def _run(self, work: Callable[[JobContext], Awaitable[T]], now: datetime) -> T:
        settings = Settings.model_validate(
            {
                "agent": {"contact": "test@example.org"},
                "http": {"allow_networks": ["127.0.0.0/8"], "timeout_seconds": self.seconds},
                "ct": {"start": "all", "page_entries": self.page, "partial_tile_seconds": 0},
            }
        )
        async with serving(self.log), Client(settings.http, contact="test@example.org") as client:
            listed = LogList(version="1", timestamp=now, logs=(self.log.log(),), problems=())
            with self.database.write() as session:
                sync_logs(session, listed, now)
            return await work(
                JobContext(
                    settings=settings,
                    database=self.database,
                    client=client,
                    registry=make_registry(()),
                    now=lambda: now,
                    pacer=self.pacer,
                )
            )

    @property
    def asked(self) -> int:
        """Requests that reached the server, those for entries by JSON or by tile."""
        return sum(
            b"/get-entries?" in request or b"/tile/data/" in request
            for request in self.log.requests
        )

    def kept(self) -> object:
        return rows_of(self.database, *KEPT)

    def assert_nothing_kept(self) -> None:
        for table in KEPT:
            assert count(self.database, table) == 0, table


@cache
def some_leaves() -> tuple[Leaf, ...]:
    return tuple(mixed(ACME, SIZE))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Site], tuple[object, int]]:
    """What a log without faults leaves in the store, and how often it is asked for entries."""

    @cache
    def of(api: LogApi, page: int) -> tuple[object, int]:
        site = Site(tmp_path_factory.mktemp("undisturbed"), api, page=page)
        result = site.read()
        assert (result.entries, result.matches) == (SIZE, 2 * SIZE // 10)
        return site.kept(), site.asked

    return lambda site: of(site.api, site.page)


Undisturbed = Callable[[Site], tuple[object, int]]
DATA = "/tile/data/"
BUSY = faults.raw(429)


def cut_short() -> bytes:
    """An answer that ends within its gzip body."""
    body = gzip.compress(bytes(range(256)) * 9)[:40]
    return faults.raw(200, body, "Content-Encoding: gzip")


PASSING: dict[str, tuple[LogApi, Callable[[], Instead], int, float]] = {
    # fault: API, what goes wrong, requests that it may cost, seconds waited at least
    "429 for 20 s, JSON": (
        RFC6962,
        lambda: faults.answering(begins(ENTRIES), faults.raw(429, b"", "Retry-After: 20"), times=1),
        3,
        20,
    ),
    "429 until a date, tiles": (
        STATIC,
        lambda: faults.answering(begins(DATA), faults.raw(429, b"", faults.at_date(40)), times=1),
        3,
        38,
    ),
    "429 without a word, JSON": (
        RFC6962,
        lambda: faults.answering(begins(ENTRIES), BUSY, times=3),
        3,
        1,
    ),
    "429 without a word, tiles": (
        STATIC,
        lambda: faults.answering(begins(DATA), BUSY, times=3),
        3,
        1,
    ),
    "429 now and then": (RFC6962, lambda: faults.every(3, begins(ENTRIES), BUSY), 4, 2),
    "503 for 2 s": (
        STATIC,
        lambda: faults.every(4, begins(DATA), faults.raw(503, b"", "Retry-After: 2")),
        3,
        2,
    ),
    "500 of a tile": (
        STATIC,
        lambda: faults.answering(begins(DATA), faults.raw(500), times=2),
        2,
        1,
    ),
    "web page, JSON": (
        RFC6962,
        lambda: faults.answering(begins(ENTRIES), faults.raw(200, faults.WEB_PAGE), times=2),
        2,
        1,
    ),
    "web page, tiles": (
        STATIC,
        lambda: faults.answering(begins(DATA), faults.raw(200, faults.WEB_PAGE), times=2),
        2,
        1,
    ),
    "web page for a head": (
        RFC6962,
        lambda: faults.answering(
            begins("/ct/v1/get-sth"), faults.raw(200, faults.WEB_PAGE), times=2
        ),
        0,
        1,
    ),
    "connections dropped": (STATIC, lambda: faults.dropping(begins(DATA), times=2), 2, 1),
    "answers cut short": (
        STATIC,
        lambda: faults.answering(begins(DATA), cut_short(), times=2),
        2,
        1,
    ),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_waited_out_and_nothing_is_lost(
    tmp_path: Path, undisturbed: Undisturbed, name: str
) -> None:
    api, fault, cost, waited = PASSING[name]
    site = Site(tmp_path / "site", api)
    expected, asked = undisturbed(site)
    site.log.instead = fault()
    result = site.read()
    assert (result.verified_size, result.state) == (SIZE, HarvestState.CURRENT)
    assert site.kept() == expected
    assert site.asked <= asked + cost
    assert site.time.now >= waited


REFUSED: dict[str, tuple[LogApi, Callable[[], Instead]]] = {
    "429": (RFC6962, lambda: faults.answering(begins(ENTRIES), BUSY)),
    "429 of tiles": (STATIC, lambda: faults.answering(begins(DATA), BUSY)),
    "500": (RFC6962, lambda: faults.answering(begins(ENTRIES), faults.raw(500))),
    "502 of tiles": (STATIC, lambda: faults.answering(begins(DATA), faults.raw(502))),
    "403 of a firewall": (
        RFC6962,
        lambda: faults.answering(begins(ENTRIES), faults.raw(403, faults.WEB_PAGE)),
    ),
    "web page": (
        RFC6962,
        lambda: faults.answering(begins(ENTRIES), faults.raw(200, faults.WEB_PAGE)),
    ),
    "hanging": (RFC6962, lambda: faults.hanging(begins(ENTRIES))),
    "hanging tiles": (STATIC, lambda: faults.hanging(begins(DATA))),
    "trickling": (RFC6962, lambda: faults.trickling(begins(ENTRIES))),
    "trickling tiles": (STATIC, lambda: faults.trickling(begins(DATA))),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_lasts_is_left_alone_and_read_once_it_is_over(
    tmp_path: Path, undisturbed: Undisturbed, name: str
) -> None:
    api, fault = REFUSED[name]
    site = Site(tmp_path / "site", api, seconds=0.15)
    expected, _ = undisturbed(site)
    site.log.instead = fault()
    runs = 0
    while runs < 10:
        runs += 1
        with pytest.raises(SourceError) as failure:
            site.read(minutes=runs)
        if isinstance(failure.value, HeldBack):
            break
    most = TRIP + 4  # the requests under way when the breaker opened are answered too
    assert site.asked <= most
    asked = len(site.log.requests)
    for _ in range(5):
        with pytest.raises(HeldBack):
            site.read(minutes=runs)
    assert len(site.log.requests) == asked
    site.assert_nothing_kept()
    assert count(site.database, LogEvidenceRow) == 0
    site.log.instead = None
    site.seconds = 5.0
    site.time.now += FIRST_REST
    assert site.read(minutes=runs + 1).verified_size == SIZE
    assert without_instants(site.kept()) == without_instants(expected)


@pytest.mark.parametrize("api", list(LogApi))
def test_a_bomb_goes_off_at_the_cap_and_is_not_sent_for_again(
    tmp_path: Path, undisturbed: Undisturbed, api: LogApi
) -> None:
    site = Site(tmp_path / "site", api)
    expected, _ = undisturbed(site)
    site.log.instead = faults.bomb(begins(ENTRIES, DATA))
    with pytest.raises(SourceError):
        site.read()
    assert site.asked <= TRIP + 2
    site.assert_nothing_kept()
    site.log.instead = None
    site.time.now += FIRST_REST
    assert site.read(minutes=5).verified_size == SIZE
    assert without_instants(site.kept()) == without_instants(expected)


@pytest.mark.parametrize("api", list(LogApi))
def test_nobody_is_followed_elsewhere(tmp_path: Path, api: LogApi) -> None:
    site = Site(tmp_path / "site", api)
    elsewhere = faults.raw(302, b"", "Location: /elsewhere")
    site.log.instead = faults.answering(begins(ENTRIES, DATA), elsewhere)
    with pytest.raises(SourceError, match="refused to follow a redirect"):
        site.read()
    assert site.asked <= 4
    assert not any(b"/elsewhere" in request for request in site.log.requests)
    site.assert_nothing_kept()


def without_instants(rows: object) -> str:
    """Rows of one reading and another differ in when they were written."""
    assert isinstance(rows, dict)
    return repr(
        {
            table: [[value for value in row if not isinstance(value, datetime)] for row in content]
            for table, content in rows.items()
        }
    )


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("most", [20, 100, 256])
def test_short_pages_lose_nothing_and_are_learned(
    tmp_path: Path, undisturbed: Undisturbed, most: int, align: bool
) -> None:
    site = Site(tmp_path / "site", RFC6962, page=1000)
    expected, _ = undisturbed(site)
    site.log.max_page, site.log.align = most, align
    assert site.read().verified_size == SIZE
    assert site.kept() == expected
    pages = -(-SIZE // most)
    assert site.asked <= pages * 1.5 + 4
    before = site.asked
    site.log.grow(mixed(ACME, SIZE, first=SIZE))
    assert site.read(minutes=5).verified_size == 2 * SIZE
    assert site.asked - before <= pages * 1.4 + 2


@pytest.mark.parametrize("status", [400, 403, 413, 500])
def test_pages_refused_for_their_size_are_made_smaller_and_stay_so(
    tmp_path: Path, undisturbed: Undisturbed, status: int
) -> None:
    site = Site(tmp_path / "site", RFC6962, page=1000)
    expected, _ = undisturbed(site)
    site.log.instead = faults.refusing_pages_above(200, status)
    assert site.read().verified_size == SIZE
    assert site.kept() == expected
    pages = -(-SIZE // 128)
    refused = 6  # 1000, 512 and 256, each of them under way twice at most
    assert site.asked <= pages + refused + 2
    before = site.asked
    site.log.grow(mixed(ACME, 1000, first=SIZE))
    assert site.read(minutes=5).verified_size == SIZE + 1000
    assert site.asked - before <= 1000 // 128 + 4


WRONG: dict[str, Callable[[int, int], tuple[int, int]]] = {
    "misaligned": lambda start, end: (max(0, start - 1), end - 1) if start > 0 else (start, end),
    "aligned downwards": lambda start, end: (start - start % 1000, end - start % 1000),
    "repeated": lambda start, end: (0, end - start),
}


@pytest.mark.parametrize("name", WRONG)
def test_pages_of_other_entries_than_asked_for_are_refused_by_the_root(
    tmp_path: Path, undisturbed: Undisturbed, name: str
) -> None:
    site = Site(tmp_path / "site", RFC6962)
    expected, asked = undisturbed(site)
    site.log.instead = faults.serving_instead(site.log, WRONG[name])
    with pytest.raises(LogMisbehaved):
        site.read()
    site.assert_nothing_kept()
    assert count(site.database, PendingEntryRow) == 0
    assert count(site.database, LogEvidenceRow) == 1
    assert site.asked <= asked
    site.log.instead = None
    assert site.read(minutes=5).verified_size == SIZE
    assert without_instants(site.kept()) == without_instants(expected)


def test_a_page_with_more_entries_than_asked_for_is_refused(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    site = Site(tmp_path / "site", RFC6962)
    expected, _ = undisturbed(site)
    site.log.instead = faults.serving_instead(site.log, lambda start, end: (start, end + 1))
    with pytest.raises(SourceError, match="257 entries, asked for 256"):
        site.read()
    assert site.asked <= 2
    site.assert_nothing_kept()
    site.log.instead = None
    assert site.read(minutes=5).verified_size == SIZE
    assert without_instants(site.kept()) == without_instants(expected)


# Replicas that lag


def test_a_replica_that_lags_for_seconds_is_waited_for(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    site = Site(tmp_path / "site", RFC6962)
    expected, asked = undisturbed(site)
    site.log.instead = faults.lagging(700, times=2)
    assert site.read().verified_size == SIZE
    assert site.kept() == expected
    assert site.time.now >= LAG_WAITS[0]
    assert site.asked <= asked + 4


def test_a_replica_that_lags_for_minutes_is_no_failure_until_it_is(tmp_path: Path) -> None:
    site = Site(tmp_path / "site", RFC6962)
    site.log.instead = faults.lagging(700)
    site.log.max_page = 100
    with pytest.raises(Awaited, match="need tree size"):
        site.read()
    with site.database.read() as session:
        window = session.scalars(select(WindowRow)).one()
        assert (window.position, window.verified) == (700, 0)
    with pytest.raises(Awaited):
        site.read(minutes=LAG_PATIENCE.total_seconds() / 60 - 1)
    before = site.asked
    with pytest.raises(NotYetServed) as failure:
        site.read(minutes=LAG_PATIENCE.total_seconds() / 60)
    assert not isinstance(failure.value, Awaited)
    assert site.asked - before <= 2 * (1 + len(LAG_WAITS))
    site.log.instead = None
    assert site.read(minutes=30).verified_size == SIZE


def test_the_job_counts_a_lagging_replica_as_a_failure_only_after_some_minutes(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path / "site", RFC6962)
    site.log.instead = faults.lagging(700)
    early = site.run_job()
    assert (early.state, early.problems, early.exit_code) == (JobState.DONE, (), 0)
    assert "1 log whose newest entries are not served yet" in early.detail
    assert count(site.database, SourceRow) == 0
    late = site.run_job(minutes=10)
    assert late.exit_code == SourceError.exit_code
    assert "need tree size" in late.problems[0]
    assert count(site.database, SourceRow) == 1


def test_a_tile_that_is_not_there_yet_is_waited_for(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    site = Site(tmp_path / "site", STATIC)
    expected, _ = undisturbed(site)
    late = begins(f"{DATA}003", f"{DATA}004", f"{DATA}005")
    site.log.instead = faults.answering(late, faults.raw(404), times=3)
    assert site.read().verified_size == SIZE
    assert site.kept() == expected
    site = Site(tmp_path / "other", STATIC)
    site.log.instead = faults.answering(late, faults.raw(404))
    with pytest.raises(Awaited, match="not there yet"):
        site.read()
    with pytest.raises(NotYetServed) as failure:
        site.read(minutes=10)
    assert not isinstance(failure.value, Awaited)


def test_a_partial_tile_that_is_gone_is_read_from_the_full_one(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    site = Site(tmp_path / "site", STATIC)
    expected, asked = undisturbed(site)
    site.log.leaves += with_leaf_index(mixed(ACME, 300, first=SIZE), SIZE)
    site.log.size = SIZE
    site.log.full_tiles.add(f"{DATA}005")
    site.log.instead = faults.answering(lambda target: ".p/" in target, faults.raw(404))
    assert site.read().verified_size == SIZE
    assert site.kept() == expected
    assert site.asked <= asked + 1


# Compression and connections


@pytest.mark.parametrize("api", list(LogApi))
def test_gzip_that_nobody_asked_for_is_read(
    tmp_path: Path, undisturbed: Undisturbed, api: LogApi
) -> None:
    site = Site(tmp_path / "site", api)
    expected, asked = undisturbed(site)
    site.log.gzip = True
    assert site.read().verified_size == SIZE
    assert site.kept() == expected
    assert site.asked == asked


def test_connections_are_kept_until_a_log_refuses_without_a_word(tmp_path: Path) -> None:
    site = Site(tmp_path / "site", RFC6962)
    site.read()
    assert site.log.connections <= 4
    site = Site(tmp_path / "other", RFC6962)
    site.log.instead = faults.answering(begins(ENTRIES), BUSY, times=3)
    site.read()
    closing = [b"connection: close" in request.lower() for request in site.log.requests]
    assert closing[-1]
    assert closing == sorted(closing)


# Logs that serve their tiles too


def hybrid(site: Site, size: int = SIZE) -> Instead:
    """The full tiles and issuers of an RFC 6962 log, without checkpoint and partial tiles."""
    log = FaultyLog(site.log.leaves, STATIC, size=size)

    async def instead(target: str, writer: asyncio.StreamWriter) -> bool:
        if ".p/" in target or not target.startswith(("/tile/", "/issuer/")):
            return False
        status, body = log.answer(target)
        writer.write(faults.raw(status, body))
        return True

    return instead


def entries_by_json(log: FaultyLog) -> list[tuple[int, int]]:
    targets = (request.split(b" ", 2)[1].decode() for request in log.requests)
    return [faults.asked(target) for target in targets if target.startswith(ENTRIES)]


def test_a_log_with_tiles_is_found_out_once_and_read_by_them(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    site = Site(tmp_path / "site", RFC6962)
    expected, _ = undisturbed(site)
    site.log.instead = hybrid(site)
    assert site.read().verified_size == SIZE
    assert site.kept() == expected
    with site.database.read() as session:
        assert session.scalars(select(LogRow)).one().serves_tiles is True
    site.log.grow(mixed(ACME, SIZE, first=SIZE))
    site.log.instead = hybrid(site, 2 * SIZE)
    site.log.requests.clear()
    assert site.read(minutes=5).verified_size == 2 * SIZE
    assert entries_by_json(site.log) == [(2560, 2599)]
    tiles = sum(b"/tile/data/" in request for request in site.log.requests)
    assert tiles == 10 - SIZE // 256
    twin = Site(tmp_path / "twin", RFC6962)
    twin.read()
    twin.log.grow(mixed(ACME, SIZE, first=SIZE))
    twin.read(minutes=5)
    assert site.kept() == twin.kept()


def test_a_log_without_tiles_is_asked_for_them_once(tmp_path: Path) -> None:
    site = Site(tmp_path / "site", RFC6962)
    for minutes in range(4):
        site.read(minutes=minutes)
    assert sum(b"/tile/" in request for request in site.log.requests) == 1
    with site.database.read() as session:
        assert session.scalars(select(LogRow)).one().serves_tiles is False


SPOILED: dict[str, Callable[[], Instead]] = {
    "gone": lambda: faults.answering(begins(DATA), faults.raw(404)),
    "web pages": lambda: faults.answering(begins(DATA), faults.raw(200, faults.WEB_PAGE)),
    "unreadable": lambda: faults.answering(begins(DATA), faults.raw(200, bytes(5000))),
    "issuers gone": lambda: faults.answering(begins("/issuer/"), faults.raw(404)),
    "wrong issuers": lambda: faults.answering(begins("/issuer/"), faults.raw(200, b"another")),
}


@pytest.mark.parametrize("name", SPOILED)
def test_where_the_tiles_fail_the_entries_come_by_json(
    tmp_path: Path, undisturbed: Undisturbed, name: str
) -> None:
    site = Site(tmp_path / "site", RFC6962)
    expected, asked = undisturbed(site)
    with site.database.write() as session:
        sync_logs(session, LogList("1", NOW, (site.log.log(),), ()), NOW)
        session.scalars(select(LogRow)).one().serves_tiles = True
    site.log.instead = faults.together(SPOILED[name](), hybrid(site))
    assert site.read().verified_size == SIZE
    assert site.kept() == expected
    assert count(site.database, LogEvidenceRow) == 0
    assert len(entries_by_json(site.log)) <= asked


def test_other_entries_in_tiles_than_by_json_are_none_of_the_logs(tmp_path: Path) -> None:
    site = Site(tmp_path / "site", RFC6962)
    other = Site(tmp_path / "other", RFC6962)
    other.log.leaves = other.log.leaves[::-1]
    site.log.instead = hybrid(other)
    site.read()
    with site.database.read() as session:
        assert session.scalars(select(LogRow)).one().serves_tiles is False


def test_a_spoiled_tile_is_caught_and_the_log_read_again_by_json(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    site = Site(tmp_path / "site", RFC6962)
    expected, _ = undisturbed(site)
    with site.database.write() as session:
        sync_logs(session, LogList("1", NOW, (site.log.log(),), ()), NOW)
        session.scalars(select(LogRow)).one().serves_tiles = True
    spoiled = Site(tmp_path / "spoiled", RFC6962)
    first, second, *rest = spoiled.log.leaves
    spoiled.log.leaves = [second, first, *rest]
    site.log.instead = hybrid(spoiled)
    with pytest.raises(LogMisbehaved):
        site.read()
    site.assert_nothing_kept()
    assert count(site.database, LogEvidenceRow) == 1
    with site.database.read() as session:
        assert session.scalars(select(LogRow)).one().quarantined_at is not None
    assert site.read(minutes=5).verified_size == SIZE
    assert without_instants(site.kept()) == without_instants(expected)
