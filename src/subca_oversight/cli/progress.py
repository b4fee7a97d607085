"""Progress on standard error: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

_LINE_SECONDS = 5.0
"""Between two lines about one task where there is no terminal."""


class TerminalProgress:
    """Shows every task as a bar; a context manager, so that the terminal is restored."""

    def __init__(self) -> None:
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Start drawing."""
        self._bars.start()
        return self
        return self

    def __exit__(self, *reason: object) -> None:
        """Stop drawing."""
        self._bars.stop()

    def begin(self, task: str, total: int | None) -> None:
        """Add a bar."""
        if task not in self._tasks:
            self._tasks[task] = self._bars.add_task(task, total=total, note="")

    def advance(self, task: str, done: int, *, total: int | None = None, note: str = "") -> None:
        """Move a bar."""
        if task in self._tasks:
            self._bars.update(self._tasks[task], completed=done, total=total, note=note)

    def end(self, task: str, note: str = "") -> None:
        """Remove a bar, and write what came of it."""
        if task in self._tasks:
            self._bars.remove_task(self._tasks.pop(task))
        if len(note) > 0:
            line = f"{task}: {note}"
            self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)


class LineProgress:
    """Writes a line when a task ends, and every few seconds while it lasts."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def __enter__(self) -> Self:
        """Nothing to prepare."""
        return self

    def __exit__(self, *reason: object) -> None:
        """Nothing to restore."""

    def begin(self, task: str, total: int | None) -> None:
        """Remember when it began."""
        del total
        self._last[task] = time.monotonic()

    def advance(self, task: str, done: int, *, total: int | None = None, note: str = "") -> None:
        """Write a line when the last one is some seconds old."""
        now = time.monotonic()
        if now - self._last.get(task, now) < _LINE_SECONDS:
            return
        self._last[task] = now
        of = "" if total is None else f" of {total:,}"
        _write(f"{task}: {done:,}{of} {note}".rstrip())

    def end(self, task: str, note: str = "") -> None:
        """Write what came of it."""
        self._last.pop(task, None)
        if len(note) > 0:
            _write(f"{task}: {note}")


def open_progress() -> TerminalProgress | LineProgress:
    """Bars where standard error is a terminal, else lines."""
    return TerminalProgress() if sys.stderr.isatty() else LineProgress()


def _write(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
