"""Job ``harvest``: every monitored log read up to its head, and what is verified kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sqlalchemy import select
from sqlmodel import col

from subca_oversight.errors import ConfigurationError, LogMisbehaved, SourceError
from subca_oversight.evidence.harvest.harvest import HarvestResult
from subca_oversight.evidence.harvest.polling import Poll, has_monitored, logs_to_read, note_poll
from subca_oversight.jobs.context import JobContext, JobOutcome, JobState, done, skipped
from subca_oversight.jobs.coverage_alerts import tell_of_unread
from subca_oversight.jobs.log_lists import load_log_lists
from subca_oversight.jobs.log_reading import Awaited, read_log
from subca_oversight.jobs.sources import record_failure, record_success, source_of
from subca_oversight.model.progress import Progress
from subca_oversight.store.tables import WatchedKeyRow

LOGS_AT_ONCE = 8
_SHORTEST_BACKFILL_SECONDS = 5.0


async def harvest(context: JobContext) -> JobOutcome:
    """Read all logs, several at a time; one that fails leaves the others unharmed."""
    return await _harvest(context, (), context.settings.ct.backfill_seconds)


async def harvest_to_the_end(context: JobContext, prefixes: Sequence[str] = ()) -> JobOutcome:
    """Read all logs, or those whose name or id begins so, and their history without a limit."""
    return await _harvest(context, prefixes, None)


async def _harvest(
    context: JobContext, prefixes: Sequence[str], backfill_seconds: float | None
) -> JobOutcome:
    if not await asyncio.to_thread(_watches_anything, context):
        return skipped("no subordinate's key is watched")
    if context.settings.http.offline:
        return skipped("http.offline is set; no log is read")
    polls = await asyncio.to_thread(_load_polls, context)
    if len(polls) == 0 and not await asyncio.to_thread(_knows_logs, context):
        loaded = await load_log_lists(context)
        if loaded.state is JobState.SKIPPED:
            return loaded
        polls = await asyncio.to_thread(_load_polls, context)
        if len(polls) == 0:
            return JobOutcome(
                JobState.FAILED, "no log to read", loaded.problems, SourceError.exit_code
            )
    places = asyncio.Semaphore(LOGS_AT_ONCE)
    if len(prefixes) > 0:
        polls = _choose(polls, prefixes)
    share = None if backfill_seconds is None else _backfill_share(backfill_seconds, len(polls))
    answers = await asyncio.gather(*(_harvest_one(context, poll, places, share) for poll in polls))
    await asyncio.to_thread(_tell_of_unread, context)
    return _outcome(polls, answers)


def _backfill_share(seconds: float, logs: int) -> float:
    """Seconds for which each of the logs is read back, so that heads are polled again in time."""
    return max(_SHORTEST_BACKFILL_SECONDS, seconds * LOGS_AT_ONCE / max(logs, LOGS_AT_ONCE))


async def _harvest_one(
    context: JobContext, poll: Poll, places: asyncio.Semaphore, backfill_seconds: float | None
) -> HarvestResult | SourceError:
    log = poll.log
    async with places:
        context.progress.begin(log.description, None)
        try:
            answer: HarvestResult | SourceError = await read_log(
                context, log, _Forward(context.progress), backfill_seconds=backfill_seconds
            )
        except SourceError as error:
            answer = error
        finally:
            context.progress.end(log.description)
        await asyncio.to_thread(_record, context, poll, answer)
        return answer


def _choose(polls: list[Poll], prefixes: Sequence[str]) -> list[Poll]:
    """The logs whose name or id begins with one of ``prefixes``, whatever the case of letters."""
    wanted = tuple(prefix.casefold() for prefix in prefixes)
    chosen = [
        poll
        for poll in polls
        if poll.log.description.casefold().startswith(wanted)
        or poll.log.log_id.hex().startswith(wanted)
    ]
    if len(chosen) == 0:
        raise ConfigurationError(
            f"no log that is due begins with {' or '.join(prefixes)}; see: ct logs"
        )
    return chosen


class _Forward:
    """Hands the harvest's progress on, one task a log."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def advance(self, stage: str, log: str, done: int, total: int, rate: float) -> None:
        left = "" if rate <= 0 else f", {max(0, total - done) / rate:,.0f} s to catch up"
        self._progress.advance(log, done, total=total, note=f"{stage} {rate:,.0f}/s{left}")


def _record(context: JobContext, poll: Poll, answer: HarvestResult | SourceError) -> None:
    log = poll.log
    source = source_of(log.log_id.hex())
    now = context.now()
    with context.database.write() as session:
        note_poll(session, log.log_id, now)
        if isinstance(answer, SourceError):
            if _is_excused(poll, answer):
                return
            record_failure(session, source, f"{log.description}: {answer}", now=now)
        else:
            record_success(
                session,
                source,
                now=now,
                detail=f"{log.description}: {answer.verified_size:,} of {answer.head_size:,}",
            )


def _is_excused(poll: Poll, answer: HarvestResult | SourceError) -> bool:
    """Whether silence was to be expected; a log that contradicts itself never is."""
    if isinstance(answer, Awaited):
        return True
    return (
        not poll.is_owed
        and isinstance(answer, SourceError)
        and not isinstance(answer, LogMisbehaved)
    )


def _outcome(polls: Sequence[Poll], answers: Sequence[HarvestResult | SourceError]) -> JobOutcome:
    problems: list[str] = []
    entries = matches = unconfirmed = 0
    for poll, answer in zip(polls, answers, strict=True):
        log = poll.log
        if _is_excused(poll, answer):
            continue
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
        f"{len(polls)} logs, {entries:,} entries verified, {matches:,} sightings,"
        f" {unconfirmed:,} matches unconfirmed"
    )
    awaited = sum(isinstance(answer, Awaited) for answer in answers)
    if awaited > 0:
        logs = "log" if awaited == 1 else "logs"
        detail += f", {awaited} {logs} whose newest entries are not served yet"
    return done(detail, tuple(problems), SourceError.exit_code if len(problems) > 0 else 0)


def _tell_of_unread(context: JobContext) -> None:
    tell_of_unread(context.database, context.settings.ct, context.now())


def _load_polls(context: JobContext) -> list[Poll]:
    with context.database.read() as session:
        return logs_to_read(session, context.now())


def _knows_logs(context: JobContext) -> bool:
    """Whether there are logs to follow, be it at another time."""
    with context.database.read() as session:
        return has_monitored(session)


def _watches_anything(context: JobContext) -> bool:
    with context.database.read() as session:
        key = session.scalars(
            select(WatchedKeyRow).where(col(WatchedKeyRow.unwatched_at).is_(None)).limit(1)
        ).first()
        return key is not None
