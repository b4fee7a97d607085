"""The state of everything in one value: what ``status``, metrics and the demo show."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlmodel import Session, col

from subca_oversight.findings.lifecycle import ACTIONABLE
from subca_oversight.store.database import Database
from subca_oversight.store.tables import (
    DeliveryRow,
    FindingRow,
    JobRunRow,
    LogRow,
    SourceRow,
    WindowRow,
)
from subca_oversight.telemetry import LogProgress


@dataclass(frozen=True, slots=True)
class LogStatus:
    """One log that is read, or was."""

    log_id: str
    description: str
    operator: str
    api: str
    state: str
    monitored: bool
    verified_size: int | None
    head_size: int | None
    backlog: int | None
    unread_history: int
    """Entries before the tail that wait to be read back."""
    last_success: datetime | None
    last_error: str | None
    quarantined_at: datetime | None
    quarantine_reason: str | None


@dataclass(frozen=True, slots=True)
class JobStatus:
    """The last run of a job."""

    job: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How fresh a source is."""

    source: str
    last_attempt: datetime
    last_success: datetime | None
    last_error: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything at one instant of the store."""

    log_status: tuple[LogStatus, ...]
    jobs: tuple[JobStatus, ...]
    sources: tuple[SourceStatus, ...]
    open_findings: dict[str, int]
    """By severity; those on which somebody still has to act."""
    waiting: int
    dead: int

    @property
    def logs(self) -> list[LogProgress]:
        """The logs that are read, as the metrics show them."""
        return [
            LogProgress(
                log=one.description,
                verified_size=0 if one.verified_size is None else one.verified_size,
                head_size=0 if one.head_size is None else one.head_size,
                quarantined=one.quarantined_at is not None,
                last_success=one.last_success,
                unread_history=one.unread_history,
            )
            for one in self.log_status
            if one.monitored
        ]


def load_overview(database: Database) -> Overview:
    """Read the overview in one consistent transaction."""
    with database.read() as session:
        return Overview(
            log_status=_logs(session),
            jobs=_jobs(session),
            sources=_sources(session),
            open_findings=_open_findings(session),
            waiting=_deliveries(session, "pending"),
            dead=_deliveries(session, "dead"),
        )


def _logs(session: Session) -> tuple[LogStatus, ...]:
    verified: dict[str, int] = {}
    history: Counter[str] = Counter()
    for row in session.scalars(select(WindowRow)):
        if row.kind == "tail":
            verified[row.log_id] = max(verified.get(row.log_id, 0), row.verified)
        elif not row.closed and row.target_size is not None:
            history[row.log_id] += row.target_size - row.verified
    return tuple(
        _log_status(row, verified.get(row.log_id), history[row.log_id])
        for row in session.scalars(select(LogRow).order_by(col(LogRow.log_id)))
    )


def _log_status(row: LogRow, verified: int | None, history: int) -> LogStatus:
    backlog = None
    if row.head_size is not None and verified is not None:
        backlog = max(0, row.head_size - verified)
    return LogStatus(
        log_id=row.log_id,
        description=row.description,
        operator=row.operator,
        api=row.api,
        state=row.state,
        monitored=row.monitored,
        verified_size=verified,
        head_size=row.head_size,
        backlog=backlog,
        unread_history=history,
        last_success=row.last_success,
        last_error=row.last_error,
        quarantined_at=row.quarantined_at,
        quarantine_reason=row.quarantine_reason,
    )


def _jobs(session: Session) -> tuple[JobStatus, ...]:
    latest = select(func.max(JobRunRow.id)).group_by(col(JobRunRow.job))
    rows = session.scalars(select(JobRunRow).where(col(JobRunRow.id).in_(latest)))
    return tuple(
        JobStatus(row.job, row.started_at, row.finished_at, row.outcome, row.detail)
        for row in sorted(rows, key=lambda row: row.job)
    )


def _sources(session: Session) -> tuple[SourceStatus, ...]:
    return tuple(
        SourceStatus(row.source, row.last_attempt, row.last_success, row.last_error, row.detail)
        for row in session.scalars(select(SourceRow).order_by(col(SourceRow.source)))
    )


def _open_findings(session: Session) -> dict[str, int]:
    rows = session.execute(
        select(FindingRow.severity, func.count())  # type: ignore[call-overload]  # columns, to SQLAlchemy
        .where(col(FindingRow.state).in_(ACTIONABLE))
        .group_by(col(FindingRow.severity))
    )
    return {severity.value: count for severity, count in rows}


def _deliveries(session: Session, state: str) -> int:
    count = session.scalar(
        select(func.count()).select_from(DeliveryRow).where(col(DeliveryRow.state) == state)
    )
    return 0 if count is None else count
