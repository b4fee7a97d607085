"""The lease: one leader at a time, with an epoch that fences off a leader that slept.

A row, renewed well within its time to live and measured by the database's own clock: it works the
same on SQLite and PostgreSQL, behind a connection pooler, and after a ``kill -9``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from subca_oversight.errors import LeaseHeld
from subca_oversight.store.database import Database
from subca_oversight.store.tables import LeaseRow

LEADER = "leader"


@dataclass(frozen=True, slots=True)
class Lease:
    """Proof of leadership until ``time_to_live`` after the last renewal."""

    name: str
    holder: str
    epoch: int
    time_to_live: timedelta


def _is_never_gone(holder: str) -> bool:
    del holder
    return False


def acquire_lease(
    database: Database,
    *,
    holder: str,
    time_to_live: timedelta,
    name: str = LEADER,
    is_gone: Callable[[str], bool] = _is_never_gone,
) -> Lease:
    """Take the lease if it is free, expired or already ours. Raises LeaseHeld otherwise.

    ``is_gone`` tells of a holder whose process is known to have ended without giving it up.
    """
    with database.write() as session:
        now = database.clock(session)
        row = session.get(LeaseRow, name)
        if row is None:
            row = LeaseRow(name=name, holder=holder, epoch=0, expires_at=now)
        elif row.expires_at > now and row.holder != holder and not is_gone(row.holder):
            raise LeaseHeld(
                f"the daemon is running: {row.holder.split()[0]} leads until"
                f" {row.expires_at:%H:%M:%S} UTC; stop it, or let it do this"
            )
        row.epoch += 1
        row.holder = holder
        row.expires_at = now + time_to_live
        session.add(row)
        return Lease(name, holder, row.epoch, time_to_live)


def renew_lease(database: Database, lease: Lease) -> None:
    """Extend the lease. Raises LeaseHeld when someone else took it in the meantime."""
    with database.write() as session:
        row = session.get(LeaseRow, lease.name)
        if row is None or row.holder != lease.holder or row.epoch != lease.epoch:
            raise LeaseHeld("the lease was lost to another process; this one stops")
        row.expires_at = database.clock(session) + lease.time_to_live
        session.add(row)


def release_lease(database: Database, lease: Lease) -> None:
    """Give the lease up at once; harmless when it was already lost."""
    with database.write() as session:
        row = session.get(LeaseRow, lease.name)
        if row is not None and row.holder == lease.holder and row.epoch == lease.epoch:
            row.expires_at = database.clock(session)
            session.add(row)
