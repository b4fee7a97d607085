"""All that is known of each log ever seen, as ``ct logs`` shows it: lists, state, reading, events.

A log that no list names any more is still here: certificates with its SCTs live on.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.evidence.harvest.polling import load_pollings
from subca_oversight.evidence.harvest.windows import WindowKind
from subca_oversight.evidence.logs.precedence import find_disagreements
from subca_oversight.store.tables import LogEventRow, LogListingRow, LogRow, WindowRow

LAST_EVENTS = 5
"""Events shown with a log; ``ct logs --events`` has them all."""


@dataclass(frozen=True, slots=True)
class LogEvent:
    """A change in what a list says of a log."""

    at: datetime
    log_id: str
    description: str
    list: str
    version: str
    published_at: datetime | None
    kind: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """A list's present, or last, word on a log."""

    list: str
    state: str
    since: datetime | None
    url: str
    first_listed: datetime
    vanished_at: datetime | None


@dataclass(frozen=True, slots=True)
class LogAccount:
    """One log."""

    log_id: str
    description: str
    operator: str
    api: str
    url: str
    state: str
    since: datetime | None
    interval_start: datetime | None
    interval_end: datetime | None
    final_size: int | None
    monitored: bool
    polling: str
    """``followed``, ``resting``, ``finishing`` or ``stopped``."""
    verified_size: int | None
    head_size: int | None
    backlog: int | None
    first_seen: datetime
    last_seen: datetime
    quarantined_at: datetime | None
    lists: tuple[Listing, ...]
    disagreements: tuple[str, ...]
    """On what the lists that name it differ: ``state``, ``url``, ``final_tree_head``."""
    events: tuple[LogEvent, ...]
    """The latest, newest first."""


def load_accounts(session: Session, now: datetime) -> list[LogAccount]:
    """Every log ever seen, by operator and description."""
    listings: defaultdict[str, list[LogListingRow]] = defaultdict(list)
    by_source = select(LogListingRow).order_by(col(LogListingRow.source))
    for listing in session.scalars(by_source):
        listings[listing.log_id].append(listing)
    events: defaultdict[str, list[LogEvent]] = defaultdict(list)
    for event in reversed(load_events(session)):
        if len(events[event.log_id]) < LAST_EVENTS:
            events[event.log_id].append(event)
    verified = _verified(session)
    pollings = load_pollings(session, now)
    rows = sorted(
        session.scalars(select(LogRow)), key=lambda row: (row.operator, row.description, row.log_id)
    )
    return [
        LogAccount(
            log_id=row.log_id,
            description=row.description,
            operator=row.operator,
            api=row.api,
            url=row.monitoring_url,
            state=row.state,
            since=row.state_since,
            interval_start=row.interval_start,
            interval_end=row.interval_end,
            final_size=row.final_size,
            monitored=row.monitored,
            polling=pollings[row.log_id].value,
            verified_size=verified.get(row.log_id),
            head_size=row.head_size,
            backlog=_backlog(row, verified.get(row.log_id)),
            first_seen=row.first_seen,
            last_seen=row.last_seen,
            quarantined_at=row.quarantined_at,
            lists=tuple(_listing(one) for one in listings[row.log_id]),
            disagreements=tuple(find_disagreements(listings[row.log_id])),
            events=tuple(events[row.log_id]),
        )
        for row in rows
    ]


def load_events(session: Session) -> list[LogEvent]:
    """Every event, in the order in which it was noticed."""
    rows = session.execute(
        select(LogEventRow, col(LogRow.description))
        .join(LogRow, col(LogRow.log_id) == col(LogEventRow.log_id))
        .order_by(col(LogEventRow.id))
    )
    return [
        LogEvent(
            at=row.at,
            log_id=row.log_id,
            description=description,
            list=row.source,
            version=row.version,
            published_at=row.published_at,
            kind=row.kind,
            before=row.before,
            after=row.after,
        )
        for row, description in rows
    ]


def _listing(row: LogListingRow) -> Listing:
    return Listing(
        list=row.source,
        state=row.state,
        since=row.state_since,
        url=row.monitoring_url,
        first_listed=row.first_listed,
        vanished_at=row.vanished_at,
    )


def _verified(session: Session) -> dict[str, int]:
    verified: dict[str, int] = {}
    for row in session.scalars(select(WindowRow).where(col(WindowRow.kind) == WindowKind.TAIL)):
        verified[row.log_id] = max(verified.get(row.log_id, 0), row.verified)
    return verified


def _backlog(row: LogRow, verified: int | None) -> int | None:
    if row.head_size is None or verified is None:
        return None
    return max(0, row.head_size - verified)
