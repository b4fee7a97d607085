"""Job ``log-lists``: the configured lists of logs, verified, merged by log id, kept."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from pathlib import Path

from sqlmodel import Session

from subca_oversight.errors import OversightError, SourceError
from subca_oversight.evidence.harvest.registry import sync_logs
from subca_oversight.jobs.context import JobContext, JobOutcome, done, skipped
from subca_oversight.jobs.sources import record_failure, record_success
from subca_oversight.model.log import Log
from subca_oversight.settings import LogListSettings
from subca_oversight.sources.log_list import (
    FetchedLogList,
    LogList,
    check_supersedes,
    fetch_log_list,
    parse_log_list,
)
from subca_oversight.store.tables import LogListRow


async def load_log_lists(context: JobContext) -> JobOutcome:
    """Load every list; one that fails or is older leaves its last good version in use."""
    lists = context.settings.ct.log_lists
    if len(lists) == 0:
        return skipped("ct.log_lists is empty")
    problems: list[str] = []
    exit_code = 0
    for entry in lists:
        try:
            fetched = await fetch_log_list(context.client, entry.source, _key_of(entry))
            await asyncio.to_thread(_accept, context, entry, fetched)
        except OversightError as error:
            problems.append(f"{entry.source}: {error}")
            exit_code = max(exit_code, SourceError.exit_code)
            await asyncio.to_thread(_refuse, context, entry, str(error))
    merged = await asyncio.to_thread(_merge, context)
    monitored = sum(log.is_monitored for log in merged)
    return done(
        f"{len(lists)} lists, {len(merged)} logs, {monitored} of them read",
        tuple(problems),
        exit_code,
    )


def _key_of(entry: LogListSettings) -> str | Path | None:
    if entry.public_key is None or entry.public_key == "google":
        return entry.public_key
    return Path(entry.public_key)


def _accept(context: JobContext, entry: LogListSettings, fetched: FetchedLogList) -> None:
    now = context.now()
    new = fetched.log_list
    with context.database.write() as session:
        row = session.get(LogListRow, entry.source)
        if row is not None:
            check_supersedes(new, parse_log_list(zlib.decompress(row.body)))
        else:
            row = LogListRow(source=entry.source, version="", sha256="", body=b"", fetched_at=now)
        row.version = "" if new.version is None else new.version
        row.published_at = new.timestamp
        row.sha256 = hashlib.sha256(fetched.content).hexdigest()
        row.body = zlib.compress(fetched.content)
        row.fetched_at = now
        session.add(row)
        detail = f"version {row.version}, {len(new.logs)} logs"
        if len(new.problems) > 0:
            detail += f"; unusable entries: {'; '.join(new.problems[:5])}"
        record_success(session, f"log-list {entry.source}", now=now, detail=detail)


def _refuse(context: JobContext, entry: LogListSettings, reason: str) -> None:
    with context.database.write() as session:
        record_failure(session, f"log-list {entry.source}", reason, now=context.now())


def _merge(context: JobContext) -> list[Log]:
    """Bring the stored logs in line with every stored list; returns all logs named by one."""
    now = context.now()
    logs: dict[bytes, Log] = {}
    with context.database.write() as session:
        for entry in context.settings.ct.log_lists:
            stored = _stored(session, entry)
            if stored is None:
                continue
            sync_logs(session, stored, now)
            for log in stored.logs:
                known = logs.setdefault(log.log_id, log)
                if log.is_monitored and not known.is_monitored:
                    logs[log.log_id] = log
    return list(logs.values())


def _stored(session: Session, entry: LogListSettings) -> LogList | None:
    row = session.get(LogListRow, entry.source)
    return None if row is None else parse_log_list(zlib.decompress(row.body))
