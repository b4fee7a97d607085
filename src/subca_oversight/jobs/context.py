"""What every job is given: settings, store, client, register and clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from subca_oversight.check.registry import Registry
from subca_oversight.http import Client
from subca_oversight.model.progress import Progress, Silence
from subca_oversight.settings import Settings
from subca_oversight.sources.pacing import Pacer
from subca_oversight.store.database import Database


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class JobContext:
    """The surroundings of one run. Owns nothing: whoever made it closes store and client."""

    settings: Settings
    database: Database
    client: Client
    registry: Registry
    now: Callable[[], datetime]
    progress: Progress = field(default_factory=Silence)
    pacer: Pacer = field(default_factory=Pacer)
    """How fast each log may be asked; what it learns serves the runs after."""
    epoch: int = 0
    """Of the lease under which the run happens."""
    should_stop: Callable[[], bool] = _never
    """Asked between two batches: long work ends early, and goes on where it was next time."""


class JobState(StrEnum):
    """How a run ended."""

    RUNNING = "running"
    DONE = "done"
    SKIPPED = "skipped"
    """What it needs is not configured."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """What a run did, in a line for people, and what went wrong in it."""

    state: JobState
    detail: str
    problems: tuple[str, ...] = ()
    """One line each; sources that failed or misbehaved while the rest went on."""
    exit_code: int = 0


def done(detail: str, problems: tuple[str, ...] = (), exit_code: int = 0) -> JobOutcome:
    """A run that came to its end."""
    return JobOutcome(JobState.DONE, detail, problems, exit_code)


def skipped(reason: str) -> JobOutcome:
    """A run that had nothing to do by configuration."""
    return JobOutcome(JobState.SKIPPED, reason)
