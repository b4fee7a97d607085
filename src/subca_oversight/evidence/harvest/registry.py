"""The logs in the store: what the lists say of them, and which of them are read.

Lists drop a log soon after its end, but its key is needed for as long as certificates with its SCTs
are (``reference/ct.md`` 2.4), so a log once seen is updated and never removed.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlmodel import Session

from subca_oversight.evidence.harvest.polling import Poll, logs_to_read
from subca_oversight.evidence.logs.listings import record_list
from subca_oversight.evidence.logs.precedence import Voice, merge_listings
from subca_oversight.evidence.logs.rows import log_of
from subca_oversight.sources.log_list import LogList
from subca_oversight.store.tables import LogRow

__all__ = ["Poll", "log_of", "logs_to_read", "sync_logs"]


def sync_logs(session: Session, log_list: LogList, now: datetime, *, source: str = "list") -> int:
    """Write what one unsigned list says of its logs; return how many logs were new.

    For a list on its own; configured lists are weighed against each other by ``merge_listings``.
    """
    before = session.scalar(select(func.count()).select_from(LogRow)) or 0
    record_list(session, source, log_list, now)
    merge_listings(session, [Voice(source)], now)
    after = session.scalar(select(func.count()).select_from(LogRow)) or 0
    return after - before
