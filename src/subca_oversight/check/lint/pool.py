"""A pool of spawned processes that lints a stream of certificates and survives each of them.

Linters decode hostile DER in Python and native code: one certificate may hang, exhaust memory or
kill its process. ``concurrent.futures`` then breaks the whole pool without saying who did it. Here
each outcome comes back by itself, so the culprit is always known: on a time limit the worker is
killed and the certificate recorded as a tool error; on a death the certificate is tried once more,
alone, since the cause may lie outside (an operator, the kernel's memory killer); and the rest of
the chunk is redone by others. Every request yields exactly one outcome.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Self

from subca_oversight.check.lint.api import LintOutcome, LintRequest
from subca_oversight.check.lint.size_class import is_slow
from subca_oversight.check.lint.worker import Job, Worker, WorkerSettings, failed
from subca_oversight.errors import CheckError

PKILINT = "subca_oversight.check.lint.pkilint_adapter"
CHUNK_SIZE = 16
CHUNK_BYTES = 128 * 1024
MAX_DEATHS = 2
RECYCLE_AFTER = 5000
START_SECONDS = 120.0
MAX_FAILED_STARTS = 3


class LintPool:
    """Worker processes, started when first needed and kept between calls of :meth:`lint`.

    ``memory_bytes`` limits each worker's address space. ``adapter`` names the linter adapter's
    module. May be used from any thread, by one call of :meth:`lint` at a time.
    """

    def __init__(
        self,
        workers: int,
        seconds_per_certificate: float = 30,
        memory_bytes: int = 2**30,
        *,
        adapter: str = PKILINT,
    ) -> None:
        if workers < 1:
            raise ValueError("a linter pool needs at least one worker")
        self._size = workers
        self._settings = WorkerSettings(adapter, seconds_per_certificate, memory_bytes)
        self._workers: list[Worker] = []
        self._failed_starts = 0
        self._running = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all workers: idle ones by closing their pipe, busy ones at once."""
        while len(self._workers) > 0:
            worker = self._workers.pop()
            worker.stop(grace_seconds=2.0 if worker.is_idle else 0.0)

    def lint(self, requests: Iterable[LintRequest]) -> Iterator[LintOutcome]:
        """Yield one outcome per request, in order of completion.

        Requests are drawn as workers become free, so a stream of any length takes bounded memory.
        Raises CheckError where workers cannot be started, RuntimeError while another call runs.
        """
        if not self._running.acquire(blocking=False):
            raise RuntimeError("this linter pool is already linting")
        try:
            queue = _Queue(requests, quick_target=2 * CHUNK_SIZE * self._size)
            while self._assign(queue):
                yield from self._collect(queue)
        finally:
            # Left early, a busy worker would answer the next call with this one's outcomes.
            for worker in [worker for worker in self._workers if len(worker.jobs) > 0]:
                self._discard(worker)
            self._running.release()

    def _assign(self, queue: _Queue) -> bool:
        """Give idle workers chunks and start more if there is work; False when all is answered."""
        for worker in [worker for worker in self._workers if worker.is_idle]:
            busy_slow = sum(w.is_slow_lane for w in self._workers if len(w.jobs) > 0)
            chunk, slow = queue.take(prefer_slow=busy_slow < max(1, self._size // 2))
            if len(chunk) == 0:
                break
            if worker.answered >= RECYCLE_AFTER:
                self._discard(worker)
                queue.put_back(chunk)
                continue
            try:
                worker.send(chunk, self._due())
                worker.is_slow_lane = slow
            except OSError:  # it died idle, through nobody's fault
                self._discard(worker)
                queue.put_back(chunk)
        starting = sum(not worker.is_ready for worker in self._workers)
        missing = min(self._size - len(self._workers), queue.chunks_waiting() - starting)
        for _ in range(missing):
            worker = Worker(self._settings)
            worker.deadline = time.monotonic() + START_SECONDS
            self._workers.append(worker)
        return not queue.is_empty() or any(len(worker.jobs) > 0 for worker in self._workers)

    def _collect(self, queue: _Queue) -> Iterator[LintOutcome]:
        """Wait for messages, deaths and deadlines, and yield the outcomes they bring."""
        awaited = {w.connection: w for w in self._workers if not w.is_idle}
        soonest = min((worker.deadline for worker in awaited.values()), default=0.0)
        timeout = max(0.0, soonest - time.monotonic())
        for connection in wait(list(awaited), timeout):
            if isinstance(connection, Connection):
                yield from self._receive(awaited.pop(connection), queue)
        now = time.monotonic()
        for worker in awaited.values():
            if worker.deadline <= now and not worker.connection.poll():
                yield from self._overdue(worker, queue)

    def _receive(self, worker: Worker, queue: _Queue) -> Iterator[LintOutcome]:
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._died(worker, queue)
            return
        if not isinstance(message, LintOutcome):
            worker.is_ready = True
            worker.deadline = math.inf
            self._failed_starts = 0
            return
        worker.jobs.popleft()
        worker.answered += 1
        worker.deadline = self._due() if len(worker.jobs) > 0 else math.inf
        yield message

    def _died(self, worker: Worker, queue: _Queue) -> Iterator[LintOutcome]:
        jobs = list(worker.jobs)
        code = self._discard(worker, grace_seconds=1.0)
        if not worker.is_ready:
            self._count_failed_start(f"exit code {code}")
            return
        culprit, innocent = jobs[0], jobs[1:]
        queue.put_back(innocent)
        culprit.deaths += 1
        if culprit.deaths < MAX_DEATHS:
            queue.put_alone(culprit)
            return
        reason = f"the worker died on it {culprit.deaths} times, last with exit code {code}"
        yield failed(culprit.request, self._settings, reason)

    def _overdue(self, worker: Worker, queue: _Queue) -> Iterator[LintOutcome]:
        jobs = list(worker.jobs)
        self._discard(worker)
        if not worker.is_ready:
            self._count_failed_start(f"not ready after {START_SECONDS:.0f} s")
            return
        queue.put_back(jobs[1:])
        seconds = self._settings.seconds_per_certificate
        yield failed(jobs[0].request, self._settings, f"time limit of {seconds:g} s exceeded")

    def _count_failed_start(self, reason: str) -> None:
        self._failed_starts += 1
        if self._failed_starts >= MAX_FAILED_STARTS:
            self._failed_starts = 0
            raise CheckError(f"linter workers cannot be started: {reason}")

    def _discard(self, worker: Worker, *, grace_seconds: float = 0.0) -> int | None:
        self._workers.remove(worker)
        worker.jobs.clear()
        return worker.stop(grace_seconds=grace_seconds)

    def _due(self) -> float:
        return time.monotonic() + self._settings.seconds_per_certificate


class _Queue:
    """Requests drawn and not yet handed out, in lanes that do not hold up one another."""

    def __init__(self, requests: Iterable[LintRequest], quick_target: int) -> None:
        self._source = iter(requests)
        self._quick_target = quick_target
        self._quick: deque[Job] = deque()
        self._slow: deque[Job] = deque()
        self._is_exhausted = False

    def take(self, *, prefer_slow: bool) -> tuple[list[Job], bool]:
        """Give the next chunk, empty if nothing is left, and whether it is of the slow lane."""
        self._fill()
        if len(self._slow) > 0 and (prefer_slow or len(self._quick) == 0):
            return [self._slow.popleft()], True
        chunk: list[Job] = []
        size = 0
        while len(self._quick) > 0 and len(chunk) < CHUNK_SIZE and size < CHUNK_BYTES:
            chunk.append(self._quick.popleft())
            size += len(chunk[-1].request.der)
        return chunk, False

    def put_back(self, jobs: list[Job]) -> None:
        """Return jobs that were taken and, by no fault of theirs, not answered."""
        for job in reversed(jobs):
            lane = self._slow if is_slow(job.request.der) or job.deaths > 0 else self._quick
            lane.appendleft(job)

    def put_alone(self, job: Job) -> None:
        """Queue a suspect for another try in a chunk of its own."""
        self._slow.append(job)

    def is_empty(self) -> bool:
        """Whether nothing is waiting and the source has ended."""
        self._fill()
        return len(self._quick) + len(self._slow) == 0

    def chunks_waiting(self) -> int:
        """How many workers could be given something now."""
        self._fill()
        return len(self._slow) + math.ceil(len(self._quick) / CHUNK_SIZE)

    def _fill(self) -> None:
        """Draw until there is quick work for all workers, or enough slow work to be bounded."""
        while (
            not self._is_exhausted
            and len(self._quick) < self._quick_target
            and len(self._slow) < self._quick_target
        ):
            request = next(self._source, None)
            if request is None:
                self._is_exhausted = True
                return
            (self._slow if is_slow(request.der) else self._quick).append(Job(request))
