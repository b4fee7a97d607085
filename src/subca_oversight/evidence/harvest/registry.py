"""The logs in the store: what the lists say of them, and which of them are read.

Lists drop a log soon after its end, but its key is needed for as long as certificates with its SCTs
are (``reference/ct.md`` 2.4), so a log once seen is updated and never removed.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.model.log import FinalTreeHead, Log, LogApi, LogState
from subca_oversight.sources.log_list import LogList
from subca_oversight.store.tables import LogRow


def sync_logs(session: Session, log_list: LogList, now: datetime) -> int:
    """Write what a list says of its logs; return how many of them were new.

    Where several lists are synced at the same ``now``, a log is monitored if any of them has it in
    a state in which it is; its state is then the one of that list.
    """
    new = 0
    for log in log_list.logs:
        row = session.get(LogRow, log.log_id.hex())
        if row is None:
            row = LogRow(
                log_id=log.log_id.hex(),
                description="",
                operator="",
                api="",
                submission_url="",
                monitoring_url="",
                key=log.key,
                mmd=0,
                state="",
                monitored=False,
                first_seen=now,
                last_seen=now,
            )
            new += 1
        elif row.last_seen == now and row.monitored and not log.is_monitored:
            continue
        _update(row, log, now)
        session.add(row)
    session.flush()
    return new


def logs_to_read(session: Session) -> list[Log]:
    """Every monitored log, by its id."""
    rows = session.scalars(select(LogRow).where(col(LogRow.monitored)).order_by(col(LogRow.log_id)))
    return [log_of(row) for row in rows]


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
    )


def _update(row: LogRow, log: Log, now: datetime) -> None:
    row.description = log.description
    row.operator = log.operator
    row.api = log.api.value
    row.submission_url = log.submission_url
    row.monitoring_url = log.monitoring_url
    row.mmd = log.mmd
    row.state = log.state.value
    row.state_since = log.state_since
    row.interval_start = None if log.interval is None else log.interval[0]
    row.interval_end = None if log.interval is None else log.interval[1]
    if log.final_tree_head is not None:
        row.final_size = log.final_tree_head.tree_size
        row.final_root = log.final_tree_head.root_hash
    row.log_type = log.log_type
    row.monitored = log.is_monitored
    row.last_seen = now
