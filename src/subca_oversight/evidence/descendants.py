"""Descendants: the CA certificates of watched keys, and the issuing CAs below them.

A candidate counts when its bytes prove it: a watched key signed it and it is a CA, or its key is a
watched one. The latter anybody can write, so beyond the export of CCADB its signer must be at hand.
Where the candidate came from (an export, a chain, a log) only decides its provenance. Found keys
are watched from then on, so that what a sub-subordinate issues is seen too (MRSP 5.3, 8.4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session

from subca_oversight.errors import VerificationError
from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.issuer_signature import Uncheckable, verify_issued
from subca_oversight.evidence.structure import POISON, CertificateStructure, slice_certificate
from subca_oversight.evidence.x509 import parse_certificate
from subca_oversight.model.subordinate import KeyProvenance
from subca_oversight.store.tables import AuthorityCertificateRow, WatchedKeyRow

FindSigner = Callable[[CertificateStructure], str | None]
"""Gives the SPKI hash of the key that signed a certificate, where that key is at hand."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    sha256: str
    der: bytes
    structure: CertificateStructure
    spki_sha256: str

    @property
    def is_precertificate(self) -> bool:
        return any(extension.oid == POISON for extension in self.structure.extensions)


def register_descendants(
    session: Session,
    certificates: Iterable[bytes],
    provenance: KeyProvenance,
    *,
    now: datetime,
    find_signer: FindSigner | None = None,
) -> int:
    """Watch what ``certificates`` (DER) prove to belong to a watched key; returns how many.

    To a fixed point: the certificates of a found CA are looked for in turn. With ``find_signer``,
    a certificate of a watched key counts only where that finds the key that signed it.
    """
    keys = {row.spki_sha256: row for row in session.scalars(select(WatchedKeyRow))}
    stored = {row.sha256: row for row in session.scalars(select(AuthorityCertificateRow))}
    by_issuer, by_key = _index(certificates)
    if provenance is KeyProvenance.CCADB:
        _name(session, stored, keys, by_key)
    names = _names([row.der for row in stored.values()])
    search = _Search(session, provenance, now, find_signer, keys, set(stored), names)
    waiting = [key for key, row in keys.items() if row.unwatched_at is None]
    while len(waiting) > 0:
        key = keys[waiting.pop()]
        search.add_twins(key, by_key.get(key.spki_sha256, ()))
        for name in names.get(key.spki_sha256, ()):
            waiting.extend(search.watch_children(key, by_issuer.get(name, ())))
    return search.found


@dataclass(slots=True)
class _Search:
    session: Session
    provenance: KeyProvenance
    now: datetime
    find_signer: FindSigner | None
    keys: dict[str, WatchedKeyRow]
    known: set[str]
    """SHA-256 of the CA certificates that are stored."""
    names: dict[str, set[bytes]]
    found: int = 0

    def add_twins(self, key: WatchedKeyRow, candidates: Iterable[_Candidate]) -> None:
        """Store the certificates of a watched key."""
        for twin in sorted(candidates, key=lambda one: (one.is_precertificate, one.sha256)):
            # A precertificate stands in for a CA certificate only while none of the key is known.
            is_superfluous = twin.is_precertificate and key.spki_sha256 in self.names
            if twin.sha256 in self.known or is_superfluous:
                continue
            signer = None if self.find_signer is None else self.find_signer(twin.structure)
            if signer is None and self.find_signer is not None:
                continue
            self._add(twin, key.anchor, signer)
            if key.spki is None:
                key.spki = twin.structure.spki
                self.session.add(key)

    def watch_children(self, key: WatchedKeyRow, candidates: Iterable[_Candidate]) -> Iterator[str]:
        """Watch the keys of the CAs that a watched key certified; give those that are new."""
        for child in candidates:
            below = self.keys.get(child.spki_sha256)
            if below is None:
                below = WatchedKeyRow(
                    spki_sha256=child.spki_sha256,
                    anchor=key.anchor,
                    provenance=self.provenance,
                    spki=child.structure.spki,
                    watched_since=self.now,
                )
            elif below.unwatched_at is None or below.anchor != key.anchor:
                continue
            if not _is_issued(child, key):
                continue
            below.provenance = self.provenance  # also where the configuration let go of it
            below.unwatched_at = None
            self.keys[child.spki_sha256] = below
            self.session.add(below)
            self.session.flush()
            yield child.spki_sha256

    def _add(self, candidate: _Candidate, anchor: str, signer: str | None) -> None:
        self.session.add(
            AuthorityCertificateRow(
                sha256=candidate.sha256,
                spki_sha256=candidate.spki_sha256,
                anchor=anchor,
                der=candidate.der,
                provenance=self.provenance,
                first_seen=self.now,
                issuer_key_sha256=signer,
            )
        )
        self.known.add(candidate.sha256)
        if candidate.structure.subject is not None:
            self.names.setdefault(candidate.spki_sha256, set()).add(candidate.structure.subject)
        self.found += 1


def _name(
    session: Session,
    stored: dict[str, AuthorityCertificateRow],
    keys: dict[str, WatchedKeyRow],
    by_key: dict[str, list[_Candidate]],
) -> None:
    """What was learned from chains and is named by an export now is no longer only proposed."""
    for candidates in by_key.values():
        for candidate in candidates:
            row = stored.get(candidate.sha256)
            key = keys.get(candidate.spki_sha256)
            for one in (row, key):
                if one is not None and one.provenance is KeyProvenance.CHAIN:
                    one.provenance = KeyProvenance.CCADB
                    session.add(one)


def _index(
    certificates: Iterable[bytes],
) -> tuple[dict[bytes, list[_Candidate]], dict[str, list[_Candidate]]]:
    by_issuer: dict[bytes, list[_Candidate]] = {}
    by_key: dict[str, list[_Candidate]] = {}
    for der in certificates:
        try:
            structure = slice_certificate(der)
        except Malformed:
            continue
        if structure.spki is None or structure.issuer is None:
            continue
        sha256 = hashlib.sha256(der).hexdigest()
        candidate = _Candidate(sha256, der, structure, hashlib.sha256(structure.spki).hexdigest())
        by_issuer.setdefault(structure.issuer, []).append(candidate)
        by_key.setdefault(candidate.spki_sha256, []).append(candidate)
    return by_issuer, by_key


def _names(known: Iterable[bytes]) -> dict[str, set[bytes]]:
    """Subject names of the known CA certificates, by key: what their issuing is signed with."""
    names: dict[str, set[bytes]] = {}
    for der in known:
        try:
            structure = slice_certificate(der)
        except Malformed:
            continue
        if structure.spki is not None and structure.subject is not None:
            spki_sha256 = hashlib.sha256(structure.spki).hexdigest()
            names.setdefault(spki_sha256, set()).add(structure.subject)
    return names


def _is_issued(child: _Candidate, key: WatchedKeyRow) -> bool:
    if key.spki is None or not parse_certificate(child.der).is_ca:
        return False
    return is_signed(child.structure, key.spki)


def is_signed(certificate: CertificateStructure, spki: bytes) -> bool:
    """Whether the key is known to have signed the certificate."""
    try:
        verify_issued(certificate, spki)
    except (VerificationError, Uncheckable):
        return False
    return True
