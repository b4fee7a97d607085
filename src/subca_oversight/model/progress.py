"""How long work tells what it is doing: an interface that the command line implements."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receiver of progress; calls are cheap and come often."""

    def begin(self, task: str, total: int | None) -> None:
        """``task`` starts; ``total`` is None where its end is not known."""

    def advance(self, task: str, done: int, *, total: int | None = None, note: str = "") -> None:
        """``done`` counts from the task's start, not from the last call."""

    def end(self, task: str, note: str = "") -> None:
        """``task`` is over."""


class Silence:
    """A receiver that shows nothing."""

    def begin(self, task: str, total: int | None) -> None:
        """Nothing."""

    def advance(self, task: str, done: int, *, total: int | None = None, note: str = "") -> None:
        """Nothing."""

    def end(self, task: str, note: str = "") -> None:
        """Nothing."""
