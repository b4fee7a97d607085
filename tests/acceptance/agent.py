"""The agent as processes of their own: run, watched, and killed at a chosen instant."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from tests.acceptance.zygote import Order

PATIENCE = 180.0
"""Seconds after which a command counts as hanging."""
CHECKOUT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "subca_oversight")
_FILES = ("out", "err", "contacts")
_ORPHAN_SECONDS = 15.0
_STATE = 0
_SESSION = 3
"""Fields of ``/proc/PID/stat`` after the command's name."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str
    contacts: tuple[str, ...] = ()
    """Lookups and connections, as ``socket.connect ('127.0.0.1', 80)``; not of spawned workers."""

    @property
    def complaints(self) -> list[str]:
        """Lines on standard error that are this program's own errors."""
        return [line for line in self.err.splitlines() if line.startswith("subca-oversight: ")]

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever was printed
        return json.loads(self.out)


def run_command(
    *arguments: str, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Answer:
    """Run the command line as a user does, interpreter and all."""
    done = subprocess.run(  # noqa: S603 - our own command line
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
    )
    return Answer(done.returncode, done.stdout, done.stderr)


@dataclass(slots=True)
class Agent:
    """Runs the command line in processes that can be killed."""

    zygote: subprocess.Popen[str]
    folder: Path

    def run(self, *arguments: str, kill_after: float | None = None) -> Answer:
        """One run; its exit code is -9 where it was killed ``kill_after`` seconds from its start.

        Leaves no process behind, whether killed or not.
        """
        child = self.start(*arguments)
        if kill_after is not None and not self._ends_within(kill_after):
            os.kill(child, signal.SIGKILL)
        return self.finish(child)

    def start(self, *arguments: str, dies_at: int | None = None, dies_before: bool = False) -> int:
        """Begin a run; returns its process id. One at a time.

        With ``dies_at`` it kills itself after that commit of its own, or just before it.
        """
        out, err, contacts = (self.folder / name for name in _FILES)
        for file in (out, err, contacts):
            file.unlink(missing_ok=True)
        order = Order(
            [*arguments], str(out), str(err), str(contacts), dies_at, dies_before=dies_before
        )
        self._inlet.write(json.dumps(asdict(order)) + "\n")
        self._inlet.flush()
        return int(self._answer(PATIENCE))

    def finish(self, child: int) -> Answer:
        """Wait for the end of a run, and of every process that it left behind."""
        code = int(self._answer(PATIENCE))
        _wait_for_orphans(child)
        out, err, contacts = (_read(self.folder / name) for name in _FILES)
        return Answer(code, out, err, tuple(contacts.splitlines()))

    @property
    def _inlet(self) -> IO[str]:
        assert self.zygote.stdin is not None
        return self.zygote.stdin

    def _answer(self, seconds: float) -> str:
        said = _read(self.folder / "err")
        assert self._ends_within(seconds), f"no answer within {seconds:g} s: {said[-2000:]}"
        assert self.zygote.stdout is not None
        return self.zygote.stdout.readline()

    def _ends_within(self, seconds: float) -> bool:
        assert self.zygote.stdout is not None
        readable, _, _ = select.select([self.zygote.stdout], [], [], seconds)
        return len(readable) > 0


@contextmanager
def open_agent(folder: Path) -> Iterator[Agent]:
    """An agent whose runs write to files in ``folder``."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.acceptance.zygote"],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as zygote:
        agent = Agent(zygote, folder)
        try:
            assert agent._answer(PATIENCE) == "ready\n"
            yield agent
        finally:
            agent._inlet.close()
            zygote.wait(PATIENCE)


def _wait_for_orphans(session: int) -> None:
    """Wait until nothing of a run's session lives; what its owner spawned has to notice its end."""
    deadline = time.monotonic() + _ORPHAN_SECONDS
    while len(alive := _living(session)) > 0:
        assert time.monotonic() < deadline, f"left behind by a killed run: {alive}"
        time.sleep(0.02)


def _living(session: int) -> list[str]:
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text("utf-8", "replace")
        except OSError:
            continue
        name, _, rest = stat.rpartition(")")
        fields = rest.split()
        if int(fields[_SESSION]) == session and fields[_STATE] not in ("Z", "X"):
            found.append(name)
    return found


def _read(file: Path) -> str:
    return file.read_text("utf-8") if file.exists() else ""
