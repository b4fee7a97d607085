"""Checks run over a stream of subjects, in this process or in others.

Whatever happens to a worker, every subject gets an outcome from every check that looks at it, in
the order of the subjects: coverage is counted from these (DESIGN sections 2 and 6).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor

from subca_oversight.check.api import CheckOutcome, Subject
from subca_oversight.check.dispatch import dispatch
from subca_oversight.check.execution import refuse_subject, run_subject, run_unit, unit_of
from subca_oversight.check.registry import Registry

__all__ = ["CHUNK", "run_checks", "run_subject", "run_unit", "unit_of"]

CHUNK = 200
"""Subjects sent to a worker at once."""


def run_checks(
    registry: Registry,
    subjects: Iterable[Subject],
    *,
    executor: Executor | None,
    chunk: int = CHUNK,
) -> Iterator[CheckOutcome]:
    """Run every check that looks at each subject; yield all outcomes of a subject, then the next.

    The order is that of the subjects, then that of check ids, whatever the executor. Subjects are
    drawn as room becomes free, so a stream of any length takes bounded memory. Without an executor
    everything runs in this process.
    """
    if executor is None:
        for subject in subjects:
            yield from run_subject(registry, subject)
        return
    for subject, answer in dispatch(registry, subjects, executor, chunk):
        if isinstance(answer, str):
            yield from refuse_subject(registry, subject, answer)
        else:
            yield from answer
