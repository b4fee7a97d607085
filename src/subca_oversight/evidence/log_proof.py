"""What proves that a log contradicts what it signed, beside the signed heads, as bytes and back.

Both forms rest on one property of Merkle trees: a consistency proof that gives the new root states,
with it, the one old root that the new tree contains. RFC 6962 2.1.2.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import orjson
import pybase64

from subca_oversight.errors import EvidenceError
from subca_oversight.evidence.merkle import HASH_LENGTH, CompactRange

_MAX_HASHES = 128
_MAX_LEAVES = 16
_MAX_SIZE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class SplitProof:
    """A consistency proof, as served, between the sizes of two signed heads."""

    first: int
    second: int
    hashes: tuple[bytes, ...]

    def encode(self) -> bytes:
        """As JSON."""
        document = {"first": self.first, "second": self.second, "hashes": _hex(self.hashes)}
        return orjson.dumps(document)

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Raise EvidenceError unless it is such a proof."""
        document = _object(octets)
        return cls(_size(document, "first"), _size(document, "second"), _hashes(document, "hashes"))


@dataclass(frozen=True, slots=True)
class CorruptionProof:
    """Entries as served behind a proven position, and the proof of what belongs there."""

    begin: CompactRange
    begin_proof: tuple[bytes, ...]
    leaves: tuple[bytes, ...]
    """Each a MerkleTreeLeaf, as served."""
    end_proof: tuple[bytes, ...]

    def encode(self) -> bytes:
        """As JSON."""
        return orjson.dumps(
            {
                "begin": self.begin.size,
                "begin_hashes": self.begin.hashes.hex(),
                "begin_proof": _hex(self.begin_proof),
                "leaves": [pybase64.b64encode(leaf).decode() for leaf in self.leaves],
                "end_proof": _hex(self.end_proof),
            }
        )

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Raise EvidenceError unless it is such a proof."""
        document = _object(octets)
        leaves = document.get("leaves")
        if not isinstance(leaves, list) or not 0 < len(leaves) <= _MAX_LEAVES:
            raise EvidenceError("the proof has no leaves, or too many")
        try:
            begin = CompactRange.from_bytes(
                _size(document, "begin"), bytes.fromhex(document["begin_hashes"])
            )
            decoded = tuple(pybase64.b64decode(leaf, validate=True) for leaf in leaves)
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise EvidenceError(f"the proof cannot be read: {error}") from None
        return cls(begin, _hashes(document, "begin_proof"), decoded, _hashes(document, "end_proof"))


def _object(octets: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(octets)
    except orjson.JSONDecodeError as error:
        raise EvidenceError(f"the proof is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise EvidenceError("the proof is not a JSON object")
    return document


def _hex(hashes: Sequence[bytes]) -> list[str]:
    return [one.hex() for one in hashes]


def _size(document: dict[str, Any], name: str) -> int:
    size = document.get(name)
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MAX_SIZE:
        raise EvidenceError(f"the proof's {name} is no size of a tree")
    return size


def _hashes(document: dict[str, Any], name: str) -> tuple[bytes, ...]:
    texts = document.get(name)
    if not isinstance(texts, list) or len(texts) > _MAX_HASHES:
        raise EvidenceError(f"the proof's {name} is no list of hashes")
    try:
        hashes = tuple(bytes.fromhex(text) for text in texts)
    except (TypeError, ValueError):
        raise EvidenceError(f"the proof's {name} is not in hex") from None
    if any(len(one) != HASH_LENGTH for one in hashes):
        raise EvidenceError(f"the proof's {name} has a hash of another length")
    return hashes
