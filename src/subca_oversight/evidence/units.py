"""Units as facts: a unit's stored certificates and sightings, parsed for checks and reports."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.evidence.issuance import issuance_evidence
from subca_oversight.evidence.x509 import parse_certificate
from subca_oversight.model.certificate import (
    AuthoritySpan,
    CertificateFacts,
    CertificateKind,
    Sighting,
    UnitFacts,
)
from subca_oversight.store.tables import CertificateRow, SightingRow, UnitRow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant_of(milliseconds: int) -> datetime:
    """The instant of an RFC 6962 timestamp; years past 9999 are held at the last instant."""
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def load_units(
    session: Session,
    rows: Sequence[UnitRow],
    spans: Mapping[str, tuple[AuthoritySpan, ...]],
) -> list[UnitFacts]:
    """The facts of ``rows``, in their order; ``spans`` by issuer key SHA-256."""
    ids = [row.unit_id for row in rows]
    certificates: dict[str, list[CertificateRow]] = {}
    for certificate in session.scalars(
        select(CertificateRow)
        .where(col(CertificateRow.unit_id).in_(ids))
        .order_by(col(CertificateRow.sha256))
    ):
        certificates.setdefault(certificate.unit_id, []).append(certificate)
    sightings: dict[str, list[Sighting]] = {}
    for sighting in session.scalars(
        select(SightingRow)
        .where(col(SightingRow.unit_id).in_(ids))
        .order_by(col(SightingRow.log_id), col(SightingRow.index))
    ):
        sightings.setdefault(sighting.unit_id, []).append(
            Sighting(sighting.log_id, sighting.index, instant_of(sighting.timestamp_ms))
        )
    return [
        _unit(row, certificates.get(row.unit_id, []), sightings.get(row.unit_id, []), spans)
        for row in rows
    ]


def _unit(
    row: UnitRow,
    certificates: Sequence[CertificateRow],
    sightings: Sequence[Sighting],
    spans: Mapping[str, tuple[AuthoritySpan, ...]],
) -> UnitFacts:
    first_logged = None if row.first_logged_ms is None else instant_of(row.first_logged_ms)
    facts = [_facts(one, row.issuer_key_sha256, first_logged) for one in certificates]
    return UnitFacts(
        unit_id=row.unit_id,
        issuer_key_sha256=row.issuer_key_sha256,
        serial_hex=row.serial_hex,
        precertificates=tuple(f for f in facts if f.kind is CertificateKind.PRECERTIFICATE),
        finals=tuple(f for f in facts if f.kind is CertificateKind.FINAL),
        first_logged=first_logged,
        sightings=tuple(sightings),
        issuer_validity=spans.get(row.issuer_key_sha256, ()),
    )


def _facts(
    row: CertificateRow, issuer_key_sha256: str, first_logged: datetime | None
) -> CertificateFacts:
    facts = parse_certificate(row.der, kind=row.kind, issuer_key_sha256=issuer_key_sha256)
    return dataclasses.replace(facts, issued=issuance_evidence(facts, first_logged))
