"""Windows: which stretches of a log are read for which keys, and how far each has come.

One tail follows the head with the present watch set. When that set changes, the tail is closed
where it is verified and a new one goes on from there; what earlier windows did not read for a key
is read again by backfills, each between two positions whose compact ranges are known. So coverage
never has to be guessed: it is the verified part of all windows (DESIGN section 5).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any

from sqlalchemy import delete, func, select
from sqlmodel import Session, col

from subca_oversight.errors import StoreError
from subca_oversight.evidence.harvest.watch import load_watch_set, store_watch_set, watch_digest
from subca_oversight.evidence.merkle import CompactRange
from subca_oversight.store.database import upsert_ignoring
from subca_oversight.store.tables import (
    ChainCertificateRow,
    PendingEntryRow,
    TreeHeadRow,
    WindowRow,
)


class WindowKind(StrEnum):
    """Why a window is read."""

    TAIL = "tail"
    BACKFILL = "backfill"


@dataclass(frozen=True, slots=True)
class Target:
    """A tree that a window is read towards."""

    size: int
    root: bytes


@dataclass(slots=True)
class Window:
    """One reading of a log; ``position`` runs ahead of ``verified`` until a root confirms it."""

    id: int
    log_id: str
    kind: WindowKind
    keys: frozenset[bytes]
    first: int
    position: CompactRange
    verified: CompactRange
    target: Target | None

    @property
    def is_first_reading(self) -> bool:
        """Whether nothing of the window is verified yet."""
        return self.verified.size == self.first


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read of a log; ``tail`` is None before the log was read for the first time."""

    tail: Window | None
    backfills: tuple[Window, ...]


def plan_windows(session: Session, log_id: str, keys: frozenset[bytes], now: datetime) -> Plan:
    """Bring the windows of a log in line with the watched ``keys``."""
    rows = _rows(session, log_id)
    tail = next((row for row in rows if row.kind == WindowKind.TAIL and not row.closed), None)
    if tail is None:
        return Plan(None, ())
    if tail.watch_digest != watch_digest(keys):
        tail = _turn_over(session, tail, keys, now)
        rows = _rows(session, log_id)
    sets = {row.watch_digest: load_watch_set(session, row.watch_digest) for row in rows}
    for row in rows:
        is_open = row.kind == WindowKind.BACKFILL and not row.closed
        if is_open and sets[row.watch_digest].isdisjoint(keys):
            _rewind_row(session, row, now)
            row.closed = True
    _open_backfills(session, tail, rows, sets, keys, now)
    session.flush()
    backfills = [
        row for row in _rows(session, log_id) if row.kind == WindowKind.BACKFILL and not row.closed
    ]
    return Plan(
        _window(tail, keys),
        tuple(_window(row, load_watch_set(session, row.watch_digest)) for row in backfills),
    )


def open_tail(
    session: Session, log_id: str, keys: frozenset[bytes], start: CompactRange, now: datetime
) -> Window:
    """Open a log's first window at a proven position."""
    row = _new_row(log_id, WindowKind.TAIL, store_watch_set(session, keys), start, now)
    session.add(row)
    session.flush()
    return _window(row, keys)


def commit_position(
    session: Session,
    window: Window,
    position: CompactRange,
    target: Target,
    pending: list[dict[str, Any]],
    chain: list[dict[str, Any]],
    now: datetime,
) -> None:
    """Store how far ``window`` was downloaded, together with what was found on the way."""
    row = _load_row(session, window)
    row.position = position.size
    row.position_range = position.hashes
    row.target_size = target.size
    row.target_root = target.root
    row.updated_at = now
    session.add(row)
    session.flush()
    upsert_ignoring(session, ChainCertificateRow, chain)
    upsert_ignoring(session, PendingEntryRow, pending)


def commit_verified(session: Session, window: Window, now: datetime) -> None:
    """Move ``verified`` up to the downloaded position and forget what was pending."""
    row = _load_row(session, window)
    row.verified = row.position
    row.verified_range = row.position_range
    row.updated_at = now
    if window.kind is WindowKind.BACKFILL:
        row.closed = row.verified == row.target_size
    elif row.verified == row.target_size:
        row.target_size = row.target_root = None
    session.add(row)
    session.flush()
    _delete_pending(session, window.id)


def rewind(session: Session, window: Window, now: datetime) -> None:
    """Return to the last verified position; what was pending never happened."""
    _rewind_row(session, session.get_one(WindowRow, window.id), now)


def history_end(session: Session, window: Window) -> int:
    """The first entry of ``window`` that is not history, read for the first time.

    All of a backfill is history; of the window that reading of the log began with, what lies below
    the first head that was ever seen.
    """
    if window.kind is WindowKind.BACKFILL:
        return 0 if window.target is None else window.target.size
    began = select(func.min(col(WindowRow.id))).where(col(WindowRow.log_id) == window.log_id)
    if session.scalar(began) != window.id:
        return 0
    heads = select(col(TreeHeadRow.tree_size)).where(col(TreeHeadRow.log_id) == window.log_id)
    return session.scalars(heads.order_by(col(TreeHeadRow.id))).first() or 0


def _turn_over(
    session: Session, tail: WindowRow, keys: frozenset[bytes], now: datetime
) -> WindowRow:
    digest = store_watch_set(session, keys)
    _rewind_row(session, tail, now)
    if tail.verified == tail.first:  # it covers nothing yet
        tail.watch_digest = digest
        session.add(tail)
        session.flush()
        return tail
    tail.closed = True
    session.add(tail)
    start = CompactRange.from_bytes(tail.verified, tail.verified_range)
    row = _new_row(tail.log_id, WindowKind.TAIL, digest, start, now)
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
        if len(missing) == 0:
            continue
        start = CompactRange.from_bytes(begin, ranges[begin])
        row = _new_row(
            tail.log_id, WindowKind.BACKFILL, store_watch_set(session, missing), start, now
        )
        row.target_size = end
        row.target_root = CompactRange.from_bytes(end, ranges[end]).root()
        session.add(row)


def _new_row(
    log_id: str, kind: WindowKind, digest: str, start: CompactRange, now: datetime
) -> WindowRow:
    return WindowRow(
        log_id=log_id,
        kind=kind.value,
        watch_digest=digest,
        first=start.size,
        first_range=start.hashes,
        position=start.size,
        position_range=start.hashes,
        verified=start.size,
        verified_range=start.hashes,
        opened_at=now,
        updated_at=now,
    )


def _window(row: WindowRow, keys: Iterable[bytes]) -> Window:
    if row.id is None:
        raise StoreError("a window has no id")
    target = None
    if row.target_size is not None and row.target_root is not None:
        target = Target(row.target_size, row.target_root)
    return Window(
        id=row.id,
        log_id=row.log_id,
        kind=WindowKind(row.kind),
        keys=frozenset(keys),
        first=row.first,
        position=CompactRange.from_bytes(row.position, row.position_range),
        verified=CompactRange.from_bytes(row.verified, row.verified_range),
        target=target,
    )


def _load_row(session: Session, window: Window) -> WindowRow:
    """The row of ``window``; raises StoreError where another program moved it meanwhile."""
    row = session.get_one(WindowRow, window.id)
    if (row.position, row.verified) != (window.position.size, window.verified.size):
        raise StoreError(f"window {window.id} was moved by another program; run only one agent")
    return row


def _rewind_row(session: Session, row: WindowRow, now: datetime) -> None:
    if row.id is None:
        return
    row.position = row.verified
    row.position_range = row.verified_range
    if row.kind == WindowKind.TAIL:
        row.target_size = row.target_root = None
    row.updated_at = now
    session.add(row)
    session.flush()
    _delete_pending(session, row.id)


def _delete_pending(session: Session, window_id: int) -> None:
    session.execute(delete(PendingEntryRow).where(col(PendingEntryRow.window_id) == window_id))


def _rows(session: Session, log_id: str) -> list[WindowRow]:
    query = select(WindowRow).where(col(WindowRow.log_id) == log_id).order_by(col(WindowRow.id))
    return list(session.scalars(query))
