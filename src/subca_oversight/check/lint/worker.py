"""One worker process of the linter pool: what runs in it, and the handle that its owner holds.

The two talk over one pipe. The owner sends a chunk of requests; the worker answers each with one
outcome as soon as it has it, so that the owner always knows which certificate is being worked on:
the first one unanswered. A worker that dies or hangs thereby names its culprit.
"""

from __future__ import annotations

import importlib
import math
import multiprocessing
import resource
import signal
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Protocol, cast

from subca_oversight.check.lint.api import LintOutcome, LintRequest, ToolError

Lint = Callable[[LintRequest], LintOutcome]


class LinterAdapter(Protocol):
    """What a linter adapter's module offers. Importing it is cheap; ``load`` need not be."""

    TOOL: str

    def versions(self) -> tuple[tuple[str, str], ...]:
        """Give (component, version), the tool first."""

    def load(self) -> Lint:
        """Import the linter and give the function that lints one certificate."""


# Past the owner's own limit: this one only ends a worker whose owner was killed.
_ORPHAN_GRACE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker is told when it starts."""

    adapter: str
    """Module name of a :class:`LinterAdapter`: only names and facts cross process borders."""
    seconds_per_certificate: float
    memory_bytes: int
    """Of address space."""


@dataclass(slots=True, eq=False)
class Job:
    """A request, and how many workers have died on it."""

    request: LintRequest
    deaths: int = 0


class Worker:
    """The owner's handle of one spawned process."""

    def __init__(self, settings: WorkerSettings) -> None:
        # Spawned, not forked: the owner has threads, an event loop and database connections.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe(duplex=True)
        self.process = context.Process(
            target=run_worker, args=(theirs, settings), name="subca-lint", daemon=True
        )
        self.process.start()
        # With our copy closed, the worker's death reads as the end of the stream.
        theirs.close()
        self.jobs: deque[Job] = deque()
        """Sent and not answered; the first is being worked on."""
        self.is_ready = False
        self.is_slow_lane = False
        self.answered = 0
        self.deadline = math.inf
        """Monotonic seconds by which the next message is due."""

    @property
    def is_idle(self) -> bool:
        """Whether it could be sent a chunk."""
        return self.is_ready and len(self.jobs) == 0

    def send(self, jobs: list[Job], deadline: float) -> None:
        """Hand over a chunk; raises OSError if the worker is gone, with nothing handed over."""
        self.connection.send([job.request for job in jobs])
        self.jobs.extend(jobs)
        self.deadline = deadline

    def stop(self, *, grace_seconds: float = 0.0) -> int | None:
        """End the process, at its own pace within the grace, and give its exit code."""
        self.connection.close()
        if grace_seconds > 0:
            self.process.join(grace_seconds)
        self.process.kill()
        self.process.join()
        code = self.process.exitcode
        self.process.close()
        return code


def run_worker(connection: Connection[object, object], settings: WorkerSettings) -> None:
    """Lint chunks until the pipe closes; the body of the worker process."""
    # The owner decides when to stop; Ctrl-C reaches the whole foreground group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    lint = find_adapter(settings.adapter).load()
    _limit_resources(settings.memory_bytes)
    backstop = math.ceil(settings.seconds_per_certificate) + _ORPHAN_GRACE_SECONDS
    try:
        connection.send(None)
        while True:
            for request in cast("list[LintRequest]", connection.recv()):
                signal.alarm(backstop)
                outcome = _lint_safely(lint, request, settings)
                signal.alarm(0)
                connection.send(outcome)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the owner is done, or gone


def _lint_safely(lint: Lint, request: LintRequest, settings: WorkerSettings) -> LintOutcome:
    try:
        return lint(request)
    except MemoryError:
        mebibytes = settings.memory_bytes // 2**20
        return failed(request, settings, f"memory limit of {mebibytes} MiB exceeded")
    except BaseException as error:  # noqa: BLE001 - a Rust panic and SystemExit are no Exception
        return failed(request, settings, f"{type(error).__name__}: {str(error)[:300]}")


def failed(request: LintRequest, settings: WorkerSettings, reason: str) -> LintOutcome:
    """Make the outcome of a certificate that the tool could not lint."""
    adapter = find_adapter(settings.adapter)
    versions = adapter.versions()
    error = ToolError(adapter.TOOL, versions[0][1], str(request.profile), reason)
    return LintOutcome(request.sha256, request.profile, (), error, versions)


def find_adapter(name: str) -> LinterAdapter:
    """Import the adapter of this module name."""
    return cast("LinterAdapter", importlib.import_module(name))


def _limit_resources(memory_bytes: int) -> None:
    """Cap the address space, after imports: allocation then fails where it would swap or worse."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    allowed = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
