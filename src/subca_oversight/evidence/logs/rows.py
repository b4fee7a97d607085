"""A log as its row describes it."""

from __future__ import annotations

from subca_oversight.model.log import FinalTreeHead, Log, LogApi, LogState
from subca_oversight.store.tables import LogRow


def log_of(row: LogRow) -> Log:
    """The log that a row describes."""
    interval = None
    if row.interval_start is not None and row.interval_end is not None:
        interval = (row.interval_start, row.interval_end)
    final = None
    if row.final_size is not None and row.final_root is not None:
        final = FinalTreeHead(row.final_size, row.final_root)
    return Log(
        log_id=bytes.fromhex(row.log_id),
        key=row.key,
        description=row.description,
        operator=row.operator,
        api=LogApi(row.api),
        submission_url=row.submission_url,
        monitoring_url=row.monitoring_url,
        mmd=row.mmd,
        state=LogState(row.state),
        state_since=row.state_since,
        interval=interval,
        final_tree_head=final,
        log_type=row.log_type,
        # What a log in quarantine serves is taken the slow way, which is the one it promised.
        serves_tiles=row.serves_tiles if row.quarantined_at is None else False,
    )
