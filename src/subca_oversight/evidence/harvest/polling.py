"""Which logs are polled now: what the lists say of a log decides, and how far it was read.

A log that is retired owes nobody an answer, and a read-only one cannot honestly have anything new,
so neither is asked as often as a living log; what must not be polled at all is not polled from the
next run on. The state table is that of ``reference/ct.md`` 2.4:

=============================  =======================================================
usable, qualified, pending,    followed
no state, monitoring_only
readonly                       followed up to its final tree head, then asked once a day
                               whether it grew past it; if it did, followed again
retired, or dropped by every   what was begun is finished if it still answers, tried for
list that named it             90 days; a log never begun is not touched
rejected, test, placeholders,  never
mimics
=============================  =======================================================
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.evidence.harvest.watch import load_watched
from subca_oversight.evidence.harvest.windows import WindowKind
from subca_oversight.evidence.logs.rows import log_of
from subca_oversight.model.log import Log, LogState
from subca_oversight.store.tables import LogRow, TreeHeadRow, WindowRow

RESTING_INTERVAL = timedelta(days=1)
FINISHING_INTERVAL = timedelta(hours=6)
FINISHING_PATIENCE = timedelta(days=90)


class Polling(StrEnum):
    """How a log is asked."""

    FOLLOWED = "followed"
    RESTING = "resting"
    """Read up to its final tree head."""
    FINISHING = "finishing"
    """Not followed any more, but something begun is left to read."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Poll:
    """A log whose turn it is."""

    log: Log
    polling: Polling

    @property
    def is_owed(self) -> bool:
        """Whether it is the log's failure when it does not answer."""
        return self.polling is not Polling.FINISHING


def logs_to_read(session: Session, now: datetime) -> list[Poll]:
    """Every log whose turn it is, by its id."""
    pollings = load_pollings(session, now)
    rows = session.scalars(select(LogRow).order_by(col(LogRow.log_id)))
    return [
        Poll(log_of(row), pollings[row.log_id])
        for row in rows
        if _is_due(row, pollings[row.log_id], now)
    ]


def load_pollings(session: Session, now: datetime) -> dict[str, Polling]:
    """How each log ever seen is asked, by log id in hex."""
    windows: defaultdict[str, list[WindowRow]] = defaultdict(list)
    for window in session.scalars(select(WindowRow).where(col(WindowRow.closed).is_(False))):
        windows[window.log_id].append(window)
    digest = load_watched(session).digest
    final = _finally_headed(session)
    return {
        row.log_id: _polling(row, windows[row.log_id], digest, now, is_final=row.log_id in final)
        for row in session.scalars(select(LogRow))
    }


def has_monitored(session: Session) -> bool:
    """Whether any log is followed, be it that nothing is due now."""
    query = select(col(LogRow.log_id)).where(col(LogRow.monitored)).limit(1)
    return session.scalars(query).first() is not None


def note_poll(session: Session, log_id: bytes, now: datetime) -> None:
    """Remember that a log was asked, whatever came of it."""
    row = session.get_one(LogRow, log_id.hex())
    row.polled_at = now
    session.add(row)


def _finally_headed(session: Session) -> frozenset[str]:
    """Read-only logs that signed their final tree head and nothing beyond it."""
    return frozenset(
        session.scalars(
            select(col(LogRow.log_id))
            .join(TreeHeadRow, col(TreeHeadRow.log_id) == col(LogRow.log_id))
            .where(
                col(LogRow.state) == LogState.READONLY.value,
                col(LogRow.head_size) == col(LogRow.final_size),
                col(TreeHeadRow.tree_size) == col(LogRow.final_size),
                col(TreeHeadRow.root_hash) == col(LogRow.final_root),
            )
        )
    )


def _polling(
    row: LogRow, windows: Sequence[WindowRow], digest: str, now: datetime, *, is_final: bool
) -> Polling:
    tail = next((one for one in windows if one.kind == WindowKind.TAIL), None)
    is_read = (
        tail is not None
        and len(windows) == 1
        and tail.watch_digest == digest
        and tail.verified >= (row.head_size or 0)
    )
    if row.monitored:
        return Polling.RESTING if is_final and is_read else Polling.FOLLOWED
    since = row.unmonitored_since
    if tail is None or since is None or now - since > FINISHING_PATIENCE:
        return Polling.STOPPED
    log = log_of(row)
    if log.is_placeholder or log.log_type == "test" or log.state is LogState.REJECTED:
        return Polling.STOPPED
    was_answered = row.last_success is not None and row.last_success >= since
    return Polling.STOPPED if is_read and was_answered else Polling.FINISHING


def _is_due(row: LogRow, polling: Polling, now: datetime) -> bool:
    if polling is Polling.STOPPED:
        return False
    if polling is Polling.FOLLOWED or row.polled_at is None:
        return True
    if row.unmonitored_since is not None and row.polled_at < row.unmonitored_since:
        return True
    interval = RESTING_INTERVAL if polling is Polling.RESTING else FINISHING_INTERVAL
    return now - row.polled_at >= interval
