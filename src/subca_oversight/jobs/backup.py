"""Job ``backup``: a consistent copy of the SQLite database, and the seven last ones kept."""

from __future__ import annotations

import asyncio
from pathlib import Path

from subca_oversight.errors import StoreError
from subca_oversight.jobs.context import JobContext, JobOutcome, JobState, done, skipped
from subca_oversight.store.schema import backup_database

KEPT = 7


async def back_up(context: JobContext) -> JobOutcome:
    """Copy the database; PostgreSQL is backed up by its own tools.

    A copy that fails is told of, and is no reason to end: the database itself still works.
    """
    if context.database.path is None:
        return skipped("PostgreSQL is backed up by its own tools")
    return await asyncio.to_thread(_back_up, context)


def _back_up(context: JobContext) -> JobOutcome:
    folder = context.settings.agent.state_directory / "backups"
    target = folder / f"oversight-{context.now():%Y%m%dT%H%M%SZ}.db"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        backup_database(context.database, target)
        _drop_old(folder)
    except (OSError, StoreError) as error:
        line = str(error) if isinstance(error, StoreError) else f"{folder}: {error.strerror}"
        return JobOutcome(JobState.FAILED, line, (line,), StoreError.exit_code)
    return done(f"copied to {target.name}")


def _drop_old(folder: Path) -> None:
    copies = sorted(folder.glob("oversight-*.db"))
    for copy in copies[:-KEPT]:
        copy.unlink(missing_ok=True)
