"""What a harvest asks of the store and writes there about one log: each call is one transaction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from subca_oversight.evidence.harvest import planning
from subca_oversight.evidence.harvest.contradiction import (
    Contradiction,
    clear_quarantine,
    record_contradiction,
)
from subca_oversight.evidence.harvest.filling import is_filling
from subca_oversight.evidence.harvest.heads import record_head
from subca_oversight.evidence.harvest.issuers import IssuerBook
from subca_oversight.evidence.harvest.planning import Plan
from subca_oversight.evidence.harvest.promotion import confirm_doubts
from subca_oversight.evidence.harvest.watch import WatchedKeys, load_watched
from subca_oversight.evidence.harvest.windows import Window, rewind
from subca_oversight.evidence.merkle import CompactRange
from subca_oversight.model.log import Log, LogApi, TreeHead
from subca_oversight.settings import CtSettings
from subca_oversight.store.database import Database
from subca_oversight.store.tables import LogRow


class Ledger:
    """The store, as far as one log is concerned."""

    def __init__(
        self, database: Database, log: Log, settings: CtSettings, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._log = log
        self._log_id = log.log_id.hex()
        self._settings = settings
        self._now = now

    def load_watched(self, only: frozenset[bytes] | None = None) -> WatchedKeys:
        """The watched keys; with ``only``, these keys alone."""
        with self._database.read() as session:
            return load_watched(session, only=only)

    def load_issuers(self) -> IssuerBook:
        """Everything that was ever learned about issuers."""
        with self._database.read() as session:
            return IssuerBook.load(session)

    def is_filling(self, head: TreeHead) -> bool:
        """Whether the last tile of a static log is about to be filled."""
        if self._log.api is not LogApi.STATIC:
            return False
        patience = timedelta(seconds=self._settings.partial_tile_seconds)
        with self._database.read() as session:
            return is_filling(session, self._log_id, head.tree_size, patience, self._now())

    def record_head(self, head: TreeHead) -> Contradiction | None:
        """Keep a verified head; record and return what it contradicts among earlier ones."""
        with self._database.write() as session:
            return record_head(session, self._log, head, self._now())

    def plan(self, watched: WatchedKeys) -> tuple[Plan, int]:
        """Where reading stands, and how many matches could be confirmed that had to wait."""
        now = self._now()
        keys = frozenset(watched.spkis)
        with self._database.write() as session:
            confirmed = confirm_doubts(session, self._log_id, self._log.api, watched, now)
            return planning.plan_windows(session, self._log_id, keys, now), confirmed

    def begin_reading(
        self, watched: WatchedKeys, bounds: tuple[CompactRange, CompactRange]
    ) -> Window:
        """Open the first windows: the tail at the second position, a backfill from the first."""
        keys, start = frozenset(watched.spkis), str(self._settings.start)
        with self._database.write() as session:
            return planning.begin_reading(session, self._log_id, keys, bounds, start, self._now())

    def find_earliest(self) -> CompactRange:
        """Where the earliest window begins."""
        with self._database.read() as session:
            return planning.find_earliest(session, self._log_id)

    def go_back(
        self, watched: WatchedKeys, bounds: tuple[CompactRange, CompactRange] | None
    ) -> None:
        """Plan what lies between two positions, if anything."""
        keys, start = frozenset(watched.spkis), str(self._settings.start)
        with self._database.write() as session:
            planning.go_back(session, self._log_id, keys, bounds, start, self._now())

    def next_backfill(self) -> Window | None:
        """The newest backfill that is not done."""
        with self._database.read() as session:
            return planning.next_backfill(session, self._log_id)

    def waiting(self) -> int:
        """How many entries of backfills are not downloaded."""
        with self._database.read() as session:
            return planning.count_waiting(session, self._log_id)

    def split_backfill(self, window: Window, position: CompactRange) -> Window:
        """Cut a backfill in two; return the newer part."""
        with self._database.write() as session:
            return planning.split_backfill(session, window, position, self._now())

    def record(self, contradiction: Contradiction, window: Window | None) -> None:
        """Keep the evidence and undo what of the window is not verified."""
        now = self._now()
        with self._database.write() as session:
            if window is not None:
                rewind(session, window, now)
            record_contradiction(session, self._log_id, contradiction, now)

    def note_failure(self, text: str) -> None:
        """Remember why the log could not be read."""
        with self._database.write() as session:
            row = session.get_one(LogRow, self._log_id)
            row.last_error = text
            session.add(row)

    def note_success(self) -> None:
        """Note that everything was read that there was time for."""
        with self._database.write() as session:
            clear_quarantine(session, self._log_id, self._now())
