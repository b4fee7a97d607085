"""Certificates and precertificates: a template, its TBSCertificate, and the signature over it.

The Certificate Transparency extension is kept apart from the others, so that precertificate, final
certificate and the bytes that a log signs (RFC 6962 3.2) come from one template.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from subca_oversight.demo.world import der
from subca_oversight.demo.world.extensions import Extension
from subca_oversight.demo.world.keys import KeyPair


@dataclass(frozen=True, slots=True)
class Template:
    """What a certificate says, before signing."""

    issuer: bytes
    """Name DER."""
    subject: bytes
    """Name DER."""
    serial: int
    not_before: datetime
    not_after: datetime
    """Inclusive."""
    spki: bytes
    extensions: tuple[Extension, ...]
    validity: bytes | None = None
    """Replaces the Validity that the two instants give: for planted faults."""


def encode_tbs(template: Template, algorithm: bytes, last: Extension | None = None) -> bytes:
    """TBSCertificate DER (RFC 5280 4.1), with ``last`` as its last extension."""
    extensions = template.extensions if last is None else (*template.extensions, last)
    validity = template.validity
    if validity is None:
        validity = der.sequence(der.time(template.not_before), der.time(template.not_after))
    return der.sequence(
        der.explicit(0, der.integer(2)),
        der.integer(template.serial),
        algorithm,
        template.issuer,
        validity,
        template.subject,
        template.spki,
        der.explicit(3, der.sequence(*(extension.encode() for extension in extensions))),
    )


def sign_tbs(tbs: bytes, key: KeyPair) -> bytes:
    """Certificate DER."""
    return der.sequence(tbs, key.algorithm, der.bit_string(key.sign(tbs)))


def issue(template: Template, key: KeyPair, last: Extension | None = None) -> bytes:
    """Encode and sign."""
    return sign_tbs(encode_tbs(template, key.algorithm, last), key)


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of the DER, lower-case hex."""
    return hashlib.sha256(certificate).hexdigest()


def unit_id(issuer_key_sha256: bytes, serial: int) -> str:
    """Identity of a certificate unit: issuer key hash and the serial's content octets, hashed."""
    return hashlib.sha256(issuer_key_sha256 + der.integer_content(serial)).hexdigest()
