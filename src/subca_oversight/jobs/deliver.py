"""Job ``deliver``: gather what happened into notices, and send what is due."""

from __future__ import annotations

import asyncio

from subca_oversight.alerts.delivery import DeliveryTally, drain
from subca_oversight.alerts.notices import NoticeTally, group_events
from subca_oversight.errors import DeliveryError
from subca_oversight.jobs.context import JobContext, JobOutcome, done, skipped
from subca_oversight.store.outbox import count_pending


async def deliver_notices(context: JobContext) -> JobOutcome:
    """Send notices; a channel that fails is a problem, and the others go on."""
    grouped = await asyncio.to_thread(_group, context)
    settings = context.settings
    if settings.alerts.smtp is None and settings.alerts.webhook is None:
        return skipped(f"no channel is configured; {_told(grouped)}, see: alerts list")
    if settings.http.offline:
        pending = await asyncio.to_thread(_pending, context)
        return skipped(f"http.offline is set; {pending} deliveries wait")
    tally = await _drain(context)
    if tally.dead > 0:
        # What died here is told of through the other channels at once.
        await asyncio.to_thread(_group, context)
        tally.add(await _drain(context))
    detail = (
        f"{_told(grouped)}; {tally.delivered} delivered, {tally.failed} to be tried again,"
        f" {tally.dead} given up"
    )
    problems = tuple(tally.problems[name] for name in sorted(tally.problems))
    return done(detail, problems, DeliveryError.exit_code if len(problems) > 0 else 0)


async def _drain(context: JobContext) -> DeliveryTally:
    return await drain(context.database, context.client, context.settings, now=context.now)


def _group(context: JobContext) -> NoticeTally:
    with context.database.write() as session:
        return group_events(session, context.settings.alerts, now=context.now())


def _pending(context: JobContext) -> int:
    with context.database.read() as session:
        return count_pending(session)


def _told(tally: NoticeTally) -> str:
    waiting = "" if tally.waiting == 0 else f", {tally.waiting} events wait for the next"
    return f"{tally.notices} notices of {tally.events} events{waiting}"
