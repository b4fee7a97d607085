"""Tables: jobs, leadership, notices, sources, draws, reports."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from subca_oversight.store.columns import AUTO_ID, BIG, BYTES, SafeText


class JobRunRow(SQLModel, table=True):
    """One run of a job; an unfinished one was cut short."""

    __tablename__ = "job_run"
    __table_args__ = (Index("ix_job_run_job_started", "job", "started_at"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=AUTO_ID)
    job: str = Field(max_length=32)
    started_at: datetime
    finished_at: datetime | None = None
    outcome: str = Field(max_length=16)
    """``running``, ``done``, ``skipped`` (its configuration is absent), ``failed``."""
    detail: str = Field(default="", sa_type=SafeText)
    epoch: int = Field(sa_type=BIG)


class LeaseRow(SQLModel, table=True):
    """Who leads; the epoch rises with every change of leader."""

    __tablename__ = "lease"

    name: str = Field(primary_key=True, max_length=32)
    holder: str = Field(sa_type=SafeText)
    epoch: int = Field(sa_type=BIG)
    expires_at: datetime


class AlertEventRow(SQLModel, table=True):
    """Something that may have to be told; written with its cause, grouped into notices later."""

    __tablename__ = "alert_event"

    id: int | None = Field(default=None, primary_key=True, sa_type=AUTO_ID)
    key: str = Field(unique=True, max_length=64)
    """Stable hash of what happened: the same event is never written twice."""
    kind: str = Field(max_length=32)
    """``finding_opened``, ``finding_reopened``, ``log_misbehaved``, ``source_refused`` …"""
    anchor: str | None = Field(default=None, max_length=64)
    check_id: str = Field(default="", max_length=200)
    fingerprint: str | None = Field(default=None, max_length=64)
    severity: str = Field(max_length=16)
    text: str = Field(sa_type=SafeText)
    at: datetime
    notice_id: str | None = Field(default=None, index=True, max_length=64)
    """The notice that it went into; None until it was grouped."""


class DeliveryRow(SQLModel, table=True):
    """The outbox: one notice on its way through one channel."""

    __tablename__ = "delivery"
    __table_args__ = (
        Index("ix_delivery_state_next", "state", "next_attempt_at"),
        Index("ix_delivery_grouping_sequence", "grouping", "sequence"),
    )

    notice_id: str = Field(primary_key=True, max_length=64)
    """Stable; the receiver removes repetitions by it."""
    channel: str = Field(primary_key=True, max_length=32)
    severity: str = Field(max_length=16)
    anchor: str | None = Field(default=None, max_length=64)
    subject: str = Field(sa_type=SafeText)
    payload: str = Field(sa_type=SafeText)
    """JSON, as it is sent."""
    grouping: str = Field(max_length=64)
    """Hash of what makes notices equal; within it, order is kept on each channel."""
    sequence: int = Field(sa_type=BIG)
    """Rises within a grouping."""
    created_at: datetime
    state: str = Field(max_length=16)
    """``pending``, ``delivered``, ``dead``."""
    attempts: int = 0
    next_attempt_at: datetime
    delivered_at: datetime | None = None
    last_error: str | None = Field(default=None, sa_type=SafeText)


class SourceRow(SQLModel, table=True):
    """How fresh a source is."""

    __tablename__ = "source"

    source: str = Field(primary_key=True, sa_type=SafeText)
    last_attempt: datetime
    last_success: datetime | None = None
    last_error: str | None = Field(default=None, sa_type=SafeText)
    detail: str = Field(default="", sa_type=SafeText)


class CcadbSnapshotRow(SQLModel, table=True):
    """An accepted CCADB export, whole."""

    __tablename__ = "ccadb_snapshot"

    id: int | None = Field(default=None, primary_key=True, sa_type=AUTO_ID)
    kind: str = Field(max_length=16)
    """``records`` or ``certificates``."""
    source: str = Field(sa_type=SafeText)
    sha256: str = Field(max_length=64, index=True)
    layout: str = Field(max_length=16)
    rows: int
    body: bytes = Field(sa_type=BYTES)
    """zlib-compressed."""
    imported_at: datetime
    last_seen_at: datetime
    """Latest import that brought the same bytes."""


class DrawRow(SQLModel, table=True):
    """A draw of a sample; rows are only ever added."""

    __tablename__ = "draw"

    id: int | None = Field(default=None, primary_key=True, sa_type=AUTO_ID)
    anchor: str = Field(index=True, max_length=64)
    drawn_at: datetime
    population_end: datetime
    commitment: str = Field(max_length=64)
    public_value: str = Field(sa_type=SafeText)
    population: int = Field(sa_type=BIG)
    drawn: int = Field(sa_type=BIG)
    transcript: str = Field(sa_type=SafeText)


class DrawMemberRow(SQLModel, table=True):
    """Membership of a unit in a draw's population; a unit is in one population only."""

    __tablename__ = "draw_member"

    unit_id: str = Field(primary_key=True, max_length=64)
    draw_id: int = Field(foreign_key="draw.id", index=True, sa_type=BIG)
    stratum: str = Field(max_length=64)
    drawn: bool


class ReportRow(SQLModel, table=True):
    """The instant at which a quarter's report was first made."""

    __tablename__ = "report"

    anchor: str = Field(primary_key=True, max_length=64)
    quarter: str = Field(primary_key=True, max_length=6)
    as_of: datetime


class ObservationRow(SQLModel, table=True):
    """What could not be seen of a subordinate at an instant; rows are only ever added.

    The rows it is drawn from (cursors, sources, failures) are overwritten as work goes on, while a
    report has to say the same whenever it is made again as of the same instant.
    """

    __tablename__ = "observation"
    __table_args__ = (Index("ix_observation_anchor_at", "anchor", "at"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=AUTO_ID)
    anchor: str = Field(max_length=64)
    at: datetime
    body: bytes = Field(sa_type=BYTES)
    """JSON, zlib-compressed."""
