"""Listings: each list's present word on each log, and an event for whatever is new in it.

A list drops a log soon after its end, while certificates with its SCTs are judged for years, so a
listing is marked as vanished and keeps its last word, and its key is never lost. An entry that
cannot be read has not vanished: to take it so would end the reading of a log in silence.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select, update
from sqlmodel import Session, col

from subca_oversight.evidence.logs.events import LogEventKind, describe, find_differences
from subca_oversight.model.log import Log
from subca_oversight.sources.log_list import LogList
from subca_oversight.store.columns import escape_text
from subca_oversight.store.tables import LogEventRow, LogListingRow, LogRow

_STATED = (
    "description",
    "operator",
    "api",
    "submission_url",
    "monitoring_url",
    "mmd",
    "state",
    "state_since",
    "interval_start",
    "interval_end",
    "final_size",
    "final_root",
    "log_type",
)


def record_list(session: Session, source: str, log_list: LogList, now: datetime) -> int:
    """Write what a list says of its logs and an event for each change; return how many changed.

    What counts among several lists is decided afterwards (``precedence``), in the same transaction.
    """
    _add_unknown(session, log_list, now)
    recorder = _Recorder(session, source, log_list, now)
    known = _listings(session, source)
    appeared: list[LogListingRow] = []
    for log in log_list.logs:
        stated = _listing_of(log, source, now)
        held = known.get(stated.log_id)
        if held is None:
            session.add(stated)
            appeared.append(stated)
        elif held.vanished_at is not None:
            _copy(stated, held)
            held.vanished_at = None
            appeared.append(held)
        else:
            for one in find_differences(held, stated):
                recorder.add(stated, one.kind, one.before, one.after)
            _copy(stated, held)
    vanished = _find_vanished(known, log_list)
    for listing in vanished:
        listing.vanished_at = now
        recorder.add(listing, LogEventKind.VANISHED, describe(listing), None)
    successors = {listing.submission_url: listing.log_id for listing in vanished}
    for listing in appeared:
        recorder.add(listing, LogEventKind.APPEARED, None, describe(listing))
        predecessor = successors.get(listing.submission_url)
        if predecessor is not None:
            recorder.add(listing, LogEventKind.KEY_CHANGED, predecessor, listing.log_id)
    session.flush()
    _note_seen(session, source, now)
    return recorder.count


def forget_other_lists(session: Session, sources: Collection[str], now: datetime) -> None:
    """Take what all lists but ``sources`` say as their last word: they are not configured."""
    rows = session.scalars(
        select(LogListingRow)
        .where(col(LogListingRow.vanished_at).is_(None))
        .order_by(col(LogListingRow.source), col(LogListingRow.log_id))
    )
    kept = {escape_text(source) for source in sources}
    for listing in rows.all():
        if listing.source in kept:
            continue
        listing.vanished_at = now
        session.add(listing)
        session.add(
            LogEventRow(
                log_id=listing.log_id,
                at=now,
                source=listing.source,
                kind=LogEventKind.VANISHED,
                before=describe(listing),
                after="the list is not configured any more",
                state=listing.state,
                state_since=listing.state_since,
            )
        )
    session.flush()


class _Recorder:
    """Writes the events that one version of a list brings."""

    def __init__(self, session: Session, source: str, log_list: LogList, now: datetime) -> None:
        self._session = session
        self._source = source
        self._list = log_list
        self._now = now
        self.count = 0

    def add(
        self, listing: LogListingRow, kind: LogEventKind, before: str | None, after: str | None
    ) -> None:
        """Write one event about the log of ``listing``."""
        self._session.add(
            LogEventRow(
                log_id=listing.log_id,
                at=self._now,
                source=self._source,
                version="" if self._list.version is None else self._list.version,
                published_at=self._list.timestamp,
                kind=kind,
                before=before,
                after=after,
                state=listing.state,
                state_since=listing.state_since,
            )
        )
        self.count += 1


def _find_vanished(known: dict[str, LogListingRow], log_list: LogList) -> list[LogListingRow]:
    if not log_list.is_whole:
        return []
    named = {log.log_id.hex() for log in log_list.logs}
    named |= {log_id.hex() for log_id in log_list.unusable}
    return [
        listing
        for log_id, listing in sorted(known.items())
        if log_id not in named and listing.vanished_at is None
    ]


def _note_seen(session: Session, source: str, now: datetime) -> None:
    named = select(col(LogListingRow.log_id)).where(
        col(LogListingRow.source) == source, col(LogListingRow.vanished_at).is_(None)
    )
    session.execute(
        update(LogRow)
        .where(col(LogRow.log_id).in_(named))
        .values(last_seen=now)
        .execution_options(synchronize_session="fetch")
    )


def _add_unknown(session: Session, log_list: LogList, now: datetime) -> None:
    """Keep the key of every log that was never seen before."""
    known = set(session.scalars(select(col(LogRow.log_id))))
    for log in log_list.logs:
        log_id = log.log_id.hex()
        if log_id not in known:
            session.add(
                LogRow(
                    log_id=log_id,
                    description=log.description,
                    operator=log.operator,
                    api=log.api.value,
                    submission_url=log.submission_url,
                    monitoring_url=log.monitoring_url,
                    key=log.key,
                    mmd=log.mmd,
                    state=log.state.value,
                    monitored=False,
                    first_seen=now,
                    last_seen=now,
                )
            )
    session.flush()


def _listings(session: Session, source: str) -> dict[str, LogListingRow]:
    rows = session.scalars(select(LogListingRow).where(col(LogListingRow.source) == source))
    return {row.log_id: row for row in rows}


def _listing_of(log: Log, source: str, now: datetime) -> LogListingRow:
    """As the store gives it back, so that text with controls is not new each time."""
    interval, final = log.interval, log.final_tree_head
    return LogListingRow(
        log_id=log.log_id.hex(),
        source=source,
        description=escape_text(log.description),
        operator=escape_text(log.operator),
        api=log.api.value,
        submission_url=log.submission_url,
        monitoring_url=log.monitoring_url,
        mmd=log.mmd,
        state=log.state.value,
        state_since=log.state_since,
        interval_start=None if interval is None else interval[0],
        interval_end=None if interval is None else interval[1],
        final_size=None if final is None else final.tree_size,
        final_root=None if final is None else final.root_hash,
        log_type=None if log.log_type is None else escape_text(log.log_type),
        first_listed=now,
    )


def _copy(stated: LogListingRow, held: LogListingRow) -> None:
    for name in _STATED:
        setattr(held, name, getattr(stated, name))
