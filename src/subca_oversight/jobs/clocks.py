"""Job ``clocks``: acceptances that ran out, and deadlines that come near or have passed."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sqlalchemy import select
from sqlmodel import col

from subca_oversight.findings.decisions import expire_decisions
from subca_oversight.findings.judgment import CLOCKS
from subca_oversight.findings.lifecycle import ACTIONABLE
from subca_oversight.jobs.context import JobContext, JobOutcome, done
from subca_oversight.jobs.sources import write_event
from subca_oversight.store.tables import FindingRow

STAGES = ((0.5, "half of the time is gone"), (0.8, "a fifth of the time is left"), (1.0, "overdue"))
"""Shares of a clock at which it is told of, with the words for it."""


async def run_clocks(context: JobContext) -> JobOutcome:
    """Move what time alone moves."""
    return await asyncio.to_thread(_run_clocks, context)


def _run_clocks(context: JobContext) -> JobOutcome:
    now = context.now()
    overdue = 0
    with context.database.write() as session:
        reopened = expire_decisions(session, now=now)
        rows = session.scalars(
            select(FindingRow)
            .where(col(FindingRow.deadline).is_not(None), col(FindingRow.state).in_(ACTIONABLE))
            .order_by(col(FindingRow.fingerprint))
        ).all()
        for row in rows:
            if row.deadline is None:
                continue
            # A finding that came back has a new clock: its first sighting started another one.
            started = row.deadline - CLOCKS.get(row.revocation, row.deadline - row.first_seen)
            span = max(row.deadline - started, timedelta(seconds=1))
            share = (now - started) / span
            reached = [(limit, words) for limit, words in STAGES if share >= limit]
            if len(reached) == 0:
                continue
            limit, words = reached[-1]
            overdue += limit == 1.0
            write_event(
                session,
                kind="deadline",
                occasion=f"{row.fingerprint}\x00{row.deadline.isoformat()}\x00{limit}",
                severity=row.severity,
                text=f"{row.check_id}: {words} (deadline {row.deadline:%Y-%m-%d %H:%M} UTC):"
                f" {row.message}",
                now=now,
                anchor=row.anchor,
                check_id=row.check_id,
                fingerprint=row.fingerprint,
            )
    return done(f"{overdue} deadlines passed, {reopened} acceptances ran out")
