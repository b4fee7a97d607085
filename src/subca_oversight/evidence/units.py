"""Units as facts: a unit's stored certificates and sightings, parsed for checks and reports."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlmodel import Session, col

from subca_oversight.evidence.issuance import issuance_evidence
from subca_oversight.evidence.sct_audit import KnownLogs, SctContext, audit_scts
from subca_oversight.evidence.scts import instant_of
from subca_oversight.evidence.x509 import parse_certificate
from subca_oversight.model.certificate import (
    AuthoritySpan,
    CertificateFacts,
    CertificateKind,
    LogReading,
    Sighting,
    UnitFacts,
)
from subca_oversight.store.tables import (
    CertificateRow,
    OperatorCertificateRow,
    SightingRow,
    UnitRow,
)

__all__ = ["instant_of", "load_units"]


def load_units(
    session: Session,
    rows: Sequence[UnitRow],
    spans: Mapping[str, tuple[AuthoritySpan, ...]],
    logs: KnownLogs | None = None,
    readings: Mapping[str, LogReading] | None = None,
) -> list[UnitFacts]:
    """The facts of ``rows``, in their order; ``spans`` and ``readings`` by issuer key SHA-256.

    With ``logs``, the SCTs of final certificates are verified.
    """
    ids = [row.unit_id for row in rows]
    certificates: dict[str, list[CertificateRow]] = {}
    for certificate in session.scalars(
        select(CertificateRow)
        .where(col(CertificateRow.unit_id).in_(ids))
        .order_by(col(CertificateRow.sha256))
    ):
        certificates.setdefault(certificate.unit_id, []).append(certificate)
    sightings: dict[str, list[SightingRow]] = {}
    for sighting in session.scalars(
        select(SightingRow)
        .where(col(SightingRow.unit_id).in_(ids))
        .order_by(col(SightingRow.log_id), col(SightingRow.index))
    ):
        sightings.setdefault(sighting.unit_id, []).append(sighting)
    given = _given(session, ids)
    units = [
        _unit(row, certificates.get(row.unit_id, []), sightings.get(row.unit_id, []), spans, logs)
        for row in rows
    ]
    return [
        dataclasses.replace(
            unit,
            first_given=given.get(unit.unit_id),
            reading=(readings or {}).get(unit.issuer_key_sha256 or ""),
        )
        for unit in units
    ]


def _given(session: Session, ids: Sequence[str]) -> dict[str, datetime]:
    """When the operator first gave a certificate of a unit."""
    rows = session.execute(
        select(col(OperatorCertificateRow.unit_id), func.min(col(OperatorCertificateRow.added_at)))
        .where(col(OperatorCertificateRow.unit_id).in_(ids))
        .group_by(col(OperatorCertificateRow.unit_id))
    )
    return {unit_id: at for unit_id, at in rows}  # noqa: C416 - rows are not tuples to mypy


def _unit(
    row: UnitRow,
    certificates: Sequence[CertificateRow],
    sightings: Sequence[SightingRow],
    spans: Mapping[str, tuple[AuthoritySpan, ...]],
    logs: KnownLogs | None,
) -> UnitFacts:
    first_logged = None if row.first_logged_ms is None else instant_of(row.first_logged_ms)
    facts = [_facts(one, row.issuer_key_sha256, first_logged) for one in certificates]
    precertificates = tuple(f for f in facts if f.kind is CertificateKind.PRECERTIFICATE)
    finals = tuple(f for f in facts if f.kind is CertificateKind.FINAL)
    if logs is not None:
        finals = tuple(_audited(one, precertificates, sightings, logs) for one in finals)
    return UnitFacts(
        unit_id=row.unit_id,
        issuer_key_sha256=row.issuer_key_sha256,
        serial_hex=row.serial_hex,
        precertificates=precertificates,
        finals=finals,
        first_logged=first_logged,
        sightings=tuple(
            Sighting(one.log_id, one.index, instant_of(one.timestamp_ms)) for one in sightings
        ),
        issuer_validity=spans.get(row.issuer_key_sha256, ()),
    )


def _facts(
    row: CertificateRow, issuer_key_sha256: str, first_logged: datetime | None
) -> CertificateFacts:
    facts = parse_certificate(row.der, kind=row.kind, issuer_key_sha256=issuer_key_sha256)
    return dataclasses.replace(facts, issued=issuance_evidence(facts, first_logged))


def _audited(
    final: CertificateFacts,
    precertificates: Sequence[CertificateFacts],
    sightings: Sequence[SightingRow],
    logs: KnownLogs,
) -> CertificateFacts:
    """With the verdict on its SCTs, and what the unit's entries say of the reason."""
    own = [one.timestamp_ms for one in sightings if one.certificate_sha256 == final.sha256]
    indexes: dict[str, list[int]] = {}
    for one in sightings:
        indexes.setdefault(one.log_id, []).append(one.index)
    context = SctContext(
        logged=instant_of(min(own)) if len(own) > 0 else None,
        indexes=indexes,
        promised=[one.tbs_without_ct for one in precertificates if one.tbs_without_ct is not None],
    )
    return dataclasses.replace(final, sct_audit=audit_scts(final, logs, context))
