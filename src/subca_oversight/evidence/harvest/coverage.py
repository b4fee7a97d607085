"""Coverage: for each log and key, which entries were read and verified, and which were not.

"Nothing found" means something only beside the stretch that was looked at (DESIGN section 2,
principle 2), so reports and the status take this instead of the cursor alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.evidence.harvest.watch import load_watch_set, load_watched
from subca_oversight.store.tables import LogRow, WindowRow

Stretch = tuple[int, int]
"""First entry, and the one after the last."""


@dataclass(frozen=True, slots=True)
class KeyCoverage:
    """What was read of one log for one watched key."""

    log_id: str
    spki_sha256: str
    start: int | None
    """Where reading of the log began for any key; None where it has not begun."""
    ranges: tuple[Stretch, ...]
    unread: tuple[Stretch, ...]
    """Of the entries from ``start`` to the newest head; all of them where nothing was read yet."""

    @property
    def is_complete(self) -> bool:
        """Whether everything since ``start`` was read and verified for the key."""
        return self.start is not None and len(self.unread) == 0


def coverage(session: Session) -> list[KeyCoverage]:
    """Coverage of every watched key in every monitored log, by log and key."""
    keys = sorted(load_watched(session).spkis)
    sets: dict[str, frozenset[bytes]] = {}
    covered: list[KeyCoverage] = []
    logs = session.scalars(
        select(LogRow).where(col(LogRow.monitored)).order_by(col(LogRow.log_id))
    ).all()
    for log in logs:
        windows = session.scalars(
            select(WindowRow).where(col(WindowRow.log_id) == log.log_id)
        ).all()
        for row in windows:
            if row.watch_digest not in sets:
                sets[row.watch_digest] = load_watch_set(session, row.watch_digest)
        start = min((row.first for row in windows), default=None)
        head = max([log.head_size or 0, *(row.verified for row in windows)])
        for key in keys:
            ranges = merge(
                [(row.first, row.verified) for row in windows if key in sets[row.watch_digest]]
            )
            unread = gaps(ranges, start or 0, head)
            covered.append(KeyCoverage(log.log_id, key.hex(), start, ranges, unread))
    return covered


def merge(stretches: list[Stretch]) -> tuple[Stretch, ...]:
    """The union of stretches, ascending, without empty or adjacent ones."""
    merged: list[Stretch] = []
    for begin, end in sorted(stretches):
        if begin == end:
            continue
        if len(merged) > 0 and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return tuple(merged)


def gaps(ranges: tuple[Stretch, ...], begin: int, end: int) -> tuple[Stretch, ...]:
    """What of ``begin`` to ``end`` lies in none of the merged ``ranges``."""
    missing: list[Stretch] = []
    for first, last in ranges:
        if begin < first:
            missing.append((begin, min(first, end)))
        begin = max(begin, last)
    if begin < end:
        missing.append((begin, end))
    return tuple(missing)
