"""Making a job's surroundings: store, client, register and lease, opened and closed in order."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import structlog

from subca_oversight.check.registry import load_registry
from subca_oversight.errors import LeaseHeld, StoreError
from subca_oversight.evidence.registration import (
    ConfiguredSubordinate,
    read_configured,
    register_subordinates,
)
from subca_oversight.http import Client
from subca_oversight.jobs.context import JobContext
from subca_oversight.jobs.holder import describe_holder, is_gone
from subca_oversight.model.progress import Progress
from subca_oversight.settings import Settings
from subca_oversight.sources.pacing import Pacer
from subca_oversight.store.database import FIRST_SAFE_SQLITE, Database, sqlite_version
from subca_oversight.store.lease import Lease, acquire_lease, release_lease, renew_lease
from subca_oversight.store.schema import ensure_schema

LEASE_SECONDS = 60.0
_RENEWALS = 3
"""Renewals within the lease's time to live: two may fail before it is lost."""
_log = structlog.get_logger()


@asynccontextmanager
async def open_surroundings(
    settings: Settings,
    *,
    now: Callable[[], datetime],
    progress: Progress,
    should_stop: Callable[[], bool],
    lease_lost: Callable[[StoreError], None],
) -> AsyncIterator[JobContext]:
    """The surroundings under the lease, with the configured subordinates registered.

    The lease is renewed in the background; ``lease_lost`` is called, once, where that fails.
    Raises ConfigurationError, StoreError, or LeaseHeld where another process leads.
    """
    registry = load_registry(settings.checks.directory)
    configured = await asyncio.to_thread(read_configured, settings.subordinate)
    database = Database(settings.database_url)
    try:
        await asyncio.to_thread(ensure_schema, database)
        _warn_of_old_sqlite(database)
        lease = await asyncio.to_thread(
            acquire_lease,
            database,
            holder=describe_holder(),
            time_to_live=timedelta(seconds=LEASE_SECONDS),
            is_gone=is_gone,
        )
        renewal = asyncio.create_task(_keep_lease(database, lease, lease_lost))
        try:
            await asyncio.to_thread(_register, database, configured, now())
            async with Client(settings.http, contact=settings.agent.contact) as client:
                yield JobContext(
                    settings=settings,
                    database=database,
                    client=client,
                    registry=registry,
                    now=now,
                    progress=progress,
                    pacer=Pacer(
                        requests_per_second=settings.ct.requests_per_second,
                        attempts=settings.http.attempts,
                        page_entries=settings.ct.page_entries,
                        without_keep_alive=settings.ct.without_keep_alive,
                    ),
                    epoch=lease.epoch,
                    should_stop=should_stop,
                )
        finally:
            renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewal
            with contextlib.suppress(StoreError):
                await asyncio.to_thread(release_lease, database, lease)
    finally:
        await asyncio.to_thread(database.close)


def _register(database: Database, configured: list[ConfiguredSubordinate], now: datetime) -> None:
    with database.write() as session:
        register_subordinates(session, configured, now=now)


async def _keep_lease(
    database: Database, lease: Lease, lease_lost: Callable[[StoreError], None]
) -> None:
    """Renew the lease until it is lost: taken by another, or not renewed within its time."""
    renewed = time.monotonic()
    while True:
        await asyncio.sleep(LEASE_SECONDS / _RENEWALS)
        asked = time.monotonic()
        try:
            await asyncio.to_thread(renew_lease, database, lease)
        except StoreError as error:
            if not isinstance(error, LeaseHeld) and asked - renewed < LEASE_SECONDS:
                _log.warning("lease_not_renewed", reason=str(error))
                continue
            _log.error("lease_lost", reason=str(error))
            lease_lost(error)
            return
        renewed = asked


def _warn_of_old_sqlite(database: Database) -> None:
    version = sqlite_version()
    if database.is_sqlite and version < FIRST_SAFE_SQLITE:
        _log.warning(
            "old_sqlite",
            version=".".join(map(str, version)),
            advice="releases before 3.51.3 can corrupt a WAL database; this program writes and"
            " checkpoints under one lock, and no other program should write to the file",
        )
