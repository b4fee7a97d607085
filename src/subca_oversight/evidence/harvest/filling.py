"""Whether the last tile of a static log is about to be filled, and so not worth fetching yet.

Partial tiles are fetched for nothing where the full one will be there at the next poll; logs ask
their readers to wait (C2SP tlog-tiles, "Partial tiles"). A quiet log's last tile is read at once.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import Session, col

from subca_oversight.evidence.merkle import TILE_WIDTH
from subca_oversight.store.tables import LogRow, TreeHeadRow


def is_filling(
    session: Session, log_id: str, size: int, patience: timedelta, now: datetime
) -> bool:
    """Whether to leave the last, partial tile of the tree of ``size`` to the next poll.

    It is when the log grew by a whole tile since the last head, and the tile's entries have not
    been known of for longer than ``patience``. A log in quarantine is read to its end.
    """
    log = session.get_one(LogRow, log_id)
    if log.quarantined_at is not None or log.head_size is None:
        return False
    if size - log.head_size < TILE_WIDTH:
        return False
    waiting_since = session.scalar(
        select(func.min(col(TreeHeadRow.first_seen))).where(
            col(TreeHeadRow.log_id) == log_id,
            col(TreeHeadRow.tree_size) > size - size % TILE_WIDTH,
        )
    )
    return waiting_since is None or now - waiting_since < patience
