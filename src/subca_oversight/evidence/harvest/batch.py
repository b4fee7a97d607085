"""A batch of confirmed and unconfirmed matches on its way into the tables.

Rows are gathered in memory and written in bulk; what is already known of a unit is brought up to
date instead of written twice, whichever log or run it came from. DESIGN sections 4 and 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlmodel import Session, col

from subca_oversight.evidence.units import instant_of
from subca_oversight.model.certificate import CertificateFacts
from subca_oversight.store.database import upsert_ignoring
from subca_oversight.store.tables import (
    AuthoritySightingRow,
    CertificateRow,
    ChainCertificateRow,
    MalformedEntryRow,
    SightingRow,
    UnconfirmedMatchRow,
    UnitRow,
)


@dataclass(slots=True)
class Unit:
    """What a batch knows of a certificate unit."""

    unit_id: str
    issuer_key_sha256: str
    serial_hex: str | None
    first_logged_ms: int
    is_history: bool
    """Whether it was only seen in what is read for the first time."""
    facts: CertificateFacts | None = None
    confirmed: bool = False


@dataclass(slots=True)
class Batch:
    """Rows by table."""

    log_id: str

    units: dict[str, Unit] = field(default_factory=dict)
    certificates: dict[str, dict[str, Any]] = field(default_factory=dict)
    sightings: list[dict[str, Any]] = field(default_factory=list)
    chain: dict[str, dict[str, Any]] = field(default_factory=dict)
    about: list[dict[str, Any]] = field(default_factory=list)
    """CA certificates of watched keys that others signed."""
    unconfirmed: list[dict[str, Any]] = field(default_factory=list)
    malformed: list[dict[str, Any]] = field(default_factory=list)

    def join(self, unit: Unit) -> None:
        """Merge what is known of a unit."""
        known = self.units.setdefault(unit.unit_id, unit)
        known.first_logged_ms = min(known.first_logged_ms, unit.first_logged_ms)
        known.is_history = known.is_history and unit.is_history
        known.confirmed = known.confirmed or unit.confirmed
        if known.facts is None:
            known.facts = unit.facts


def write_batch(
    session: Session, batch: Batch, since: Mapping[str, datetime], now: datetime
) -> None:
    """Write every row; ``since`` tells from when on each key has been watched."""
    _write_units(session, batch, since, now)
    upsert_ignoring(session, CertificateRow, list(batch.certificates.values()))
    upsert_ignoring(session, SightingRow, [{**row, "added_at": now} for row in batch.sightings])
    _forget_doubts(session, batch)
    upsert_ignoring(
        session, AuthoritySightingRow, [{**row, "added_at": now} for row in batch.about]
    )
    upsert_ignoring(session, ChainCertificateRow, list(batch.chain.values()))
    upsert_ignoring(session, UnconfirmedMatchRow, batch.unconfirmed)
    upsert_ignoring(session, MalformedEntryRow, batch.malformed)


def _write_units(
    session: Session, batch: Batch, since: Mapping[str, datetime], now: datetime
) -> None:
    """Insert new units and bring known ones up to date."""
    known = {
        row.unit_id: row
        for row in session.scalars(
            select(UnitRow).where(col(UnitRow.unit_id).in_(list(batch.units)))
        )
    }
    stored = set(
        session.scalars(
            select(col(CertificateRow.sha256)).where(
                col(CertificateRow.sha256).in_(list(batch.certificates))
            )
        )
    )
    gaining = {row["unit_id"] for name, row in batch.certificates.items() if name not in stored}
    new: list[dict[str, Any]] = []
    for unit in batch.units.values():
        row = known.get(unit.unit_id)
        if row is None:
            new.append(_unit_row(unit, since, now))
            continue
        changed: dict[str, Any] = {}
        if row.first_logged_ms is None or unit.first_logged_ms < row.first_logged_ms:
            changed["first_logged_ms"] = unit.first_logged_ms
        if unit.confirmed and not row.confirmed:
            changed["confirmed"] = True
        if len(changed) > 0 or unit.unit_id in gaining:
            changed["checked_with"] = None
            session.execute(
                update(UnitRow).where(col(UnitRow.unit_id) == unit.unit_id).values(**changed)
            )
    upsert_ignoring(session, UnitRow, new)


def _unit_row(unit: Unit, since: Mapping[str, datetime], now: datetime) -> dict[str, Any]:
    watched_since = since.get(unit.issuer_key_sha256) if unit.is_history else None
    facts = unit.facts
    return {
        "unit_id": unit.unit_id,
        "issuer_key_sha256": unit.issuer_key_sha256,
        "serial_hex": unit.serial_hex,
        "first_logged_ms": unit.first_logged_ms,
        "not_before": None if facts is None else facts.not_before,
        "not_after": None if facts is None else facts.not_after,
        "confirmed": unit.confirmed,
        "baseline": watched_since is not None and instant_of(unit.first_logged_ms) < watched_since,
        "added_at": now,
        "checked_with": None,
    }


def _forget_doubts(session: Session, batch: Batch) -> None:
    """What is confirmed now, by a key or bytes that were lacking before, is no longer in doubt."""
    session.execute(
        delete(UnconfirmedMatchRow).where(
            col(UnconfirmedMatchRow.log_id) == batch.log_id,
            col(UnconfirmedMatchRow.index).in_([row["index"] for row in batch.sightings]),
        )
    )
