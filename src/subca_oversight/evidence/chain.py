"""The chain that a log serves with an entry, checked against itself.

No leaf hash covers a chain. A static log at least names each certificate by fingerprint, and a log
accepts nothing that does not chain up by signatures (RFC 6962 3.1): a chain in which one link does
not verify is not the one that the log was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise

from subca_oversight.errors import VerificationError
from subca_oversight.evidence import der
from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.issuer_signature import (
    InvalidKey,
    Uncheckable,
    verify_issued,
    verify_signature,
)
from subca_oversight.evidence.precertificate import AUTHORITY_KEY_IDENTIFIER
from subca_oversight.evidence.structure import CertificateStructure, slice_certificate

MAX_LINKS = 16
"""Links looked at: longer chains have no use, and each costs a signature check."""

_SUBJECT_KEY_IDENTIFIER = "2.5.29.14"
_KEY_IDENTIFIER_TAG = 0x80


def find_chain_objection(chain: Sequence[bytes], fingerprints: Sequence[bytes]) -> str | None:
    """What contradicts the chain (DER, issuer first), or None.

    A signature that cannot be checked is no objection. What stands in the last certificate outside
    of its key goes unnoticed unless that certificate is self-signed.
    """
    if len(fingerprints) > 0:
        if len(chain) > len(fingerprints):
            return "the chain is longer than the list of its fingerprints"
        for position, (octets, fingerprint) in enumerate(zip(chain, fingerprints, strict=False)):
            if sha256(octets).digest() != fingerprint:
                return f"certificate {position} of the chain does not match its fingerprint"
    links = [*pairwise(chain), *((last, last) for last in chain[-1:])]
    for position, (octets, parent) in enumerate(links[:MAX_LINKS]):
        objection = _find_link_objection(octets, parent)
        if objection is not None:
            return f"certificate {position} of the chain: {objection}"
    return None


@lru_cache(maxsize=1024)
def load_structure(octets: bytes) -> CertificateStructure:
    """A CA certificate's slices, remembered: few occur, each many times. Raises Malformed."""
    return slice_certificate(octets)


@lru_cache(maxsize=1024)
def _find_link_objection(octets: bytes, parent: bytes) -> str | None:
    """Why ``parent`` cannot have issued ``octets``; both the same for the end of a chain."""
    try:
        certificate = load_structure(octets)
        above = load_structure(parent)
    except Malformed as malformed:
        return str(malformed)
    named = (certificate.issuer, certificate.validity, certificate.subject)
    if above.spki is None or any(part is None for part in named):
        return "cannot be read"
    try:
        verify_issued(certificate, above.spki)
    except (InvalidKey, VerificationError) as error:
        if octets != parent or _was_self_signed(certificate, above.spki):
            return str(error)
    except Uncheckable:
        pass
    return None


def _was_self_signed(certificate: CertificateStructure, spki: bytes) -> bool:
    """Whether a certificate that its own key does not verify was self-signed before it was altered.

    It was where both names are equal and no key identifiers tell its own key from its issuer's, as
    those of a key rollover certificate do; and where the signature verifies once two names, or two
    key identifiers, that differ are made equal.
    """
    pairs = [(certificate.issuer, certificate.subject), _key_identifiers(certificate)]
    if all(first is None or first == second for first, second in pairs):
        return True
    if certificate.inner_algorithm is None or certificate.signature is None:
        return False
    for first, second in pairs:
        if first is None or second is None or first == second:
            continue
        for altered, other in ((first, second), (second, first)):
            tbs = certificate.tbs.replace(altered, other)
            with suppress(VerificationError, Uncheckable):
                verify_signature(spki, certificate.inner_algorithm, certificate.signature, tbs)
                return True
    return False


def _key_identifiers(certificate: CertificateStructure) -> tuple[bytes | None, bytes | None]:
    """(subject's, authority's), both None unless both are there."""
    values = {extension.oid: extension.value for extension in certificate.extensions}
    own = values.get(_SUBJECT_KEY_IDENTIFIER)
    authority = values.get(AUTHORITY_KEY_IDENTIFIER)
    if own is None or authority is None:
        return None, None
    try:
        start, end = der.read_only(own, der.OCTET_STRING)
        if own[start:end] in authority:
            return own[start:end], own[start:end]
        first, last = der.read_only(authority, der.SEQUENCE)
        for _, tag, inner, stop in der.children(authority, first, last):
            if tag == _KEY_IDENTIFIER_TAG:
                return own[start:end], authority[inner:stop]
    except Malformed:
        pass
    return None, None
