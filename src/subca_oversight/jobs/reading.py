"""How far each log was read for each watched key, and what of it was not: what ``status`` shows.

A key that was added later has history that nobody looked at until its backfill is done, and
"nothing found" must not be read into it (DESIGN sections 2 and 5).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from subca_oversight.evidence.harvest.coverage import KeyCoverage, Stretch, coverage
from subca_oversight.store.database import Database
from subca_oversight.store.tables import LogRow, SubordinateRow, WatchedKeyRow


@dataclass(frozen=True, slots=True)
class KeyReading:
    """One key in one log that is read. Stretches are the first entry and the one after the last."""

    subordinate: str
    issuer_key_sha256: str
    provenance: str
    """How the key was learned; what only a chain showed is proposed until someone names it."""
    log_id: str
    log: str
    read: tuple[Stretch, ...]
    unread: tuple[Stretch, ...]
    """From where reading of the log began, for any key, to its newest head."""
    is_complete: bool

    @property
    def unread_entries(self) -> int | None:
        """How many entries were not read for the key; None where the log was not read at all."""
        return None if _is_unstarted(self) else sum(end - first for first, end in self.unread)


def load_readings(database: Database) -> list[KeyReading]:
    """Every watched key in every monitored log, by subordinate, key and log."""
    with database.read() as session:
        names = {row.anchor: row.name for row in session.scalars(select(SubordinateRow))}
        owners = {
            row.spki_sha256: (names.get(row.anchor, ""), row.provenance.value)
            for row in session.scalars(select(WatchedKeyRow))
        }
        logs = {row.log_id: row.description for row in session.scalars(select(LogRow))}
        readings = [_reading(one, owners, logs) for one in coverage(session)]
    return sorted(readings, key=lambda one: (one.subordinate, one.issuer_key_sha256, one.log_id))


def _reading(
    one: KeyCoverage, owners: dict[str, tuple[str, str]], logs: dict[str, str]
) -> KeyReading:
    subordinate, provenance = owners.get(one.spki_sha256, ("", ""))
    return KeyReading(
        subordinate=subordinate,
        issuer_key_sha256=one.spki_sha256,
        provenance=provenance,
        log_id=one.log_id,
        log=logs.get(one.log_id, ""),
        read=one.ranges,
        unread=one.unread,
        is_complete=one.is_complete,
    )


def _is_unstarted(reading: KeyReading) -> bool:
    return not reading.is_complete and len(reading.read) == 0 and len(reading.unread) == 0
