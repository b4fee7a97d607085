"""Certificate units as the logs show them, put together for these tests alone."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from subca_oversight.demo.world import WorldManifest
from tests.unit.demo.log_reading import Entry, children, header


@dataclass
class Unit:
    """All certificates of one issuer key and serial."""

    precertificates: set[bytes] = field(default_factory=set)
    finals: set[bytes] = field(default_factory=set)
    hashed: set[bytes] = field(default_factory=set)
    """TBSCertificates of precertificate entries."""
    logged: list[datetime] = field(default_factory=list)
    issuers: set[bytes] = field(default_factory=set)

    @property
    def certificates(self) -> list[bytes]:
        return sorted(self.precertificates | self.finals)

    @property
    def parsed(self) -> list[x509.Certificate]:
        return [x509.load_der_x509_certificate(each) for each in self.certificates]


def spki_hash(certificate: bytes) -> bytes:
    key = x509.load_der_x509_certificate(certificate).public_key()
    return hashlib.sha256(
        key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    ).digest()


def serial_octets(certificate: bytes) -> bytes:
    tbs = children(certificate)[0]
    serial = children(tbs)[1]
    _, start, end = header(serial, 0)
    return serial[start:end]


def gather_units(manifest: WorldManifest, entries: list[Entry]) -> dict[str, Unit]:
    """Every confirmed unit of the subordinates, by unit id."""
    watched = {
        bytes.fromhex(key)
        for each in manifest.subordinates
        for key in (*each.issuer_keys, *each.descendant_keys)
    }
    ids = {each.slug: each.log_id for each in manifest.logs}
    unconfirmed = {(each.log_id, each.index) for each in manifest.unconfirmed}
    issuer_keys: dict[bytes, bytes] = {}
    found: dict[str, Unit] = defaultdict(Unit)
    for entry in entries:
        if entry.kind not in (0, 1) or (ids[entry.log], entry.index) in unconfirmed:
            continue
        issuer = entry.chain[0]
        key = issuer_keys.setdefault(issuer, spki_hash(issuer))
        if key not in watched:
            continue
        certificate = entry.precertificate if entry.kind == 1 else entry.signed
        unit = found[hashlib.sha256(key + serial_octets(certificate)).hexdigest()]
        (unit.precertificates if entry.kind == 1 else unit.finals).add(certificate)
        if entry.kind == 1:
            unit.hashed.add(entry.signed)
        unit.logged.append(datetime.fromtimestamp(entry.timestamp / 1000, tz=UTC))
        unit.issuers.add(issuer)
    return found
