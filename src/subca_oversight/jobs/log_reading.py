"""Reading one log within a job: at its pace, with patience for a replica that lags."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from subca_oversight.errors import NotYetServed
from subca_oversight.evidence.harvest.harvest import HarvestResult, harvest_log
from subca_oversight.evidence.harvest.lag import is_lag_excused
from subca_oversight.evidence.harvest.reader import ProgressSink
from subca_oversight.http import Fetcher
from subca_oversight.jobs.context import JobContext
from subca_oversight.model.log import Log, LogApi
from subca_oversight.sources.hybrid import probe_tiles
from subca_oversight.store.tables import LogRow

LAG_WAITS = (5.0, 10.0, 20.0)
"""Seconds between attempts within one run; a replica that lags longer is left to the next run."""


class Awaited(NotYetServed):
    """Entries that a log promised minutes ago and does not serve yet: no failure so far."""


async def read_log(
    context: JobContext,
    log: Log,
    progress: ProgressSink,
    *,
    backfill_seconds: float | None = None,
) -> HarvestResult:
    """Harvest a log up to its head; raises SourceError, Awaited where only patience is asked.

    Then history is read back, for ``backfill_seconds`` where they are given.
    """
    client = context.pacer.client(context.client, log)
    log = await _probe(context, client, log)
    waits = iter(LAG_WAITS)
    while True:
        try:
            result = await harvest_log(
                context.database,
                client,
                log,
                settings=context.settings.ct,
                now=context.now,
                progress=progress,
                backfill_seconds=backfill_seconds,
            )
        except NotYetServed as error:
            wait = next(waits, None)
            if wait is None or context.should_stop():
                if await asyncio.to_thread(_is_excused, context, log):
                    raise Awaited(str(error), url=error.url, status=error.status) from error
                raise
            await context.pacer.sleep(wait)
        else:
            await _probe(context, client, log)
            return result


async def _probe(context: JobContext, client: Fetcher, log: Log) -> Log:
    """Find out once whether an RFC 6962 log serves its tiles too, as soon as it has a full one."""
    if log.api is not LogApi.RFC6962 or log.serves_tiles is not None:
        return log
    size = await asyncio.to_thread(_head_size, context, log)
    serves_tiles = await probe_tiles(client, log, size=size)
    if serves_tiles is None:
        return log
    await asyncio.to_thread(_remember, context, log, serves_tiles)
    return replace(log, serves_tiles=serves_tiles)


def _head_size(context: JobContext, log: Log) -> int | None:
    with context.database.read() as session:
        return session.get_one(LogRow, log.log_id.hex()).head_size


def _remember(context: JobContext, log: Log, serves_tiles: bool) -> None:  # noqa: FBT001 - found
    with context.database.write() as session:
        row = session.get_one(LogRow, log.log_id.hex())
        row.serves_tiles = serves_tiles
        session.add(row)


def _is_excused(context: JobContext, log: Log) -> bool:
    with context.database.read() as session:
        return is_lag_excused(session, log.log_id, context.now())
