"""Job ``log-lists``: the configured lists of logs, verified, kept, and weighed against each other.

All lists are fetched first and applied in one transaction: the list, the events that it brings and
the logs that are followed from then on change together, and the next harvest acts on them.
"""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.errors import OversightError, SourceError
from subca_oversight.evidence.logs.listings import forget_other_lists, record_list
from subca_oversight.evidence.logs.precedence import Merged, Voice, merge_listings
from subca_oversight.jobs.context import JobContext, JobOutcome, done, skipped
from subca_oversight.jobs.sources import (
    record_failure,
    record_success,
    record_unowed,
    source_of,
    write_event,
)
from subca_oversight.settings import LogListSettings
from subca_oversight.sources.log_list import (
    FetchedLogList,
    LogList,
    Validators,
    check_supersedes,
    fetch_changed_log_list,
    parse_log_list,
)
from subca_oversight.store.tables import LogListRow, LogRow

STALE_AFTER = timedelta(days=70)
"""As Chrome has it for its own list: past this age, what it says of states is not relied on."""
_PROBLEMS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of one list: a new version, the version held, or a failure."""

    entry: LogListSettings
    held: LogList | None
    fetched: FetchedLogList | None = None
    error: OversightError | None = None


@dataclass(frozen=True, slots=True)
class _Applied:
    merged: Merged
    changes: int
    problems: tuple[str, ...]
    exit_code: int


async def load_log_lists(context: JobContext) -> JobOutcome:
    """Load every list; one that fails or is older leaves its last good version in use."""
    lists = context.settings.ct.log_lists
    if len(lists) == 0:
        return skipped("ct.log_lists is empty")
    answers = [await _ask(context, entry) for entry in lists]
    applied = await asyncio.to_thread(_apply, context, answers)
    return done(
        f"{len(lists)} lists, {applied.merged.named} logs, {applied.merged.monitored} of them read,"
        f" {applied.changes} changes",
        applied.problems,
        applied.exit_code,
    )


async def _ask(context: JobContext, entry: LogListSettings) -> _Answer:
    held, validators = await asyncio.to_thread(_load_held, context, entry.source)
    try:
        fetched = await fetch_changed_log_list(
            context.client, entry.source, _key_of(entry), validators
        )
    except OversightError as error:
        return _Answer(entry, held, error=error)
    return _Answer(entry, held, fetched)


def _load_held(context: JobContext, source: str) -> tuple[LogList | None, Validators]:
    """The last good version, and what to ask with whether it still is the one."""
    with context.database.read() as session:
        row = session.get(LogListRow, source)
    if row is None or (row.etag is None and row.last_modified is None):
        return None, Validators()
    try:
        held = parse_log_list(zlib.decompress(row.body))
    except (SourceError, zlib.error):
        return None, Validators()  # damaged, or read otherwise by now: it is fetched anew
    return held, Validators(row.etag, row.last_modified, row.verified_with)


def _key_of(entry: LogListSettings) -> str | Path | None:
    if entry.public_key is None or entry.public_key == "google":
        return entry.public_key
    return Path(entry.public_key)


def _apply(context: JobContext, answers: Sequence[_Answer]) -> _Applied:
    now = context.now()
    problems: list[str] = []
    voices: list[Voice] = []
    changes = exit_code = 0
    with context.database.write() as session:
        forget_other_lists(session, [answer.entry.source for answer in answers], now)
        for answer in answers:
            source = answer.entry.source
            try:
                changes += _accept(session, answer, now)
            except OversightError as error:
                problems.append(f"{source}: {error}")
                exit_code = SourceError.exit_code
                record_failure(session, f"log-list {source}", str(error), now=now)
            session.flush()
            row = session.get(LogListRow, source)
            if row is None:
                continue
            is_stale = _is_stale(row, now)
            if is_stale:
                problems.append(_tell_stale(session, row, now))
            voices.append(Voice(source, is_signed=row.verified_with is not None, is_stale=is_stale))
        merged = merge_listings(session, voices, now)
        _excuse_ended(session)
    return _Applied(merged, changes, tuple(problems), exit_code)


def _accept(session: Session, answer: _Answer, now: datetime) -> int:
    """Take over what was fetched, or heard to be unchanged; returns how much changed."""
    if answer.error is not None:
        raise answer.error
    source = answer.entry.source
    row = session.get(LogListRow, source)
    if answer.fetched is None:
        if row is None or answer.held is None:
            raise SourceError("the source says that a list is unchanged which is not held")
        current = answer.held
    else:
        current = answer.fetched.log_list
        if row is None:
            row = LogListRow(source=source, version="", sha256="", body=b"", fetched_at=now)
        else:
            check_supersedes(current, _header_of(row))
        _store(row, answer.fetched)
    row.fetched_at = now
    session.add(row)
    changes = record_list(session, source, current, now)
    detail = f"version {row.version}, {len(current.logs)} logs"
    if answer.fetched is None:
        detail += ", unchanged"
    if len(current.problems) > 0:
        detail += f"; unusable entries: {'; '.join(current.problems[:_PROBLEMS_SHOWN])}"
    record_success(session, f"log-list {source}", now=now, detail=detail)
    return changes


def _header_of(row: LogListRow) -> LogList:
    """What a newer version is measured by."""
    return LogList(
        version=None if row.version == "" else row.version,
        timestamp=row.published_at,
        logs=(),
        problems=(),
    )


def _store(row: LogListRow, fetched: FetchedLogList) -> None:
    new, validators = fetched.log_list, fetched.validators
    row.version = "" if new.version is None else new.version
    row.published_at = new.timestamp
    row.sha256 = hashlib.sha256(fetched.content).hexdigest()
    row.body = zlib.compress(fetched.content)
    row.verified_with = validators.verified_with
    row.etag = validators.etag
    row.last_modified = validators.last_modified


def _is_stale(row: LogListRow, now: datetime) -> bool:
    return row.published_at is not None and now - row.published_at > STALE_AFTER


def _tell_stale(session: Session, row: LogListRow, now: datetime) -> str:
    """Write the alert, once for each version of the list; returns the line about it."""
    published = "" if row.published_at is None else row.published_at.isoformat()
    text = (
        f"{row.source}: the log list is of {published[:10]}, older than {STALE_AFTER.days} days;"
        " new logs may be missing from it"
    )
    write_event(
        session,
        kind="log_list_stale",
        occasion=f"{row.source}\x00{row.version}\x00{published}",
        severity="should",
        text=text,
        now=now,
    )
    return text


def _excuse_ended(session: Session) -> None:
    """A log that is not followed any more does not stay among the failing sources."""
    ended = session.scalars(select(LogRow).where(col(LogRow.monitored).is_(False)))
    for row in ended.all():
        reason = f"{row.description}: not followed any more, {row.state}"
        record_unowed(session, source_of(row.log_id), reason)
