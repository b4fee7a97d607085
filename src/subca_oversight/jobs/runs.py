"""Running a job: its row in the store before and after, and every failure as an outcome."""

from __future__ import annotations

import asyncio
import time

import structlog
from sqlalchemy import func, select
from sqlmodel import Session, col

from subca_oversight.errors import OversightError, StoreError
from subca_oversight.jobs.catalogue import Job
from subca_oversight.jobs.context import JobContext, JobOutcome, JobState
from subca_oversight.store.tables import JobRunRow

_log = structlog.get_logger()


async def run_job(job: Job, context: JobContext) -> JobOutcome:
    """Run ``job`` once and record it.

    Every error becomes a failed outcome, so that the other jobs go on; StoreError alone is raised,
    since nothing can be recorded without the store. Cancellation leaves the row unfinished.
    """
    started = time.monotonic()
    run_id = await asyncio.to_thread(_begin, job, context)
    context.progress.begin(job.name, None)
    try:
        outcome = await job.run(context)
    except StoreError:
        raise
    except OversightError as error:
        outcome = JobOutcome(JobState.FAILED, str(error), (str(error),), error.exit_code)
    except Exception as error:  # noqa: BLE001 - one job's defect must not end the oversight
        _log.exception("job_crashed", job=job.name)
        line = f"a defect of this program, please report it: {type(error).__name__}: {error}"
        outcome = JobOutcome(JobState.FAILED, line, (line,), OversightError.exit_code)
    context.progress.end(job.name, outcome.detail)
    await asyncio.to_thread(_finish, context, run_id, outcome)
    _log.info(
        "job_finished",
        job=job.name,
        outcome=outcome.state.value,
        detail=outcome.detail,
        seconds=round(time.monotonic() - started, 2),
    )
    return outcome


def find_last_runs(session: Session) -> dict[str, JobRunRow]:
    """The latest finished run of each job that was not a failure."""
    latest = (
        select(func.max(JobRunRow.id))
        .where(col(JobRunRow.outcome).in_([JobState.DONE.value, JobState.SKIPPED.value]))
        .group_by(col(JobRunRow.job))
    )
    rows = session.scalars(select(JobRunRow).where(col(JobRunRow.id).in_(latest)))
    return {row.job: row for row in rows}


def _begin(job: Job, context: JobContext) -> int:
    with context.database.write() as session:
        row = JobRunRow(
            job=job.name,
            started_at=context.now(),
            outcome=JobState.RUNNING.value,
            epoch=context.epoch,
        )
        session.add(row)
        session.flush()
        return 0 if row.id is None else row.id


def _finish(context: JobContext, run_id: int, outcome: JobOutcome) -> None:
    with context.database.write() as session:
        row = session.get(JobRunRow, run_id)
        if row is None:
            return
        row.finished_at = context.now()
        row.outcome = outcome.state.value
        row.detail = "; ".join((outcome.detail, *outcome.problems))[:2000]
        session.add(row)
