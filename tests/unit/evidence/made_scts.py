"""Certificates with SCTs of throw-away logs, encoded by what the product does not use."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from subca_oversight.evidence.x509 import parse_certificate
from subca_oversight.model.certificate import CertificateFacts
from subca_oversight.model.log import Log, LogApi
from tests.real_logs import log_of_key

SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
ISSUED = datetime(2026, 6, 1, 0, 30, tzinfo=UTC)
INDEX = 728_884_327
CA_KEY = ec.derive_private_key(21, ec.SECP256R1())
LEAF_KEY = ec.derive_private_key(22, ec.SECP256R1())
LOG_KEY = ec.derive_private_key(23, ec.SECP256R1())
STATIC_KEY = ec.derive_private_key(24, ec.SECP256R1())


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def sha256(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


OLD = log_of_key(spki(LOG_KEY), "old")
STATIC = log_of_key(spki(STATIC_KEY), "static", LogApi.STATIC)
KEYS = {OLD.log_id: LOG_KEY, STATIC.log_id: STATIC_KEY}
ISSUER = sha256(spki(CA_KEY))


@cache
def certificate(sct_list: bytes | None, name: str = "www.example.com") -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Issuing CA")]))
        .public_key(LEAF_KEY.public_key())
        .serial_number(0x1234567890ABCDEF1234)
        .not_valid_before(ISSUED)
        .not_valid_after(ISSUED + timedelta(days=90, seconds=-1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=True)
    )
    if sct_list is not None:
        length = len(sct_list)
        head = b"\x04" + (bytes((length,)) if length < 128 else b"\x82" + length.to_bytes(2))
        extension = x509.UnrecognizedExtension(SCT_LIST, head + sct_list)
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(CA_KEY, hashes.SHA256())


def vector(content: bytes) -> bytes:
    return len(content).to_bytes(2) + content


def issue_sct(
    log: Log,
    *,
    extensions: bytes = b"",
    embedded: bytes | None = None,
    name: str = "www.example.com",
    issuer: bytes = ISSUER,
) -> bytes:
    """A SerializedSCT; ``embedded`` are the extensions that the CA put in for those signed."""
    tbs = certificate(None, name).tbs_certificate_bytes
    timestamp = int(ISSUED.timestamp() * 1000).to_bytes(8)
    entry = b"\x00\x01" + issuer + len(tbs).to_bytes(3) + tbs + vector(extensions)
    signature = KEYS[log.log_id].sign(b"\x00\x00" + timestamp + entry, ec.ECDSA(hashes.SHA256()))
    shown = extensions if embedded is None else embedded
    return b"\x00" + log.log_id + timestamp + vector(shown) + b"\x04\x03" + vector(signature)


def facts_of(*scts: bytes, name: str = "www.example.com") -> CertificateFacts:
    sct_list = vector(b"".join(vector(sct) for sct in scts))
    octets = certificate(sct_list, name).public_bytes(Encoding.DER)
    return parse_certificate(octets, issuer_key_sha256=ISSUER.hex())


def leaf_index(index: int) -> bytes:
    """The CtExtensions of a static log."""
    return b"\x00\x00\x05" + index.to_bytes(5)
