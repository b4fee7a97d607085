"""Coverage of the logs: what was read and verified for each key, what was not, and for how long.

"How do we know that we saw all of it?" is answered by numbers: of each log the entries that are
verified for a key, the gaps, the unread tail; of each subordinate the share of all logs' entries.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import Session, col

from subca_oversight.evidence.canaries import Canary, find_canaries
from subca_oversight.evidence.harvest.coverage import KeyCoverage, Stretch, coverage
from subca_oversight.evidence.harvest.windows import WindowKind
from subca_oversight.settings import CtSettings
from subca_oversight.store.tables import (
    LogRow,
    SubordinateRow,
    TreeHeadRow,
    WatchedKeyRow,
    WindowRow,
)


@dataclass(frozen=True, slots=True)
class LogCoverage:
    """One log as read for one key. Stretches are the first entry and the one after the last."""

    subordinate: str
    issuer_key_sha256: str
    log_id: str
    log: str
    start: int | None
    """Where reading of the log began for any key; None where it was not read at all."""
    head_size: int
    verified_entries: int
    read: tuple[Stretch, ...]
    gaps: tuple[Stretch, ...]
    """Between the start and the tail."""
    unread_tail: int
    behind_since: datetime | None
    """Since when the first entry of the unread tail is known to exist."""
    gap_since: datetime | None
    """Since when the oldest gap is known."""

    @property
    def gap_entries(self) -> int:
        """How many entries lie in gaps."""
        return sum(end - first for first, end in self.gaps)


@dataclass(frozen=True, slots=True)
class SubordinateCoverage:
    """One key of a subordinate over all logs that are followed."""

    subordinate: str
    issuer_key_sha256: str
    logs: int
    complete_logs: int
    """Without gap and unread tail since reading of them began."""
    known_entries: int
    """Of all those logs together, by their newest heads."""
    verified_entries: int
    owed_entries: int
    """Of the known ones, those since reading of each log began."""

    @property
    def share_of_known(self) -> float:
        """Verified entries as a share of all that the logs hold."""
        return 1.0 if self.known_entries == 0 else self.verified_entries / self.known_entries

    @property
    def share_since_start(self) -> float:
        """Verified entries as a share of those since reading began."""
        return 1.0 if self.owed_entries == 0 else self.verified_entries / self.owed_entries


@dataclass(frozen=True, slots=True)
class CoverageLedger:
    """Everything at one instant of the store."""

    subordinates: tuple[SubordinateCoverage, ...]
    logs: tuple[LogCoverage, ...]
    canaries: tuple[Canary, ...]


def load_coverage(
    session: Session, settings: CtSettings, now: datetime, *, subordinate: str | None = None
) -> CoverageLedger:
    """The ledger; with ``subordinate``, of that one alone."""
    names = {row.anchor: row.name for row in session.scalars(select(SubordinateRow))}
    owners = {
        row.spki_sha256: names.get(row.anchor, "") for row in session.scalars(select(WatchedKeyRow))
    }
    rows = {row.log_id: row for row in session.scalars(select(LogRow))}
    gaps = _gaps_since(session)
    logs = [
        _log_coverage(session, one, rows[one.log_id], owners.get(one.spki_sha256, ""), gaps)
        for one in coverage(session)
    ]
    chosen = sorted(
        (one for one in logs if subordinate in (None, one.subordinate)),
        key=lambda one: (one.subordinate, one.issuer_key_sha256, one.log, one.log_id),
    )
    return CoverageLedger(
        subordinates=tuple(_by_key(chosen)),
        logs=tuple(chosen),
        canaries=tuple(
            find_canaries(
                session, settings.canaries, within=timedelta(days=settings.canary_days), now=now
            )
        ),
    )


def _log_coverage(
    session: Session,
    one: KeyCoverage,
    row: LogRow,
    subordinate: str,
    gaps_since: Mapping[str, datetime],
) -> LogCoverage:
    head = max([row.head_size or 0, *(end for _, end in one.ranges)])
    tail = next((stretch for stretch in one.unread if stretch[1] == head), None)
    gaps = tuple(stretch for stretch in one.unread if stretch != tail)
    if tail is not None and len(one.ranges) > 0 and tail[0] < one.ranges[-1][1]:
        tail = None
    behind_since = None
    if tail is not None:
        behind_since = session.scalar(
            select(func.min(col(TreeHeadRow.first_seen))).where(
                col(TreeHeadRow.log_id) == one.log_id, col(TreeHeadRow.tree_size) > tail[0]
            )
        )
    return LogCoverage(
        subordinate=subordinate,
        issuer_key_sha256=one.spki_sha256,
        log_id=one.log_id,
        log=row.description,
        start=one.start,
        head_size=head,
        verified_entries=sum(end - first for first, end in one.ranges),
        read=one.ranges,
        gaps=gaps,
        unread_tail=0 if tail is None else tail[1] - tail[0],
        behind_since=behind_since,
        gap_since=gaps_since.get(one.log_id) if len(gaps) > 0 else None,
    )


def _gaps_since(session: Session) -> dict[str, datetime]:
    """Since when the oldest backfill of each log waits."""
    rows = session.execute(
        select(col(WindowRow.log_id), func.min(col(WindowRow.opened_at)))
        .where(col(WindowRow.kind) == WindowKind.BACKFILL.value, col(WindowRow.closed).is_(False))
        .group_by(col(WindowRow.log_id))
    )
    return {log_id: since for log_id, since in rows}  # noqa: C416 - rows are not tuples to mypy


def _by_key(logs: Sequence[LogCoverage]) -> Iterable[SubordinateCoverage]:
    keys: defaultdict[tuple[str, str], list[LogCoverage]] = defaultdict(list)
    for one in logs:
        keys[one.subordinate, one.issuer_key_sha256].append(one)
    for (subordinate, key), of_key in keys.items():
        yield SubordinateCoverage(
            subordinate=subordinate,
            issuer_key_sha256=key,
            logs=len(of_key),
            complete_logs=sum(
                one.start is not None and one.gap_entries + one.unread_tail == 0 for one in of_key
            ),
            known_entries=sum(one.head_size for one in of_key),
            verified_entries=sum(one.verified_entries for one in of_key),
            owed_entries=sum(one.head_size - (one.start or 0) for one in of_key),
        )
