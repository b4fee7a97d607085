"""Descendants: the CA certificates of watched keys, and the issuing CAs below them.

A candidate counts when its bytes prove it: its key is a watched one, or a watched key signed it and
it is a CA. Where the candidate came from (an export, a chain) only decides its provenance. Found
keys are watched from then on, so that what a sub-subordinate issues is seen too (MRSP 5.3, 8.4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.errors import VerificationError
from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.issuer_signature import Uncheckable, verify_issued
from subca_oversight.evidence.structure import CertificateStructure, slice_certificate
from subca_oversight.evidence.x509 import parse_certificate
from subca_oversight.model.subordinate import KeyProvenance
from subca_oversight.store.tables import AuthorityCertificateRow, WatchedKeyRow


@dataclass(frozen=True, slots=True)
class _Candidate:
    sha256: str
    der: bytes
    structure: CertificateStructure
    spki_sha256: str


def register_descendants(
    session: Session, certificates: Iterable[bytes], provenance: KeyProvenance, *, now: datetime
) -> int:
    """Watch what ``certificates`` (DER) prove to belong to a watched key; returns how many.

    To a fixed point: the certificates of a found CA are looked for in turn.
    """
    keys = {
        row.spki_sha256: row
        for row in session.scalars(
            select(WatchedKeyRow).where(col(WatchedKeyRow.unwatched_at).is_(None))
        )
    }
    known = {row.sha256: row.der for row in session.scalars(select(AuthorityCertificateRow))}
    by_issuer, by_key = _index(certificates, set(known))
    names = _names(known)
    found = 0
    waiting = list(keys)
    while len(waiting) > 0:
        key = keys[waiting.pop()]
        for twin in by_key.get(key.spki_sha256, ()):
            if twin.sha256 in known:
                continue
            _add(session, twin, key.anchor, provenance, now)
            known[twin.sha256] = twin.der
            if twin.structure.subject is not None:
                names.setdefault(key.spki_sha256, set()).add(twin.structure.subject)
            if key.spki is None:
                key.spki = twin.structure.spki
                session.add(key)
            found += 1
        for name in names.get(key.spki_sha256, ()):
            for child in by_issuer.get(name, ()):
                if child.spki_sha256 in keys or not _is_issued(child, key):
                    continue
                keys[child.spki_sha256] = WatchedKeyRow(
                    spki_sha256=child.spki_sha256,
                    anchor=key.anchor,
                    provenance=provenance,
                    spki=child.structure.spki,
                    watched_since=now,
                )
                session.add(keys[child.spki_sha256])
                session.flush()
                waiting.append(child.spki_sha256)
    return found


def _index(
    certificates: Iterable[bytes], known: set[str]
) -> tuple[dict[bytes, list[_Candidate]], dict[str, list[_Candidate]]]:
    by_issuer: dict[bytes, list[_Candidate]] = {}
    by_key: dict[str, list[_Candidate]] = {}
    for der in certificates:
        sha256 = hashlib.sha256(der).hexdigest()
        try:
            structure = slice_certificate(der)
        except Malformed:
            continue
        if sha256 in known or structure.spki is None or structure.issuer is None:
            continue
        candidate = _Candidate(sha256, der, structure, hashlib.sha256(structure.spki).hexdigest())
        by_issuer.setdefault(structure.issuer, []).append(candidate)
        by_key.setdefault(candidate.spki_sha256, []).append(candidate)
    return by_issuer, by_key


def _names(known: dict[str, bytes]) -> dict[str, set[bytes]]:
    """Subject names of the known CA certificates, by key: what their issuing is signed with."""
    names: dict[str, set[bytes]] = {}
    for der in known.values():
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
    try:
        verify_issued(child.structure, key.spki)
    except (VerificationError, Uncheckable):
        return False
    return True


def _add(
    session: Session,
    candidate: _Candidate,
    anchor: str,
    provenance: KeyProvenance,
    now: datetime,
) -> None:
    session.add(
        AuthorityCertificateRow(
            sha256=candidate.sha256,
            spki_sha256=candidate.spki_sha256,
            anchor=anchor,
            der=candidate.der,
            provenance=provenance,
            first_seen=now,
        )
    )
