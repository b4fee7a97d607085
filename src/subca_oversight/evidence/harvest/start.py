"""Beginning at the head, proven: the compact range of a tree that was never downloaded.

A log that made up the past in front of the first entry read could never be caught, so the starting
position is rebuilt from the log's own proof and must hash to the signed root. RFC 6962 4.5 and 4.8;
C2SP tlog-tiles (right edge).
"""

from __future__ import annotations

import asyncio

from subca_oversight.errors import VerificationError
from subca_oversight.evidence.harvest.contradiction import Contradiction
from subca_oversight.evidence.harvest.heads import LogClient
from subca_oversight.evidence.merkle import (
    CompactRange,
    Tile,
    compact_range_from_audit_path,
    compact_range_from_right_edge,
    leaf_hash,
    right_edge_tiles,
)
from subca_oversight.model.log import Log, TreeHead
from subca_oversight.sources.rfc6962 import Rfc6962Log
from subca_oversight.sources.static_ct import StaticLog


async def find_start(client: LogClient, log: Log, head: TreeHead) -> CompactRange:
    """The position at ``head``; raises Contradiction where the log's proof does not give its root.

    Raises SourceError where the log does not give a proof.
    """
    body = b""
    try:
        if head.tree_size == 0:
            CompactRange().verify_root(head.root_hash)
            return CompactRange()
        if isinstance(client, Rfc6962Log):
            proven = await client.fetch_leaf(head.tree_size - 1, head.tree_size)
            body = proven.body
            return compact_range_from_audit_path(
                leaf_hash(proven.leaf),
                head.tree_size - 1,
                head.tree_size,
                proven.path,
                root=head.root_hash,
            )
        tiles = await _right_edge(client, head.tree_size)
        body = b"".join(tiles[level] for level in sorted(tiles))
        return compact_range_from_right_edge(head.tree_size, tiles, root=head.root_hash)
    except VerificationError as error:
        raise Contradiction(
            f"{log.description}: its proof for the start at {head.tree_size} is wrong: {error}",
            kind="wrong_proof",
            tree_size=head.tree_size,
            head=head.raw,
            body=body,
        ) from None


async def _right_edge(client: StaticLog, size: int) -> dict[int, bytes]:
    async def fetch(tile: Tile) -> bytes:
        return await client.fetch_hash_tile(tile.level, tile.index, tile.width)

    edge = right_edge_tiles(size)
    served = await asyncio.gather(*(fetch(tile) for tile in edge))
    return {tile.level: hashes for tile, hashes in zip(edge, served, strict=True)}
