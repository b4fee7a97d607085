"""Every job once, in the order in which evidence flows, with one exit code for all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime

from subca_oversight.errors import ConfigurationError, StoreError
from subca_oversight.jobs.catalogue import JOBS, Job
from subca_oversight.jobs.context import JobOutcome
from subca_oversight.jobs.runs import run_job
from subca_oversight.jobs.surroundings import open_surroundings
from subca_oversight.model.progress import Progress
from subca_oversight.settings import Settings


def choose_jobs(names: Sequence[str]) -> list[Job]:
    """The named jobs, or all, in the catalogue's order. Raises ConfigurationError."""
    unknown = [name for name in names if name not in JOBS]
    if len(unknown) > 0:
        raise ConfigurationError(f"no job is called {unknown[0]}; known: {', '.join(JOBS)}")
    return [job for name, job in JOBS.items() if len(names) == 0 or name in names]


async def run_once(
    settings: Settings,
    jobs: Sequence[Job],
    *,
    now: Callable[[], datetime],
    progress: Progress,
) -> AsyncIterator[tuple[Job, JobOutcome]]:
    """Run ``jobs`` one after another under the lease, telling each outcome as it comes.

    A job that fails does not keep the others from running. Raises StoreError when the store fails
    or the lease is lost.
    """
    lost: list[StoreError] = []
    ended = False
    async with open_surroundings(
        settings,
        now=now,
        progress=progress,
        should_stop=lambda: ended or len(lost) > 0,
        lease_lost=lost.append,
    ) as context:
        try:
            for job in jobs:
                yield job, await run_job(job, context)
                if len(lost) > 0:
                    raise lost[0]
        finally:
            ended = True  # a job's thread outlives its cancellation, up to the end of its batch
