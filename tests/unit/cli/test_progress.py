"""Progress goes to standard error, and what came of a task is said in either form."""

from __future__ import annotations

import io
import sys

import pytest

from subca_oversight.cli.progress import LineProgress, TerminalProgress, open_progress


def test_lines_say_what_came_of_a_task_and_nothing_of_quick_steps(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with open_progress() as progress:
        assert isinstance(progress, LineProgress)
        progress.begin("harvest", 10)
        progress.advance("harvest", 5)
        progress.advance("never begun", 5)
        progress.end("harvest", "10 entries")
        progress.end("never begun")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "harvest: 10 entries\n")


def test_a_long_task_speaks_every_few_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("subca_oversight.cli.progress.time.monotonic", lambda: clock[0])
    progress = LineProgress()
    progress.begin("harvest", None)
    for second in range(12):
        clock[0] = float(second)
        progress.advance("harvest", second * 1000, total=20_000 if second > 6 else None, note="log")
    assert capsys.readouterr().err == "harvest: 5,000 log\nharvest: 10,000 of 20,000 log\n"


def test_bars_are_drawn_on_a_terminal_and_leave_the_outcome(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with open_progress() as progress:
        assert isinstance(progress, TerminalProgress)
        progress.begin("harvest [x]", 10)
        progress.begin("harvest [x]", 10)
        progress.advance("harvest [x]", 5, note="[log]")
        progress.advance("unknown", 5)
        progress.end("harvest [x]", "10 [entries]")
        progress.end("unknown")
    assert "harvest [x]: 10 [entries]" in terminal.getvalue()
