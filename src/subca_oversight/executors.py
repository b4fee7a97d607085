"""Where work on hostile bytes runs: spawned processes behind the standard Executor interface.

A certificate that crashes, hangs or bloats a parser must cost one worker, not the daemon. Callers
see ``concurrent.futures.Executor`` alone, so that a cluster can take the place of local processes.
Work must be a pure function of its input: whatever is lost with a worker is simply asked for again.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for
from typing import ParamSpec, TypeVar

# Address space of one worker; linters and their tables take about a tenth of it.
DEFAULT_MEMORY_BYTES = 2 * 1024**3

_P = ParamSpec("_P")
_T = TypeVar("_T")


def open_executor(workers: int, *, memory_bytes: int = DEFAULT_MEMORY_BYTES) -> LocalProcesses:
    """An executor of ``workers`` local processes; use it as a context manager."""
    return LocalProcesses(workers, memory_bytes=memory_bytes)


class LocalProcesses(Executor):
    """A pool of spawned processes that is replaced once it is broken.

    When a worker dies, every future under way raises BrokenProcessPool: submit those inputs again,
    the next ``submit`` starts a new pool. Processes are spawned, not forked, because a fork copies
    locks held by threads and connections of the database.
    """

    def __init__(self, workers: int, *, memory_bytes: int = DEFAULT_MEMORY_BYTES) -> None:
        self._workers = workers
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._closed = False
        self._pool = self._start()

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Schedule ``fn``; only things that pickle may go in and come out."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the executor has been shut down")
            try:
                return self._pool.submit(fn, *args, **kwargs)
            except BrokenProcessPool:
                self._replace()
                return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - the interface's
        """Let go of the workers; with ``wait``, after the work under way."""
        with self._lock:
            self._closed = True
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def kill_workers(self) -> None:
        """End work that hangs: futures under way raise BrokenProcessPool, the next start anew."""
        with self._lock:
            self._kill()
            if not self._closed:
                self._replace()

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_prepare_worker,
            initargs=(self._memory_bytes,),
        )

    def _replace(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._start()

    def _kill(self) -> None:
        # Python gained a public method for this in 3.14; the attribute is None after a shutdown.
        for worker in tuple((self._pool._processes or {}).values()):  # noqa: SLF001
            worker.kill()


def _prepare_worker(memory_bytes: int) -> None:
    """Bound the worker's memory, leave Ctrl-C to the parent, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_exit_with_parent, name="parent-watch", daemon=True).start()


def _exit_with_parent() -> None:
    """A killed parent closes no queue, so that its workers would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)
