"""A small disk of a test's own, in a mount namespace of its own: full, read-only, and mended.

Run as ``unshare --map-root-user --mount python -m tests.acceptance.disk MOUNT_POINT`` with a JSON
array of steps on standard input; prints a JSON array with what each command left behind. Steps are
``["mount", OPTIONS]``, ``["remount", OPTIONS]``, ``["copy", FROM, TO]`` and ``["run", ARGUMENT…]``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.acceptance.agent import CHECKOUT, PATIENCE, Answer
from tests.acceptance.zygote import Order, fork_agent, preload

UNSHARE = ("unshare", "--map-root-user", "--mount")


def find_obstacle(folder: Path) -> str | None:
    """Why no disk can be mounted here; None where one can."""
    try:
        done = subprocess.run(  # noqa: S603 - constants
            [*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", str(folder)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except FileNotFoundError:
        return "unshare is not installed"
    return None if done.returncode == 0 else f"no disk can be mounted: {done.stderr.strip()}"


def take_steps(folder: Path, steps: Sequence[Sequence[str]]) -> list[Answer]:
    """Take the steps on a disk mounted at ``folder``; the answers of the commands among them."""
    done = subprocess.run(  # noqa: S603 - this module
        [*UNSHARE, sys.executable, "-m", "tests.acceptance.disk", str(folder)],
        input=json.dumps(steps),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        cwd=CHECKOUT,
    )
    assert done.returncode == 0, done.stderr
    return [Answer(*one) for one in json.loads(done.stdout)]


def _take(folder: Path, step: Sequence[str]) -> Answer | None:
    kind, words = step[0], list(step[1:])
    if kind == "mount":
        _mount("-t", "tmpfs", "-o", words[0], "tmpfs", str(folder))
    elif kind == "remount":
        _mount("-o", f"remount,{words[0]}", str(folder))
    elif kind == "copy":
        shutil.copyfile(words[0], words[1])
    elif kind == "run":
        return _run(words)
    else:
        raise ValueError(kind)
    return None


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)  # noqa: S603, S607 - wherever the system has it


def _run(arguments: list[str]) -> Answer:
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        _, status = os.waitpid(fork_agent(Order(arguments, str(out), str(err))), 0)
        code = os.waitstatus_to_exitcode(status)
        return Answer(code, out.read_text("utf-8"), err.read_text("utf-8"))


if __name__ == "__main__":
    preload()
    answers = [_take(Path(sys.argv[1]), step) for step in json.load(sys.stdin)]
    sys.stdout.write(json.dumps([[a.code, a.out, a.err] for a in answers if a is not None]))
