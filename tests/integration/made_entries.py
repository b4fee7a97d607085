"""Small CAs and the log entries of what they issue, made with cryptography alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from tests.integration.log_server import Leaf, sha256

LOGGED = 1_799_000_000_000
_START = datetime(2027, 1, 1, tzinfo=UTC)


def _key(secret: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(sha256(secret.encode())[:31]) + 1, ec.SECP256R1())


@cache
def _subject_key() -> ec.EllipticCurvePublicKey:
    return _key("subscriber").public_key()


@dataclass
class Authority:
    """A CA that signs itself; equal arguments give an equal CA with equal certificates."""

    name: str
    secret: str = ""
    serial: int = 1000
    key: ec.EllipticCurvePrivateKey = field(init=False)
    certificate: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.key = _key(self.secret or self.name)
        self.certificate = self._sign(
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(_START - timedelta(days=400))
            .not_valid_after(_START + timedelta(days=4000))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False
            )
        ).public_bytes(Encoding.DER)

    @property
    def subject(self) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])

    @property
    def spki(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def key_hash(self) -> bytes:
        return sha256(self.spki)

    def _sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return builder.issuer_name(self.subject).sign(
            self.key, hashes.SHA256(), ecdsa_deterministic=True
        )

    def issue(self, serial: int, *, poison: bool) -> x509.Certificate:
        host = f"host-{serial}.example"
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .public_key(_subject_key())
            .serial_number(serial)
            .not_valid_before(_START)
            .not_valid_after(_START + timedelta(days=90))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )
        if poison:
            builder = builder.add_extension(x509.PrecertPoison(), critical=True)
        return self._sign(builder)

    def precertificate(self, serial: int, timestamp: int | None = None) -> Leaf:
        """A precertificate entry; the timestamp follows from the serial where none is given."""
        return Leaf(
            timestamp=LOGGED + serial * 1000 if timestamp is None else timestamp,
            body=self.issue(serial, poison=False).tbs_certificate_bytes,
            issuer_key_hash=self.key_hash,
            precertificate=self.issue(serial, poison=True).public_bytes(Encoding.DER),
            chain=(self.certificate,),
        )

    def final(self, serial: int, timestamp: int | None = None) -> Leaf:
        """A final certificate's entry."""
        return Leaf(
            timestamp=LOGGED + serial * 1000 if timestamp is None else timestamp,
            body=self.issue(serial, poison=False).public_bytes(Encoding.DER),
            chain=(self.certificate,),
        )


def noise(count: int, first: int = 0) -> list[Leaf]:
    """Precertificate entries of nobody: bytes of the right shape, cheap to make."""
    return [
        Leaf(
            timestamp=LOGGED + number,
            body=b"\x30\x82" + (400).to_bytes(2) + sha256(b"%d" % number) * 12 + bytes(16),
            issuer_key_hash=sha256(b"nobody %d" % (number % 7)),
            precertificate=b"precertificate %d" % number,
            chain=(_nobody().certificate,),
        )
        for number in range(first, first + count)
    ]


@cache
def _nobody() -> Authority:
    return Authority("Nobody CA")


def mixed(acme: Authority, count: int, *, every: int = 10, first: int = 0) -> list[Leaf]:
    """Noise in which each ``every``-th entry is a precertificate and the next its final."""
    leaves = noise(count, first)
    for number in range(0, count - 1, every):
        leaves[number] = acme.precertificate(first + number + 1)
        leaves[number + 1] = acme.final(first + number + 1)
    return leaves
