"""The inventory: every unit of a subordinate with its certificates and where they were sighted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.evidence.units import instant_of
from subca_oversight.model.certificate import CertificateKind
from subca_oversight.store.tables import (
    AuthorityCertificateRow,
    CertificateRow,
    OperatorCertificateRow,
    SightingRow,
    UnconfirmedMatchRow,
    UnitRow,
    WatchedKeyRow,
)

_BATCH = 500


@dataclass(frozen=True, slots=True)
class SightingEntry:
    """One appearance in a log."""

    log: str
    index: int
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class InventoryEntry:
    """One unit."""

    unit_id: str
    issuer_key_sha256: str
    path: tuple[str, ...]
    """SHA-256 of the known CA certificates of the issuing key."""
    serial: str | None
    precertificates: tuple[str, ...]
    finals: tuple[str, ...]
    not_before: datetime | None
    not_after: datetime | None
    first_logged: datetime | None
    confirmed: bool
    reason: str | None
    """Why it could not be confirmed."""
    sightings: tuple[SightingEntry, ...]
    key_provenance: str = ""
    """How the issuing key was learned: ``chain`` is only a proposal."""
    operator_files: tuple[str, ...] = ()
    """Files in which the operator gave certificates of the unit."""


def find_inventory(session: Session, anchor: str, *, unconfirmed: bool) -> Iterator[InventoryEntry]:
    """Units of every key of a subordinate, by unit id, a batch in memory at a time."""
    keys = {
        row.spki_sha256: row.provenance.value
        for row in session.scalars(select(WatchedKeyRow).where(col(WatchedKeyRow.anchor) == anchor))
    }
    paths: dict[str, list[str]] = {}
    for row in session.scalars(
        select(AuthorityCertificateRow)
        .where(col(AuthorityCertificateRow.anchor) == anchor)
        .order_by(col(AuthorityCertificateRow.sha256))
    ):
        paths.setdefault(row.spki_sha256, []).append(row.sha256)
    last = ""
    while True:
        statement = (
            select(UnitRow)
            .where(col(UnitRow.issuer_key_sha256).in_(keys), col(UnitRow.unit_id) > last)
            .order_by(col(UnitRow.unit_id))
            .limit(_BATCH)
        )
        if not unconfirmed:
            statement = statement.where(col(UnitRow.confirmed).is_(True))
        rows = session.scalars(statement).all()
        if len(rows) == 0:
            return
        last = rows[-1].unit_id
        yield from _entries(session, rows, paths, keys)


def _entries(
    session: Session,
    rows: Sequence[UnitRow],
    paths: dict[str, list[str]],
    provenances: dict[str, str],
) -> Iterator[InventoryEntry]:
    ids = [row.unit_id for row in rows]
    certificates: dict[str, list[CertificateRow]] = {}
    for certificate in session.scalars(
        select(CertificateRow)
        .where(col(CertificateRow.unit_id).in_(ids))
        .order_by(col(CertificateRow.sha256))
    ):
        certificates.setdefault(certificate.unit_id, []).append(certificate)
    sightings: dict[str, list[SightingEntry]] = {}
    reasons: dict[str, str] = {}
    for sighting in session.scalars(select(SightingRow).where(col(SightingRow.unit_id).in_(ids))):
        sightings.setdefault(sighting.unit_id, []).append(
            SightingEntry(sighting.log_id, sighting.index, instant_of(sighting.timestamp_ms))
        )
    for match in session.scalars(
        select(UnconfirmedMatchRow).where(col(UnconfirmedMatchRow.unit_id).in_(ids))
    ):
        unit_id = "" if match.unit_id is None else match.unit_id
        reasons[unit_id] = match.reason
        entry = SightingEntry(match.log_id, match.index, instant_of(match.timestamp_ms))
        if entry not in sightings.setdefault(unit_id, []):
            sightings[unit_id].append(entry)
    files: dict[str, set[str]] = {}
    for given in session.scalars(
        select(OperatorCertificateRow).where(col(OperatorCertificateRow.unit_id).in_(ids))
    ):
        files.setdefault(given.unit_id, set()).add(given.file)
    for row in rows:
        of_unit = certificates.get(row.unit_id, [])
        yield InventoryEntry(
            unit_id=row.unit_id,
            issuer_key_sha256=row.issuer_key_sha256,
            path=tuple(paths.get(row.issuer_key_sha256, ())),
            serial=row.serial_hex,
            precertificates=_of_kind(of_unit, CertificateKind.PRECERTIFICATE),
            finals=_of_kind(of_unit, CertificateKind.FINAL),
            not_before=row.not_before,
            not_after=row.not_after,
            first_logged=None if row.first_logged_ms is None else instant_of(row.first_logged_ms),
            confirmed=row.confirmed,
            reason=None if row.confirmed else reasons.get(row.unit_id),
            sightings=tuple(
                sorted(sightings.get(row.unit_id, ()), key=lambda one: (one.log, one.index))
            ),
            key_provenance=provenances.get(row.issuer_key_sha256, ""),
            operator_files=tuple(sorted(files.get(row.unit_id, ()))),
        )


def _of_kind(rows: Sequence[CertificateRow], kind: CertificateKind) -> tuple[str, ...]:
    return tuple(row.sha256 for row in rows if row.kind is kind)
