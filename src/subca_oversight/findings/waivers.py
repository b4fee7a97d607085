"""Waivers: decisions, until a day, about findings that are still to come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.errors import ConfigurationError
from subca_oversight.findings.lifecycle import PROGRAM
from subca_oversight.model.finding import FindingState
from subca_oversight.store.tables import FindingRow, TransitionRow, WaiverRow


def add_waiver(
    session: Session,
    *,
    check: str,
    anchor: str | None,
    subject: str | None,
    reason: str,
    approver: str,
    expires: datetime,
    now: datetime,
) -> int:
    """Record a waiver for findings to come; returns its number. Raises ConfigurationError."""
    if len(reason.strip()) == 0 or len(approver.strip()) == 0:
        raise ConfigurationError("a waiver needs --reason and --approver")
    if expires <= now:
        raise ConfigurationError("a waiver needs --expires, an instant in the future")
    row = WaiverRow(
        check_id=check,
        anchor=anchor,
        subject=subject,
        reason=reason,
        approver=approver,
        created_at=now,
        expires=expires,
    )
    session.add(row)
    session.flush()
    return 0 if row.id is None else row.id


def load_waivers(session: Session, *, now: datetime) -> Sequence[WaiverRow]:
    """The waivers in force, the one that lasts longest first."""
    return session.scalars(
        select(WaiverRow)
        .where(col(WaiverRow.expires) > now, col(WaiverRow.revoked_at).is_(None))
        .order_by(col(WaiverRow.expires).desc(), col(WaiverRow.id))
    ).all()


def apply_waiver(
    session: Session, row: FindingRow, waivers: Sequence[WaiverRow], *, now: datetime
) -> None:
    """Accept the risk of an open finding where a waiver says so.

    A waiver of one unit does not reach the finding that gathers many.
    """
    for waiver in waivers:
        if waiver.check_id != row.check_id or waiver.anchor not in (None, row.anchor):
            continue
        if waiver.subject not in (None, row.subject):
            continue
        session.add(
            TransitionRow(
                fingerprint=row.fingerprint,
                at=now,
                from_state=row.state,
                to_state=FindingState.RISK_ACCEPTED,
                actor=PROGRAM,
                reason=f"waiver {waiver.id}: {waiver.reason}",
                approver=waiver.approver,
                owner=waiver.approver,
                expires=waiver.expires,
            )
        )
        row.state = FindingState.RISK_ACCEPTED
        session.add(row)
        return
