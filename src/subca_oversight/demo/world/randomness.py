"""Deterministic randomness: every draw is named, so adding one draw moves no other.

A sequential generator would change the whole world with the first new certificate; here each value
is SHAKE-256 over the seed and the draw's own label.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seed:
    """The number that a world grows from."""

    number: int

    def octets(self, label: str, length: int) -> bytes:
        """The first ``length`` octets of the stream named ``label``."""
        name = f"subca-oversight/demo-world/v1/{self.number}/{label}"
        return hashlib.shake_256(name.encode()).digest(length)

    def below(self, label: str, bound: int) -> int:
        """A number from 0 up to and excluding ``bound``."""
        return int.from_bytes(self.octets(label, 24)) % bound

    def pick(self, label: str, choices: Sequence[T]) -> T:
        """One of ``choices``, each equally likely."""
        return choices[self.below(label, len(choices))]
