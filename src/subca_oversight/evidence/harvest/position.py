"""A position in a log, proven without reading up to it: the compact range of its first entries.

A log that made up the past in front of the first entry read could never be caught, so the position
is rebuilt from the log's own proofs and must fit a root that the log signed. RFC 6962 2.1, 4.5 and
4.8; C2SP tlog-tiles.
"""

from __future__ import annotations

from subca_oversight.errors import VerificationError
from subca_oversight.evidence.harvest.contradiction import Contradiction
from subca_oversight.evidence.harvest.heads import LogClient
from subca_oversight.evidence.harvest.tile_proof import TileReader
from subca_oversight.evidence.harvest.windows import Target
from subca_oversight.evidence.merkle import (
    CompactRange,
    compact_range_from_audit_path,
    leaf_hash,
    verify_consistency,
)
from subca_oversight.model.log import Log
from subca_oversight.sources.rfc6962 import Rfc6962Log


async def prove_position(
    client: LogClient, log: Log, size: int, tree: Target, head: bytes | None = None
) -> CompactRange:
    """The position after the first ``size`` entries of ``tree``.

    ``head`` is the signed head of the tree, as evidence. Raises Contradiction where the log's proof
    does not give the root, SourceError where it gives no proof.
    """
    body = b""
    try:
        if size == 0:
            if tree.size == 0:
                CompactRange().verify_root(tree.root)
            return CompactRange()
        if isinstance(client, Rfc6962Log):
            proven = await client.fetch_leaf(size - 1, tree.size)
            body = proven.body
            return compact_range_from_audit_path(
                leaf_hash(proven.leaf), size - 1, tree.size, proven.path, root=tree.root
            )
        tiles = TileReader(client, tree.size)
        position = await tiles.position(size)
        proof = await tiles.consistency(size)
        body = tiles.served()
        verify_consistency(size, tree.size, proof, position.root(), tree.root)
    except VerificationError as error:
        raise Contradiction(
            f"{log.description}: its proof for the position {size} in the tree of {tree.size} is"
            f" wrong: {error}",
            kind="wrong_proof",
            tree_size=tree.size,
            head=head,
            body=body,
        ) from None
    return position
