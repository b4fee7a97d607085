"""Job ``report``: the reports of the last finished quarter and of the present one to date.

The finished quarter keeps the instant of its first making, so that its files stay the same from day
to day; what stands already is left alone. The present quarter is made anew as of now.
"""

from __future__ import annotations

import asyncio

from subca_oversight.evidence.registration import load_subordinates
from subca_oversight.jobs.context import JobContext, JobOutcome, done, skipped
from subca_oversight.model.subordinate import Subordinate
from subca_oversight.reports.period import Quarter, quarter_of
from subca_oversight.reports.publication import folder_of, is_published, publish
from subca_oversight.reports.quarter import ReportRequest, settle_instant


async def make_reports(context: JobContext) -> JobOutcome:
    """Write the reports of every subordinate that is not retired."""
    return await asyncio.to_thread(_make_reports, context)


def _make_reports(context: JobContext) -> JobOutcome:
    with context.database.read() as session:
        subordinates = load_subordinates(session)
    if len(subordinates) == 0:
        return skipped("no subordinate is configured")
    present = quarter_of(context.now())
    made = kept = 0
    context.progress.begin("reports", 2 * len(subordinates))
    for subordinate in subordinates:
        for quarter in (present.previous, present):
            if context.should_stop():
                break
            if _make(context, subordinate, quarter):
                made += 1
            else:
                kept += 1
            context.progress.advance("reports", made + kept)
    context.progress.end("reports")
    root = context.settings.agent.state_directory / "reports"
    return done(f"{made} reports written below {root}, {kept} stand as they were")


def _make(context: JobContext, subordinate: Subordinate, quarter: Quarter) -> bool:
    """Write one report; False where the very same stands already."""
    anchor = subordinate.anchor
    with context.database.write() as session:
        as_of = settle_instant(session, anchor, quarter, now=context.now())
    request = ReportRequest(anchor, quarter, as_of, context.settings.agent.organization)
    root = context.settings.agent.state_directory / "reports"
    if is_published(folder_of(root, subordinate.name, request), context.registry, as_of):
        return False
    publish(context.database, context.registry, request, root)
    return True
