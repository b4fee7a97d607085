"""A page of log entries as served: the hashed bytes of each, and where the rest lies.

A log is read at tens of thousands of entries a second, of which one in a thousand matters, so a
page keeps parallel lists of bytes and makes no object for an entry; what no leaf hash covers is
decoded on demand. RFC 6962 3.4 (MerkleTreeLeaf), 4.6; C2SP static-ct-api v1.1.0 (TileLeaf).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import pybase64

X509_ENTRY = 0
PRECERT_ENTRY = 1
KEY_HASH_LENGTH = 32

# Offsets in the preimage of a leaf hash: the octet 00, then version, leaf type, timestamp (8
# octets), entry type (2), and either a length (3) or an issuer key hash (32) and a length (3).
_TIMESTAMP_AT = 3
_TYPE_AT = 11
BODY_AT = 13
TBS_AT = BODY_AT + KEY_HASH_LENGTH
_LENGTH = 3
_EXTENSIONS_LENGTH = 2
_TIMESTAMP = struct.Struct(">Q")
_SIGN_BIT = 0x80
_MAX_TIMESTAMP = 2**63 - 1
"""What the database can store."""


class ChainFlaw(StrEnum):
    """Why a final certificate's entry does not name the certificate of its issuer."""

    EMPTY = "the entry has no chain"
    UNREADABLE = "the entry's chain cannot be read"


FirstIssuer = bytes | ChainFlaw
"""SHA-256 of the first chain certificate."""


@dataclass(frozen=True, slots=True)
class EntryPage:
    """Consecutive entries, decoded as far as filtering needs.

    ``preimages`` are what leaf hashes are taken of: the octet 00 and the MerkleTreeLeaf.
    ``issuer_keys`` holds the issuer key hash of each precertificate entry and None for others.
    """

    first: int
    preimages: list[bytes]
    issuer_keys: list[bytes | None]
    finals: list[tuple[int, FirstIssuer]]
    """Offset in the page and issuer of each x509_entry."""
    malformed: list[tuple[int, str]]
    """Offset in the page and flaw of each entry that RFC 6962 3.4 does not allow."""
    unhashed: Callable[[int], bytes]
    """Unhashed bytes of the entry at an offset: extra_data, or the rest of the TileLeaf."""

    def __len__(self) -> int:
        return len(self.preimages)

    @property
    def end(self) -> int:
        """Index of the first entry after the page."""
        return self.first + len(self.preimages)


@dataclass(frozen=True, slots=True)
class ServedPage:
    """A page with the answer that it was read from: the evidence should its entries be wrong."""

    page: EntryPage
    url: str
    body: bytes


def find_flaw(preimage: bytes) -> str | None:  # noqa: PLR0911 - a return for each rule
    """What RFC 6962 3.4 does not allow in this leaf, or None."""
    if len(preimage) < BODY_AT:
        return f"a leaf of {len(preimage) - 1} octets"
    if preimage[1] != 0 or preimage[2] != 0:
        return f"version {preimage[1]} and leaf type {preimage[2]}, not v1 timestamped_entry"
    if preimage[_TIMESTAMP_AT] >= _SIGN_BIT:
        return "the timestamp is beyond every calendar"
    entry_type = preimage[_TYPE_AT] << 8 | preimage[_TYPE_AT + 1]
    if entry_type == PRECERT_ENTRY:
        at = TBS_AT
    elif entry_type == X509_ENTRY:
        at = BODY_AT
    else:
        return f"entry type {entry_type}"
    length = int.from_bytes(preimage[at : at + _LENGTH])
    at += _LENGTH + length
    left = len(preimage) - at - _EXTENSIONS_LENGTH
    if length == 0 or left < 0:
        return "the certificate is empty or longer than the leaf"
    if left != preimage[at] << 8 | preimage[at + 1]:
        return "the extensions do not end with the leaf"
    return None


def timestamp_of(preimage: bytes) -> int:
    """The leaf's timestamp in milliseconds; 0 where the leaf is too short to have one."""
    if len(preimage) < BODY_AT:
        return 0
    (timestamp,) = _TIMESTAMP.unpack_from(preimage, _TIMESTAMP_AT)
    return min(int(timestamp), _MAX_TIMESTAMP)


def issuer_key_of(preimage: bytes) -> bytes | None:
    """The issuer key hash of a precertificate entry, as long as it is there to be read."""
    if preimage[1:3] != b"\0\0" or preimage[_TYPE_AT:BODY_AT] != b"\0\1":
        return None
    key = preimage[BODY_AT:TBS_AT]
    return key if len(key) == KEY_HASH_LENGTH else None


def final_certificate_of(preimage: bytes) -> bytes | None:
    """The certificate of an x509_entry; None for other entries."""
    if preimage[1:3] != b"\0\0" or preimage[_TYPE_AT:BODY_AT] != b"\0\0":
        return None
    length = int.from_bytes(preimage[BODY_AT : BODY_AT + _LENGTH])
    return preimage[BODY_AT + _LENGTH : BODY_AT + _LENGTH + length]


def decode_base64(text: str) -> bytes:
    """Decode as fast as can be; raises ValueError. Hashed bytes need no canonical spelling."""
    octets: bytes = pybase64.b64decode(text, validate=True)
    return octets
