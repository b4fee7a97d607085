"""Reading an RFC 6962 log that serves its full tiles too: head and proofs by JSON, bulk by tiles.

Such logs promise neither checkpoint nor partial tiles, and give entries by JSON many times slower
(``reference/ct.md`` 2.5 and 2.7, point 10). What comes out is what get-entries would have given,
chains included, so that nobody else need know; it counts by the same signed root. The tiles are a
shorter way and no more: where they fail, the entries are asked for as of any other log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import structlog

from subca_oversight.errors import SourceError
from subca_oversight.http import Fetcher, Limits, Origin, Response
from subca_oversight.model.log import HASH_LENGTH, Log
from subca_oversight.sources.log_entries import EntryPage, ServedPage
from subca_oversight.sources.pacing import HeldBack
from subca_oversight.sources.page_size import PageSize
from subca_oversight.sources.rfc6962 import Rfc6962Log
from subca_oversight.sources.static_ct import TILE_WIDTH, StaticLog

_MOST_FAILURES = 3
"""Tiles in a row that could not be used, after which no more are asked for in this reading."""
_ATTEMPTS = 4
"""Times that a tile is asked for where the log only wants to be asked more slowly."""
_PROBED_ENTRIES = 8
_NO_ANSWER = frozenset({429, 503})
_LENGTH = 3

_log = structlog.get_logger(__name__)


class HybridLog(Rfc6962Log):
    """One log; gives up its tiles for this reading where they do not serve."""

    def __init__(
        self,
        client: Fetcher,
        log: Log,
        *,
        page_entries: int,
        pages: PageSize | None = None,
        issuers: dict[bytes, bytes] | None = None,
    ) -> None:
        """``issuers`` are certificates by SHA-256, as served before; more are added to them."""
        super().__init__(client, log, page_entries=page_entries, pages=pages)
        self._tiles = StaticLog(_Once(client), log)
        self._issuers = {} if issuers is None else issuers
        self._failures = 0

    def next_end(self, first: int, end: int) -> int:
        """Where the full tile that holds entry ``first`` stops; else where a page does."""
        stop = first - first % TILE_WIDTH + TILE_WIDTH
        if stop <= end and self._failures < _MOST_FAILURES:
            return stop
        return super().next_end(first, end)

    async def fetch_range(self, first: int, end: int) -> list[ServedPage]:
        """All entries from ``first`` up to before ``end``: from a full tile, or else in pages."""
        is_full_tile = end % TILE_WIDTH == 0 and 0 < end - first <= TILE_WIDTH
        for _ in range(_ATTEMPTS):
            if not is_full_tile or self._failures >= _MOST_FAILURES:
                break
            try:
                served = await self._fetch_tile(first, end)
            except HeldBack:
                raise
            except SourceError as error:
                if error.status in _NO_ANSWER:
                    continue
                self._failures += 1
                _log.info("tile_not_usable", log=self._log.description, reason=str(error))
                break
            self._failures = 0
            return [served]
        return await super().fetch_range(first, end)

    async def _fetch_tile(self, first: int, end: int) -> ServedPage:
        [served] = await self._tiles.fetch_range(first, end)
        page = served.page
        rests = [
            _split(page.unhashed(offset), precertificate=page.preimages[offset][12] == 1)
            for offset in range(len(page))
        ]
        chains = {chain: b"" for _, chain in rests}
        await self._learn(dict.fromkeys(name for chain in chains for name in _names(chain)))
        for chain in chains:
            certificates = b"".join(
                len(self._issuers[name]).to_bytes(_LENGTH) + self._issuers[name]
                for name in _names(chain)
            )
            chains[chain] = len(certificates).to_bytes(_LENGTH) + certificates

        def unhashed(offset: int) -> bytes:
            before, chain = rests[offset]
            return before + chains[chain]

        whole = EntryPage(
            first=page.first,
            preimages=page.preimages,
            issuer_keys=page.issuer_keys,
            finals=page.finals,
            malformed=page.malformed,
            unhashed=unhashed,
        )
        return ServedPage(whole, served.url, served.body)

    async def _learn(self, names: dict[bytes, None]) -> None:
        unknown = [name for name in names if name not in self._issuers]
        found = await asyncio.gather(*(self._tiles.find_issuer(name) for name in unknown))
        for name, certificate in zip(unknown, found, strict=True):
            if certificate is None:
                raise SourceError(f"{self._log.description}: it lacks the issuer {name.hex()}")
            self._issuers[name] = certificate


async def probe_tiles(client: Fetcher, log: Log, *, size: int | None) -> bool | None:
    """Whether an RFC 6962 log of ``size`` entries serves its tiles too; None where nobody can tell.

    A tile that holds other entries than the log gives by JSON is none of the log's.
    """
    if size is None or size < TILE_WIDTH:
        return None
    client = _Once(client)
    try:
        [tile] = await StaticLog(client, log).fetch_range(0, TILE_WIDTH)
    except SourceError as error:
        is_answer = error.status is None and not error.retry
        if error.status is not None:
            is_answer = error.status not in _NO_ANSWER
        return False if is_answer else None
    try:
        pages = await Rfc6962Log(client, log, page_entries=_PROBED_ENTRIES).fetch_range(
            0, _PROBED_ENTRIES
        )
    except SourceError:
        return None
    entries = [preimage for served in pages for preimage in served.page.preimages]
    return tile.page.preimages[:_PROBED_ENTRIES] == entries


class _Once:
    """Asks once: where there are no tiles, no amount of asking brings them."""

    def __init__(self, client: Fetcher) -> None:
        self._client = client

    async def get(
        self,
        url: str,
        *,
        limits: Limits = Limits(),  # noqa: B008 - as the client has it
        headers: Mapping[str, str] | None = None,
        origin: Origin = Origin.FETCHED,
        accept_status: frozenset[int] = frozenset({200}),
    ) -> Response:
        """As the client beneath."""
        return await self._client.get(
            url,
            limits=replace(limits, attempts=1),
            headers=headers,
            origin=origin,
            accept_status=accept_status,
        )


def _split(rest: bytes, *, precertificate: bool) -> tuple[bytes, bytes]:
    """The precertificate with its length, if any, and the fingerprints of the chain."""
    at = _LENGTH + int.from_bytes(rest[:_LENGTH]) if precertificate else 0
    return rest[:at], rest[at + 2 :]


def _names(chain: bytes) -> list[bytes]:
    return [chain[at : at + HASH_LENGTH] for at in range(0, len(chain), HASH_LENGTH)]
