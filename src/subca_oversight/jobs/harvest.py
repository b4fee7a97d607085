"""Job ``harvest``: every monitored log read up to its head, and what is verified kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sqlalchemy import select
from sqlmodel import col

from subca_oversight.errors import LogMisbehaved, SourceError
from subca_oversight.evidence.harvest.harvest import HarvestResult, harvest_log
from subca_oversight.evidence.harvest.registry import logs_to_read
from subca_oversight.jobs.context import JobContext, JobOutcome, JobState, done, skipped
from subca_oversight.jobs.log_lists import load_log_lists
from subca_oversight.jobs.sources import record_failure, record_success
from subca_oversight.model.log import Log
from subca_oversight.model.progress import Progress
from subca_oversight.store.tables import WatchedKeyRow

LOGS_AT_ONCE = 8


async def harvest(context: JobContext) -> JobOutcome:
    """Read all logs, several at a time; one that fails leaves the others unharmed."""
    if not await asyncio.to_thread(_watches_anything, context):
        return skipped("no subordinate's key is watched")
    logs = await asyncio.to_thread(_load_logs, context)
    if len(logs) == 0:
        loaded = await load_log_lists(context)
        if loaded.state is JobState.SKIPPED:
            return loaded
        logs = await asyncio.to_thread(_load_logs, context)
        if len(logs) == 0:
            return JobOutcome(
                JobState.FAILED, "no log to read", loaded.problems, SourceError.exit_code
            )
    places = asyncio.Semaphore(LOGS_AT_ONCE)
    answers = await asyncio.gather(*(_harvest_one(context, log, places) for log in logs))
    return _outcome(logs, answers)


async def _harvest_one(
    context: JobContext, log: Log, places: asyncio.Semaphore
) -> HarvestResult | SourceError:
    async with places:
        context.progress.begin(log.description, None)
        try:
            answer: HarvestResult | SourceError = await harvest_log(
                context.database,
                context.client,
                log,
                settings=context.settings.ct,
                now=context.now,
                progress=_Forward(context.progress),
            )
        except SourceError as error:
            answer = error
        finally:
            context.progress.end(log.description)
        await asyncio.to_thread(_record, context, log, answer)
        return answer


class _Forward:
    """Hands the harvest's progress on, one task a log."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def advance(self, stage: str, log: str, done: int, total: int, rate: float) -> None:
        left = "" if rate <= 0 else f", {max(0, total - done) / rate:,.0f} s to catch up"
        self._progress.advance(log, done, total=total, note=f"{stage} {rate:,.0f}/s{left}")


def _record(context: JobContext, log: Log, answer: HarvestResult | SourceError) -> None:
    source = f"log {log.log_id.hex()[:16]}"
    now = context.now()
    with context.database.write() as session:
        if isinstance(answer, SourceError):
            record_failure(session, source, f"{log.description}: {answer}", now=now)
        else:
            record_success(
                session,
                source,
                now=now,
                detail=f"{log.description}: {answer.verified_size:,} of {answer.head_size:,}",
            )


def _outcome(logs: Sequence[Log], answers: Sequence[HarvestResult | SourceError]) -> JobOutcome:
    problems: list[str] = []
    entries = matches = unconfirmed = 0
    for log, answer in zip(logs, answers, strict=True):
        if isinstance(answer, LogMisbehaved):
            problems.append(f"misbehaved: {answer}")
        elif isinstance(answer, SourceError):
            problems.append(f"{log.description}: {answer}")
        else:
            entries += answer.entries
            matches += answer.matches
            unconfirmed += answer.unconfirmed
            if answer.blamed > 0:
                problems.append(
                    f"{log.description} misbehaved: {answer.blamed} entries whose unsigned part"
                    " contradicts what the log hashed; kept as evidence"
                )
    detail = (
        f"{len(logs)} logs, {entries:,} entries verified, {matches:,} sightings,"
        f" {unconfirmed:,} matches unconfirmed"
    )
    return done(detail, tuple(problems), SourceError.exit_code if len(problems) > 0 else 0)


def _load_logs(context: JobContext) -> list[Log]:
    with context.database.read() as session:
        return logs_to_read(session)


def _watches_anything(context: JobContext) -> bool:
    with context.database.read() as session:
        key = session.scalars(
            select(WatchedKeyRow).where(col(WatchedKeyRow.unwatched_at).is_(None)).limit(1)
        ).first()
        return key is not None
