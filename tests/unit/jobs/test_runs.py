"""Every run has its row, every failure its outcome, and only the store's own ends everything."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import col, select

from subca_oversight.errors import SourceError, StoreError
from subca_oversight.jobs.catalogue import Job
from subca_oversight.jobs.context import JobContext, JobOutcome, JobState, done, skipped
from subca_oversight.jobs.overview import load_overview
from subca_oversight.jobs.runs import find_last_runs, run_job
from subca_oversight.store.database import Database
from subca_oversight.store.tables import JobRunRow
from tests.unit.jobs.contexts import run, run_in_loop

NOW = datetime(2026, 11, 24, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def job(name: str, answer: JobOutcome | BaseException) -> Job:
    async def work(_context: JobContext) -> JobOutcome:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return Job(name, work, 60.0, "")


def run_one(database: Database, one: Job, *, at: datetime = NOW) -> JobOutcome:
    return run(lambda context: run_job(one, context), database, now=at)


def rows(database: Database) -> list[JobRunRow]:
    with database.read() as session:
        return list(session.exec(select(JobRunRow).order_by(col(JobRunRow.id))))


def test_a_run_is_recorded_with_its_outcome(database: Database) -> None:
    run_one(database, job("a", done("5 read", ("one failed",), 3)))
    (row,) = rows(database)
    assert (row.job, row.outcome, row.detail) == ("a", "done", "5 read; one failed")
    assert (row.started_at, row.finished_at) == (NOW, NOW)


def test_an_error_of_ours_is_a_failed_outcome_with_its_exit_code(database: Database) -> None:
    outcome = run_one(database, job("a", SourceError("unreachable")))
    assert (outcome.state, outcome.exit_code) == (JobState.FAILED, 3)
    assert outcome.problems == ("unreachable",)
    assert rows(database)[0].outcome == "failed"


def test_a_defect_is_a_failed_outcome_that_says_so(database: Database) -> None:
    outcome = run_one(database, job("a", KeyError("x")))
    assert (outcome.state, outcome.exit_code) == (JobState.FAILED, 1)
    assert outcome.problems == ("a defect of this program, please report it: KeyError: 'x'",)
    assert rows(database)[0].outcome == "failed"


def test_a_failure_of_the_store_is_raised(database: Database) -> None:
    with pytest.raises(StoreError, match="gone"):
        run_one(database, job("a", StoreError("gone")))
    assert rows(database)[0].outcome == "running"


def test_a_cancelled_run_stays_unfinished(database: Database) -> None:
    async def cancel() -> None:
        task = asyncio.create_task(
            run_in_loop(lambda context: run_job(slow, context), database, now=NOW)
        )
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    started = asyncio.Event()

    async def work(_context: JobContext) -> JobOutcome:
        started.set()
        await asyncio.sleep(600)
        return done("")

    slow = Job("slow", work, 60.0, "")
    asyncio.run(cancel())
    (row,) = rows(database)
    assert (row.outcome, row.finished_at) == ("running", None)


def test_the_last_run_is_the_latest_that_did_not_fail(database: Database) -> None:
    answers: list[JobOutcome | BaseException] = [
        done("1"),
        done("2"),
        SourceError("x"),
        done("3"),
        SourceError("y"),
    ]
    for minutes, answer in enumerate(answers):
        run_one(database, job("a", answer), at=NOW + minutes * MINUTE)
    run_one(database, job("b", skipped("not configured")), at=NOW)
    run_one(database, job("c", SourceError("x")), at=NOW)
    with database.read() as session:
        last = {name: row.started_at for name, row in find_last_runs(session).items()}
    assert last == {"a": NOW + 3 * MINUTE, "b": NOW}


def test_the_overview_shows_the_latest_run_of_each_job(database: Database) -> None:
    answers: list[JobOutcome | BaseException] = [done("1"), SourceError("x")]
    for minutes, answer in enumerate(answers):
        run_one(database, job("b", answer), at=NOW + minutes * MINUTE)
    run_one(database, job("a", done("1")))
    shown = [(one.job, one.outcome, one.started_at) for one in load_overview(database).jobs]
    assert shown == [("a", "done", NOW), ("b", "failed", NOW + MINUTE)]


def test_hostile_detail_of_any_length_is_recorded(database: Database) -> None:
    run_one(database, job("a", done("\x00\ud800" * 5000)))
    assert rows(database)[0].detail.startswith("\\x00\\xd800")
