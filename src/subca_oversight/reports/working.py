"""How steadily the agent worked in a period: runs of its jobs, and the longest silence of each.

A certificate that is logged while nobody looks is still found later; that a source was silent for a
week is nevertheless for the reader to know. Job runs bear their own instants, so what ended after
the report's instant counts as unfinished.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.store.tables import JobRunRow

WATCHED = ("log-lists", "harvest", "ccadb", "lint", "checks")
"""The jobs without which evidence or judgments are missing."""
_DONE, _FAILED = "done", "failed"


@dataclass(frozen=True, slots=True)
class Work:
    """The runs of one job."""

    job: str
    done: int
    failed: int
    unfinished: int
    """Cut short, skipped for want of configuration, or still running."""
    longest_silence: timedelta | None
    """Between two runs that were done, or to the border of the period; None without any run."""
    silence_began: datetime | None


@dataclass(slots=True)
class _Tally:
    last: datetime
    done: int = 0
    failed: int = 0
    unfinished: int = 0
    silence: timedelta = field(default_factory=timedelta)
    silence_began: datetime | None = None

    def reach(self, instant: datetime) -> None:
        if self.silence_began is None or instant - self.last > self.silence:
            self.silence, self.silence_began = instant - self.last, self.last
        self.last = max(self.last, instant)


def load_work(
    session: Session, start: datetime, end: datetime, *, as_of: datetime
) -> tuple[Work, ...]:
    """The runs that started in [start, end]; empty where it ends before it begins."""
    if end < start:
        return ()
    tallies = {job: _Tally(start) for job in WATCHED}
    row = JobRunRow
    runs = session.execute(
        select(col(row.job), col(row.finished_at), col(row.outcome))
        .where(col(row.job).in_(WATCHED), col(row.started_at) >= start, col(row.started_at) <= end)
        .order_by(col(row.started_at), col(row.id))
        .execution_options(yield_per=1000)
    )
    for job, finished_at, outcome in runs:
        tally = tallies[job]
        if finished_at is None or finished_at > as_of or outcome not in (_DONE, _FAILED):
            tally.unfinished += 1
        elif outcome == _FAILED:
            tally.failed += 1
        else:
            tally.done += 1
            tally.reach(min(finished_at, end))
    for tally in tallies.values():
        tally.reach(end)
    return tuple(
        Work(
            job=job,
            done=tally.done,
            failed=tally.failed,
            unfinished=tally.unfinished,
            longest_silence=tally.silence if tally.done > 0 else None,
            silence_began=tally.silence_began if tally.done > 0 else None,
        )
        for job, tally in tallies.items()
    )
