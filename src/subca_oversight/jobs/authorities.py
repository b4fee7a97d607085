"""A subordinate's CA certificates as subjects of checks, with what is known of each.

What others certified for the same key is not the subordinate's act, so it is no subject of its own:
it goes with one of the key's certificates that the signing CA answers for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlmodel import Session, col

from subca_oversight.check.api import AuthorityFacts, AuthorityRecord, CrossCertificate
from subca_oversight.evidence.disclosure import find_overseen, find_snapshot, load_disclosed
from subca_oversight.evidence.scts import instant_of
from subca_oversight.evidence.x509 import parse_certificate
from subca_oversight.model.certificate import CertificateKind
from subca_oversight.model.subordinate import KeyProvenance, Subordinate
from subca_oversight.store.tables import (
    AuthorityCertificateRow,
    AuthoritySightingRow,
    ChainCertificateRow,
    SightingRow,
)


def load_authorities(
    session: Session, subordinate: Subordinate, *, as_of: datetime
) -> list[AuthorityFacts]:
    """The CA certificates that the signing CA answers for, by SHA-256."""
    rows = find_overseen(session, subordinate.anchor)
    overseen = {row.sha256 for row in rows}
    others = [
        row
        for row in session.scalars(
            select(AuthorityCertificateRow)
            .where(col(AuthorityCertificateRow.anchor) == subordinate.anchor)
            .order_by(col(AuthorityCertificateRow.sha256))
        )
        if row.sha256 not in overseen
    ]
    records = _Records(session, [*rows, *others], as_of=as_of)
    subjects: list[AuthorityFacts] = []
    told: set[str] = set()
    for row in rows:
        key = row.spki_sha256
        about = [other for other in others if other.spki_sha256 == key and key not in told]
        told.add(key)
        subjects.append(
            AuthorityFacts(
                anchor=subordinate.anchor,
                subordinate=subordinate.name,
                relation=subordinate.relation,
                certificate=parse_certificate(row.der, issuer_key_sha256=key),
                as_of=as_of,
                record=records.of(row),
                cross_certificates=tuple(
                    CrossCertificate(parse_certificate(other.der), records.of(other))
                    for other in about
                    if other.issuer_key_sha256 != key
                ),
            )
        )
    return subjects


class _Records:
    """What is known of CA certificates beyond their bytes."""

    def __init__(
        self, session: Session, rows: Sequence[AuthorityCertificateRow], *, as_of: datetime
    ) -> None:
        snapshot = find_snapshot(session, as_of=as_of)
        self._export_of = None if snapshot is None else snapshot.last_seen_at
        self._disclosed = {one.sha256 for one in load_disclosed(session, as_of=as_of)}
        self._disclosed_keys = {
            row.spki_sha256
            for row in rows
            if row.sha256 in self._disclosed and row.spki_sha256 is not None
        }
        self._first_logged = _first_logged(session, [row.sha256 for row in rows])
        signers = {row.issuer_key_sha256 for row in rows if row.issuer_key_sha256 is not None}
        self._disclosed_signers = {
            row.spki_sha256
            for row in session.scalars(
                select(ChainCertificateRow).where(col(ChainCertificateRow.spki_sha256).in_(signers))
            )
            if row.sha256 in self._disclosed
        }

    def of(self, row: AuthorityCertificateRow) -> AuthorityRecord:
        """The record of one certificate."""
        disclosed = row.sha256 in self._disclosed
        facts = parse_certificate(row.der)
        if facts.kind is CertificateKind.PRECERTIFICATE:  # its certificate has another hash
            disclosed = row.spki_sha256 in self._disclosed_keys
        signer = row.issuer_key_sha256
        is_known = self._export_of is not None
        return AuthorityRecord(
            first_seen=row.first_seen,
            first_logged=self._first_logged.get(row.sha256),
            is_configured=row.provenance is KeyProvenance.CONFIGURATION,
            is_disclosed=disclosed if is_known else None,
            is_issuer_disclosed=(
                signer in self._disclosed_signers if is_known and signer is not None else None
            ),
            export_of=self._export_of,
        )


def _first_logged(session: Session, certificates: Iterable[str]) -> dict[str, datetime]:
    """The earliest entry of each certificate: under a watched key, or about one."""
    wanted = list(certificates)
    earliest: dict[str, int] = {}
    for table in (SightingRow, AuthoritySightingRow):
        found = session.execute(
            select(col(table.certificate_sha256), func.min(col(table.timestamp_ms)))
            .where(col(table.certificate_sha256).in_(wanted))
            .group_by(col(table.certificate_sha256))
        )
        for sha256, timestamp_ms in found:
            earliest[sha256] = min(timestamp_ms, earliest.get(sha256, timestamp_ms))
    return {sha256: instant_of(timestamp_ms) for sha256, timestamp_ms in earliest.items()}
