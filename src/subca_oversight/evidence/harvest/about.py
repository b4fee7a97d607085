"""Log entries about a watched key: CA certificates of that key which others signed.

Entries are matched by their issuer's key, and that is not watched here, so such a cross-certificate
would pass unseen. CA certificates are rare in logs: what has no basicConstraints that says cA is
passed over by a search for its octets, at the same small cost for any number of keys, and only the
rest is cut open. RFC 5280 4.2.1.9; CCADB Policy 3.2.
"""

from __future__ import annotations

from collections.abc import Container
from hashlib import sha256

from subca_oversight.errors import EvidenceError
from subca_oversight.evidence.chain import load_structure
from subca_oversight.evidence.confirmation import LoggedEntry
from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.descendants import is_signed
from subca_oversight.evidence.precertificate import tbs_without
from subca_oversight.evidence.structure import POISON, slice_certificate
from subca_oversight.evidence.x509 import parse_certificate
from subca_oversight.model.certificate import CertificateKind
from subca_oversight.sources.log_entries import TBS_AT, final_certificate_of, issuer_key_of

_MARKS = (b"\x30\x03\x01\x01\xff", b"\x30\x06\x01\x01\xff\x02\x01")
"""BasicConstraints with cA, without and with a path length, in DER: on which logs insist."""


def find_about(preimages: list[bytes], keys: Container[bytes]) -> list[int]:
    """Offsets of the entries that may be CA certificates of one of ``keys`` (SPKI SHA-256)."""
    page = b"".join(preimages)  # a copy costs less than a search for each entry
    if not any(mark in page for mark in _MARKS):
        return []
    return [
        offset
        for offset, preimage in enumerate(preimages)
        if any(mark in preimage for mark in _MARKS) and _subject_key(preimage) in keys
    ]


def find_certificate_about(entry: LoggedEntry, keys: Container[str]) -> bytes | None:
    """The CA certificate of a watched key (SPKI SHA-256 in hex), where its chain's key signed it.

    None too where the log serves something else than it hashed: nothing is claimed then.
    """
    is_final = entry.kind is CertificateKind.FINAL
    octets = entry.tbs_or_certificate if is_final else entry.precertificate
    if octets is None or len(entry.chain) == 0:
        return None
    try:
        certificate = slice_certificate(octets)
        issuer = load_structure(entry.chain[0])
        if certificate.spki is None or sha256(certificate.spki).hexdigest() not in keys:
            return None
        if issuer.spki is None or not is_signed(certificate, issuer.spki):
            return None
        if not is_final and (
            sha256(issuer.spki).digest() != entry.issuer_key_hash
            or tbs_without(certificate, {POISON}) != entry.tbs_or_certificate
        ):
            return None
    except (Malformed, EvidenceError):
        return None
    return octets if parse_certificate(octets).is_ca else None


def _subject_key(preimage: bytes) -> bytes | None:
    """SHA-256 of the subject's SPKI; None where it cannot be cut out."""
    octets = final_certificate_of(preimage)
    if octets is None:
        if issuer_key_of(preimage) is None:
            return None
        length = int.from_bytes(preimage[TBS_AT : TBS_AT + 3])
        octets = wrap_tbs(preimage[TBS_AT + 3 : TBS_AT + 3 + length])
    try:
        spki = slice_certificate(octets).spki
    except Malformed:
        return None
    return None if spki is None else sha256(spki).digest()


def wrap_tbs(tbs: bytes) -> bytes:
    """A certificate around a TBSCertificate that nobody has signed, so that it can be read."""
    content = tbs + b"\x30\x00\x03\x01\x00"
    return b"\x30\x84" + len(content).to_bytes(4) + content
