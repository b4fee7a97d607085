"""Certificates for tests: an issuing CA with a throw-away key, and leaves below it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

NOT_BEFORE = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Issuer:
    """A key with a certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.der).hexdigest()

    @property
    def spki(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def key_sha256(self) -> str:
        return hashlib.sha256(self.spki).hexdigest()


def make_issuer(
    name: str = "Issuing CA",
    *,
    ca: bool = True,
    key: ec.EllipticCurvePrivateKey | None = None,
    not_after: datetime = NOT_BEFORE + timedelta(days=3650),
) -> Issuer:
    """A self-signed certificate; with ``ca`` False it is a leaf's."""
    chosen = ec.generate_private_key(ec.SECP256R1()) if key is None else key
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(chosen.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(chosen, hashes.SHA256())
    )
    return Issuer(chosen, certificate)


def make_leaf(
    issuer: Issuer,
    serial: int,
    *,
    not_before: datetime = NOT_BEFORE,
    not_after: datetime = NOT_BEFORE + timedelta(days=90),
    precertificate: bool = False,
) -> bytes:
    """DER of a leaf with one DNS name."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.certificate.subject)
        .public_key(issuer.key.public_key())
        .serial_number(serial)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.example")]), critical=True)
    )
    if precertificate:
        builder = builder.add_extension(x509.PrecertPoison(), critical=True)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)
