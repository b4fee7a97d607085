"""Telling of what is not read: a tail or a gap that is too old, and a canary that nobody saw."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import Session, col

from subca_oversight.jobs.log_coverage import CoverageLedger, LogCoverage, load_coverage
from subca_oversight.jobs.sources import write_event
from subca_oversight.settings import CtSettings
from subca_oversight.store.database import Database
from subca_oversight.store.tables import WindowRow

UNREAD = "log_unread"
CANARY = "canary_missing"


def tell_of_unread(database: Database, settings: CtSettings, now: datetime) -> int:
    """Write an event for each log and canary over its limit, once; return how many are."""
    with database.read() as session:
        ledger = load_coverage(session, settings, now)
        began = session.scalar(select(func.min(col(WindowRow.opened_at))))
    with database.write() as session:
        told = _tell_of_logs(session, settings, ledger, now)
        if began is not None and now - began >= timedelta(days=settings.canary_days):
            told += _tell_of_canaries(session, settings, ledger, now)
    return told


def _tell_of_logs(
    session: Session, settings: CtSettings, ledger: CoverageLedger, now: datetime
) -> int:
    limit = now - timedelta(hours=settings.unread_hours)
    told: set[tuple[str, str]] = set()
    for one in ledger.logs:
        parts = (
            ("newest entries", one.behind_since, one.unread_tail),
            ("history", one.gap_since, one.gap_entries),
        )
        for part, since, entries in parts:
            if since is None or since > limit or (one.log_id, part) in told:
                continue
            told.add((one.log_id, part))
            _tell_of_log(session, one, part, since, entries, now)
    return len(told)


def _tell_of_log(
    session: Session, one: LogCoverage, part: str, since: datetime, entries: int, now: datetime
) -> None:
    write_event(
        session,
        kind=UNREAD,
        occasion=f"{one.log_id}\x00{part}\x00{since.isoformat()}",
        severity="should",
        text=f"{one.log}: {entries:,} entries of its {part} have been waiting to be read since"
        f" {since:%Y-%m-%d %H:%M} UTC",
        now=now,
    )


def _tell_of_canaries(
    session: Session, settings: CtSettings, ledger: CoverageLedger, now: datetime
) -> int:
    """Of each canary not seen, once a month."""
    missing = [one for one in ledger.canaries if not one.is_seen]
    for one in missing:
        write_event(
            session,
            kind=CANARY,
            occasion=f"{one.name}\x00{now:%Y-%m}",
            severity="violation",
            text=f"the canary {one.name} was not seen within {settings.canary_days:g} days: logs"
            " are not read, or matches are lost",
            now=now,
        )
    return len(missing)
