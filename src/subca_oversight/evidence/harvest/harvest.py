"""One harvest of one log: head, windows, entries, and the root that makes them count.

This is the order of things that everything else relies on: a head is verified and held against all
earlier ones before anything is read; entries are folded in order; nothing is promoted before the
folded root equals the signed one; and what contradicts itself is kept as evidence first and
reported second (DESIGN section 5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from subca_oversight.errors import SourceError, VerificationError
from subca_oversight.evidence.harvest.contradiction import (
    Contradiction,
    clear_quarantine,
    record_contradiction,
)
from subca_oversight.evidence.harvest.filling import is_filling
from subca_oversight.evidence.harvest.heads import (
    load_head,
    record_head,
    verify_smaller_head,
)
from subca_oversight.evidence.harvest.issuers import IssuerBook
from subca_oversight.evidence.harvest.position import prove_position
from subca_oversight.evidence.harvest.promotion import Promoted, confirm_doubts, promote
from subca_oversight.evidence.harvest.reader import ProgressSink, WindowReader
from subca_oversight.evidence.harvest.start import find_first
from subca_oversight.evidence.harvest.verification import verify_position
from subca_oversight.evidence.harvest.watch import WatchedKeys, load_watched
from subca_oversight.evidence.harvest.windows import (
    Plan,
    Target,
    Window,
    commit_verified,
    history_end,
    open_tail,
    plan_windows,
    rewind,
)
from subca_oversight.evidence.merkle import TILE_WIDTH, CompactRange
from subca_oversight.http import Fetcher
from subca_oversight.model.log import Log, LogApi, TreeHead
from subca_oversight.settings import CtSettings
from subca_oversight.sources.log_client import open_log
from subca_oversight.store.database import Database
from subca_oversight.store.tables import LogRow

STAGE_ENTRIES = 1 << 18
"""Entries after which a long reading is proven and promoted without waiting for its end."""


class HarvestState(StrEnum):
    """How far a harvest came."""

    CURRENT = "current"
    """Everything up to the head is verified."""
    WAITING = "waiting"
    """All but the last tile, which is about to be filled."""
    STALE = "stale"
    """The log served a head older than what was verified already."""
    IDLE = "idle"
    """No key is watched, so nothing was read."""


@dataclass(frozen=True, slots=True)
class HarvestResult:
    """What one harvest of one log brought."""

    entries: int
    """Entries verified, those read again by backfills included."""
    matches: int
    """Confirmed sightings."""
    unconfirmed: int
    blamed: int
    """Of the unconfirmed matches, those for which the log is to blame."""
    malformed: int
    promoted: int
    """Windows whose verified position moved."""
    verified_size: int
    head_size: int
    state: HarvestState


async def harvest_log(
    database: Database,
    client: Fetcher,
    log: Log,
    *,
    settings: CtSettings,
    now: Callable[[], datetime],
    progress: ProgressSink | None = None,
) -> HarvestResult:
    """Read a log up to its head, and verify, filter and store what is there.

    Raises LogMisbehaved when the log contradicts what it signed, after the evidence is stored and
    the log quarantined; SourceError when it cannot be read further now. Either way a later call
    continues from what is verified.
    """
    harvest = _Harvest(database, client, log, settings, now, progress)
    try:
        return await harvest.run()
    except Contradiction as contradiction:
        await asyncio.to_thread(harvest.record, contradiction)
        raise
    except SourceError as error:
        await asyncio.to_thread(harvest.note_failure, str(error))
        raise


class _Harvest:
    """The state of one run."""

    def __init__(
        self,
        database: Database,
        client: Fetcher,
        log: Log,
        settings: CtSettings,
        now: Callable[[], datetime],
        progress: ProgressSink | None,
    ) -> None:
        self._database = database
        self._log = log
        self._log_id = log.log_id.hex()
        self._settings = settings
        self._now = now
        self._progress = progress
        self._issuers = IssuerBook()
        self._open: Window | None = None
        self._total = Promoted()
        self._windows_promoted = 0
        self._client = open_log(client, log, page_entries=settings.page_entries)

    async def run(self) -> HarvestResult:
        watched = await asyncio.to_thread(self._load)
        if len(watched.spkis) == 0:
            return self._result(HarvestState.IDLE, 0, 0)
        head = load_head(self._log, await self._client.fetch_head())
        was_busy = await asyncio.to_thread(self._is_busy, head)
        contradiction = await asyncio.to_thread(self._record_head, head)
        if contradiction is not None:
            raise contradiction
        plan = await asyncio.to_thread(self._plan, watched)
        tail = plan.tail
        if tail is None:
            tail = await self._begin(watched, head)
        self._open = tail
        state = await self._follow(tail, watched, head, may_wait=was_busy)
        for window in plan.backfills:
            self._open = window
            known = await asyncio.to_thread(self._load_only, window.keys)
            await self._backfill(window, known)
        if state is not HarvestState.STALE:
            await asyncio.to_thread(self._note_success)
        return self._result(state, tail.verified.size, head.tree_size)

    def record(self, contradiction: Contradiction) -> None:
        """Keep the evidence and undo what is not verified, in one transaction."""
        now = self._now()
        with self._database.write() as session:
            if self._open is not None:
                rewind(session, self._open, now)
            record_contradiction(session, self._log_id, contradiction, now)

    def note_failure(self, text: str) -> None:
        """Remember why the log could not be read."""
        with self._database.write() as session:
            row = session.get_one(LogRow, self._log_id)
            row.last_error = text
            session.add(row)

    async def _begin(self, watched: WatchedKeys, head: TreeHead) -> Window:
        """Open the first window where the settings say."""
        first = await find_first(self._client, self._log, head, self._settings.start)
        tree = Target(head.tree_size, head.root_hash)
        start = await prove_position(self._client, self._log, first, tree, head.raw)
        return await asyncio.to_thread(self._open_tail, watched, start)

    async def _follow(
        self, tail: Window, watched: WatchedKeys, head: TreeHead, *, may_wait: bool
    ) -> HarvestState:
        """Read the tail up to the head and verify it there."""
        if head.tree_size <= tail.verified.size:
            await verify_smaller_head(self._client, self._log, head, tail.verified)
            is_stale = head.tree_size < tail.verified.size
            return HarvestState.STALE if is_stale else HarvestState.CURRENT
        if tail.position.size > head.tree_size:
            raise SourceError(
                f"{self._log.description}: its head of size {head.tree_size} is behind what it has"
                f" served already, up to {tail.position.size}"
            )
        end = head.tree_size
        if may_wait and not tail.is_first_reading and tail.position.size <= end - end % TILE_WIDTH:
            end -= end % TILE_WIDTH
        if end > tail.verified.size:
            await self._read(tail, watched, Target(head.tree_size, head.root_hash), end, head)
        return HarvestState.CURRENT if end == head.tree_size else HarvestState.WAITING

    async def _backfill(self, window: Window, watched: WatchedKeys) -> None:
        target = window.target
        if target is None:
            raise ValueError("a backfill has a target")
        await self._read(window, watched, target, target.size, None)

    async def _read(
        self,
        window: Window,
        watched: WatchedKeys,
        target: Target,
        end: int,
        head: TreeHead | None,
    ) -> None:
        """Download up to ``end`` in stages; prove and promote each."""
        reader = WindowReader(
            self._database,
            self._client,
            self._log,
            window,
            watched,
            self._issuers,
            now=self._now,
            progress=self._progress,
        )
        while True:
            position = window.position.size
            stop = min(end, position - position % STAGE_ENTRIES + STAGE_ENTRIES)
            await reader.read_to(stop, target)
            try:
                await verify_position(self._client, window.position, target)
            except VerificationError as error:
                raise self._mismatch(window, target, head, reader, str(error)) from None
            except SourceError:
                if stop == end:
                    raise
                continue  # this log gives no proof for here; a later stage or the head will do
            promoted = await asyncio.to_thread(self._promote, window, watched)
            window.verified = window.position.copy()
            reader.forget()
            self._count(promoted)
            if stop == end:
                return

    def _mismatch(
        self,
        window: Window,
        target: Target,
        head: TreeHead | None,
        reader: WindowReader,
        reason: str,
    ) -> Contradiction:
        lines, body = reader.served()
        return Contradiction(
            f"{self._log.description}: the entries served do not hash to the signed root: {reason}",
            kind="root_mismatch",
            tree_size=target.size,
            head=None if head is None else head.raw,
            computed_root=window.position.root(),
            body=body,
            detail=f"window of kind {window.kind} from {window.verified.size} to"
            f" {window.position.size}, to fit the root {target.root.hex()}; Merkle roots of the"
            f" pages served in this run:\n{lines}",
        )

    def _load(self) -> WatchedKeys:
        with self._database.read() as session:
            if self._log.api is LogApi.STATIC:
                self._issuers = IssuerBook.load(session)
            return load_watched(session)

    def _load_only(self, keys: frozenset[bytes]) -> WatchedKeys:
        with self._database.read() as session:
            return load_watched(session, only=keys)

    def _is_busy(self, head: TreeHead) -> bool:
        if self._log.api is not LogApi.STATIC:
            return False
        patience = timedelta(seconds=self._settings.partial_tile_seconds)
        with self._database.read() as session:
            return is_filling(session, self._log_id, head.tree_size, patience, self._now())

    def _record_head(self, head: TreeHead) -> Contradiction | None:
        with self._database.write() as session:
            return record_head(session, self._log, head, self._now())

    def _plan(self, watched: WatchedKeys) -> Plan:
        now = self._now()
        with self._database.write() as session:
            self._total.matches += confirm_doubts(
                session, self._log_id, self._log.api, watched, now
            )
            return plan_windows(session, self._log_id, frozenset(watched.spkis), now)

    def _open_tail(self, watched: WatchedKeys, start: CompactRange) -> Window:
        with self._database.write() as session:
            return open_tail(session, self._log_id, frozenset(watched.spkis), start, self._now())

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
            clear_quarantine(session, self._log_id, now)
        return promoted

    def _note_success(self) -> None:
        with self._database.write() as session:
            clear_quarantine(session, self._log_id, self._now())

    def _count(self, promoted: Promoted) -> None:
        self._windows_promoted += 1
        self._total.entries += promoted.entries
        self._total.matches += promoted.matches
        self._total.unconfirmed += promoted.unconfirmed
        self._total.blamed += promoted.blamed
        self._total.malformed += promoted.malformed

    def _result(self, state: HarvestState, verified: int, head: int) -> HarvestResult:
        total = self._total
        return HarvestResult(
            entries=total.entries,
            matches=total.matches,
            unconfirmed=total.unconfirmed,
            blamed=total.blamed,
            malformed=total.malformed,
            promoted=self._windows_promoted,
            verified_size=verified,
            head_size=head,
            state=state,
        )
