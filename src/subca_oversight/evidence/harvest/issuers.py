"""Issuer certificates: what a fingerprint stands for, asked for once.

Static logs name each chain certificate by its SHA-256 and serve it apart; a few thousand issuers
stand behind billions of entries, so what was learned is kept across runs. C2SP static-ct-api,
"Issuers".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.evidence.chain import load_structure
from subca_oversight.evidence.der import Malformed
from subca_oversight.sources.static_ct import StaticLog, WrongIssuer
from subca_oversight.store.tables import ChainCertificateRow

_MAX_KNOWN = 50_000
"""Fingerprints kept in memory; public CAs have a few thousand issuers."""


class IssuerBook:
    """SPKI hashes of chain certificates by their fingerprints.

    ``missing`` are fingerprints for which the log has served nothing, or the wrong bytes, since the
    book was opened; ``wrong`` holds the latter until someone has kept them as evidence.
    """

    def __init__(self, known: dict[bytes, bytes | None] | None = None) -> None:
        self.known: dict[bytes, bytes | None] = {} if known is None else known
        self.missing: set[bytes] = set()
        self.wrong: list[WrongIssuer] = []
        self._unsaved: dict[bytes, bytes] = {}

    @classmethod
    def load(cls, session: Session) -> IssuerBook:
        """Open the book with everything that was ever learned."""
        rows = session.execute(
            select(col(ChainCertificateRow.sha256), col(ChainCertificateRow.spki_sha256))
        )
        return cls(
            {
                bytes.fromhex(fingerprint): None if spki is None else bytes.fromhex(spki)
                for fingerprint, spki in rows
            }
        )

    def learn(self, certificate: bytes, *, keep: bool) -> bytes:
        """Note an issuer certificate and return its fingerprint; ``keep`` stores it as evidence."""
        fingerprint = sha256(certificate).digest()
        if fingerprint not in self.known:
            if len(self.known) >= _MAX_KNOWN:
                self.known.clear()  # a log that floods the book costs requests, not memory
            self.known[fingerprint] = find_key_hash(certificate)
        if keep:
            self._unsaved[fingerprint] = certificate
        return fingerprint

    async def ask(self, log: StaticLog, fingerprints: Iterable[bytes]) -> None:
        """Learn the certificates of a static log that are not known yet.

        Raises SourceError where the log fails to answer, as opposed to not having one.
        """
        for fingerprint in fingerprints:
            if fingerprint in self.known or fingerprint in self.missing:
                continue
            try:
                certificate = await log.find_issuer(fingerprint)
            except WrongIssuer as wrong:
                self.wrong.append(wrong)
                certificate = None
            if certificate is None:
                self.missing.add(fingerprint)
            else:
                self.learn(certificate, keep=True)

    def take_unsaved(self) -> list[dict[str, Any]]:
        """Rows of the certificates to be stored with the next commit."""
        rows = [_row(fingerprint, der) for fingerprint, der in sorted(self._unsaved.items())]
        self._unsaved = {}
        return rows


def find_key_hash(certificate: bytes) -> bytes | None:
    """SHA-256 of a certificate's SPKI; None where it cannot be cut out."""
    try:
        spki = load_structure(certificate).spki
    except Malformed:
        return None
    return None if spki is None else sha256(spki).digest()


def load_chain(session: Session, fingerprints: Sequence[bytes]) -> tuple[bytes, ...]:
    """The stored certificates of a chain, from the issuer up to the first that is missing."""
    names = [fingerprint.hex() for fingerprint in fingerprints]
    rows = session.execute(
        select(col(ChainCertificateRow.sha256), col(ChainCertificateRow.der)).where(
            col(ChainCertificateRow.sha256).in_(names)
        )
    )
    stored = {row[0]: row[1] for row in rows}
    chain: list[bytes] = []
    for name in names:
        if name not in stored:
            break
        chain.append(stored[name])
    return tuple(chain)


def _row(fingerprint: bytes, certificate: bytes) -> dict[str, Any]:
    spki = find_key_hash(certificate)
    return {
        "sha256": fingerprint.hex(),
        "spki_sha256": None if spki is None else spki.hex(),
        "der": certificate,
    }
