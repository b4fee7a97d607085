"""The daemon: ready, watched, healthy as long as its work is, and gone in time.

Each test runs it as a process, since signals, exit codes and abandoned threads are what counts.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from sqlmodel import col, select

from subca_oversight.store.database import Database
from subca_oversight.store.lease import acquire_lease
from subca_oversight.store.tables import JobRunRow, LeaseRow
from tests.databases import sqlite_database

PROGRAM = Path(__file__).with_name("daemon_process.py")
PATIENCE = 60.0
CONFIGURATION = """
[agent]
contact = "oversight@ca.example"
state_directory = "{folder}"
[daemon]
listen = "127.0.0.1:0"
drain_seconds = {drain}
ping_url = "{ping}"
"""


class Running:
    """A daemon process, its lines, and where it listens."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.log: list[str] = []
        self._threads = [
            threading.Thread(target=self._collect, args=(stream, lines), daemon=True)
            for stream, lines in ((process.stdout, self.lines), (process.stderr, self.log))
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _collect(stream: Iterator[str], lines: list[str]) -> None:
        for line in stream:
            lines.append(line.rstrip("\n"))  # noqa: PERF401 - a line must be seen as it comes

    def wait_for(self, line: str) -> None:
        self.wait_until(lambda: line in self.lines, line)

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline or self.process.poll() is not None:
                if condition():
                    return
                pytest.fail(f"never came: {what}\n{self.lines}\n" + "\n".join(self.log))
            time.sleep(0.02)

    @property
    def address(self) -> str:
        def find() -> str | None:
            found = re.search(r"listen=(?:\x1b\[\d+m)*(127\.0\.0\.1:\d+)", "\n".join(self.log))
            found = found or re.search(r'"listen": ?"(127\.0\.0\.1:\d+)"', "\n".join(self.log))
            return None if found is None else found.group(1)

        self.wait_until(lambda: find() is not None, "daemon_started")
        address = find()
        assert address is not None
        return address

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def stop(self, signum: int = signal.SIGTERM) -> int:
        self.process.send_signal(signum)
        return self.end()

    def end(self) -> int:
        code = self.process.wait(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)
        return code


class Site:
    """A state directory with a configuration and a database."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.folder = folder
        self.database = database

    @contextmanager
    def daemon(
        self,
        *jobs: str,
        drain: float = 30.0,
        ping: str = "",
        environment: dict[str, str] | None = None,
    ) -> Iterator[Running]:
        path = self.folder / "oversight.toml"
        path.write_text(CONFIGURATION.format(folder=self.folder, drain=drain, ping=ping))
        with subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, str(PROGRAM), str(path), *jobs],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env=os.environ | {} if environment is None else os.environ | environment,
        ) as process:
            running = Running(process)
            try:
                yield running
            finally:
                process.kill()

    def runs(self) -> list[tuple[str, str]]:
        with self.database.read() as session:
            rows = session.exec(select(JobRunRow).order_by(col(JobRunRow.id))).all()
        return [(row.job, row.outcome) for row in rows]

    def add_run(self, job: str, started: datetime, outcome: str = "done") -> None:
        with self.database.write() as session:
            session.add(JobRunRow(job=job, started_at=started, outcome=outcome, epoch=0))

    def lease_is_held(self) -> bool:
        with self.database.write() as session:
            row = session.get(LeaseRow, "leader")
            return row is not None and row.expires_at > self.database.clock(session)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with sqlite_database(tmp_path) as database:
        yield Site(tmp_path, database)


def test_it_runs_its_jobs_and_ends_well_on_a_signal(site: Site) -> None:
    with site.daemon("a:0:async", "b:0:thread") as running:
        running.wait_for("a ended")
        running.wait_for("b ended")
        running.wait_until(lambda: site.runs() == [("a", "done"), ("b", "done")], "two runs")
        assert running.get("/livez") == (200, "alive\n")
        assert running.get("/healthz")[0] == 200
        status, metrics = running.get("/metrics")
        assert status == 200
        assert 'subca_oversight_job_runs_total{job="a",outcome="done"} 1.0' in metrics
        assert "subca_oversight_lease_held 1.0" in metrics
        assert site.lease_is_held()
        assert running.stop() == 0
    assert not site.lease_is_held()


def test_running_jobs_may_end_and_nothing_new_starts(site: Site) -> None:
    with site.daemon("slow:2:async", "late:0:async") as running:
        running.wait_for("slow started")
        assert running.stop(signal.SIGINT) == 0
        assert "slow ended" in running.lines
        assert "late started" not in running.lines
    assert site.runs() == [("slow", "done")]


@pytest.mark.parametrize("how", ["async", "thread"])
def test_what_outlasts_the_drain_is_abandoned(site: Site, how: str) -> None:
    with site.daemon(f"endless:600:{how}", drain=0.3) as running:
        running.wait_for("endless started")
        began = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - began < 15
    assert site.runs() == [("endless", "running")]
    assert not site.lease_is_held()


def test_a_missed_run_is_caught_up_exactly_once(site: Site) -> None:
    now = datetime.now(UTC)
    site.add_run("missed", now - timedelta(days=3))
    site.add_run("fresh", now - timedelta(minutes=5))
    site.add_run("cut-short", now, outcome="running")
    site.add_run("failed", now, outcome="failed")
    before = site.runs()
    words = [f"{name}:0:async" for name in ("missed", "fresh", "cut-short", "failed", "never")]
    with site.daemon(*words) as running:
        running.wait_for("never ended")
        time.sleep(1.0)
        assert running.stop() == 0
    started = [line.split()[0] for line in running.lines if line.endswith("started")]
    assert started == ["missed", "cut-short", "failed", "never"]
    assert len(site.runs()) == len(before) + 4


def test_a_run_in_the_future_does_not_silence_its_job_for_longer_than_its_interval(
    site: Site,
) -> None:
    """The clock was wrong, and was put right: the next run is an interval away, not years."""
    site.add_run("a", datetime.now(UTC) + timedelta(days=4000))
    with site.daemon("a:0:async", environment={"DAEMON_TEST_INTERVAL": "1"}) as running:
        running.wait_for("a ended")
        assert running.stop() == 0


def test_a_failing_job_is_told_on_the_health_page_and_the_others_go_on(site: Site) -> None:
    with site.daemon("bad:0:fail", "worse:0:crash", "good:0:async") as running:
        running.wait_for("good ended")
        running.wait_until(lambda: len(site.runs()) == 3, "three runs")
        running.wait_until(lambda: running.get("/healthz")[0] == 503, "unhealthy")
        reasons = json.loads(running.get("/healthz")[1])["reasons"]
        assert reasons == [
            "bad: unreachable",
            "worse: a defect of this program, please report it: KeyError: 'defect'",
        ]
        assert running.stop() == 0
    assert site.runs() == [("bad", "failed"), ("worse", "failed"), ("good", "done")]


def test_a_store_that_fails_ends_the_daemon_with_exit_code_4(site: Site) -> None:
    with site.daemon("bad:0:store") as running:
        assert running.end() == 4
    assert "subca-oversight: the disk is gone" in running.log
    assert not site.lease_is_held()


def test_a_second_leader_is_refused(site: Site) -> None:
    acquire_lease(site.database, holder="elsewhere:1", time_to_live=timedelta(minutes=5))
    with site.daemon("a:0:async") as running:
        assert running.end() == 4
    assert any("the daemon is running: elsewhere:1" in line for line in running.log)
    assert site.runs() == []


def test_a_daemon_that_was_killed_is_followed_at_once(site: Site) -> None:
    with site.daemon("a:600:async") as running:
        running.wait_for("a started")
        assert running.stop(signal.SIGKILL) == -signal.SIGKILL
    assert site.lease_is_held()
    with site.daemon("a:0:async") as running:
        running.wait_for("a ended")
        assert running.stop() == 0
    assert site.runs() == [("a", "running"), ("a", "done")]


def test_the_service_manager_is_told_and_its_watchdog_fed(site: Site) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = str(site.folder / "notify")
        manager.bind(address)
        manager.settimeout(PATIENCE)
        environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "400000"}
        with site.daemon("a:0:async", environment=environment) as running:
            said = [manager.recv(100).decode() for _ in range(4)]
            assert "READY=1" in said[:2]
            assert said.count("WATCHDOG=1") == 3
            running.wait_for("a ended")
            assert running.stop() == 0
            manager.settimeout(0.1)
            rest: list[str] = []
            try:
                while True:
                    rest.append(manager.recv(100).decode())
            except TimeoutError:
                pass
            assert rest.count("STOPPING=1") == 1


class _Switch(BaseHTTPRequestHandler):
    """A dead man's switch that counts."""

    pings = 0

    def do_GET(self) -> None:
        type(self).pings += 1
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@contextmanager
def switch() -> Iterator[tuple[str, type[_Switch]]]:
    handler = type("Switch", (_Switch,), {"pings": 0})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/ping", handler
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("how", "pinged"), [("async", True), ("fail", False)])
def test_the_dead_mans_switch_is_told_only_while_all_is_well(
    site: Site, how: str, pinged: bool
) -> None:
    environment = {"DAEMON_TEST_PING_SECONDS": "0.2"}
    with (
        switch() as (url, counted),
        site.daemon(f"a:0:{how}", ping=url, environment=environment) as running,
    ):
        running.wait_until(lambda: len(site.runs()) == 1, "a run")
        running.wait_until(lambda: site.runs()[0][1] != "running", "its end")
        time.sleep(0.3)
        before = counted.pings
        time.sleep(1.0)
        after = counted.pings
        assert running.stop() == 0
    assert (after > before) is pinged
