"""How long a log has owed the entries that its own heads promise.

A head may come from one replica and the entries from another that is some minutes behind: until
then nothing is wrong (``reference/ct.md`` 2.7, point 4).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import Session, col

from subca_oversight.evidence.harvest.windows import WindowKind
from subca_oversight.store.tables import TreeHeadRow, WindowRow

LAG_PATIENCE = timedelta(minutes=10)
"""For which entries may be missing after a head that has them was first seen."""


def is_lag_excused(session: Session, log_id: bytes, now: datetime) -> bool:
    """Whether the entries that follow those read so far were promised a short while ago only."""
    log = log_id.hex()
    position = session.scalar(
        select(func.max(col(WindowRow.position))).where(
            col(WindowRow.log_id) == log, col(WindowRow.kind) == WindowKind.TAIL
        )
    )
    promised = session.scalar(
        select(func.min(col(TreeHeadRow.first_seen))).where(
            col(TreeHeadRow.log_id) == log,
            col(TreeHeadRow.tree_size) > (0 if position is None else position),
        )
    )
    return promised is None or now - promised < LAG_PATIENCE
