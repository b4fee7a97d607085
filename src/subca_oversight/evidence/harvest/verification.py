"""Whether the leaves folded so far are those of a signed tree.

At the tree's own size the roots must be equal. Short of it, so that a backlog of days is proven as
it is read, a consistency proof ties the folded root to the signed one: it is the log's to give, and
nothing but the log's own tree can satisfy it. RFC 6962 2.1.2.
"""

from __future__ import annotations

from subca_oversight.evidence.harvest.heads import LogClient
from subca_oversight.evidence.harvest.tile_proof import TileReader
from subca_oversight.evidence.harvest.windows import Target
from subca_oversight.evidence.merkle import CompactRange, verify_consistency
from subca_oversight.sources.rfc6962 import Rfc6962Log


async def verify_position(client: LogClient, position: CompactRange, target: Target) -> None:
    """Raise VerificationError unless the leaves up to ``position`` begin the tree of ``target``.

    Raises SourceError where the log gives no proof.
    """
    if position.size == target.size:
        position.verify_root(target.root)
        return
    if isinstance(client, Rfc6962Log):
        proof = await client.fetch_consistency(position.size, target.size)
    else:
        proof = await TileReader(client, target.size).consistency(position.size)
    verify_consistency(position.size, target.size, proof, position.root(), target.root)
