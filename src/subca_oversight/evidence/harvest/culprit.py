"""What of the entries served is not what the log signed, found and proven.

That a window of a quarter of a million entries has a wrong root convinces nobody. The log's own
consistency proofs tell at each position whether it is on the signed chain, so the first entry that
is not is found in some twenty questions, and stands as evidence that anyone can check: the position
before it, the bytes served, and the proof of what should come of them. RFC 6962 2.1.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from subca_oversight.errors import SourceError, VerificationError
from subca_oversight.evidence.harvest.contradiction import Contradiction
from subca_oversight.evidence.harvest.heads import LogClient
from subca_oversight.evidence.harvest.tile_proof import TileReader
from subca_oversight.evidence.log_proof import CorruptionProof, SplitProof
from subca_oversight.evidence.merkle import CompactRange, verify_consistency
from subca_oversight.model.log import Log, TreeHead
from subca_oversight.sources.log_entries import ServedPage
from subca_oversight.sources.rfc6962 import Rfc6962Log


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A reading that did not lead to the signed root."""

    head: TreeHead
    verified: CompactRange
    positions: Sequence[CompactRange]
    """After each page that was served in this run, and where it began; ascending."""
    reason: str

    @property
    def reached(self) -> CompactRange:
        """Where the reading ended."""
        return self.positions[-1]


async def explain_mismatch(client: LogClient, log: Log, mismatch: Mismatch) -> Contradiction:
    """Find out what is wrong, as far as the log lets it be found out."""
    chain = _Chain(client, mismatch.head)
    try:
        if not await chain.holds(mismatch.verified):
            return await _split_view(chain, log, mismatch)
        return await _corruption(chain, client, log, mismatch)
    except (SourceError, VerificationError) as error:
        return _unexplained(log, mismatch, f"the entry could not be found: {error}")


class _Chain:
    """Asks which positions are on the chain of a signed head."""

    def __init__(self, client: LogClient, head: TreeHead) -> None:
        self._client = client
        self._head = head
        self._tiles = None
        if not isinstance(client, Rfc6962Log):
            self._tiles = TileReader(client, head.tree_size)

    async def holds(self, position: CompactRange) -> bool:
        """Whether the log's own proof ties ``position`` to the head."""
        size = self._head.tree_size
        if position.size in {0, size}:
            return position.size == 0 or position.root() == self._head.root_hash
        proof = await self.proof(position.size)
        try:
            verify_consistency(position.size, size, proof, position.root(), self._head.root_hash)
        except VerificationError:
            return False
        return True

    async def proof(self, size: int) -> tuple[bytes, ...]:
        """The consistency proof from ``size`` to the head; empty where none is needed."""
        if size in {0, self._head.tree_size}:
            return ()
        if isinstance(self._client, Rfc6962Log):
            return await self._client.fetch_consistency(size, self._head.tree_size)
        tiles = self._tiles or TileReader(self._client, self._head.tree_size)
        return await tiles.consistency(size)

    async def first_off(self, positions: Sequence[CompactRange]) -> int:
        """Index of the first position that is not on the chain; the first is, the last is not."""
        low, high = 0, len(positions) - 1
        while high - low > 1:
            middle = (low + high) // 2
            if await self.holds(positions[middle]):
                low = middle
            else:
                high = middle
        return high


async def _split_view(chain: _Chain, log: Log, mismatch: Mismatch) -> Contradiction:
    verified, head = mismatch.verified, mismatch.head
    proof = await chain.proof(verified.size)
    return Contradiction(
        f"{log.description}: its head of size {head.tree_size} does not extend the tree that was"
        f" verified up to {verified.size}",
        kind="split_view",
        tree_size=head.tree_size,
        head=head.raw,
        computed_root=verified.root(),
        other=(verified.size, verified.root()),
        proof=SplitProof(verified.size, head.tree_size, proof).encode(),
    )


async def _corruption(
    chain: _Chain, client: LogClient, log: Log, mismatch: Mismatch
) -> Contradiction:
    positions = mismatch.positions
    if await chain.holds(mismatch.reached):
        return _unexplained(log, mismatch, "the log proves what it did not serve")
    if not await chain.holds(positions[0]):
        return _unexplained(log, mismatch, "what was downloaded in an earlier run is wrong")
    off = await chain.first_off(positions)
    before, after = positions[off - 1], positions[off]
    served = await _fetch(client, before.size, after.size)
    inside = _fold(before, served)
    if inside[-1] != after:
        return _unexplained(
            log, mismatch, f"entries {before.size} to {after.size - 1} are served otherwise by now"
        )
    index = inside[await chain.first_off(inside)].size - 1
    end = min(_end_of_proof(index), mismatch.head.tree_size)
    if end > after.size:
        served += await _fetch(client, after.size, end)
    leaves = [one for page in served for one in page.page.preimages]
    offset = index - before.size
    proof = CorruptionProof(
        begin=inside[offset],
        begin_proof=await chain.proof(index),
        leaves=tuple(one[1:] for one in leaves[offset : end - before.size]),
        end_proof=await chain.proof(end),
    )
    return Contradiction(
        f"{log.description}: entry {index} as served is not the one that it signed:"
        f" {mismatch.reason}",
        kind="corruption",
        tree_size=mismatch.head.tree_size,
        head=mismatch.head.raw,
        computed_root=mismatch.reached.root(),
        body=b"".join(one.body for one in served),
        proof=proof.encode(),
        detail=f"served by {', '.join(dict.fromkeys(one.url for one in served))}",
    )


def _unexplained(log: Log, mismatch: Mismatch, why: str) -> Contradiction:
    verified, reached = mismatch.verified.size, mismatch.reached.size
    return Contradiction(
        f"{log.description}: the entries served do not hash to the signed root: {mismatch.reason}",
        kind="corruption",
        tree_size=mismatch.head.tree_size,
        head=mismatch.head.raw,
        computed_root=mismatch.reached.root(),
        detail=f"entries {verified} to {reached - 1}; {why}",
    )


async def _fetch(client: LogClient, begin: int, end: int) -> list[ServedPage]:
    served: list[ServedPage] = []
    while begin < end:
        stop = client.next_end(begin, end)
        served += await client.fetch_range(begin, stop)
        begin = stop
    return served


def _fold(before: CompactRange, served: Sequence[ServedPage]) -> list[CompactRange]:
    """The position before each entry, and after the last."""
    positions = [before]
    for page in served:
        for preimage in page.page.preimages:
            position = positions[-1].copy()
            position.append(sha256(preimage).digest())
            positions.append(position)
    return positions


def _end_of_proof(index: int) -> int:
    """A position after entry ``index`` whose root a consistency proof states: no power of two."""
    end = index + 1
    while end & (end - 1) == 0:
        end += 1
    return end
