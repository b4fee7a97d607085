"""Merkle trees of Certificate Transparency: hashes, compact ranges, inclusion and consistency.

A signed head and a consistency proof do not show that the entries served are those signed (a log
once served both, and other entries), so every downloaded leaf is hashed and folded here to a root
that must equal the signed one. RFC 6962 section 2.1, with the verification algorithms of RFC 9162
sections 2.1.3.2 and 2.1.4.2; tiles as in C2SP tlog-tiles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Self

from subca_oversight.errors import VerificationError

HASH_LENGTH = 32
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
EMPTY_ROOT = sha256(b"").digest()
"""Root of the tree without leaves."""


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a MerkleTreeLeaf."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an interior node."""
    return sha256(b"\x01" + left + right).digest()


def subtree_root(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root of a complete subtree: a power of two of leaf hashes (or of node hashes)."""
    width = len(leaf_hashes)
    if width == 0 or width & (width - 1) != 0:
        raise ValueError(f"a complete subtree has a power of two of leaves, not {width}")
    # Slicing a list twice is measurably the fastest way to pair its items in CPython.
    while len(leaf_hashes) > 1:
        leaf_hashes = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(leaf_hashes[::2], leaf_hashes[1::2], strict=True)
        ]
    return leaf_hashes[0]


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root of the tree with exactly these leaves."""
    compact_range = CompactRange()
    compact_range.extend(leaf_hashes)
    return compact_range.root()


class CompactRange:
    """The roots of the complete subtrees that cover the first ``size`` leaves, largest first.

    At most 63 hashes stand for a log of any size, so a position can be stored with the cursor and
    continued after a restart without fetching anything again.
    """

    __slots__ = ("_roots", "_size")

    def __init__(self, size: int = 0, roots: Iterable[bytes] = ()) -> None:
        """Raise ValueError unless there is one hash of 32 bytes for each set bit of ``size``."""
        self._size = size
        self._roots = list(roots)
        if size < 0 or len(self._roots) != size.bit_count():
            raise ValueError(f"{len(self._roots)} subtree roots cannot cover {size} leaves")
        if any(len(root) != HASH_LENGTH for root in self._roots):
            raise ValueError("a subtree root is not 32 bytes long")

    @classmethod
    def from_bytes(cls, size: int, hashes: bytes) -> Self:
        """Restore what ``size`` and ``hashes`` stored; raise ValueError when they disagree."""
        return cls(size, _split(hashes))

    @property
    def size(self) -> int:
        """The number of leaves covered."""
        return self._size

    @property
    def hashes(self) -> bytes:
        """The subtree roots, concatenated, for storage."""
        return b"".join(self._roots)

    def copy(self) -> CompactRange:
        """Return an independent range at the same position."""
        return CompactRange(self._size, self._roots)

    def append(self, leaf_hash: bytes) -> None:
        """Add the hash of the next leaf."""
        self._push(leaf_hash, 0)

    def append_subtree(self, root: bytes, level: int) -> None:
        """Add the root of the next 2^level leaves; raise ValueError unless aligned to them."""
        if self._size & ((1 << level) - 1) != 0:
            raise ValueError(f"a subtree of level {level} cannot begin at leaf {self._size}")
        self._push(root, level)

    def extend(self, leaf_hashes: Sequence[bytes]) -> None:
        """Add the hashes of the next leaves: faster than one by one, with the same result."""
        begin, end = 0, len(leaf_hashes)
        while begin < end:
            # The largest complete subtree that may begin here and is wholly at hand.
            level = (end - begin).bit_length() - 1
            if self._size != 0:
                level = min(level, (self._size & -self._size).bit_length() - 1)
            width = 1 << level
            self._push(subtree_root(leaf_hashes[begin : begin + width]), level)
            begin += width

    def root(self) -> bytes:
        """Return the root of the tree of ``size`` leaves."""
        if len(self._roots) == 0:
            return EMPTY_ROOT
        node = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            node = sha256(b"\x01" + left + node).digest()
        return node

    def verify_root(self, root: bytes) -> None:
        """Raise VerificationError unless the leaves hash to ``root``."""
        computed = self.root()
        if computed != root:
            raise VerificationError(
                f"{self._size} leaves hash to {computed.hex()}, not to {root.hex()}"
            )

    def _push(self, node: bytes, level: int) -> None:
        size = self._size
        self._size = size + (1 << level)
        size >>= level
        roots = self._roots
        while size & 1 != 0:
            node = sha256(b"\x01" + roots.pop() + node).digest()
            size >>= 1
        roots.append(node)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CompactRange):
            return NotImplemented
        return self._size == other._size and self._roots == other._roots

    __hash__ = None  # type: ignore[assignment]  # it changes with every leaf

    def __repr__(self) -> str:
        return f"CompactRange(size={self._size}, root={self.root().hex()})"


def verify_inclusion(
    leaf_hash: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> None:
    """Raise VerificationError unless leaf ``index`` of the tree of ``size`` has this hash."""
    if not 0 <= index < size:
        raise VerificationError(f"leaf {index} lies outside a tree of {size} leaves")
    _verify_lengths((leaf_hash, root, *path))
    node = leaf_hash
    for sibling, is_left in _climb(index, size - 1, path):
        node = node_hash(sibling, node) if is_left else node_hash(node, sibling)
    if node != root:
        raise VerificationError(f"leaf {index} is not in the tree of {size} with this root")


def verify_consistency(
    size1: int, size2: int, proof: Sequence[bytes], root1: bytes, root2: bytes
) -> None:
    """Raise VerificationError unless the tree of ``size2`` extends the tree of ``size1``.

    An empty old tree proves nothing and raises too: the caller decides what a first head means.
    """
    if not 0 < size1 <= size2:
        raise VerificationError(f"no consistency proof exists from size {size1} to {size2}")
    if size1 == size2:
        if len(proof) != 0 or root1 != root2:
            raise VerificationError(f"two roots of size {size1}, or a proof where none belongs")
        return
    _verify_lengths((root1, root2, *proof))
    nodes = list(proof)
    if size1 & (size1 - 1) == 0:
        nodes.insert(0, root1)  # a complete old tree is itself the first node, hence left out
    old, new = _fold_consistency(size1, size2, nodes)
    if old != root1 or new != root2:
        raise VerificationError(f"the trees of {size1} and {size2} leaves are not consistent")


def old_root_of(size1: int, size2: int, proof: Sequence[bytes], root2: bytes) -> bytes:
    """The root of ``size1`` leaves that the tree of ``size2`` contains, as its proof states.

    Raises VerificationError unless the proof leads to ``root2``, and where ``size1`` is a power of
    two, for then the proof leaves the old root out.
    """
    if size1 == size2 and len(proof) == 0:
        return root2
    if not 0 < size1 < size2 or size1 & (size1 - 1) == 0:
        raise VerificationError(f"no proof from {size1} to {size2} states the old root")
    _verify_lengths((root2, *proof))
    old, new = _fold_consistency(size1, size2, proof)
    if new != root2:
        raise VerificationError(f"the proof does not lead to the root of {size2} leaves")
    return old


def _fold_consistency(size1: int, size2: int, nodes: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The old and the new root to which a proof leads that starts with its first node."""
    if len(nodes) == 0:
        raise VerificationError("the consistency proof is empty")
    position, last = size1 - 1, size2 - 1
    while position & 1 == 1:
        position >>= 1
        last >>= 1
    old = new = nodes[0]
    for sibling, is_left in _climb(position, last, nodes[1:]):
        if is_left:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
        else:
            new = node_hash(new, sibling)
    return old, new


def compact_range_from_audit_path(
    leaf_hash: bytes, index: int, size: int, path: Sequence[bytes], *, root: bytes
) -> CompactRange:
    """Rebuild the position after leaf ``index`` from that leaf and its proof in a larger tree.

    Every sibling to the left of its path is a complete subtree: together they are the compact range
    before it. Raises VerificationError unless it all hashes to ``root``, that of ``size`` leaves.
    """
    verify_inclusion(leaf_hash, index, size, path, root)
    lefts = [sibling for sibling, is_left in _climb(index, size - 1, path) if is_left]
    compact_range = CompactRange(index, reversed(lefts))
    compact_range.append(leaf_hash)
    return compact_range


def _climb(position: int, last: int, path: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield the siblings from a node to the root, each with whether it stands to the left.

    ``last`` is the position of the rightmost node on the same level. Raises VerificationError when
    the path is longer or shorter than that way.
    """
    for sibling in path:
        if last == 0:
            raise VerificationError("the proof is too long")
        is_left = position & 1 == 1 or position == last
        yield sibling, is_left
        # A node without a sibling rises unchanged to the level where it gets one.
        while is_left and position & 1 == 0 and position != 0:
            position >>= 1
            last >>= 1
        position >>= 1
        last >>= 1
    if last != 0:
        raise VerificationError("the proof is too short")


def _split(hashes: bytes) -> list[bytes]:
    return [hashes[at : at + HASH_LENGTH] for at in range(0, len(hashes), HASH_LENGTH)]


def _verify_lengths(hashes: Iterable[bytes]) -> None:
    for item in hashes:
        if len(item) != HASH_LENGTH:
            raise VerificationError(f"a hash of {len(item)} bytes instead of {HASH_LENGTH}")
