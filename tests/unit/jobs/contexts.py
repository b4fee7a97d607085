"""A job's surroundings, with a clock that a test can set."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from subca_oversight.check.registry import Registry, make_registry
from subca_oversight.http import Client
from subca_oversight.jobs.context import JobContext, JobOutcome
from subca_oversight.settings import Settings
from subca_oversight.store.database import Database

Job = Callable[[JobContext], Awaitable[JobOutcome]]


def settings_of(**tables: object) -> Settings:
    return Settings.model_validate({"agent": {"contact": "oversight@ca.example"}, **tables})


async def run_in_loop(
    job: Job,
    database: Database,
    *,
    now: datetime,
    settings: Settings | None = None,
    registry: Registry | None = None,
) -> JobOutcome:
    chosen = settings_of() if settings is None else settings
    async with Client(chosen.http, contact=chosen.agent.contact) as client:
        return await job(
            JobContext(
                settings=chosen,
                database=database,
                client=client,
                registry=make_registry(()) if registry is None else registry,
                now=lambda: now,
            )
        )


def run(
    job: Job,
    database: Database,
    *,
    now: datetime,
    settings: Settings | None = None,
    registry: Registry | None = None,
) -> JobOutcome:
    return asyncio.run(run_in_loop(job, database, now=now, settings=settings, registry=registry))
