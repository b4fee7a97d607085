"""Work happens under the lease, with the configuration registered, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from subca_oversight.errors import ConfigurationError, LeaseHeld, StoreError
from subca_oversight.jobs import surroundings
from subca_oversight.jobs.catalogue import JOBS, Job, verify_intervals
from subca_oversight.jobs.context import JobContext, JobOutcome, done
from subca_oversight.jobs.once import choose_jobs, run_once
from subca_oversight.jobs.surroundings import open_surroundings
from subca_oversight.model.progress import Silence
from subca_oversight.settings import Settings
from subca_oversight.store.database import Database
from subca_oversight.store.lease import acquire_lease, renew_lease
from subca_oversight.store.tables import JobRunRow, LeaseRow
from tests.databases import sqlite_database
from tests.unit.jobs.contexts import settings_of

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(agent={"contact": "a@b.example", "state_directory": tmp_path})


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with sqlite_database(tmp_path) as opened:
        yield opened


def job(name: str, *, on_run: list[str], outcome: JobOutcome | None = None) -> Job:
    async def work(_context: JobContext) -> JobOutcome:
        on_run.append(name)
        return done("") if outcome is None else outcome

    return Job(name, work, 60.0, "")


async def collect(settings: Settings, jobs: list[Job]) -> list[str]:
    return [
        f"{one.name} {outcome.state.value}"
        async for one, outcome in run_once(settings, jobs, now=lambda: NOW, progress=Silence())
    ]


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.02)
    pytest.fail("it never came")


def lease(database: Database) -> tuple[int, bool]:
    with database.write() as session:
        row = session.get_one(LeaseRow, "leader")
        return row.epoch, row.expires_at > database.clock(session)


def test_every_job_runs_under_one_lease_that_is_given_back(
    settings: Settings, database: Database
) -> None:
    ran: list[str] = []
    jobs = [job("a", on_run=ran), job("b", on_run=ran)]
    assert asyncio.run(collect(settings, jobs)) == ["a done", "b done"]
    assert ran == ["a", "b"]
    assert lease(database) == (1, False)
    asyncio.run(collect(settings, jobs))
    assert lease(database) == (2, False)
    with database.read() as session:
        assert [row.epoch for row in session.exec(select(JobRunRow))] == [1, 1, 2, 2]


def test_nothing_runs_while_another_leads(settings: Settings, database: Database) -> None:
    acquire_lease(database, holder="elsewhere:1", time_to_live=timedelta(minutes=1))
    ran: list[str] = []
    with pytest.raises(LeaseHeld, match="the daemon is running: elsewhere:1"):
        asyncio.run(collect(settings, [job("a", on_run=ran)]))
    assert ran == []


def test_a_wrong_certificate_stops_before_the_store_is_touched(tmp_path: Path) -> None:
    settings = settings_of(
        agent={"contact": "a@b.example", "state_directory": tmp_path / "state"},
        subordinate=[
            {
                "name": "acme",
                "operator": "A",
                "relation": "cross-signed",
                "certificates": [str(tmp_path / "none.pem")],
            }
        ],
    )
    with pytest.raises(ConfigurationError, match=r"none\.pem: cannot be read"):
        asyncio.run(collect(settings, []))
    assert not (tmp_path / "state").exists()


def test_a_lost_lease_ends_the_run_after_its_job(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surroundings, "LEASE_SECONDS", 0.3)
    ran: list[str] = []
    stops: list[bool] = []

    async def lose(context: JobContext) -> JobOutcome:
        with database.write() as session:
            row = session.get_one(LeaseRow, "leader")
            row.holder, row.epoch = "thief:1", row.epoch + 1
        for _ in range(100):
            await asyncio.sleep(0.02)
            if context.should_stop():
                break
        stops.append(context.should_stop())
        return done("")

    jobs = [Job("lose", lose, 60.0, ""), job("b", on_run=ran)]
    with pytest.raises(LeaseHeld, match="lost to another process"):
        asyncio.run(collect(settings, jobs))
    assert (ran, stops) == ([], [True])
    with database.read() as session:
        assert session.get_one(LeaseRow, "leader").holder == "thief:1"


def test_one_failed_renewal_is_not_the_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surroundings, "LEASE_SECONDS", 0.6)
    asked: list[int] = []

    def renew_but_once(*arguments: object) -> None:
        asked.append(1)
        if len(asked) == 1:
            raise StoreError("busy")
        renew_lease(*arguments)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(surroundings, "renew_lease", renew_but_once)

    async def wait(context: JobContext) -> JobOutcome:
        await _until(lambda: len(asked) >= 3)
        assert not context.should_stop()
        return done("")

    assert asyncio.run(collect(settings, [Job("wait", wait, 60.0, "")])) == ["wait done"]


def test_a_lease_that_cannot_be_renewed_in_its_time_is_lost(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surroundings, "LEASE_SECONDS", 0.2)

    def fail(*_: object) -> None:
        raise StoreError("unreachable")

    monkeypatch.setattr(surroundings, "renew_lease", fail)

    async def wait(context: JobContext) -> JobOutcome:
        await _until(context.should_stop)
        return done("")

    with pytest.raises(StoreError, match="unreachable"):
        asyncio.run(collect(settings, [Job("wait", wait, 60.0, "")]))


def test_work_in_a_thread_is_told_to_stop_when_the_run_is_interrupted(settings: Settings) -> None:
    seen: list[bool] = []

    async def work(context: JobContext) -> JobOutcome:
        loop = asyncio.get_running_loop()

        def until_told() -> None:
            loop.call_soon_threadsafe(started.set)
            for _ in range(500):
                if context.should_stop():
                    break
                time.sleep(0.01)
            seen.append(context.should_stop())

        await asyncio.to_thread(until_told)
        return done("")

    async def interrupt() -> None:
        task = asyncio.create_task(collect(settings, [Job("w", work, 60.0, "")]))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    started = asyncio.Event()
    asyncio.run(interrupt())
    assert seen == [True]


def test_the_lease_is_given_back_when_the_work_fails(
    settings: Settings, database: Database
) -> None:
    async def fail() -> None:
        async with open_surroundings(
            settings,
            now=lambda: NOW,
            progress=Silence(),
            should_stop=lambda: False,
            lease_lost=lambda _: None,
        ):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(fail())
    assert lease(database) == (1, False)


def test_jobs_are_chosen_by_name_and_run_in_the_order_of_the_evidence() -> None:
    assert [one.name for one in choose_jobs(["deliver", "harvest"])] == ["harvest", "deliver"]
    assert [one.name for one in choose_jobs([])] == list(JOBS)


def test_an_unknown_job_is_refused_with_those_known() -> None:
    with pytest.raises(ConfigurationError, match="no job is called harvests; known: log-lists"):
        choose_jobs(["harvest", "harvests"])


@pytest.mark.parametrize(
    ("intervals", "reason"),
    [
        ({"harvests": 5.0}, "no job is called that"),
        ({"harvest": 0.0}, "not between"),
        ({"harvest": -5.0}, "not between"),
        ({"harvest": float("inf")}, "not between"),
        ({"harvest": float("nan")}, "not between"),
    ],
)
def test_an_interval_that_means_nothing_is_refused(
    intervals: dict[str, float], reason: str
) -> None:
    (name,) = intervals
    with pytest.raises(ConfigurationError, match=rf"^daemon\.intervals\.{name}: .*{reason}"):
        verify_intervals(intervals)
    verify_intervals({"harvest": 300.0})
