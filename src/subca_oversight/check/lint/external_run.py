"""One run of an external program whose input was made by strangers, its output read by the line.

A linter in another language cannot be trusted to end, to stay small or to be brief. It runs in a
session of its own under limits that bind even when this program was killed, sees none of our
environment (which may hold credentials), and is ended with everything that it started.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from subca_oversight.errors import CheckError

MAX_STDERR = 16 * 1024
_READ = 64 * 1024
_OPEN_FILES = 256


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What one run may take."""

    seconds_per_line: float
    """Until the first line, and between two."""
    seconds: float
    """Of the whole run, by the clock and of the processor."""
    memory_bytes: int
    """Of address space."""
    line_bytes: int


class Ending(StrEnum):
    """Why there are no more lines."""

    LEFT = "it was ended before its output did"
    EXITED = "it exited"
    OVERDUE = "time limit for one line exceeded"
    OUT_OF_TIME = "time limit of the run exceeded"
    TOO_LONG = "a line was too long"


class ExternalRun:
    """A started program; use it as a context manager, which ends it whatever has happened.

    Raises CheckError where the program cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        limits: RunLimits,
        *,
        folder: Path,
        environment: Mapping[str, str],
    ) -> None:
        self._limits = limits
        self._ends_at = time.monotonic() + limits.seconds
        self.ending = Ending.LEFT
        """Why :meth:`lines` ended, or that it was not read to its end."""
        self.stderr = b""
        """What it wrote there, up to ``MAX_STDERR``."""
        self.exit_code: int | None = None
        """Once left; negative for a signal, as in subprocess."""
        try:
            self._running = subprocess.Popen(  # noqa: S603 - the operator names the program
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=folder,
                env=dict(environment),
                start_new_session=True,
            )
        except OSError as error:
            raise CheckError(f"{command[0]}: cannot be run: {error.strerror}") from error
        try:
            self._limit()
            self._exited = os.pidfd_open(self._running.pid)
        except OSError as error:
            self._end()
            raise CheckError(f"{command[0]}: cannot be kept in limits: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._exited)
        self._end()

    def lines(self) -> Iterator[bytes]:
        """Yield whole lines as they come, without their ends; then :attr:`ending` says why.

        What follows the last line end is no line: a program that died in the middle of one has not
        said it.
        """
        if self._running.stdout is None or self._running.stderr is None:
            return
        pipes = (self._running.stdout.fileno(), self._running.stderr.fileno())
        pending = b""
        due = self._due()
        with _Streams(*pipes, self._exited) as streams:
            while not streams.are_exhausted:
                chunk = streams.read(due)
                self.stderr = streams.stderr
                *whole, pending = (pending + chunk).split(b"\n")
                yield from whole
                if len(whole) > 0:
                    due = self._due()
                elif len(pending) > self._limits.line_bytes:
                    self.ending = Ending.TOO_LONG
                    return
                elif due <= time.monotonic():
                    self.ending = Ending.OVERDUE if due < self._ends_at else Ending.OUT_OF_TIME
                    return
        self.ending = Ending.EXITED

    def _due(self) -> float:
        return min(time.monotonic() + self._limits.seconds_per_line, self._ends_at)

    def _limit(self) -> None:
        """Set from outside: code between fork and exec is not safe beside threads."""
        seconds = math.ceil(self._limits.seconds)
        for kind, value in (
            (resource.RLIMIT_AS, self._limits.memory_bytes),
            (resource.RLIMIT_CPU, seconds),
            (resource.RLIMIT_NOFILE, _OPEN_FILES),
            (resource.RLIMIT_CORE, 0),
        ):
            with contextlib.suppress(ProcessLookupError):  # it has ended already
                _, hard = resource.prlimit(self._running.pid, kind)
                allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
                resource.prlimit(self._running.pid, kind, (allowed, allowed))

    def _end(self) -> None:
        # The whole session, and before the leader is reaped: until then its number is its own.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._running.pid, signal.SIGKILL)
        self.exit_code = self._running.wait()
        for stream in (self._running.stdout, self._running.stderr):
            if stream is not None:
                stream.close()


class _Streams:
    """Both pipes of a running program and its end, waited for at once."""

    def __init__(self, stdout: int, stderr: int, exited: int) -> None:
        self._stdout, self._stderr, self._exited = stdout, stderr, exited
        self._selector = selectors.DefaultSelector()
        for stream in (stdout, stderr, exited):
            self._selector.register(stream, selectors.EVENT_READ)
        self._has_exited = False
        self.stderr = b""
        self.are_exhausted = False
        """Whether it has exited and everything that it left in the pipes is read."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._selector.close()

    def read(self, due: float) -> bytes:
        """Wait for something to happen, and give what came from standard output, if anything."""
        # What it started may hold the pipes open for ever: only what is there counts.
        timeout = 0.0 if self._has_exited else max(0.0, due - time.monotonic())
        ready = {key.fd for key, _ in self._selector.select(timeout)}
        self.are_exhausted = self._has_exited and len(ready) == 0
        if self._exited in ready:
            self._selector.unregister(self._exited)
            self._has_exited = True
        if self._stderr in ready:
            self.stderr = (self.stderr + self._read_pipe(self._stderr))[:MAX_STDERR]
        return self._read_pipe(self._stdout) if self._stdout in ready else b""

    def _read_pipe(self, stream: int) -> bytes:
        chunk = os.read(stream, _READ)
        if len(chunk) == 0:
            self._selector.unregister(stream)
        return chunk
