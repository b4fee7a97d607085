"""The jobs by name, in the order in which evidence flows through them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from subca_oversight.errors import ConfigurationError
from subca_oversight.jobs.backup import back_up
from subca_oversight.jobs.ccadb import import_ccadb
from subca_oversight.jobs.checks import check_all
from subca_oversight.jobs.clocks import run_clocks
from subca_oversight.jobs.context import JobContext, JobOutcome
from subca_oversight.jobs.deliver import deliver_notices
from subca_oversight.jobs.harvest import harvest
from subca_oversight.jobs.lint import lint_all
from subca_oversight.jobs.log_lists import load_log_lists
from subca_oversight.jobs.report import make_reports
from subca_oversight.jobs.sample import remind_of_samples

_HOUR = 3600.0
_DAY = 24 * _HOUR
_LONGEST = 31 * _DAY


@dataclass(frozen=True, slots=True)
class Job:
    """One use case, and how often the daemon runs it."""

    name: str
    run: Callable[[JobContext], Awaitable[JobOutcome]]
    interval_seconds: float
    summary: str


JOBS: dict[str, Job] = {
    job.name: job
    for job in (
        Job("log-lists", load_log_lists, _HOUR, "load the lists of logs"),
        Job("ccadb", import_ccadb, _DAY, "import the CCADB exports"),
        Job("harvest", harvest, 300.0, "read the logs and keep what is verified"),
        Job("lint", lint_all, 600.0, "lint new certificates"),
        Job("checks", check_all, 600.0, "run the checks over what is new"),
        Job("clocks", run_clocks, 900.0, "expire decisions and watch deadlines"),
        Job("sample", remind_of_samples, _DAY, "tell which samples are due"),
        Job("deliver", deliver_notices, 60.0, "send notices"),
        Job("report", make_reports, _DAY, "write the report of the last quarter"),
        Job("backup", back_up, _DAY, "copy the database"),
    )
}


def verify_intervals(intervals: Mapping[str, float]) -> None:
    """Raise ConfigurationError where ``daemon.intervals`` names no job, or no length of time."""
    for name, seconds in intervals.items():
        if name not in JOBS:
            raise ConfigurationError(
                f"daemon.intervals.{name}: no job is called that; known: {', '.join(JOBS)}"
            )
        if not 1 <= seconds <= _LONGEST:
            raise ConfigurationError(
                f"daemon.intervals.{name}: {seconds:g} is not between 1 second and 31 days"
            )
