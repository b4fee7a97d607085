"""Positions and consistency proofs put together from the hash tiles of a static log.

Such logs answer no proof requests; whoever wants a proof reads the tiles that hold its nodes. RFC
6962 2.1.2 (PROOF and SUBPROOF); C2SP tlog-tiles.
"""

from __future__ import annotations

from subca_oversight.evidence.merkle import (
    HASH_LENGTH,
    TILE_HEIGHT,
    TILE_WIDTH,
    CompactRange,
    node_hash,
    subtree_root,
)
from subca_oversight.sources.static_ct import StaticLog


def proof_ranges(first: int, second: int) -> list[tuple[int, int]]:
    """The leaves under each node of the consistency proof, in the proof's order."""
    ranges: list[tuple[int, int]] = []
    begin, end, is_old_tree = 0, second, True
    size = first
    while size != end - begin:
        split = 1 << (end - begin - 1).bit_length() - 1
        if size <= split:
            ranges.append((begin + split, end))
            end = begin + split
        else:
            ranges.append((begin, begin + split))
            begin += split
            size -= split
            is_old_tree = False
    if not is_old_tree:
        ranges.append((begin, end))
    return ranges[::-1]


class TileReader:
    """Reads each tile once, as it is in the tree of ``size`` leaves. What it gives is unproven."""

    def __init__(self, log: StaticLog, size: int) -> None:
        self._log = log
        self._size = size
        self._tiles: dict[tuple[int, int], bytes] = {}

    async def position(self, size: int) -> CompactRange:
        """The compact range of the first ``size`` leaves."""
        roots: list[bytes] = []
        begin = 0
        for level in reversed(range(size.bit_length())):
            if size >> level & 1 == 1:
                roots.append(await self._node(begin, level))
                begin += 1 << level
        return CompactRange(size, roots)

    async def consistency(self, first: int) -> tuple[bytes, ...]:
        """The proof from the tree of ``first`` leaves, of which there are some, to the whole."""
        ranges = proof_ranges(first, self._size)
        return tuple([await self._root(*bounds) for bounds in ranges])

    def served(self) -> bytes:
        """The tiles read, one after another by level and number."""
        return b"".join(self._tiles[key] for key in sorted(self._tiles))

    async def _root(self, begin: int, end: int) -> bytes:
        """Root over the leaves from ``begin`` to ``end``, a node of the tree."""
        width = end - begin
        if width & (width - 1) == 0:
            return await self._node(begin, width.bit_length() - 1)
        split = 1 << (width - 1).bit_length() - 1
        return node_hash(
            await self._root(begin, begin + split), await self._root(begin + split, end)
        )

    async def _node(self, begin: int, level: int) -> bytes:
        """The complete subtree of 2^level leaves that starts with leaf ``begin``."""
        tile_level, inside = divmod(level, TILE_HEIGHT)
        number, offset = divmod(begin >> tile_level * TILE_HEIGHT, TILE_WIDTH)
        tile = self._tiles.get((tile_level, number))
        if tile is None:
            nodes = self._size >> tile_level * TILE_HEIGHT
            width = min(TILE_WIDTH, nodes - number * TILE_WIDTH)
            tile = await self._log.fetch_hash_tile(tile_level, number, width)
            self._tiles[tile_level, number] = tile
        hashes = tile[offset * HASH_LENGTH : (offset + (1 << inside)) * HASH_LENGTH]
        return subtree_root(
            [hashes[at : at + HASH_LENGTH] for at in range(0, len(hashes), HASH_LENGTH)]
        )
