"""A certificate as evidence: its bytes are its identity, every parsed fact is optional.

A field that cannot be read is listed in ``field_errors`` with the reason, and never hides the
fields beside it. RFC 5280 names the fields; RFC 6962 the two kinds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from subca_oversight.model.sct import SctAudit


class CertificateKind(StrEnum):
    """What was logged or issued."""

    PRECERTIFICATE = "precertificate"
    FINAL = "final"


class KeyAlgorithm(StrEnum):
    """The public key families that the rules tell apart."""

    RSA = "rsa"
    EC = "ec"
    EDDSA = "eddsa"
    DSA = "dsa"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class PublicKeyFacts:
    """The subject's public key."""

    algorithm: KeyAlgorithm
    bits: int | None
    """Modulus length for RSA and DSA, field size for EC."""
    curve: str | None = None
    """Name as cryptography gives it, for example ``secp256r1``."""
    rsa_modulus: int | None = None
    rsa_exponent: int | None = None


@dataclass(frozen=True, slots=True)
class IssuanceEvidence:
    """The interval in which the certificate must have been signed (DESIGN section 7).

    ``not_before`` is None where nothing bounds it from below; ``not_after`` is None where no log
    entry bounds it from above.
    """

    not_before: datetime | None
    not_after: datetime | None


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """One certificate or precertificate, as far as it could be read."""

    der: bytes
    sha256: str
    kind: CertificateKind
    spki: bytes | None = None
    """SubjectPublicKeyInfo DER."""
    issuer_key_sha256: str | None = None
    """The overseen issuer's SPKI hash, from the log entry or the confirmed chain."""
    serial: bytes | None = None
    """Content octets of the serialNumber INTEGER, as encoded."""
    issuer_name: bytes | None = None
    """DER of the issuer Name."""
    subject_name: bytes | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    """Inclusive, as RFC 5280 4.1.2.5 has it."""
    common_names: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    email_addresses: tuple[str, ...] = ()
    has_san: bool = False
    policy_oids: tuple[str, ...] = ()
    eku_oids: tuple[str, ...] | None = None
    """None where there is no extendedKeyUsage extension."""
    is_ca: bool = False
    is_self_issued: bool = False
    key: PublicKeyFacts | None = None
    signature_algorithm_oid: str | None = None
    extension_oids: tuple[str, ...] = ()
    """In order of appearance, repetitions kept."""
    sct_timestamps: tuple[datetime, ...] = ()
    crl_urls: tuple[str, ...] = ()
    ocsp_urls: tuple[str, ...] = ()
    ca_issuer_urls: tuple[str, ...] = ()
    tbs_without_ct: bytes | None = None
    """TBSCertificate with poison and SCT list removed: equal for a corresponding pair."""
    field_errors: tuple[tuple[str, str], ...] = ()
    """(field, reason) for each unreadable part; the field ``certificate`` stands for the whole."""
    issued: IssuanceEvidence = field(default_factory=lambda: IssuanceEvidence(None, None))
    sct_audit: SctAudit | None = None
    """None where the embedded SCTs were not verified: nothing is known of them then."""

    @property
    def serial_hex(self) -> str | None:
        """The serial's content octets in lower-case hex."""
        return None if self.serial is None else self.serial.hex()

    @property
    def is_parsed(self) -> bool:
        """Whether every field could be read."""
        return len(self.field_errors) == 0


@dataclass(frozen=True, slots=True)
class Sighting:
    """One appearance of a certificate in a log."""

    log_id: str
    """Lower-case hex."""
    index: int
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class AuthoritySpan:
    """Validity of one CA certificate of an issuing key."""

    sha256: str
    not_before: datetime
    not_after: datetime
    """Inclusive."""


@dataclass(frozen=True, slots=True)
class LogReading:
    """The span of log time in which nothing under an issuing key can have been missed."""

    since: datetime
    """From here on every entry of every log that takes certificates was read for the key."""
    until: datetime
    """Timestamp of the oldest of those logs' newest heads."""


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """A certificate unit: all precertificates and finals of one issuer key and serial.

    The lists are sorted by SHA-256 of the DER. More than one of a kind is a finding.
    """

    unit_id: str
    issuer_key_sha256: str | None
    serial_hex: str | None
    precertificates: tuple[CertificateFacts, ...]
    finals: tuple[CertificateFacts, ...]
    first_logged: datetime | None
    sightings: tuple[Sighting, ...] = ()
    issuer_validity: tuple[AuthoritySpan, ...] = ()
    """Validity of every known CA certificate of the issuing key."""
    first_given: datetime | None = None
    """When the operator first gave a certificate of the unit in a file; None where it never did."""
    reading: LogReading | None = None
    """None where some log was not read for the issuing key, or nobody looked."""

    @property
    def certificates(self) -> tuple[CertificateFacts, ...]:
        """Precertificates, then finals."""
        return self.precertificates + self.finals
