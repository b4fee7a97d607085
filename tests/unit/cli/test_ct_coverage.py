"""``ct coverage`` and ``ct harvest`` as their users meet them, on logs that are served."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import select

from subca_oversight.cli.root import main
from subca_oversight.evidence.harvest import planning, sync_logs
from subca_oversight.jobs.coverage_alerts import tell_of_unread
from subca_oversight.model.log import LogApi
from subca_oversight.settings import CtSettings
from subca_oversight.sources.log_list import LogList
from subca_oversight.store.database import Database
from subca_oversight.store.tables import AlertEventRow
from tests.databases import sqlite_database
from tests.integration.harvesting import NOW, run_harvest, watch
from tests.integration.log_server import FaultyLog, serving
from tests.integration.made_entries import Authority, mixed

ACME = Authority("Acme CA")
SEEN = hashlib.sha256(mixed(ACME, 600)[560].precertificate).hexdigest()
AT = ["--at", NOW.strftime("%Y-%m-%dT%H:%M:%SZ")]


@pytest.fixture(autouse=True)
def _short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "BACKFILL_ENTRIES", 256)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with sqlite_database(tmp_path) as made:
        yield made


def configure(folder: Path, database: Database, *, canaries: str = "[]") -> list[str]:
    (folder / "acme.der").write_bytes(ACME.certificate)
    path = folder / "oversight.toml"
    path.write_text(
        f'[agent]\ncontact = "a@ca.example"\nstate_directory = "{folder}"\n'
        f'[database]\nurl = "{database.engine.url.render_as_string()}"\n'
        '[http]\nallow_networks = ["127.0.0.0/8"]\n'
        f'[ct]\nstart = "all"\ncanaries = {canaries}\n'
        '[[subordinate]]\nname = "acme"\noperator = "Acme"\nrelation = "cross-signed"\n'
        'certificates = ["acme.der"]\n'
    )
    return ["--config", str(path), *AT]


def test_coverage_tells_gaps_tails_and_canaries(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(mixed(ACME, 600), LogApi.STATIC)
    run_harvest(database, log, backfill_seconds=0)
    missing = "ab" * 32
    words = configure(
        tmp_path, database, canaries=f'["{SEEN}", "{missing}", "HOST-521.example", "host.example"]'
    )
    assert main([*words, "ct", "coverage", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    [key] = shown["subordinates"]
    assert (key["logs"], key["complete_logs"]) == (1, 0)
    assert (key["known_entries"], key["verified_entries"]) == (600, 88)
    assert key["share_of_known"] == round(88 / 600, 6)
    [one] = shown["logs"]
    assert (one["start"], one["read"], one["gaps"]) == (0, [[512, 600]], [[0, 512]])
    assert (one["unread_tail"], one["seconds_behind"]) == (0, 0)
    assert [(canary["name"], canary["seen"]) for canary in shown["canaries"]] == [
        (SEEN, True),
        (missing, False),
        ("host-521.example", True),
        ("host.example", False),
    ]
    assert main([*words, "ct", "coverage"]) == 0
    assert "14.66 %" in capsys.readouterr().out
    assert main([*words, "ct", "coverage", "--subordinate", "nobody"]) == 2


def test_an_unread_tail_is_told_with_its_age(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(mixed(ACME, 200), LogApi.RFC6962)
    run_harvest(database, log)
    log.grow(mixed(ACME, 100, first=200))
    log.statuses["/ct/v1/get-entries?start=200&end=299"] = 429
    with pytest.raises(Exception, match="429"):
        run_harvest(database, log)
    words = configure(tmp_path, database)
    words[-1] = (NOW + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert main([*words, "ct", "coverage", "--json"]) == 0
    [one] = json.loads(capsys.readouterr().out)["logs"]
    assert (one["unread_tail"], one["seconds_behind"], one["gaps"]) == (100, 3 * 3600, [])


def events(database: Database) -> list[tuple[str, str]]:
    with database.read() as session:
        rows = session.scalars(select(AlertEventRow))
        return sorted((row.kind, row.text) for row in rows)


def test_what_waits_too_long_is_told_of_once(database: Database) -> None:
    watch(database, certificates=[ACME.certificate])
    run_harvest(database, FaultyLog(mixed(ACME, 600), LogApi.STATIC), backfill_seconds=0)
    settings = CtSettings(canaries=(SEEN, "ab" * 32), canary_days=7, unread_hours=48)
    assert tell_of_unread(database, settings, NOW + timedelta(hours=47)) == 0
    for hours in (49, 50):
        assert tell_of_unread(database, settings, NOW + timedelta(hours=hours)) == 1
    for days in (7, 8):
        assert tell_of_unread(database, settings, NOW + timedelta(days=days)) == 2
    told = events(database)
    assert [kind for kind, _ in told] == ["canary_missing", "log_unread"]
    assert "ab" * 32 in told[0][1]
    assert "512 entries of its history" in told[1][1]
    run_harvest(database, FaultyLog(mixed(ACME, 600), LogApi.STATIC))
    assert tell_of_unread(database, CtSettings(), NOW + timedelta(days=30)) == 0


class Served:
    """Logs served from a thread of their own, while the command line runs in this one."""

    def __init__(self, *logs: FaultyLog) -> None:
        self._logs = logs
        self._ready, self._done = Event(), Event()
        self._thread = Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        async with serving(*self._logs):
            self._ready.set()
            await asyncio.to_thread(self._done.wait)

    def __enter__(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def __exit__(self, *reason: object) -> None:
        self._done.set()
        self._thread.join(10)


def test_chosen_logs_are_read_to_the_end(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = FaultyLog(mixed(ACME, 600), LogApi.STATIC, name="first")
    second = FaultyLog(mixed(ACME, 600), LogApi.RFC6962, name="second")
    words = configure(tmp_path, database)
    with Served(first, second):
        listed = LogList(version="1", timestamp=NOW, logs=(first.log(), second.log()), problems=())
        with database.write() as session:
            sync_logs(session, listed, NOW)
        assert main([*words, "ct", "harvest", "--log", "FIRST"]) == 0
        assert "1 logs, 600 entries verified" in capsys.readouterr().err
        assert second.asked == []
        assert main([*words, "ct", "harvest", "--log", second.log_id.hex()[:8]]) == 0
        assert main([*words, "ct", "harvest", "--log", "third"]) == 2
        assert "no log that is due begins with third" in capsys.readouterr().err
        assert main([*words, "ct", "coverage", "--json"]) == 0
    [key] = json.loads(capsys.readouterr().out)["subordinates"]
    assert (key["logs"], key["complete_logs"], key["share_of_known"]) == (2, 2, 1.0)
