"""The job ``log-lists`` against the real signed lists, and against servers of every temper."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import col

from subca_oversight.check.registry import make_registry
from subca_oversight.errors import SourceError
from subca_oversight.evidence.harvest.polling import logs_to_read
from subca_oversight.evidence.harvest.registry import sync_logs
from subca_oversight.evidence.harvest.watch import load_watched, store_watch_set
from subca_oversight.evidence.logs.history import state_at
from subca_oversight.http import Client, Limits, Origin, Response
from subca_oversight.jobs.context import JobContext, JobOutcome
from subca_oversight.jobs.harvest import harvest
from subca_oversight.jobs.log_lists import load_log_lists
from subca_oversight.model.log import Log, LogState
from subca_oversight.store.database import Database
from subca_oversight.store.tables import (
    METADATA,
    AlertEventRow,
    LogEventRow,
    LogListRow,
    LogRow,
    SourceRow,
    WindowRow,
)
from tests.integration.harvesting import watch
from tests.real_data import REAL_DATA, needs_real_data
from tests.unit.evidence.listed_logs import listed, made_log
from tests.unit.jobs.contexts import run, settings_of

LISTS = REAL_DATA / "ct" / "loglists"
APPLE = LISTS / "apple_current_log_list_v511_assetv2-1013.json"
CRT_SH = LISTS / "crtsh_v3_active_2026-08.json"
MIMICS = LISTS / "chrome_log_mimics_2026.json"
NEWEST = LISTS / "google_v3_all_logs_list_2026-08-20_v89.25.json"
NOW = datetime(2026, 8, 21, tzinfo=UTC)

LIMITS = Limits()

Entry = dict[str, Any]


# An independent reading of the lists: straight from the JSON, nothing of ours


def entries_of(path: Path) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for operator in json.loads(path.read_bytes())["operators"]:
        for section in ("logs", "tiled_logs"):
            for entry in operator.get(section, ()):
                log_id = base64.b64decode(entry["log_id"]).hex()
                entries[log_id] = {**entry, "_operator": operator["name"], "_section": section}
    return entries


def state_name(entry: Entry) -> str:
    return str(next(iter(entry.get("state") or {"unknown": None})))


def state_of(entry: Entry) -> object:
    state = entry.get("state")
    return state and [(name, word["timestamp"]) for name, word in state.items()]


def final_head(entry: Entry) -> object:
    return [word.get("final_tree_head") for word in (entry.get("state") or {}).values()] or [None]


def urls_of(entry: Entry) -> object:
    return [entry.get(name) for name in ("url", "submission_url", "monitoring_url")]


CHANGES: dict[str, Callable[[Entry], object]] = {
    "state_changed": state_of,
    "url_changed": urls_of,
    "api_changed": lambda entry: entry["_section"],
    "description_changed": lambda entry: entry.get("description"),
    "operator_changed": lambda entry: entry["_operator"],
    "interval_changed": lambda entry: entry.get("temporal_interval"),
    "mmd_changed": lambda entry: entry["mmd"],
    "final_tree_head_changed": final_head,
    "log_type_changed": lambda entry: entry.get("log_type"),
}


def changes_between(old: dict[str, Entry], new: dict[str, Entry]) -> Counter[tuple[str, str]]:
    changes = Counter((log_id, "appeared") for log_id in new.keys() - old.keys())
    changes.update((log_id, "vanished") for log_id in old.keys() - new.keys())
    for log_id in old.keys() & new.keys():
        changes.update(
            (log_id, kind)
            for kind, reading in CHANGES.items()
            if reading(old[log_id]) != reading(new[log_id])
        )
    gone = {url_of(old[log_id]) for log_id in old.keys() - new.keys()}
    changes.update(
        (log_id, "key_changed") for log_id in new.keys() - old.keys() if url_of(new[log_id]) in gone
    )
    return changes


def url_of(entry: Entry) -> str:
    return str(entry.get("url") or entry["submission_url"])


def must_be_read(entry: Entry) -> bool:
    return (
        "example.com" not in url_of(entry)
        and entry.get("log_type") != "test"
        and state_name(entry) not in ("retired", "rejected")
    )


def version_of(path: Path) -> str:
    return str(json.loads(path.read_bytes())["version"])


def time_of(path: Path) -> datetime:
    return datetime.fromisoformat(json.loads(path.read_bytes())["log_list_timestamp"])


def history() -> list[Path]:
    return sorted((LISTS / "history").glob("*.json"))


# Replay


@dataclass
class Mirror:
    """A path from which one signed list after the other is read."""

    folder: Path
    database: Database

    @property
    def source(self) -> str:
        return str(self.folder / "list.json")

    def load(self, path: Path, now: datetime) -> JobOutcome:
        shutil.copyfile(path, self.folder / "list.json")
        shutil.copyfile(path.with_suffix(".sig"), self.folder / "list.sig")
        lists = [{"source": self.source, "public_key": "google"}]
        settings = settings_of(ct={"log_lists": lists})
        return run(load_log_lists, self.database, now=now, settings=settings)

    def events(self, version: str) -> list[LogEventRow]:
        with self.database.read() as session:
            rows = session.scalars(select(LogEventRow).where(col(LogEventRow.version) == version))
            return list(rows)

    def read(self, now: datetime) -> set[str]:
        with self.database.read() as session:
            return {poll.log.log_id.hex() for poll in logs_to_read(session, now)}


@needs_real_data
def test_a_replay_of_the_real_lists_gives_an_event_for_every_change(
    tmp_path: Path, database: Database
) -> None:
    mirror = Mirror(tmp_path, database)
    held: dict[str, Entry] = {}
    ever: dict[str, Entry] = {}
    total: Counter[str] = Counter()
    moves = 0
    paths = sorted(history(), key=time_of)
    assert len(paths) == 34
    for path in paths:
        now = time_of(path) + timedelta(hours=1)
        outcome = mirror.load(path, now)
        assert (outcome.problems, outcome.exit_code) == ((), 0)
        current = entries_of(path)
        events = mirror.events(version_of(path))
        assert Counter((one.log_id, one.kind) for one in events) == changes_between(held, current)
        for one in events:
            told = current.get(one.log_id, held.get(one.log_id))
            assert told is not None
            assert one.state == state_name(told)
            moves += one.kind == "state_changed" and one.state != state_name(held[one.log_id])
        assert mirror.read(now) == {key for key, one in current.items() if must_be_read(one)}
        if len(held) > 0:
            total.update(one.kind for one in events)
        held, ever = current, ever | current
    with database.read() as session:
        rows = {row.log_id: row for row in session.scalars(select(LogRow))}
    assert {key: base64.b64encode(row.key).decode() for key, row in rows.items()} == {
        key: entry["key"] for key, entry in ever.items()
    }
    assert {key: row.state for key, row in rows.items()} == {
        key: state_name(entry) for key, entry in ever.items()
    }
    # As counted when the lists were collected (ct.md 6.8): 242, of which 34 from state to state.
    assert total == {
        "vanished": 169,
        "appeared": 39,
        "state_changed": 34,
        "log_type_changed": 6,
        "final_tree_head_changed": 4,
    }
    assert moves == 34
    some = next(one for one in mirror.events("89.0") if one.kind == "state_changed")
    with database.read() as session:
        day = timedelta(days=1)
        before = state_at(session, bytes.fromhex(some.log_id), datetime(2026, 7, 27, tzinfo=UTC))
        after = state_at(session, bytes.fromhex(some.log_id), some.at + day, source=mirror.source)
    assert before is not None
    assert after is not None
    assert (before.state, after.state) == (LogState.RETIRED, LogState.REJECTED)


@needs_real_data
def test_in_file_order_the_older_list_is_refused_and_changes_nothing(
    tmp_path: Path, database: Database
) -> None:
    mirror = Mirror(tmp_path, database)
    paths = [path for path in history() if version_of(path) in {"85.48", "85.52", "85.51"}]
    assert [version_of(path) for path in paths] == ["85.48", "85.52", "85.51"]
    now = datetime(2026, 4, 22, tzinfo=UTC)
    for path in paths[:2]:
        assert mirror.load(path, now).exit_code == 0
    before = dump(database)
    outcome = mirror.load(paths[2], now + timedelta(hours=1))
    assert outcome.exit_code == SourceError.exit_code
    [problem] = outcome.problems
    assert "older" in problem
    assert dump(database) == before
    with database.read() as session:
        row = session.scalars(select(LogListRow)).one()
        assert (row.version, row.fetched_at) == ("85.52", now)
        source = session.scalars(select(SourceRow)).one()
        assert "older" in str(source.last_error)
        assert session.scalars(select(AlertEventRow)).one().kind == "source_failed"


def dump(database: Database) -> list[object]:
    with database.read() as session:
        return [
            [tuple(row) for row in session.execute(select(METADATA.tables[name]))]
            for name in ("log_event", "log_listing", "log")
        ]


# Several lists


def merged_read(paths: list[Path], now: datetime) -> tuple[set[str], set[str]]:
    """The rule once more, straight from the JSON: logs to read, and all logs."""
    lists = [entries_of(path) for path in paths]
    read = set()
    union = set().union(*lists)
    for log_id in union:
        words = [one[log_id] for one in lists if log_id in one]
        states = {state_name(word) for word in words} - {"unknown"}
        intervals = [word["temporal_interval"] for word in words if word.get("temporal_interval")]
        is_over = any(datetime.fromisoformat(one["end_exclusive"]) <= now for one in intervals[:1])
        ended = states & {"retired", "rejected"}
        is_ended = len(ended) > 0 and (is_over or ended == states)
        first = words[0]
        is_real = "example.com" not in url_of(first) and first.get("log_type") != "test"
        if is_real and not is_ended:
            read.add(log_id)
    return read, union


class Listener(Client):
    """A client that answers nothing, and remembers which hosts were asked."""

    def __init__(self) -> None:
        self.hosts: set[str] = set()

    async def get(
        self,
        url: str,
        *,
        limits: Limits = LIMITS,
        headers: Mapping[str, str] | None = None,
        origin: Origin = Origin.FETCHED,
        accept_status: frozenset[int] = frozenset({200}),
    ) -> Response:
        del limits, headers, origin, accept_status
        for call in ("ct/v1/", "checkpoint"):
            url = url.partition(call)[0]
        self.hosts.add(url)
        raise SourceError(f"{url}: nobody is there", retry=False)


@needs_real_data
def test_apple_and_crt_sh_are_merged_with_google_and_nothing_else_is_asked(
    tmp_path: Path, database: Database
) -> None:
    shutil.copyfile(NEWEST, tmp_path / "google.json")
    shutil.copyfile(NEWEST.with_suffix(".sig"), tmp_path / "google.sig")
    google = tmp_path / "google.json"
    paths = [google, APPLE, CRT_SH, MIMICS]
    sources = [{"source": str(path)} for path in paths]
    sources[0]["public_key"] = "google"
    # The order of the configuration does not outweigh the signature.
    settings = settings_of(ct={"log_lists": [*sources[1:], sources[0]]})
    outcome = run(load_log_lists, database, now=NOW, settings=settings)
    assert (outcome.problems, outcome.exit_code) == ((), 0)
    read, union = merged_read(paths, NOW)
    with database.read() as session:
        logs = {row.log_id: row for row in session.scalars(select(LogRow))}
        due = {poll.log.log_id.hex(): poll.log for poll in logs_to_read(session, NOW)}
    assert logs.keys() == union
    assert due.keys() == read
    changes = sum(len(entries_of(path)) for path in paths)
    assert outcome.detail == (
        f"4 lists, {len(union)} logs, {len(read)} of them read, {changes} changes"
    )
    by_name = {row.description: row for row in logs.values()}
    # Rejected by Google when the half-year was over, still usable in Apple's older list.
    assert not by_name["DigiCert 'Wyvern2026h1'"].monitored
    # Retired by Google, read-only at Apple, and its interval runs: read to its final head.
    oak = by_name["Let's Encrypt 'Oak2026h2'"]
    assert (oak.state, oak.monitored, oak.final_size) == ("readonly", True, 130_815_692)
    # Pending at Apple, usable at Google.
    assert by_name["TrustAsia Luoshu2027"].state == "usable"
    # 86,400 s at Apple.
    assert by_name["Geomys 'Tuscolo2026h1'"].mmd == 60
    # Rejected by Chrome, usable at Apple.
    assert by_name["Cloudflare 'Raio2027h1a' log"].monitored
    mimics = entries_of(MIMICS)
    assert len(mimics) == 2
    assert mimics.keys().isdisjoint(due)

    watch(database, keys=[sha256(b"somebody's key").digest()], since=NOW)
    listener = Listener()
    asyncio.run(
        harvest(
            JobContext(
                settings=settings,
                database=database,
                client=listener,
                registry=make_registry(()),
                now=lambda: NOW,
            )
        )
    )
    assert listener.hosts == {log.monitoring_url for log in due.values()}
    assert not any("example.com" in url for url in listener.hosts)


# Servers


@dataclass
class Server(Client):
    """A client whose server serves a list, and honors validators or does not."""

    content: bytes
    etag: str | None = '"one"'
    last_modified: str | None = None
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    is_down: bool = False

    async def get(
        self,
        url: str,
        *,
        limits: Limits = LIMITS,
        headers: Mapping[str, str] | None = None,
        origin: Origin = Origin.FETCHED,
        accept_status: frozenset[int] = frozenset({200}),
    ) -> Response:
        assert origin is Origin.OPERATOR
        assert limits.body_bytes < 64 * 1024 * 1024
        sent = dict(headers or {})
        self.asked.append((url, sent))
        if self.is_down:
            raise SourceError(f"{url}: nobody is there")
        if self.etag is not None and sent.get("If-None-Match") == self.etag:
            assert 304 in accept_status
            return Response(304, {}, b"", url)
        if self.last_modified is not None and sent.get("If-Modified-Since") == self.last_modified:
            assert 304 in accept_status
            return Response(304, {}, b"", url)
        found = {"etag": self.etag, "last-modified": self.last_modified}
        answered = {name: value for name, value in found.items() if value is not None}
        return Response(200, answered, self.content, url)


URL = "https://lists.test/list.json"


def content_of(*logs: Log, version: str = "1", at: datetime = NOW) -> bytes:
    entries = [
        {
            "description": log.description,
            "log_id": base64.b64encode(log.log_id).decode(),
            "key": base64.b64encode(log.key).decode(),
            "url": log.monitoring_url,
            "mmd": log.mmd,
            "state": {log.state.value: {"timestamp": "2026-01-01T00:00:00Z"}},
        }
        for log in logs
    ]
    document = {
        "version": version,
        "log_list_timestamp": at.isoformat(),
        "operators": [{"name": "Operator", "logs": entries}],
    }
    return json.dumps(document).encode()


def load(database: Database, server: Client, now: datetime = NOW, *urls: str) -> JobOutcome:
    lists = [{"source": url} for url in (urls if len(urls) > 0 else (URL,))]
    return asyncio.run(
        load_log_lists(
            JobContext(
                settings=settings_of(ct={"log_lists": lists}),
                database=database,
                client=server,
                registry=make_registry(()),
                now=lambda: now,
            )
        )
    )


@pytest.mark.parametrize(
    ("etag", "last_modified", "condition"),
    [
        ('W/"a b"', None, {"If-None-Match": 'W/"a b"'}),
        (
            None,
            "Mon, 20 Jul 2026 13:36:31 GMT",
            {"If-Modified-Since": "Mon, 20 Jul 2026 13:36:31 GMT"},
        ),
        (None, None, {}),
        ("one\r\nX-Evil: 1", None, {}),
    ],
)
def test_a_list_that_is_unchanged_is_not_fetched_again_and_counts_as_fresh(
    database: Database, etag: str | None, last_modified: str | None, condition: dict[str, str]
) -> None:
    server = Server(content_of(made_log(1)), etag, last_modified)
    later = NOW + timedelta(hours=1)
    assert load(database, server).detail == "1 lists, 1 logs, 1 of them read, 1 changes"
    assert load(database, server, later).detail == "1 lists, 1 logs, 1 of them read, 0 changes"
    assert server.asked == [(URL, {}), (URL, condition)]
    with database.read() as session:
        assert session.scalars(select(LogListRow)).one().fetched_at == later
        source = session.scalars(select(SourceRow)).one()
        assert source.last_success == later
        assert ("unchanged" in source.detail) == (len(condition) > 0)
        assert session.scalars(select(LogRow)).one().last_seen == later


def test_a_new_version_behind_an_old_validator_is_taken(database: Database) -> None:
    server = Server(content_of(made_log(1)))
    load(database, server)
    server.content, server.etag = content_of(made_log(1), made_log(2), version="2"), '"two"'
    load(database, server)
    assert load(database, server).detail == "1 lists, 2 logs, 2 of them read, 0 changes"
    assert [sent for _, sent in server.asked] == [
        {},
        {"If-None-Match": '"one"'},
        {"If-None-Match": '"two"'},
    ]


def test_a_list_taken_back_into_the_configuration_speaks_again(database: Database) -> None:
    server = Server(content_of(made_log(1)))
    other = "https://lists.test/other.json"
    load(database, server)
    load(database, server, NOW, other)
    assert load(database, server, NOW, other, URL).exit_code == 0
    with database.read() as session:
        told = [
            (event.source, event.kind)
            for event in session.scalars(select(LogEventRow).order_by(col(LogEventRow.id)))
        ]
        assert session.scalars(select(LogRow)).one().monitored
    assert told == [
        (URL, "appeared"),
        (URL, "vanished"),
        (other, "appeared"),
        (URL, "appeared"),
    ]


def test_a_list_that_fails_leaves_its_last_version_in_use(database: Database) -> None:
    server = Server(content_of(made_log(1)))
    load(database, server)
    server.is_down = True
    outcome = load(database, server, NOW + timedelta(days=1))
    assert outcome.exit_code == SourceError.exit_code
    assert outcome.detail == "1 lists, 1 logs, 1 of them read, 0 changes"


def test_a_damaged_copy_is_fetched_anew_without_a_condition(database: Database) -> None:
    server = Server(content_of(made_log(1)))
    load(database, server)
    with database.write() as session:
        session.scalars(select(LogListRow)).one().body = b"not zlib"
    assert load(database, server).exit_code == 0
    assert server.asked[-1] == (URL, {})


def test_a_stale_list_is_told_of_once_for_each_version(database: Database) -> None:
    server = Server(content_of(made_log(1)))
    day = timedelta(days=1)
    assert load(database, server, NOW + 70 * day).problems == ()
    for _ in range(2):
        outcome = load(database, server, NOW + 71 * day)
        assert ("older than 70 days" in outcome.problems[0], outcome.exit_code) == (True, 0)
    server.content = content_of(made_log(1), version="2", at=NOW + day)
    server.etag = '"two"'
    load(database, server, NOW + 71 * day)
    load(database, server, NOW + 72 * day)
    with database.read() as session:
        alerts = [(one.kind, one.severity) for one in session.scalars(select(AlertEventRow))]
    assert alerts == [("log_list_stale", "should")] * 2


def test_a_log_that_ended_is_no_failing_source_any_more(database: Database) -> None:
    server = Server(content_of(made_log(1)))
    load(database, server)
    watch(database, keys=[sha256(b"somebody's key").digest()], since=NOW)
    run_harvest_job(database, Listener())
    name = f"log {made_log(1).log_id.hex()[:16]}"
    with database.read() as session:
        assert session.get_one(SourceRow, name).last_error is not None
        assert session.get_one(LogRow, made_log(1).log_id.hex()).polled_at == NOW
    server.content, server.etag = content_of(made_log(1, LogState.REJECTED), version="2"), '"two"'
    load(database, server)
    with database.read() as session:
        row = session.get_one(SourceRow, name)
        assert row.last_error is None
        assert "rejected" in row.detail


def run_harvest_job(database: Database, client: Client) -> JobOutcome:
    return asyncio.run(
        harvest(
            JobContext(
                settings=settings_of(),
                database=database,
                client=client,
                registry=make_registry(()),
                now=lambda: NOW,
            )
        )
    )


def test_a_retired_log_that_is_silent_is_nobodys_failure(database: Database) -> None:
    log = made_log(1)
    watch(database, keys=[sha256(b"somebody's key").digest()], since=NOW)
    with database.write() as session:
        sync_logs(session, listed(log), NOW)
        session.add(
            WindowRow(
                log_id=log.log_id.hex(),
                kind="tail",
                watch_digest=store_watch_set(session, load_watched(session).spkis),
                first=0,
                first_range=b"",
                position=0,
                position_range=b"",
                verified=0,
                verified_range=b"",
                opened_at=NOW,
                updated_at=NOW,
            )
        )
    with database.write() as session:
        sync_logs(session, listed(made_log(1, LogState.RETIRED)), NOW)
    listener = Listener()
    outcome = run_harvest_job(database, listener)
    assert listener.hosts == {log.monitoring_url}
    assert (outcome.problems, outcome.exit_code) == ((), 0)
    with database.read() as session:
        assert session.scalars(select(SourceRow)).all() == []
        assert session.scalars(select(AlertEventRow)).all() == []
        assert session.scalars(select(LogRow)).one().polled_at == NOW
    listener.hosts.clear()
    run_harvest_job(database, listener)
    assert listener.hosts == set()
