"""Windows: which stretches of a log are read for which keys, and how far each has come.

A window goes from one proven position towards another: the tail to the newest head, a backfill to
where later windows began. What it downloaded counts once the leaves folded there give the root. So
coverage never has to be guessed: it is the verified part of all windows (DESIGN section 5).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, func, select
from sqlmodel import Session, col

from subca_oversight.errors import StoreError
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
    row = load_row(session, window)
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
    row = load_row(session, window)
    row.verified = row.position
    row.verified_range = row.position_range
    row.updated_at = now
    if window.kind is WindowKind.BACKFILL:
        row.closed = row.verified == row.target_size
        if row.closed:
            _join_later(session, row)
    elif row.verified == row.target_size:
        row.target_size = row.target_root = None
    session.add(row)
    session.flush()
    _delete_pending(session, window.id)


def _join_later(session: Session, row: WindowRow) -> None:
    """Make a backfill one with the finished one that goes on where it ends, for the same keys.

    Thousands of windows lie in the history of a large log; as rows they would only slow planning.
    """
    later = session.scalars(
        select(WindowRow).where(
            col(WindowRow.log_id) == row.log_id,
            col(WindowRow.kind) == WindowKind.BACKFILL.value,
            col(WindowRow.closed),
            col(WindowRow.first) == row.verified,
            col(WindowRow.watch_digest) == row.watch_digest,
            col(WindowRow.id) != row.id,
        )
    ).first()
    if later is None:
        return
    row.position, row.position_range = later.position, later.position_range
    row.verified, row.verified_range = later.verified, later.verified_range
    row.target_size, row.target_root = later.target_size, later.target_root
    session.delete(later)


def rewind(session: Session, window: Window, now: datetime) -> None:
    """Return to the last verified position; what was pending never happened."""
    rewind_row(session, session.get_one(WindowRow, window.id), now)


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


def new_row(
    log_id: str, kind: WindowKind, digest: str, start: CompactRange, now: datetime
) -> WindowRow:
    """A window that has read nothing yet."""
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


def window_of(row: WindowRow, keys: Iterable[bytes]) -> Window:
    """The window that a row describes."""
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


def load_row(session: Session, window: Window) -> WindowRow:
    """The row of ``window``; raises StoreError where another program moved it meanwhile."""
    row = session.get_one(WindowRow, window.id)
    if (row.position, row.verified) != (window.position.size, window.verified.size):
        raise StoreError(f"window {window.id} was moved by another program; run only one agent")
    return row


def rewind_row(session: Session, row: WindowRow, now: datetime) -> None:
    """Return to the last verified position."""
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


def rows_of(session: Session, log_id: str) -> list[WindowRow]:
    """Every window of a log, in the order in which they were opened."""
    query = select(WindowRow).where(col(WindowRow.log_id) == log_id).order_by(col(WindowRow.id))
    return list(session.scalars(query))
