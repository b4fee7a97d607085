"""The real leaves of Navigli and Argon, read by a decoder that the product does not use."""

from __future__ import annotations

import base64
import json
from functools import cache

from tests.integration.log_server import Leaf
from tests.real_data import REAL_DATA

NAVIGLI = REAL_DATA / "ct" / "tiles" / "navigli2025h2"
ARGON = REAL_DATA / "ct" / "entries" / "argon2026h2_get-entries_1111014090-1111014109.json"


class Octets:
    """Takes fields off the front."""

    def __init__(self, octets: bytes) -> None:
        self.left = octets

    def take(self, count: int) -> bytes:
        taken, self.left = self.left[:count], self.left[count:]
        assert len(taken) == count
        return taken

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count))

    def vector(self, count: int) -> bytes:
        return self.take(self.number(count))


@cache
def navigli() -> tuple[Leaf, ...]:
    """1,024 precertificate entries; their chains are not at hand and left empty."""
    leaves = []
    for name in ("000", "001", "002", "003"):
        tile = Octets((NAVIGLI / "tile" / "data" / name).read_bytes())
        while len(tile.left) > 0:
            timestamp, kind = tile.number(8), tile.number(2)
            assert kind == 1
            key, tbs, extensions = tile.take(32), tile.vector(3), tile.vector(2)
            precertificate, _fingerprints = tile.vector(3), tile.vector(2)
            leaves.append(
                Leaf(
                    timestamp,
                    tbs,
                    issuer_key_hash=key,
                    precertificate=precertificate,
                    extensions=extensions,
                )
            )
    assert len(leaves) == 1024
    return tuple(leaves)


@cache
def argon() -> tuple[Leaf, ...]:
    """20 entries, half of them final certificates, with their chains."""
    leaves = []
    for entry in json.loads(ARGON.read_bytes())["entries"]:
        leaf = Octets(base64.b64decode(entry["leaf_input"]))
        extra = Octets(base64.b64decode(entry["extra_data"]))
        assert leaf.take(2) == b"\x00\x00"
        timestamp, kind = leaf.number(8), leaf.number(2)
        key = leaf.take(32) if kind == 1 else None
        body, extensions = leaf.vector(3), leaf.vector(2)
        precertificate = extra.vector(3) if kind == 1 else b""
        certificates = Octets(extra.vector(3))
        chain = []
        while len(certificates.left) > 0:
            chain.append(certificates.vector(3))
        leaves.append(Leaf(timestamp, body, key, precertificate, tuple(chain), extensions))
    assert len(leaves) == 20
    return tuple(leaves)
