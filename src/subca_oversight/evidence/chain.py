"""The chain that a log serves with an entry, checked against itself.

No leaf hash covers a chain. A static log at least names each certificate by fingerprint, and a log
accepts nothing that does not chain up by signatures (RFC 6962 3.1): a chain in which one link does
not verify is not the one that the log was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise

from subca_oversight.errors import VerificationError
from subca_oversight.evidence import der
from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.issuer_signature import Uncheckable, verify_issued
from subca_oversight.evidence.precertificate import AUTHORITY_KEY_IDENTIFIER
from subca_oversight.evidence.structure import CertificateStructure, slice_certificate

MAX_LINKS = 16
"""Links looked at: longer chains have no use, and each costs a signature check."""

_SUBJECT_KEY_IDENTIFIER = "2.5.29.14"


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
    if certificate.signature is None or certificate.spki is None or above.spki is None:
        return "cannot be read"
    if octets == parent and not _is_self_signed(certificate):
        return None
    try:
        verify_issued(certificate, above.spki)
    except Uncheckable:
        return None
    except VerificationError as error:
        return str(error)
    return None


def _is_self_signed(certificate: CertificateStructure) -> bool:
    """Whether a certificate at the end of a chain claims to be.

    Its names are the same, and no key identifiers tell its own key from its issuer's, as those of
    a key rollover certificate do.
    """
    if certificate.issuer is None or certificate.issuer != certificate.subject:
        return False
    values = {extension.oid: extension.value for extension in certificate.extensions}
    own = values.get(_SUBJECT_KEY_IDENTIFIER)
    issuers = values.get(AUTHORITY_KEY_IDENTIFIER)
    if own is None or issuers is None:
        return True
    try:
        start, end = der.read_only(own, der.OCTET_STRING)
    except Malformed:
        return True
    return own[start:end] in issuers
