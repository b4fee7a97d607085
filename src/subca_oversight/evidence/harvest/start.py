"""Where reading of a log begins: at its head, at its first entry, at an index, or at a date.

A date is looked up by the timestamps of entries, which rise only roughly: a log promises to merge
an entry within its maximum merge delay (RFC 6962 3), so none stands before one that is older than
it by more than that. The search ends behind an entry that is older than the date by the delay and
an hour more; everything before is then older than the date. On static logs each tile looked at is
proven; on RFC 6962 logs the entry at which the search ended is.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256

from subca_oversight.errors import SourceError, VerificationError
from subca_oversight.evidence.harvest.contradiction import Contradiction
from subca_oversight.evidence.harvest.heads import LogClient
from subca_oversight.evidence.harvest.tile_proof import TileReader
from subca_oversight.evidence.harvest.windows import Target
from subca_oversight.evidence.merkle import (
    TILE_WIDTH,
    compact_range_from_audit_path,
    leaf_hash,
    verify_consistency,
)
from subca_oversight.model.log import Log
from subca_oversight.settings import Start
from subca_oversight.sources.log_entries import EntryPage, find_flaw, timestamp_of
from subca_oversight.sources.rfc6962 import Rfc6962Log
from subca_oversight.sources.static_ct import StaticLog

MARGIN = timedelta(hours=1)
"""Beyond the maximum merge delay: clocks of a log's machines differ, and logs are late."""


async def find_first(
    client: LogClient, log: Log, tree: Target, start: Start, head: bytes | None = None
) -> int:
    """Index of the entry of ``tree`` at which ``start`` lets reading begin.

    An index or date beyond the tree means its end. ``head`` is its signed head, as evidence. Raises
    Contradiction where an entry that decides is not of the signed tree, SourceError where it cannot
    be had.
    """
    if start == "all":
        return 0
    if isinstance(start, int):
        return min(start, tree.size)
    if isinstance(start, date):
        return await _find_date(client, log, tree, start, head)
    return tree.size


async def _find_date(
    client: LogClient, log: Log, tree: Target, start: date, head: bytes | None
) -> int:
    begin = datetime.combine(start, time(), UTC) - timedelta(seconds=log.mmd) - MARGIN
    limit_ms = int(begin.timestamp() * 1000)
    if isinstance(client, Rfc6962Log):
        first = await _search(_Entries(client, limit_ms), tree.size)
        if first > 0:
            await _verify_older(client, log, first - 1, tree, limit_ms, head)
        return first
    return await _search(_Tiles(client, log, tree, limit_ms, head), tree.size)


async def _search(entries: _Entries | _Tiles, size: int) -> int:
    """An index such that the entry before it is older than the limit, and it is itself not."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        if await entries.is_older(middle):
            low = middle + 1
        else:
            high = middle
    return low


class _Entries:
    """Single entries of an RFC 6962 log, not proven."""

    def __init__(self, client: Rfc6962Log, limit_ms: int) -> None:
        self._client = client
        self._limit_ms = limit_ms

    async def is_older(self, index: int) -> bool:
        [served] = await self._client.fetch_range(index, index + 1)
        return _is_older(served.page, 0, self._limit_ms)


class _Tiles:
    """Data tiles of a static log, each proven by the hash tiles; the last is kept."""

    def __init__(
        self, client: StaticLog, log: Log, tree: Target, limit_ms: int, head: bytes | None
    ) -> None:
        self._client = client
        self._log = log
        self._tree = tree
        self._limit_ms = limit_ms
        self._head = head
        self._hashes = TileReader(client, tree.size)
        self._page: EntryPage | None = None

    async def is_older(self, index: int) -> bool:
        page = self._page
        if page is None or not page.first <= index < page.end:
            page = self._page = await self._fetch(index - index % TILE_WIDTH)
        return _is_older(page, index - page.first, self._limit_ms)

    async def _fetch(self, begin: int) -> EntryPage:
        size = self._tree.size
        [served] = await self._client.fetch_range(begin, min(begin + TILE_WIDTH, size))
        page = served.page
        position = await self._hashes.position(begin)
        position.extend([sha256(preimage).digest() for preimage in page.preimages])
        proof = await self._hashes.consistency(page.end)
        try:
            verify_consistency(page.end, size, proof, position.root(), self._tree.root)
        except VerificationError as error:
            raise Contradiction(
                f"{self._log.description}: its tile at entry {begin} is not of the signed tree of"
                f" {size}: {error}",
                kind="wrong_proof",
                tree_size=size,
                head=self._head,
                body=served.body,
                url=served.url,
            ) from None
        return page


def _is_older(page: EntryPage, offset: int, limit_ms: int) -> bool:
    """Whether the entry's timestamp says so; a malformed entry says nothing, so reading begins."""
    is_malformed = any(at == offset for at, _ in page.malformed)
    return not is_malformed and timestamp_of(page.preimages[offset]) < limit_ms


async def _verify_older(
    client: Rfc6962Log, log: Log, index: int, tree: Target, limit_ms: int, head: bytes | None
) -> None:
    """Raise Contradiction unless the entry at ``index`` is one of the tree, and that old."""
    proven = await client.fetch_leaf(index, tree.size)
    preimage = b"\0" + proven.leaf
    try:
        compact_range_from_audit_path(
            leaf_hash(proven.leaf), index, tree.size, proven.path, root=tree.root
        )
    except VerificationError as error:
        raise Contradiction(
            f"{log.description}: its proof for entry {index} is wrong: {error}",
            kind="wrong_proof",
            tree_size=tree.size,
            head=head,
            body=proven.body,
        ) from None
    if find_flaw(preimage) is not None or timestamp_of(preimage) >= limit_ms:
        raise SourceError(
            f"{log.description}: it served another entry {index} than it signed for; where to"
            " begin cannot be told"
        )
