"""Tables: findings, whom they touch, and every step of their life."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Index, event, insert, inspect
from sqlalchemy.orm import Mapper
from sqlmodel import Field, SQLModel

from subca_oversight.model.finding import FindingState, Revocation, Severity, SubjectKind
from subca_oversight.store.columns import AUTO_ID, SafeText, enum_type


class FindingRow(SQLModel, table=True):
    """A breach with a life."""

    __tablename__ = "finding"

    fingerprint: str = Field(primary_key=True, max_length=64)
    check_id: str = Field(index=True, max_length=200)
    anchor: str = Field(index=True, max_length=64)
    subject_kind: SubjectKind = Field(sa_type=enum_type(SubjectKind))
    subject: str = Field(index=True, sa_type=SafeText)
    """Unit id, certificate SHA-256 or anchor; ``*`` where one finding gathers many units."""
    key: str = Field(default="", sa_type=SafeText)
    """Tells several breaches of one check on one subject apart, for example an audit type."""
    severity: Severity = Field(sa_type=enum_type(Severity))
    state: FindingState = Field(index=True, sa_type=enum_type(FindingState))
    requirement: str = Field(sa_type=SafeText)
    revocation: Revocation = Field(sa_type=enum_type(Revocation))
    message: str = Field(sa_type=SafeText)
    evidence: str = Field(default="[]", sa_type=SafeText)
    """JSON array of {kind, reference, detail}."""
    first_seen: datetime
    last_seen: datetime
    deadline: datetime | None = None
    baseline: bool = False
    reproduced: bool = True
    rule_version: str = Field(max_length=64)


class FindingVersionRow(SQLModel, table=True):
    """What a finding said from an instant on, as far as re-runs may change it; rows are only added.

    The finding's own row follows the rules and the evidence of the day, while a report as of an
    earlier instant has to say what was said then. ``_keep_version`` writes it with every change.
    """

    __tablename__ = "finding_version"
    __table_args__ = (Index("ix_finding_version_fingerprint_at", "fingerprint", "at"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=AUTO_ID)
    fingerprint: str = Field(foreign_key="finding.fingerprint")
    at: datetime
    severity: Severity = Field(sa_type=enum_type(Severity))
    requirement: str = Field(sa_type=SafeText)
    revocation: Revocation = Field(sa_type=enum_type(Revocation))
    message: str = Field(sa_type=SafeText)
    deadline: datetime | None = None
    baseline: bool


class FindingUnitRow(SQLModel, table=True):
    """A unit that a finding touches."""

    __tablename__ = "finding_unit"

    fingerprint: str = Field(primary_key=True, foreign_key="finding.fingerprint")
    unit_id: str = Field(primary_key=True, index=True, max_length=64)
    first_seen: datetime
    gone_at: datetime | None = None


class TransitionRow(SQLModel, table=True):
    """One step in a finding's life: who, when, why. Rows are only ever added."""

    __tablename__ = "finding_transition"

    id: int | None = Field(default=None, primary_key=True, sa_type=AUTO_ID)
    fingerprint: str = Field(foreign_key="finding.fingerprint", index=True)
    at: datetime
    from_state: str = Field(max_length=32)
    """Empty at creation."""
    to_state: str = Field(max_length=32)
    actor: str = Field(sa_type=SafeText)
    reason: str = Field(sa_type=SafeText)
    approver: str | None = Field(default=None, sa_type=SafeText)
    owner: str | None = Field(default=None, sa_type=SafeText)
    expires: datetime | None = None


class WaiverRow(SQLModel, table=True):
    """A decision, until a day, that a check's breaches at a subordinate need no action."""

    __tablename__ = "waiver"

    id: int | None = Field(default=None, primary_key=True, sa_type=AUTO_ID)
    check_id: str = Field(index=True, max_length=200)
    anchor: str | None = Field(default=None, max_length=64)
    subject: str | None = Field(default=None, sa_type=SafeText)
    reason: str = Field(sa_type=SafeText)
    approver: str = Field(sa_type=SafeText)
    created_at: datetime
    expires: datetime
    revoked_at: datetime | None = None


_VERSIONED = ("severity", "requirement", "revocation", "message", "deadline", "baseline")


@event.listens_for(FindingRow, "after_insert")
@event.listens_for(FindingRow, "after_update")
def _keep_version(mapper: Mapper[FindingRow], connection: Connection, row: FindingRow) -> None:
    """Keep what the finding says from ``last_seen`` on, if it changed."""
    del mapper
    attributes = inspect(row).attrs
    if not any(attributes[name].history.has_changes() for name in _VERSIONED):
        return
    connection.execute(
        insert(FindingVersionRow).values(
            fingerprint=row.fingerprint,
            at=row.last_seen,
            **{name: getattr(row, name) for name in _VERSIONED},
        )
    )
