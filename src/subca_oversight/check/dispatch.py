"""Chunks of subjects sent to worker processes, and what becomes of those that do not come back.

Only check ids and facts cross process borders: a worker loads the register itself and refuses to
work from another version of it. A process that dies takes its chunk, and with
``concurrent.futures`` its whole pool, along without saying who did it: what was lost is done again
in processes of its own, cut in half at each further death, until the one subject that kills is
alone and known.
"""

from __future__ import annotations

import functools
import itertools
import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from pathlib import Path
from typing import Self

from subca_oversight.check.api import CheckOutcome, Subject
from subca_oversight.check.execution import run_subject
from subca_oversight.check.registry import Registry, load_registry, make_registry
from subca_oversight.errors import CheckError

IN_FLIGHT = 8
"""Chunks sent and not yet taken back: what bounds memory, and keeps as many workers busy."""

Answer = list[CheckOutcome] | str
"""The outcomes of one subject, or why there are none."""


def dispatch(
    registry: Registry, subjects: Iterable[Subject], executor: Executor, chunk: int
) -> Iterator[tuple[Subject, Answer]]:
    """Yield each subject with its answer, in the order given."""
    pending: deque[tuple[list[Subject], Future[list[list[CheckOutcome]]] | None]] = deque()
    with _Rescue(registry) as rescue:
        try:
            for part in _chunks(subjects, chunk):
                pending.append((part, _submit(registry, part, executor)))
                if len(pending) >= IN_FLIGHT:
                    yield from _take(*pending.popleft(), rescue)
            while len(pending) > 0:
                yield from _take(*pending.popleft(), rescue)
        finally:
            for _, future in pending:
                if future is not None:
                    future.cancel()


def run_chunk(
    site_directory: str | None,
    digest: str,
    check_ids: tuple[str, ...],
    subjects: Sequence[Subject],
) -> list[list[CheckOutcome]]:
    """Run checks over a chunk; called in a worker process.

    Raises CheckError where the worker's register is another than the caller's.
    """
    registry = _worker_registry(site_directory, check_ids)
    if registry.digest != digest:
        raise CheckError("a worker has other versions of the checks: install the same everywhere")
    return [run_subject(registry, subject) for subject in subjects]


@functools.cache
def _worker_registry(site_directory: str | None, check_ids: tuple[str, ...]) -> Registry:
    directory = None if site_directory is None else Path(site_directory)
    registry = load_registry(directory)
    unknown = [check_id for check_id in check_ids if check_id not in registry.checks]
    if len(unknown) > 0:
        raise CheckError(f"a worker knows no check {unknown[0]!r}: install the same everywhere")
    return make_registry((registry.checks[check_id] for check_id in check_ids), directory)


def _submit(
    registry: Registry, part: list[Subject], executor: Executor
) -> Future[list[list[CheckOutcome]]] | None:
    try:
        return executor.submit(run_chunk, *_arguments(registry), part)
    except RuntimeError:  # broken or shut down: the rescue lane takes over
        return None


def _arguments(registry: Registry) -> tuple[str | None, str, tuple[str, ...]]:
    site = None if registry.site_directory is None else str(registry.site_directory)
    return site, registry.digest, tuple(registry.checks)


def _take(
    part: list[Subject], future: Future[list[list[CheckOutcome]]] | None, rescue: _Rescue
) -> Iterator[tuple[Subject, Answer]]:
    answers: Iterable[Answer] | None = None
    try:
        answers = None if future is None else future.result()
    except CheckError as error:
        answers = [str(error)] * len(part)
    except Exception:  # noqa: BLE001, S110 - a worker's death has as many names as executors
        pass
    if answers is None:
        yield from rescue.run(part)
    else:
        yield from zip(part, answers, strict=True)


class _Rescue:
    """One process at a time for what was lost, started when first needed."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()

    def run(self, part: list[Subject]) -> Iterator[tuple[Subject, Answer]]:
        """Answer each subject of a chunk that was lost."""
        try:
            future = self._running().submit(run_chunk, *_arguments(self._registry), part)
            answers = future.result()
        except BrokenExecutor:
            self._drop()
            if len(part) == 1:
                yield part[0], "its process died twice while the checks ran over it"
                return
            middle = len(part) // 2
            yield from self.run(part[:middle])
            yield from self.run(part[middle:])
        except Exception as error:  # noqa: BLE001 - never lost, never clean
            if len(part) == 1:
                yield part[0], f"{type(error).__name__}: {error}"
                return
            for subject in part:
                yield from self.run([subject])
        else:
            yield from zip(part, answers, strict=True)

    def _running(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        return self._pool

    def _drop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def _chunks(subjects: Iterable[Subject], size: int) -> Iterator[list[Subject]]:
    remaining = iter(subjects)
    while len(part := list(itertools.islice(remaining, size))) > 0:
        yield part
