"""Observations: what could not be seen of a subordinate, kept as it stood at an instant.

Cursors, source states and failures are overwritten as work goes on, so a report made again later
could not say what was unread when it was first made. Each making therefore stores an observation,
and a report uses the last one at or before its own instant (DESIGN section 2, principle 2).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime

import orjson
from pydantic import TypeAdapter
from sqlalchemy import func, select
from sqlmodel import Session, col

from subca_oversight.evidence.harvest.coverage import KeyCoverage, coverage
from subca_oversight.evidence.units import instant_of
from subca_oversight.reports.population import find_keys
from subca_oversight.store.tables import (
    CertificateRow,
    CheckFailureRow,
    LintRunRow,
    LogRow,
    ObservationRow,
    SourceRow,
    UnitRow,
    WindowRow,
)

MAX_REASONS = 40
"""Reasons kept apart; what exceeds them is counted in one line."""
OTHER_REASONS = "other reasons"
_MAX_STRETCHES = 20


@dataclass(frozen=True, slots=True)
class UnreadStretch:
    """Entries of a log that were not read for a key."""

    spki_sha256: str
    first: int
    end: int
    """The entry after the last."""


@dataclass(frozen=True, slots=True)
class LogObservation:
    """How far a monitored log had been read."""

    log_id: str
    description: str
    operator: str
    state: str
    start: int | None
    """Where reading began: what lies before was never read. None where it had not begun."""
    verified: int | None
    head_size: int | None
    head_at: datetime | None
    unread_entries: int
    """Since ``start``, for the key that lacks most."""
    unread: tuple[UnreadStretch, ...]
    last_success: datetime | None
    last_error: str | None
    quarantined_at: datetime | None
    quarantine_reason: str | None


@dataclass(frozen=True, slots=True)
class SourceObservation:
    """How fresh a source was."""

    source: str
    last_success: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How many subjects were not looked at, and why."""

    what: str
    """Id of the check, or name of the linter."""
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that was known not to be seen."""

    at: datetime
    logs: tuple[LogObservation, ...]
    sources: tuple[SourceObservation, ...]
    check_failures: tuple[ReasonCount, ...]
    lint_failures: tuple[ReasonCount, ...]
    not_yet_linted: int
    """Certificates that no linter had looked at."""
    not_yet_checked: int
    """Units that no check had looked at as they stood."""


_ADAPTER = TypeAdapter(Observation)


def record_observation(session: Session, anchor: str, *, now: datetime) -> None:
    """Store what cannot be seen of a subordinate at ``now``."""
    body = orjson.dumps(observe(session, anchor, now=now))
    session.add(ObservationRow(anchor=anchor, at=now, body=zlib.compress(body)))
    session.flush()


def find_observation(session: Session, anchor: str, *, as_of: datetime) -> Observation | None:
    """The last observation at or before ``as_of``; of several at one instant the first stored."""
    row = session.scalars(
        select(ObservationRow)
        .where(col(ObservationRow.anchor) == anchor, col(ObservationRow.at) <= as_of)
        .order_by(col(ObservationRow.at).desc(), col(ObservationRow.id))
        .limit(1)
    ).first()
    return None if row is None else _ADAPTER.validate_json(zlib.decompress(row.body))


def observe(session: Session, anchor: str, *, now: datetime) -> Observation:
    """What cannot be seen of a subordinate, as the store stands."""
    keys = find_keys(session, anchor, as_of=now)
    return Observation(
        at=now,
        logs=_logs(session, frozenset(keys)),
        sources=tuple(
            SourceObservation(row.source, row.last_success, row.last_error)
            for row in session.scalars(select(SourceRow).order_by(col(SourceRow.source)))
            if not row.source.startswith("log ")  # each log has a line of its own
        ),
        check_failures=_check_failures(session, anchor),
        lint_failures=_lint_failures(session, keys),
        not_yet_linted=_not_yet_linted(session, keys),
        not_yet_checked=_count(
            session.scalar(
                select(func.count())
                .select_from(UnitRow)
                .where(
                    col(UnitRow.issuer_key_sha256).in_(keys),
                    col(UnitRow.confirmed).is_(True),
                    col(UnitRow.checked_with).is_(None),
                )
            )
        ),
    )


def _logs(session: Session, keys: frozenset[str]) -> tuple[LogObservation, ...]:
    by_log: dict[str, list[KeyCoverage]] = {}
    for one in coverage(session):
        if one.spki_sha256 in keys:
            by_log.setdefault(one.log_id, []).append(one)
    verified: dict[str, int] = {}
    for log_id, size in session.execute(select(col(WindowRow.log_id), col(WindowRow.verified))):
        verified[log_id] = max(size, verified.get(log_id, 0))
    rows = session.scalars(
        select(LogRow).order_by(col(LogRow.operator), col(LogRow.description), col(LogRow.log_id))
    )
    return tuple(
        _log(row, by_log.get(row.log_id, []), verified.get(row.log_id))
        for row in rows
        if row.monitored or _was_left_unread(row, verified.get(row.log_id))
    )


def _was_left_unread(row: LogRow, verified: int | None) -> bool:
    """Whether a log that is no longer followed was begun and not read to its end."""
    return verified is not None and row.head_size is not None and verified < row.head_size


def _log(row: LogRow, covered: list[KeyCoverage], verified: int | None) -> LogObservation:
    starts = [one.start for one in covered if one.start is not None]
    stretches = [
        UnreadStretch(one.spki_sha256, first, end) for one in covered for first, end in one.unread
    ]
    lacking = [sum(end - first for first, end in one.unread) for one in covered]
    if not row.monitored and verified is not None and row.head_size is not None:
        lacking = [row.head_size - verified]
    return LogObservation(
        log_id=row.log_id,
        description=row.description,
        operator=row.operator,
        state=row.state if row.monitored else f"{row.state}, no longer followed",
        start=min(starts, default=0 if not row.monitored else None),
        verified=verified,
        head_size=row.head_size,
        head_at=None if row.head_timestamp_ms is None else instant_of(row.head_timestamp_ms),
        unread_entries=max(lacking, default=0),
        unread=tuple(stretches[:_MAX_STRETCHES]),
        last_success=row.last_success,
        last_error=row.last_error,
        quarantined_at=row.quarantined_at,
        quarantine_reason=row.quarantine_reason,
    )


def _check_failures(session: Session, anchor: str) -> tuple[ReasonCount, ...]:
    rows = session.execute(
        select(col(CheckFailureRow.check_id), col(CheckFailureRow.reason), func.count())
        .where(col(CheckFailureRow.anchor) == anchor)
        .group_by(col(CheckFailureRow.check_id), col(CheckFailureRow.reason))
    )
    return _ranked([ReasonCount(*row) for row in rows])


def _lint_failures(session: Session, keys: tuple[str, ...]) -> tuple[ReasonCount, ...]:
    rows = session.execute(
        select(col(LintRunRow.tool), col(LintRunRow.error), func.count())
        .join(CertificateRow, col(CertificateRow.sha256) == col(LintRunRow.certificate_sha256))
        .join(UnitRow, col(UnitRow.unit_id) == col(CertificateRow.unit_id))
        .where(col(LintRunRow.error).is_not(None), col(UnitRow.issuer_key_sha256).in_(keys))
        .group_by(col(LintRunRow.tool), col(LintRunRow.error))
    )
    return _ranked([ReasonCount(tool, error or "", count) for tool, error, count in rows])


def _not_yet_linted(session: Session, keys: tuple[str, ...]) -> int:
    return _count(
        session.scalar(
            select(func.count())
            .select_from(CertificateRow)
            .join(UnitRow, col(UnitRow.unit_id) == col(CertificateRow.unit_id))
            .where(
                col(UnitRow.issuer_key_sha256).in_(keys),
                col(UnitRow.confirmed).is_(True),
                col(CertificateRow.linted_with).is_(None),
            )
        )
    )


def _ranked(counts: list[ReasonCount]) -> tuple[ReasonCount, ...]:
    """The most frequent reasons, and the rest of each tool or check in one line."""
    ordered = sorted(counts, key=lambda one: (-one.count, one.what, one.reason))
    rest: dict[str, int] = {}
    for one in ordered[MAX_REASONS:]:
        rest[one.what] = rest.get(one.what, 0) + one.count
    return (
        *ordered[:MAX_REASONS],
        *(ReasonCount(what, OTHER_REASONS, count) for what, count in sorted(rest.items())),
    )


def _count(value: int | None) -> int:
    return 0 if value is None else value
