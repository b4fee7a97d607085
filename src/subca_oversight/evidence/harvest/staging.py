"""Reading a window in stages, each proven and promoted before the next.

A backlog of days is not kept waiting for its end, and what contradicts the signed root spoils one
stage and not all (DESIGN section 5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from subca_oversight.errors import SourceError, VerificationError
from subca_oversight.evidence.harvest.contradiction import clear_quarantine
from subca_oversight.evidence.harvest.culprit import Mismatch, explain_mismatch
from subca_oversight.evidence.harvest.heads import LogClient
from subca_oversight.evidence.harvest.issuers import IssuerBook
from subca_oversight.evidence.harvest.promotion import Promoted, promote
from subca_oversight.evidence.harvest.reader import ProgressSink, WindowReader
from subca_oversight.evidence.harvest.verification import verify_position
from subca_oversight.evidence.harvest.watch import WatchedKeys
from subca_oversight.evidence.harvest.windows import (
    Target,
    Window,
    commit_verified,
    history_end,
)
from subca_oversight.model.log import Log, TreeHead
from subca_oversight.store.database import Database

STAGE_ENTRIES = 1 << 18
"""Entries after which a long reading is proven and promoted without waiting for its end."""


class StagedReading:
    """What one harvest reads of one log, and what it brought."""

    def __init__(
        self,
        database: Database,
        client: LogClient,
        log: Log,
        *,
        now: Callable[[], datetime],
        progress: ProgressSink | None,
    ) -> None:
        self._database = database
        self._client = client
        self._log = log
        self._now = now
        self._progress = progress
        self.issuers = IssuerBook()
        self.waiting = 0
        """Entries of other windows that are left to read: what progress is told against."""
        self._done = 0
        self._stretch = (0, 0)
        self.total = Promoted()
        self.promoted = 0
        """Stages, by which the verified position of a window moved."""

    async def read(
        self,
        window: Window,
        watched: WatchedKeys,
        target: Target,
        end: int,
        *,
        head: TreeHead,
        until: float | None = None,
    ) -> bool:
        """Read, prove and promote up to before entry ``end`` of the tree of ``target``.

        ``head`` is a signed one, which the entries are held against where they are wrong. Returns
        whether that was reached before ``until`` on the monotonic clock; what was downloaded then
        is gone on with next time. Raises Contradiction and SourceError.
        """
        reader = WindowReader(
            self._database,
            self._client,
            self._log,
            window,
            watched,
            self.issuers,
            now=self._now,
            progress=self,
        )
        begin = window.position.size
        self._stretch = begin, end
        try:
            return await self._read(reader, window, watched, target, end, head=head, until=until)
        finally:
            self._done += window.position.size - begin

    async def _read(
        self,
        reader: WindowReader,
        window: Window,
        watched: WatchedKeys,
        target: Target,
        end: int,
        *,
        head: TreeHead,
        until: float | None,
    ) -> bool:
        while True:
            position = window.position.size
            stop = min(end, position - position % STAGE_ENTRIES + STAGE_ENTRIES)
            if not await reader.read_to(stop, target, until=until):
                return False
            try:
                await verify_position(self._client, window.position, target)
            except VerificationError as error:
                mismatch = Mismatch(head, window.verified, reader.positions(), str(error))
                raise await explain_mismatch(self._client, self._log, mismatch) from None
            except SourceError:
                if stop == end:
                    raise
                continue  # this log gives no proof for here; a later stage or the head will do
            promoted = await asyncio.to_thread(self._promote, window, watched)
            window.verified = window.position.copy()
            reader.forget()
            self._count(promoted)
            if stop == end:
                return True

    def advance(self, stage: str, log: str, done: int, total: int, rate: float) -> None:
        """Tell of progress in terms of everything that this harvest has to read of the log."""
        del total
        if self._progress is not None:
            begin, end = self._stretch
            read = self._done + done - begin
            self._progress.advance(stage, log, read, read + end - done + self.waiting, rate)

    def _promote(self, window: Window, watched: WatchedKeys) -> Promoted:
        now = self._now()
        with self._database.write() as session:
            promoted = promote(
                session,
                window,
                self._log.api,
                watched,
                history_end=history_end(session, window),
                now=now,
            )
            commit_verified(session, window, now)
            clear_quarantine(session, window.log_id, now)
        return promoted

    def _count(self, promoted: Promoted) -> None:
        self.promoted += 1
        self.total.entries += promoted.entries
        self.total.matches += promoted.matches
        self.total.unconfirmed += promoted.unconfirmed
        self.total.blamed += promoted.blamed
        self.total.malformed += promoted.malformed
