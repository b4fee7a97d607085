"""The Merkle tree of a log, with its proofs (RFC 6962 2.1), computed the plain recursive way.

The harvester folds leaves into a compact range instead; two ways to one root are worth more than
one way used twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def leaf_hash(leaf: bytes) -> bytes:
    """Hash of a MerkleTreeLeaf."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(width: int) -> int:
    """The largest power of two below ``width``."""
    return 1 << (width - 1).bit_length() - 1


class MerkleTree:
    """All complete subtrees over a fixed sequence of leaves."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.levels = [[leaf_hash(leaf) for leaf in leaves]]
        while len(self.levels[-1]) > 1:
            below = self.levels[-1]
            pairs = zip(below[0::2], below[1::2], strict=False)
            self.levels.append([node_hash(left, right) for left, right in pairs])

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return len(self.levels[0])

    def root(self, size: int) -> bytes:
        """Root of the first ``size`` leaves."""
        return hashlib.sha256().digest() if size == 0 else self._subtree(0, size)

    def _subtree(self, start: int, end: int) -> bytes:
        width = end - start
        if width & (width - 1) == 0 and start % width == 0:
            return self.levels[width.bit_length() - 1][start // width]
        middle = start + _split(width)
        return node_hash(self._subtree(start, middle), self._subtree(middle, end))

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Audit path of a leaf in the first ``size`` leaves (RFC 6962 2.1.1)."""
        return self._path(index, 0, size)

    def _path(self, index: int, start: int, end: int) -> list[bytes]:
        if end - start == 1:
            return []
        middle = start + _split(end - start)
        if index < middle:
            return [*self._path(index, start, middle), self._subtree(middle, end)]
        return [*self._path(index, middle, end), self._subtree(start, middle)]

    def consistency(self, first: int, second: int) -> list[bytes]:
        """Proof that the first ``second`` leaves begin with the first ``first`` (2.1.2)."""
        return [] if first == second else self._growth(first, 0, second, whole=True)

    def _growth(self, first: int, start: int, end: int, *, whole: bool) -> list[bytes]:
        if first == end:
            return [] if whole else [self._subtree(start, end)]
        middle = start + _split(end - start)
        if first <= middle:
            kept = self._growth(first, start, middle, whole=whole)
            return [*kept, self._subtree(middle, end)]
        return [
            *self._growth(first, middle, end, whole=False),
            self._subtree(start, middle),
        ]
