"""CA certificates seen in logs and chains: those of watched keys become watched themselves.

A subordinate can certify another CA without a word to anybody; the first trace is that certificate
in a log, or in the chain of what it issues. Every CA certificate met with is compared once to what
is watched, and again only when that has changed (CCADB Policy 3.2, MRSP 5.3.2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import or_, select, update
from sqlmodel import Session, col

from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.descendants import is_signed, register_descendants
from subca_oversight.evidence.structure import CertificateStructure, slice_certificate
from subca_oversight.model.subordinate import KeyProvenance
from subca_oversight.store.tables import (
    AuthorityCertificateRow,
    ChainCertificateRow,
    WatchedKeyRow,
)

_BATCH = 2000
"""Certificates compared at a time: a few megabytes."""


def register_seen(session: Session, *, now: datetime) -> int:
    """Compare what was seen since the last time, or all where more is watched; returns the found.

    Ends, since every round either finds one that was unknown or is the last over each certificate.
    """
    signers = _Signers(session)
    found = 0
    digest = _watch_digest(session)
    while True:
        rows = _unconsidered(session, digest)
        if len(rows) == 0:
            return found
        new = register_descendants(
            session,
            [der for _, der in rows],
            KeyProvenance.CHAIN,
            now=now,
            find_signer=signers.find,
        )
        found += new
        session.execute(
            update(ChainCertificateRow)
            .where(col(ChainCertificateRow.sha256).in_([sha256 for sha256, _ in rows]))
            .values(considered_with=digest)
        )
        if new > 0:
            session.flush()
            digest = _watch_digest(session)


def _unconsidered(session: Session, digest: str) -> Sequence[tuple[str, bytes]]:
    considered = col(ChainCertificateRow.considered_with)
    rows = session.execute(
        select(col(ChainCertificateRow.sha256), col(ChainCertificateRow.der))
        .where(or_(considered.is_(None), considered != digest))
        .limit(_BATCH)
    )
    return [(sha256, der) for sha256, der in rows]


def _watch_digest(session: Session) -> str:
    """SHA-256 over the watched keys and known CA certificates: what candidates are compared to."""
    keys = session.execute(
        select(col(WatchedKeyRow.spki_sha256), col(WatchedKeyRow.spki).is_(None)).where(
            col(WatchedKeyRow.unwatched_at).is_(None)
        )
    )
    known = session.scalars(select(col(AuthorityCertificateRow.sha256)))
    lines = [*(f"{key} {unknown}" for key, unknown in keys), *known]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


class _Signers:
    """Who signed a CA certificate, out of every CA certificate that was ever seen."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._by_name: dict[bytes, set[bytes]] | None = None

    def find(self, certificate: CertificateStructure) -> str | None:
        """SPKI hash of the signer, who may be the subject itself."""
        if self._by_name is None:  # rarely needed: only for a certificate about a watched key
            self._by_name = self._load()
        if certificate.issuer is None:
            return None
        spkis = set(self._by_name.get(certificate.issuer, ()))
        if certificate.issuer == certificate.subject and certificate.spki is not None:
            spkis.add(certificate.spki)
        signed = (spki for spki in sorted(spkis) if is_signed(certificate, spki))
        spki = next(signed, None)
        return None if spki is None else hashlib.sha256(spki).hexdigest()

    def _load(self) -> dict[bytes, set[bytes]]:
        found: dict[bytes, set[bytes]] = {}
        for table in (ChainCertificateRow, AuthorityCertificateRow):
            for der in self._session.scalars(select(col(table.der))):
                try:
                    structure = slice_certificate(der)
                except Malformed:
                    continue
                if structure.subject is not None and structure.spki is not None:
                    found.setdefault(structure.subject, set()).add(structure.spki)
        return found
