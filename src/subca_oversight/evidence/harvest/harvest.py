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
from datetime import datetime
from enum import StrEnum
from time import monotonic

from subca_oversight.errors import SourceError
from subca_oversight.evidence.harvest.contradiction import Contradiction
from subca_oversight.evidence.harvest.heads import load_head, verify_smaller_head
from subca_oversight.evidence.harvest.ledger import Ledger
from subca_oversight.evidence.harvest.planning import Plan, newest_part
from subca_oversight.evidence.harvest.position import prove_position
from subca_oversight.evidence.harvest.reader import ProgressSink
from subca_oversight.evidence.harvest.staging import StagedReading
from subca_oversight.evidence.harvest.start import find_first
from subca_oversight.evidence.harvest.watch import WatchedKeys
from subca_oversight.evidence.harvest.windows import Target, Window
from subca_oversight.evidence.merkle import TILE_WIDTH
from subca_oversight.http import Fetcher
from subca_oversight.model.log import Log, LogApi, TreeHead
from subca_oversight.settings import CtSettings
from subca_oversight.sources.log_client import open_log
from subca_oversight.store.database import Database


class HarvestState(StrEnum):
    """How far a harvest came."""

    CURRENT = "current"
    """Everything up to the head is verified."""
    GOING_BACK = "going back"
    """Everything from the tail's beginning to the head is verified; older windows are left."""
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
    backfill_seconds: float | None = None,
) -> HarvestResult:
    """Read a log up to its head, and verify, filter and store what is there.

    What lies further back is read afterwards, the newest first, for ``backfill_seconds`` or to its
    end where None is given.

    Raises LogMisbehaved when the log contradicts what it signed, after the evidence is stored and
    the log quarantined; SourceError when it cannot be read further now. Either way a later call
    continues from what is verified.
    """
    harvest = _Harvest(database, client, log, settings, now, progress)
    try:
        return await harvest.run(backfill_seconds)
    except Contradiction as contradiction:
        await asyncio.to_thread(harvest.ledger.record, contradiction, harvest.open)
        raise
    except SourceError as error:
        await asyncio.to_thread(harvest.ledger.note_failure, str(error))
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
        self.ledger = Ledger(database, log, settings, now)
        self.open: Window | None = None
        """The window that is being read: what a contradiction undoes."""
        self._log = log
        self._settings = settings
        self._client = open_log(client, log, page_entries=settings.page_entries)
        self._reading = StagedReading(database, self._client, log, now=now, progress=progress)

    async def run(self, backfill_seconds: float | None) -> HarvestResult:
        watched = await asyncio.to_thread(self.ledger.load_watched)
        if len(watched.spkis) == 0:
            return self._result(HarvestState.IDLE, 0, 0)
        if self._log.api is LogApi.STATIC:
            self._reading.issuers = await asyncio.to_thread(self.ledger.load_issuers)
        head = load_head(self._log, await self._client.fetch_head())
        was_busy = await asyncio.to_thread(self.ledger.is_filling, head)
        contradiction = await asyncio.to_thread(self.ledger.record_head, head)
        if contradiction is not None:
            raise contradiction
        plan, confirmed = await asyncio.to_thread(self.ledger.plan, watched)
        self._reading.total.matches += confirmed
        tail = plan.tail
        if tail is None:
            tail = await self._begin(watched, head)
            plan = Plan(tail, str(self._settings.start))
        self.open = tail
        self._reading.waiting = await asyncio.to_thread(self.ledger.waiting)
        state = await self._follow(tail, watched, head, may_wait=was_busy)
        if state is not HarvestState.STALE:
            if plan.begun_with != str(self._settings.start):
                await self._begin_earlier(watched, tail)
            if not await self._read_back(tail, head, backfill_seconds):
                state = HarvestState.GOING_BACK
            await asyncio.to_thread(self.ledger.note_success)
        return self._result(state, tail.verified.size, head.tree_size)

    async def _begin(self, watched: WatchedKeys, head: TreeHead) -> Window:
        """Open the first windows where the settings say."""
        tree = Target(head.tree_size, head.root_hash)
        first = await find_first(self._client, self._log, tree, self._settings.start, head.raw)
        newest = newest_part(first, head.tree_size)
        bounds = [
            await prove_position(self._client, self._log, size, tree, head.raw)
            for size in (first, first if newest is None else newest)
        ]
        return await asyncio.to_thread(self.ledger.begin_reading, watched, (bounds[0], bounds[1]))

    async def _begin_earlier(self, watched: WatchedKeys, tail: Window) -> None:
        """Where the settings ask for more than they did before, plan what lies further back."""
        earliest = await asyncio.to_thread(self.ledger.find_earliest)
        tree = Target(tail.verified.size, tail.verified.root())
        first = await find_first(self._client, self._log, tree, self._settings.start)
        bounds = None
        if first < earliest.size:
            position = await prove_position(self._client, self._log, first, tree)
            bounds = position, earliest
        await asyncio.to_thread(self.ledger.go_back, watched, bounds)

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
            target = Target(head.tree_size, head.root_hash)
            await self._reading.read(tail, watched, target, end, head=head)
        return HarvestState.CURRENT if end == head.tree_size else HarvestState.WAITING

    async def _read_back(self, tail: Window, head: TreeHead, seconds: float | None) -> bool:
        """Read backfills, the newest first; return whether none is left."""
        until = None if seconds is None else monotonic() + seconds
        while (window := await asyncio.to_thread(self.ledger.next_backfill)) is not None:
            self.open = None
            if until is not None and monotonic() >= until:
                return False
            if window.target is None:
                raise ValueError("a backfill has a target")
            part = newest_part(window.position.size, window.target.size)
            if part is not None:
                # Proven in the tree that was verified here, not in a head that may be of another.
                tree = Target(tail.verified.size, tail.verified.root())
                position = await prove_position(self._client, self._log, part, tree)
                window = await asyncio.to_thread(self.ledger.split_backfill, window, position)
            self.open = window
            await self._read_window(window, head, until)
        return True

    async def _read_window(self, window: Window, head: TreeHead, until: float | None) -> None:
        known = await asyncio.to_thread(self.ledger.load_watched, window.keys)
        waiting = await asyncio.to_thread(self.ledger.waiting)
        target = window.target
        if target is not None:
            self._reading.waiting = waiting - (target.size - window.position.size)
            await self._reading.read(window, known, target, target.size, head=head, until=until)

    def _result(self, state: HarvestState, verified: int, head: int) -> HarvestResult:
        total = self._reading.total
        return HarvestResult(
            entries=total.entries,
            matches=total.matches,
            unconfirmed=total.unconfirmed,
            blamed=total.blamed,
            malformed=total.malformed,
            promoted=self._reading.promoted,
            verified_size=verified,
            head_size=head,
            state=state,
        )
