"""The signed part of a certificate, for checks that compare certificates octet by octet.

RFC 6962 3.2 and RSP 5.4 make "corresponds" a matter of octets, so what is compared are slices of
the encoding, never parsed values.
"""

from __future__ import annotations

from subca_oversight.check.api import CannotJudge, known
from subca_oversight.errors import EvidenceError
from subca_oversight.evidence import der
from subca_oversight.evidence.precertificate import AUTHORITY_KEY_IDENTIFIER, tbs_of_final_issuer
from subca_oversight.evidence.structure import CertificateStructure, slice_certificate
from subca_oversight.model.certificate import CertificateFacts

_FIELDS = {
    "version": "version",
    "serial": "serial number",
    "inner_algorithm": "signature algorithm",
    "issuer": "issuer",
    "validity": "validity",
    "subject": "subject",
    "spki": "public key",
}


def signed_octets(certificate: CertificateFacts) -> bytes:
    """Give the TBSCertificate, the octets under the signature.

    Raises CannotJudge where it cannot be found in the encoding.
    """
    return _slices(certificate.der).tbs


def differing_parts(one: CertificateFacts, other: CertificateFacts) -> tuple[str, ...]:
    """Name what differs between two TBSCertificates once poison and SCT list are removed."""
    first = _slices(der.encode(der.SEQUENCE, _without_ct(one)))
    second = _slices(der.encode(der.SEQUENCE, _without_ct(other)))
    differing = [
        name for field, name in _FIELDS.items() if getattr(first, field) != getattr(second, field)
    ]
    ours, theirs = first.extension_parts, second.extension_parts
    if ours != theirs:
        changed = {oid for oid, _ in set(ours) ^ set(theirs)}
        differing.extend(f"extension {oid}" for oid in sorted(changed))
        if len(changed) == 0:
            differing.append("order or number of extensions")
    return tuple(differing) if len(differing) > 0 else ("an unread part",)


def is_equal_but_for_issuer(precertificate: CertificateFacts, final: CertificateFacts) -> bool:
    """Whether the pair corresponds if a Precertificate Signing Certificate signed the first.

    RFC 6962 3.2: its issuer and authority key identifier then become those of the final issuer.
    """
    identifier = next(
        (
            extension.value
            for extension in _slices(final.der).extensions
            if extension.oid == AUTHORITY_KEY_IDENTIFIER
        ),
        None,
    )
    try:
        restored = tbs_of_final_issuer(
            _slices(precertificate.der),
            issuer=known(final.issuer_name, "issuer"),
            authority_key_identifier=identifier,
        )
    except EvidenceError as error:
        raise CannotJudge(f"the precertificate's extensions cannot be read: {error}") from error
    return restored == _without_ct(final)


def _without_ct(certificate: CertificateFacts) -> bytes:
    return known(certificate.tbs_without_ct, "the TBSCertificate without poison and SCT list")


def _slices(octets: bytes) -> CertificateStructure:
    try:
        return slice_certificate(octets)
    except EvidenceError as error:
        raise CannotJudge(f"the TBSCertificate cannot be found: {error}") from error
