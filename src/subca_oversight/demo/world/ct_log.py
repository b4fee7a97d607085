"""Log entries, SCTs and tree heads as octets (RFC 6962 3, static-ct-api v1.1.0).

One leaf encoding serves both APIs: a static log's leaf differs from an RFC 6962 log's only in its
leaf_index extension.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from subca_oversight.demo.world.keys import KeyPair

X509_ENTRY = 0
PRECERT_ENTRY = 1
UNKNOWN_ENTRY = 0x8000
"""An entry type no RFC defines; Certificate Transparency for Go once used it for JSON."""

_LEAF_INDEX_EXTENSION = 0
_SHA256_ECDSA = b"\x04\x03"


@dataclass(frozen=True, slots=True)
class Log:
    """A log: its names, its key, and whether it tells a leaf's index in extensions."""

    slug: str
    description: str
    operator: str
    key: KeyPair
    submission_url: str
    is_static: bool = False

    @property
    def log_id(self) -> bytes:
        """SHA-256 of the log's key."""
        return self.key.spki_sha256

    @property
    def origin(self) -> str:
        """First line of its checkpoints: the submission URL without scheme and last slash."""
        return self.submission_url.removeprefix("https://").removesuffix("/")

    def extensions(self, index: int) -> bytes:
        """CtExtensions of the leaf at ``index``."""
        if not self.is_static:
            return b""
        body = index.to_bytes(5)
        return bytes((_LEAF_INDEX_EXTENSION,)) + len(body).to_bytes(2) + body


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry of one log."""

    timestamp: int
    """Milliseconds since the epoch."""
    kind: int
    signed: bytes
    """The certificate, or the precertificate's TBSCertificate without poison."""
    issuer_key_sha256: bytes = b""
    """For precertificates."""
    extensions: bytes = b""
    precertificate: bytes = b""
    chain: tuple[bytes, ...] = ()
    """CA certificates, the issuer first; no leaf hash covers them."""

    @property
    def timestamped(self) -> bytes:
        """TimestampedEntry."""
        return encode_timestamped(
            self.timestamp, self.kind, self.issuer_key_sha256, self.signed, self.extensions
        )

    @property
    def leaf(self) -> bytes:
        """MerkleTreeLeaf: version 1, leaf type timestamped_entry."""
        return b"\x00\x00" + self.timestamped

    @property
    def extra_data(self) -> bytes:
        """What get-entries tells beside the leaf."""
        chain = vector24(b"".join(vector24(certificate) for certificate in self.chain))
        if self.kind == UNKNOWN_ENTRY:
            return b""
        return vector24(self.precertificate) + chain if self.kind == PRECERT_ENTRY else chain

    @property
    def tile_leaf(self) -> bytes:
        """TileLeaf of static-ct-api."""
        precertificate = vector24(self.precertificate) if self.kind == PRECERT_ENTRY else b""
        fingerprints = b"".join(hashlib.sha256(each).digest() for each in self.chain)
        return self.timestamped + precertificate + len(fingerprints).to_bytes(2) + fingerprints


def vector24(content: bytes) -> bytes:
    """Opaque vector with a 24-bit length."""
    return len(content).to_bytes(3) + content


def milliseconds(instant: datetime) -> int:
    """Milliseconds since the epoch."""
    return int(instant.timestamp()) * 1000 + instant.microsecond // 1000


def encode_timestamped(
    timestamp: int, kind: int, issuer_key_sha256: bytes, signed: bytes, extensions: bytes
) -> bytes:
    """TimestampedEntry, the part that SCT and leaf have in common."""
    return (
        timestamp.to_bytes(8)
        + kind.to_bytes(2)
        + (issuer_key_sha256 if kind == PRECERT_ENTRY else b"")
        + vector24(signed)
        + len(extensions).to_bytes(2)
        + extensions
    )


def digitally_signed(key: KeyPair, octets: bytes) -> bytes:
    """TLS DigitallySigned with SHA-256 and ECDSA."""
    signature = key.sign(octets)
    return _SHA256_ECDSA + len(signature).to_bytes(2) + signature


def issue_sct(log: Log, timestamp: int, issuer_key_sha256: bytes, tbs: bytes, index: int) -> bytes:
    """SignedCertificateTimestamp for a precertificate."""
    extensions = log.extensions(index)
    entry = encode_timestamped(timestamp, PRECERT_ENTRY, issuer_key_sha256, tbs, extensions)
    return (
        b"\x00"
        + log.log_id
        + timestamp.to_bytes(8)
        + len(extensions).to_bytes(2)
        + extensions
        + digitally_signed(log.key, b"\x00\x00" + entry)
    )


def sign_tree_head(log: Log, timestamp: int, size: int, root: bytes) -> bytes:
    """DigitallySigned over a TreeHeadSignature."""
    head = b"\x00\x01" + timestamp.to_bytes(8) + size.to_bytes(8) + root
    return digitally_signed(log.key, head)
