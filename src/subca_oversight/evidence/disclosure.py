"""Disclosure: what the last good CCADB export says of a subordinate's CA certificates."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.evidence.audits import find_audit_freshness
from subca_oversight.model.audit import AuditFreshness, CertificateRecord
from subca_oversight.model.subordinate import KeyProvenance, Relation, Subordinate
from subca_oversight.sources.ccadb.records import load_records
from subca_oversight.store.tables import AuthorityCertificateRow, CcadbSnapshotRow, WatchedKeyRow

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
    certificates = {row.sha256: row.der for row in find_overseen(session, subordinate.anchor)}
    return _judge(snapshot, certificates, subordinate.relation, as_of=as_of)


def find_overseen(session: Session, anchor: str) -> list[AuthorityCertificateRow]:
    """The CA certificates that the signing CA answers for, by SHA-256.

    Those configured, and those of issuing CAs below them; not what others signed for the same key.
    """
    rows = session.execute(
        select(AuthorityCertificateRow, WatchedKeyRow)
        .join(
            WatchedKeyRow,
            col(WatchedKeyRow.spki_sha256) == col(AuthorityCertificateRow.spki_sha256),
        )
        .where(col(AuthorityCertificateRow.anchor) == anchor)
        .order_by(col(AuthorityCertificateRow.sha256))
    ).all()
    configured = KeyProvenance.CONFIGURATION
    return [
        certificate
        for certificate, key in rows
        if certificate.provenance is configured or key.provenance is not configured
    ]


def load_disclosed(session: Session, *, as_of: datetime) -> tuple[CertificateRecord, ...]:
    """Every record of the last export accepted at or before ``as_of``; empty where none was."""
    snapshot = find_snapshot(session, as_of=as_of)
    return () if snapshot is None else _parse(snapshot.sha256, snapshot.body)


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
_parsing = threading.Lock()


def _parse(sha256: str, body: bytes) -> tuple[CertificateRecord, ...]:
    with _parsing:  # jobs run in threads of one process
        _bodies[sha256] = body
        try:
            return _parsed(sha256)
        finally:
            del _bodies[sha256]


@lru_cache(maxsize=1)
def _parsed(sha256: str) -> tuple[CertificateRecord, ...]:
    """The records of one export: three subordinates in a run share one parse of nine megabytes."""
    return load_records(zlib.decompress(_bodies[sha256])).records
