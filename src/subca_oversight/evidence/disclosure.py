"""Disclosure: what the last good CCADB export says of a subordinate's CA certificates."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.evidence.audits import find_audit_freshness
from subca_oversight.model.audit import AuditFreshness, CertificateRecord
from subca_oversight.model.subordinate import Relation, Subordinate
from subca_oversight.sources.ccadb.records import load_records
from subca_oversight.store.tables import AuthorityCertificateRow, CcadbSnapshotRow

RECORDS = "records"


def find_snapshot(session: Session, *, as_of: datetime) -> CcadbSnapshotRow | None:
    """The last records export accepted at or before ``as_of``."""
    return session.scalars(
        select(CcadbSnapshotRow)
        .where(col(CcadbSnapshotRow.kind) == RECORDS, col(CcadbSnapshotRow.imported_at) <= as_of)
        .order_by(col(CcadbSnapshotRow.id).desc())
        .limit(1)
    ).first()


def load_audits(
    session: Session, subordinate: Subordinate, *, as_of: datetime
) -> list[AuditFreshness]:
    """The freshness of the subordinate's CA certificates that the export knows.

    Empty where no export was accepted by then.
    """
    snapshot = find_snapshot(session, as_of=as_of)
    if snapshot is None:
        return []
    authorities = session.scalars(
        select(AuthorityCertificateRow).where(
            col(AuthorityCertificateRow.anchor) == subordinate.anchor
        )
    )
    certificates = {row.sha256: row.der for row in authorities}
    return _judge(snapshot, certificates, subordinate.relation, as_of=as_of)


def _judge(
    snapshot: CcadbSnapshotRow,
    certificates: Mapping[str, bytes],
    relation: Relation,
    *,
    as_of: datetime,
) -> list[AuditFreshness]:
    """The freshness of the records of ``certificates`` (DER by SHA-256), by certificate name."""
    records = _parse(snapshot.sha256, snapshot.body)
    external = relation is not Relation.ON_PREMISES
    judged = find_audit_freshness(
        records,
        certificates,
        as_of.date(),
        only=frozenset(certificates),
        registry=dict.fromkeys(certificates, external),
    )
    return sorted(judged, key=lambda one: (one.certificate_name, one.sha256))


_bodies: dict[str, bytes] = {}


def _parse(sha256: str, body: bytes) -> tuple[CertificateRecord, ...]:
    _bodies[sha256] = body
    try:
        return _parsed(sha256)
    finally:
        del _bodies[sha256]


@lru_cache(maxsize=1)
def _parsed(sha256: str) -> tuple[CertificateRecord, ...]:
    """The records of one export: three subordinates in a run share one parse of nine megabytes."""
    return load_records(zlib.decompress(_bodies[sha256])).records
