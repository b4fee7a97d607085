"""Planning: what is to be read of a log for which keys, the newest first.

One tail follows the head with the present watch set. When that set changes, the tail is closed
where it is verified and a new one goes on from there; what earlier windows did not read for a key
is read by backfills, each between two positions whose compact ranges are known. A long one gives up
its newest part as a window of its own before it is read, so that recent history is usable first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from sqlalchemy import func, select
from sqlmodel import Session, col

from subca_oversight.evidence.harvest.watch import load_watch_set, store_watch_set, watch_digest
from subca_oversight.evidence.harvest.windows import (
    Target,
    Window,
    WindowKind,
    load_row,
    new_row,
    rewind_row,
    rows_of,
    window_of,
)
from subca_oversight.evidence.merkle import CompactRange
from subca_oversight.store.tables import LogRow, WindowRow

BACKFILL_ENTRIES = 1 << 18
"""Entries of one backfill; its bounds are multiples, which pages and tiles fit into."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where reading of a log stands; ``tail`` is None before it was read for the first time."""

    tail: Window | None
    begun_with: str | None
    """The setting that said where to begin, when it was last acted on."""


def plan_windows(session: Session, log_id: str, keys: frozenset[bytes], now: datetime) -> Plan:
    """Bring the windows of a log in line with the watched ``keys``."""
    begun_with = session.get_one(LogRow, log_id).begun_with
    rows = rows_of(session, log_id)
    tail = next((row for row in rows if row.kind == WindowKind.TAIL and not row.closed), None)
    if tail is None:
        return Plan(None, begun_with)
    if tail.watch_digest != watch_digest(keys):
        tail = _turn_over(session, tail, keys, now)
        rows = rows_of(session, log_id)
    sets = {row.watch_digest: load_watch_set(session, row.watch_digest) for row in rows}
    for row in rows:
        if row.kind != WindowKind.BACKFILL or row.closed:
            continue
        if sets[row.watch_digest].isdisjoint(keys):
            rewind_row(session, row, now)
            row.closed = True
        elif not keys <= sets[row.watch_digest] and _is_untouched(row, rows):
            both = keys | sets[row.watch_digest]
            row.watch_digest = store_watch_set(session, both)
            sets[row.watch_digest] = both
    _open_backfills(session, tail, rows, sets, keys, now)
    session.flush()
    return Plan(window_of(tail, keys), begun_with)


def begin_reading(
    session: Session,
    log_id: str,
    keys: frozenset[bytes],
    bounds: tuple[CompactRange, CompactRange],
    begun_with: str,
    now: datetime,
) -> Window:
    """Open a log's first tail at the second of two proven positions.

    What lies between the two is left to backfills.
    """
    first, start = bounds
    row = new_row(log_id, WindowKind.TAIL, store_watch_set(session, keys), start, now)
    session.add(row)
    session.flush()
    go_back(session, log_id, keys, (first, start), begun_with, now)
    return window_of(row, keys)


def go_back(
    session: Session,
    log_id: str,
    keys: frozenset[bytes],
    bounds: tuple[CompactRange, CompactRange] | None,
    begun_with: str,
    now: datetime,
) -> None:
    """Note that reading began with this setting, and plan what lies between two positions."""
    log = session.get_one(LogRow, log_id)
    log.begun_with = begun_with
    session.add(log)
    if bounds is not None and bounds[0].size < bounds[1].size:
        digest = store_watch_set(session, keys)
        session.add(_backfill(log_id, digest, bounds[0], bounds[1], now))
    session.flush()


def find_earliest(session: Session, log_id: str) -> CompactRange:
    """The proven position at which the earliest window begins of a log that was begun."""
    row = session.scalars(
        select(WindowRow)
        .where(col(WindowRow.log_id) == log_id)
        .order_by(col(WindowRow.first), col(WindowRow.id))
        .limit(1)
    ).one()
    return CompactRange.from_bytes(row.first, row.first_range)


def newest_part(first: int, end: int) -> int | None:
    """Where the newest part of a long stretch begins; None where the stretch is short enough."""
    if end - first <= BACKFILL_ENTRIES:
        return None
    return (end - 1) // BACKFILL_ENTRIES * BACKFILL_ENTRIES


def next_backfill(session: Session, log_id: str) -> Window | None:
    """The backfill to be read next: the newest."""
    row = session.scalars(
        select(WindowRow)
        .where(
            col(WindowRow.log_id) == log_id,
            col(WindowRow.kind) == WindowKind.BACKFILL.value,
            col(WindowRow.closed).is_(False),
        )
        .order_by(col(WindowRow.first).desc(), col(WindowRow.id))
        .limit(1)
    ).first()
    return None if row is None else window_of(row, load_watch_set(session, row.watch_digest))


def count_waiting(session: Session, log_id: str) -> int:
    """Entries of the backfills that are not done, which are not downloaded yet."""
    waiting = session.scalar(
        select(func.sum(col(WindowRow.target_size) - col(WindowRow.position))).where(
            col(WindowRow.log_id) == log_id,
            col(WindowRow.kind) == WindowKind.BACKFILL.value,
            col(WindowRow.closed).is_(False),
        )
    )
    return 0 if waiting is None else int(waiting)


def split_backfill(
    session: Session, window: Window, position: CompactRange, now: datetime
) -> Window:
    """Cut a backfill in two at a proven position; return the newer part."""
    row = load_row(session, window)
    newer = new_row(window.log_id, WindowKind.BACKFILL, row.watch_digest, position, now)
    newer.target_size, newer.target_root = row.target_size, row.target_root
    row.target_size, row.target_root = position.size, position.root()
    row.updated_at = now
    session.add_all((row, newer))
    session.flush()
    return window_of(newer, window.keys)


def _is_untouched(row: WindowRow, rows: Sequence[WindowRow]) -> bool:
    """Whether nobody has read anything of a backfill's stretch, or plans to but it."""
    return row.position == row.first and not any(
        other.first < (row.target_size or 0)
        and max(other.verified, other.target_size or 0) > row.first
        for other in rows
        if other.id != row.id
    )


def _turn_over(
    session: Session, tail: WindowRow, keys: frozenset[bytes], now: datetime
) -> WindowRow:
    digest = store_watch_set(session, keys)
    rewind_row(session, tail, now)
    if tail.verified == tail.first:  # it covers nothing yet
        tail.watch_digest = digest
        session.add(tail)
        session.flush()
        return tail
    tail.closed = True
    session.add(tail)
    start = CompactRange.from_bytes(tail.verified, tail.verified_range)
    row = new_row(tail.log_id, WindowKind.TAIL, digest, start, now)
    session.add(row)
    session.flush()
    return row


def _open_backfills(
    session: Session,
    tail: WindowRow,
    rows: Sequence[WindowRow],
    sets: dict[str, frozenset[bytes]],
    keys: frozenset[bytes],
    now: datetime,
) -> None:
    ranges: dict[int, bytes] = {}
    read: list[tuple[int, int, frozenset[bytes]]] = []
    for row in rows:
        ranges[row.first] = row.first_range
        ranges[row.verified] = row.verified_range
        read.append((row.first, row.verified, sets[row.watch_digest]))
        if row.kind == WindowKind.BACKFILL and not row.closed and row.target_size is not None:
            read.append((row.first, row.target_size, sets[row.watch_digest]))
    bounds = sorted(bound for bound in ranges if bound <= tail.first)
    stretches: list[tuple[int, int, frozenset[bytes]]] = []
    for begin, end in pairwise(bounds):
        missing = keys.difference(
            *(known for first, last, known in read if first <= begin and end <= last)
        )
        if len(stretches) > 0 and stretches[-1][1:] == (begin, missing):
            stretches[-1] = (stretches[-1][0], end, missing)
        else:
            stretches.append((begin, end, missing))
    for begin, end, missing in stretches:
        if len(missing) > 0:
            start = CompactRange.from_bytes(begin, ranges[begin])
            stop = CompactRange.from_bytes(end, ranges[end])
            digest = store_watch_set(session, missing)
            session.add(_backfill(tail.log_id, digest, start, stop, now))


def _backfill(
    log_id: str, digest: str, start: CompactRange, stop: CompactRange, now: datetime
) -> WindowRow:
    row = new_row(log_id, WindowKind.BACKFILL, digest, start, now)
    target = Target(stop.size, stop.root())
    row.target_size, row.target_root = target.size, target.root
    return row
