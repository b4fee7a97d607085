"""What an operator says it issued: certificates from files, kept beside what the logs showed.

A certificate counts as the subordinate's act by the signature of a watched key, whoever brought it.
It has no sighting and no log timestamp, so it is in no population and no count of logged ones; a
TLS certificate that never comes to a log either is a question of its own (CRP 1.3.4.1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlmodel import Session, col

from subca_oversight.errors import VerificationError
from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.issuance import unit_id, unit_id_without_serial
from subca_oversight.evidence.issuer_signature import Uncheckable, verify_issued
from subca_oversight.evidence.structure import CertificateStructure, slice_certificate
from subca_oversight.evidence.x509 import parse_certificate
from subca_oversight.sources.certificate_files import FileCertificate, FileFlaw
from subca_oversight.store.database import upsert_ignoring
from subca_oversight.store.tables import (
    CertificateRow,
    ChainCertificateRow,
    OperatorCertificateRow,
    SightingRow,
    UnitRow,
    WatchedKeyRow,
)

BATCH = 500
"""Certificates stored in one transaction."""
_MAX_REFUSED = 50


@dataclass(slots=True)
class ImportTally:
    """What became of the certificates of an import."""

    read: int = 0
    new: int = 0
    """Not in the store before, from a log or otherwise."""
    known: int = 0
    logged: int = 0
    """Of all that were accepted: those that a log showed already."""
    refused: int = 0
    refusals: list[FileFlaw] = field(default_factory=list)
    """The first of them."""

    def refuse(self, origin: str, reason: str) -> None:
        """Count what is no certificate of the subordinate."""
        self.refused += 1
        if len(self.refusals) < _MAX_REFUSED:
            self.refusals.append(FileFlaw(origin, reason))


def load_signers(session: Session, anchor: str) -> dict[str, bytes]:
    """The keys at hand of a subordinate, those no longer watched too, by SPKI hash."""
    rows = session.scalars(
        select(WatchedKeyRow)
        .where(col(WatchedKeyRow.anchor) == anchor)
        .order_by(col(WatchedKeyRow.spki_sha256))
    )
    return {row.spki_sha256: row.spki for row in rows if row.spki is not None}


def import_batch(
    session: Session,
    anchor: str,
    signers: dict[str, bytes],
    batch: Sequence[FileCertificate],
    tally: ImportTally,
    *,
    now: datetime,
) -> None:
    """Store those of ``batch`` that a key of the subordinate signed."""
    rows: dict[str, dict[str, Any]] = {}
    units: dict[str, dict[str, Any]] = {}
    origins: dict[str, dict[str, Any]] = {}
    authorities: list[dict[str, Any]] = []
    for item in batch:
        tally.read += 1
        key = _find_signer(item, signers, tally)
        if key is None:
            continue
        facts = parse_certificate(item.der, issuer_key_sha256=key)
        unit = (
            unit_id_without_serial(facts.der)
            if facts.serial is None
            else unit_id(bytes.fromhex(key), facts.serial)
        )
        problem = ": ".join(facts.field_errors[0]) if len(facts.field_errors) > 0 else None
        rows[facts.sha256] = {
            "sha256": facts.sha256,
            "unit_id": unit,
            "kind": facts.kind,
            "der": facts.der,
            "confirmed": True,
            "problem": problem,
            "linted_with": None,
        }
        units[unit] = {
            "unit_id": unit,
            "issuer_key_sha256": key,
            "serial_hex": facts.serial_hex,
            "first_logged_ms": None,
            "not_before": facts.not_before,
            "not_after": facts.not_after,
            "confirmed": True,
            "baseline": False,
            "added_at": now,
            "checked_with": None,
        }
        origins[facts.sha256] = {
            "certificate_sha256": facts.sha256,
            "unit_id": unit,
            "anchor": anchor,
            "file": item.origin,
            "added_at": now,
        }
        if facts.is_ca:
            spki = None if facts.spki is None else hashlib.sha256(facts.spki).hexdigest()
            authorities.append({"sha256": facts.sha256, "spki_sha256": spki, "der": facts.der})
    _count(session, rows, tally)
    upsert_ignoring(session, UnitRow, list(units.values()))
    upsert_ignoring(session, CertificateRow, list(rows.values()))
    upsert_ignoring(session, OperatorCertificateRow, list(origins.values()))
    upsert_ignoring(session, ChainCertificateRow, authorities)
    session.execute(
        update(UnitRow)
        .where(col(UnitRow.unit_id).in_(units))
        .values(checked_with=None, confirmed=True)
    )


def _find_signer(
    item: FileCertificate, signers: dict[str, bytes], tally: ImportTally
) -> str | None:
    try:
        certificate = slice_certificate(item.der)
    except Malformed as malformed:
        tally.refuse(item.origin, f"not a certificate: {malformed}")
        return None
    uncheckable = ""
    for key, spki in signers.items():
        try:
            _verify(certificate, spki)
        except VerificationError:
            continue
        except Uncheckable as error:
            uncheckable = str(error)
            continue
        return key
    reason = "no key of the subordinate signed it"
    tally.refuse(item.origin, reason if uncheckable == "" else f"{reason}, or: {uncheckable}")
    return None


def _verify(certificate: CertificateStructure, spki: bytes) -> None:
    try:
        verify_issued(certificate, spki)
    except Malformed as malformed:
        raise VerificationError(str(malformed)) from malformed


def _count(session: Session, rows: dict[str, dict[str, Any]], tally: ImportTally) -> None:
    stored = set(
        session.scalars(
            select(col(CertificateRow.sha256)).where(col(CertificateRow.sha256).in_(rows))
        )
    )
    sighted = set(
        session.scalars(
            select(col(SightingRow.unit_id)).where(
                col(SightingRow.unit_id).in_({row["unit_id"] for row in rows.values()})
            )
        )
    )
    tally.known += len(stored)
    tally.new += len(rows) - len(stored)
    tally.logged += sum(row["unit_id"] in sighted for row in rows.values())
