"""Certificate revocation lists (RFC 5280 5, BR 7.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from subca_oversight.demo.world import der, extensions
from subca_oversight.demo.world.authority import Authority
from subca_oversight.demo.world.extensions import Extension

_REASON_CODE = "2.5.29.21"
_CRL_NUMBER = "2.5.29.20"


@dataclass(frozen=True, slots=True)
class RevokedSerial:
    """An entry of a list."""

    serial: int
    revoked: datetime
    reason: int
    """CRLReason; 0 (unspecified) is left out, as BR 7.2.2.1 wants."""

    def encode(self) -> bytes:
        """The entry's DER."""
        extension = Extension(_REASON_CODE, der.tlv(der.ENUMERATED, bytes((self.reason,))))
        reasons = b"" if self.reason == 0 else der.sequence(extension.encode())
        return der.sequence(der.integer(self.serial), der.time(self.revoked), reasons)


def sign_crl(
    authority: Authority,
    number: int,
    this_update: datetime,
    next_update: datetime,
    revoked: Sequence[RevokedSerial],
) -> bytes:
    """CertificateList DER; a list without entries omits the field (RFC 5280 5.1.2.6)."""
    entries = b""
    if len(revoked) > 0:
        entries = der.sequence(*(entry.encode() for entry in revoked))
    key = authority.key
    list_extensions = der.sequence(
        extensions.authority_key_identifier(key.identifier).encode(),
        Extension(_CRL_NUMBER, der.integer(number)).encode(),
    )
    tbs = der.sequence(
        der.integer(1),
        key.algorithm,
        authority.name,
        der.time(this_update),
        der.time(next_update),
        entries,
        der.explicit(0, list_extensions),
    )
    return der.sequence(tbs, key.algorithm, der.bit_string(key.sign(tbs)))
