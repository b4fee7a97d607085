"""The daemon as a process of its own, with jobs that a test scripts.

Run as a program: the configuration's path, then one word a job, ``NAME:SECONDS:HOW`` where HOW is
``async``, ``thread`` (which cannot be cancelled), ``fail``, ``crash`` or ``store``. Each start and
end of a job is a line on standard output.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from subca_oversight import daemon
from subca_oversight.cli.root import main
from subca_oversight.errors import SourceError, StoreError
from subca_oversight.jobs import catalogue
from subca_oversight.jobs.catalogue import Job
from subca_oversight.jobs.context import JobContext, JobOutcome, done

INTERVAL = float(os.environ.get("DAEMON_TEST_INTERVAL", "3600"))


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def scripted(word: str) -> Job:
    name, seconds, how = word.split(":")

    async def run(_context: JobContext) -> JobOutcome:
        _tell(f"{name} started")
        if how == "thread":
            await asyncio.to_thread(time.sleep, float(seconds))
        else:
            await asyncio.sleep(float(seconds))
        if how == "fail":
            raise SourceError("unreachable")
        if how == "crash":
            raise KeyError("defect")
        if how == "store":
            raise StoreError("the disk is gone")
        _tell(f"{name} ended")
        return done("")

    return Job(name, run, INTERVAL, "")


if __name__ == "__main__":
    configuration, *words = sys.argv[1:]
    jobs = {job.name: job for job in map(scripted, words)}
    catalogue.JOBS.clear()
    catalogue.JOBS.update(jobs)
    daemon._PING_SECONDS = float(os.environ.get("DAEMON_TEST_PING_SECONDS", "60"))
    assert daemon.JOBS is catalogue.JOBS  # type: ignore[attr-defined]
    sys.exit(main(["--config", configuration, "run"]))
