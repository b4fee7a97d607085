"""Worker processes die, hang and bloat; the executor goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from subca_oversight.executors import LocalProcesses, open_executor


@pytest.fixture
def executor() -> Iterator[LocalProcesses]:
    with open_executor(1) as opened:
        yield opened
        opened.kill_workers()


def test_work_runs_in_another_process(executor: LocalProcesses) -> None:
    assert isinstance(executor, Executor)
    assert executor.submit(os.getpid).result(30) != os.getpid()
    assert list(executor.map(abs, [-1, -2])) == [1, 2]


def test_a_killed_worker_costs_its_work_and_not_the_executor(executor: LocalProcesses) -> None:
    with pytest.raises(BrokenProcessPool):
        executor.submit(os._exit, 139).result(30)
    assert executor.submit(abs, -3).result(30) == 3


def test_hanging_work_can_be_ended(executor: LocalProcesses) -> None:
    stuck = executor.submit(time.sleep, 600)
    executor.submit(abs, -1)
    while not stuck.running():
        time.sleep(0.01)
    executor.kill_workers()
    with pytest.raises(BrokenProcessPool):
        stuck.result(30)
    assert executor.submit(abs, -4).result(30) == 4


def test_a_bloated_worker_fails_alone() -> None:
    with open_executor(1, memory_bytes=512 * 1024**2) as executor:
        with pytest.raises(MemoryError):
            executor.submit(bytes, 1024**3).result(30)
        assert executor.submit(abs, -5).result(30) == 5


def test_a_closed_executor_takes_no_work() -> None:
    executor = open_executor(1)
    executor.shutdown()
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(abs, 1)


def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from subca_oversight.executors import open_executor\n"
        "if __name__ == '__main__':\n"
        "    executor = open_executor(1)\n"
        "    print(executor.submit(os.getpid).result(), flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(  # noqa: S603 - this interpreter, and a script written above
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while _is_alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_alive(worker)


def _is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
