"""Reading a window: pages fetched ahead, hashed and folded in order, filtered, and committed.

The fetched position moves in chunks small enough to lose little and large enough not to wait for
the disk; each chunk and what was found in it are one transaction, so a killed run continues where
the last chunk ended. Nothing here counts: that is for the signed root to say (DESIGN section 5).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime
from hashlib import sha256
from time import monotonic
from typing import Any, Protocol

from subca_oversight.errors import SourceError, VerificationError
from subca_oversight.evidence.chain import MAX_LINKS
from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.harvest.contradiction import Contradiction, record_blame
from subca_oversight.evidence.harvest.decoding import fingerprints_named
from subca_oversight.evidence.harvest.heads import LogClient
from subca_oversight.evidence.harvest.issuers import IssuerBook
from subca_oversight.evidence.harvest.watch import (
    Selection,
    WatchedKeys,
    bears_name,
    select_entries,
)
from subca_oversight.evidence.harvest.windows import Target, Window, commit_position
from subca_oversight.evidence.issuer_signature import Uncheckable, verify_signature
from subca_oversight.evidence.merkle import CompactRange
from subca_oversight.evidence.structure import slice_certificate
from subca_oversight.model.log import Log, LogApi
from subca_oversight.sources.log_entries import (
    ChainFlaw,
    EntryPage,
    ServedPage,
    final_certificate_of,
)
from subca_oversight.sources.rfc6962 import first_of_chain
from subca_oversight.sources.static_ct import StaticLog, UnreadableTile
from subca_oversight.store.database import Database

CHUNK_ENTRIES = 16_384
CHUNK_SECONDS = 5.0
CHUNK_BYTES = 32 * 1024 * 1024
"""Bytes of pending entries after which a chunk is committed early."""
_AHEAD = {LogApi.RFC6962: 2, LogApi.STATIC: 4}
"""Requests under way at once: pages are megabytes, and many logs limit each client's rate."""
_MAX_NOTED = 4096
"""Positions kept since the last proof, for finding the entry that is wrong."""
_MAX_UNDECIDED = 256
"""Final certificates of unknown issuers kept in one run; more of them mean that the log is ill."""


class ProgressSink(Protocol):
    """Takes notice of how a harvest goes on."""

    def advance(self, stage: str, log: str, done: int, total: int, rate: float) -> None:
        """``done`` of ``total`` entries, at ``rate`` entries a second."""
        ...


class WindowReader:
    """Reads one window of one log; keeps ``window.position`` equal to what is committed."""

    def __init__(
        self,
        database: Database,
        client: LogClient,
        log: Log,
        window: Window,
        watched: WatchedKeys,
        issuers: IssuerBook,
        *,
        now: Callable[[], datetime],
        progress: ProgressSink | None,
    ) -> None:
        self._database = database
        self._client = client
        self._log = log
        self._window = window
        self._watched = watched
        self._issuers = issuers
        self._now = now
        self._progress = progress
        self._position = window.position.copy()
        self._pending: list[dict[str, Any]] = []
        self._pending_octets = 0
        self._undecided = 0
        self._noted = [self._position.copy()]
        self.matches = 0

    async def read_to(self, end: int, target: Target, *, until: float | None = None) -> bool:
        """Download up to before entry ``end`` of the tree of ``target``.

        Returns False where ``until`` on the monotonic clock came first, between two chunks. Raises
        SourceError after committing what had come until then, Contradiction where the log serves
        what cannot be its entries.
        """
        begin = self._position.size
        started = committed = monotonic()
        try:
            async with aclosing(self._pages(begin, end)) as pages:
                async for served in pages:
                    await self._take(served)
                    size = self._position.size
                    if self._progress is not None:
                        rate = (size - begin) / max(monotonic() - started, 1e-6)
                        self._progress.advance("read", self._log.description, size, end, rate)
                    if self._is_due(committed):
                        await self._commit(target)
                        committed = monotonic()
                        if until is not None and committed >= until and size < end:
                            return False
        except UnreadableTile as unreadable:
            raise Contradiction(
                f"{self._log.description}: {unreadable}",
                kind="unreadable_tile",
                tree_size=target.size,
                body=unreadable.body,
                url=unreadable.url,
            ) from None
        except SourceError:
            await self._commit(target)
            raise
        await self._commit(target)
        return True

    def positions(self) -> list[CompactRange]:
        """Where this run began since the last proof, and after each page: ascending, not empty."""
        return [*self._noted, self._position.copy()]

    def forget(self) -> None:
        """Begin to note anew: what was read is verified."""
        self._noted = [self._position.copy()]

    async def _pages(self, first: int, end: int) -> AsyncGenerator[ServedPage, None]:
        """Pages in order, with some requests under way ahead of the one that is awaited."""
        under_way: deque[asyncio.Task[list[ServedPage]]] = deque()
        try:
            while first < end or len(under_way) > 0:
                while first < end and len(under_way) < _AHEAD[self._log.api]:
                    stop = self._client.next_end(first, end)
                    under_way.append(asyncio.create_task(self._client.fetch_range(first, stop)))
                    first = stop
                for served in await under_way.popleft():
                    yield served
                    await asyncio.sleep(0)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _take(self, served: ServedPage) -> None:
        page = served.page
        selection = select_entries(page, self._watched, self._issuers.known)
        if len(selection.unknown) > 0:
            await self._learn(page, selection)
        wanted = dict.fromkeys(selection.matches)
        wanted.update(dict.fromkeys(self._settle(page, selection)))
        if isinstance(self._client, StaticLog):
            for offset in wanted:
                names = fingerprints_named(page.preimages[offset][1:], page.unhashed(offset))
                await self._issuers.ask(self._client, names[:MAX_LINKS])
        self.matches += len(wanted)
        for offset, flaw in page.malformed:
            self._keep(page, offset, flaw)
            wanted.pop(offset, None)
        for offset in wanted:
            self._keep(page, offset, None)
        hashes = [sha256(preimage).digest() for preimage in page.preimages]
        self._position.extend(hashes)
        if len(self._noted) >= _MAX_NOTED:
            del self._noted[1::2]
        self._noted.append(self._position.copy())

    async def _learn(self, page: EntryPage, selection: Selection) -> None:
        """Find out the issuers' keys, and sort the entries again that hang on them."""
        unknown, selection.unknown = selection.unknown, []
        if isinstance(self._client, StaticLog):
            names = dict.fromkeys(one for _, one in unknown if not isinstance(one, ChainFlaw))
            await self._issuers.ask(self._client, names)
        for offset, issuer in unknown:
            if isinstance(issuer, ChainFlaw):
                selection.unknown.append((offset, issuer))
                continue
            if issuer not in self._issuers.known and self._log.api is LogApi.RFC6962:
                self._issuers.learn(first_of_chain(page.unhashed(offset)), keep=False)
            if issuer not in self._issuers.known:
                selection.unknown.append((offset, issuer))
            elif self._issuers.known[issuer] in self._watched.spkis:
                selection.matches.append(offset)
            elif bears_name(page.preimages[offset], self._watched):
                selection.named.append(offset)

    def _settle(self, page: EntryPage, selection: Selection) -> list[int]:
        """Those final certificates that a signature, not the log's word, ties to a watched key.

        Where no signature can rule an entry in or out, it is kept too, to be shown as unconfirmed.
        """
        kept = [offset for offset in selection.named if self._is_signed(page, offset)]
        for offset, issuer in selection.unknown:
            if self._is_signed(page, offset):
                kept.append(offset)
            elif not self._watched.is_conclusive and not _is_self_signed(page.preimages[offset]):
                kept.append(offset)
                self._undecided += not isinstance(issuer, ChainFlaw)
        if self._undecided > _MAX_UNDECIDED:
            raise SourceError(
                f"{self._log.description}: it does not serve the issuers of more than"
                f" {_MAX_UNDECIDED} entries; nothing is read beyond entry {self._position.size}"
                " until it does"
            )
        return kept

    def _is_signed(self, page: EntryPage, offset: int) -> bool:
        """Whether a final certificate verifies with a watched key that is at hand."""
        certificate = final_certificate_of(page.preimages[offset])
        return certificate is not None and any(
            spki is not None and is_signed_by(certificate, spki)
            for spki in self._watched.spkis.values()
        )

    def _keep(self, page: EntryPage, offset: int, flaw: str | None) -> None:
        leaf, extra = page.preimages[offset][1:], page.unhashed(offset)
        self._pending_octets += len(leaf) + len(extra)
        self._pending.append(
            {
                "window_id": self._window.id,
                "index": page.first + offset,
                "malformed": flaw,
                "leaf": leaf,
                "extra": extra,
            }
        )

    def _is_due(self, committed: float) -> bool:
        return (
            self._position.size - self._window.position.size >= CHUNK_ENTRIES
            or self._pending_octets >= CHUNK_BYTES
            or monotonic() - committed >= CHUNK_SECONDS
        )

    async def _commit(self, target: Target) -> None:
        if self._position.size == self._window.position.size:
            return
        position, pending = self._position.copy(), self._pending
        self._pending, self._pending_octets = [], 0
        await asyncio.to_thread(self._write, position, target, pending)
        self._window.position = position
        self._window.target = target

    def _write(self, position: CompactRange, target: Target, pending: list[dict[str, Any]]) -> None:
        chain = self._issuers.take_unsaved()
        wrong, self._issuers.wrong = self._issuers.wrong, []
        now = self._now()
        with self._database.write() as session:
            commit_position(session, self._window, position, target, pending, chain, now)
            for one in wrong:
                record_blame(
                    session,
                    self._window.log_id,
                    "wrong_issuer",
                    one.url or "",
                    str(one),
                    one.body,
                    now,
                )


def is_signed_by(certificate: bytes, spki: bytes) -> bool:
    """Whether the key signed a final certificate, as far as that can be checked."""
    try:
        structure = slice_certificate(certificate)
        if structure.inner_algorithm is None or structure.signature is None:
            return False
        verify_signature(spki, structure.inner_algorithm, structure.signature, structure.tbs)
    except (Malformed, Uncheckable, VerificationError):
        return False
    return True


def _is_self_signed(preimage: bytes) -> bool:
    """Whether an entry is a root, as logs hold them without a chain, of a key that is its own."""
    certificate = final_certificate_of(preimage)
    if certificate is None:
        return False
    try:
        spki = slice_certificate(certificate).spki
    except Malformed:
        return False
    return spki is not None and is_signed_by(certificate, spki)
