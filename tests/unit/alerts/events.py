"""Events, findings and subordinates to tell of."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from sqlmodel import Session

from subca_oversight.model.finding import FindingState, Revocation, Severity, SubjectKind
from subca_oversight.model.subordinate import Relation
from subca_oversight.store.tables import AlertEventRow, FindingRow, SubordinateRow

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ACME = hashlib.sha256(b"acme").hexdigest()
BOLT = hashlib.sha256(b"bolt").hexdigest()


def add_subordinate(session: Session, anchor: str, name: str, contacts: str = "[]") -> None:
    session.add(
        SubordinateRow(
            anchor=anchor,
            name=name,
            operator=f"{name} Trust Services",
            relation=Relation.EXTERNALLY_OPERATED,
            contacts=contacts,
            registered_at=NOW,
        )
    )


def add_event(
    session: Session,
    name: str,
    *,
    kind: str = "finding_opened",
    anchor: str | None = ACME,
    check: str = "validity-limit",
    severity: str = "violation",
    text: str = "valid for 400 days",
    fingerprint: str | None = None,
    at: datetime = NOW,
) -> None:
    session.add(
        AlertEventRow(
            key=hashlib.sha256(name.encode()).hexdigest(),
            kind=kind,
            anchor=anchor,
            check_id=check,
            fingerprint=fingerprint,
            severity=severity,
            text=text,
            at=at,
        )
    )


def add_finding(session: Session, name: str, *, deadline: timedelta | None = None) -> str:
    fingerprint = hashlib.sha256(f"finding {name}".encode()).hexdigest()
    session.add(
        FindingRow(
            fingerprint=fingerprint,
            check_id="validity-limit",
            anchor=ACME,
            subject_kind=SubjectKind.UNIT,
            subject=hashlib.sha256(name.encode()).hexdigest(),
            severity=Severity.VIOLATION,
            state=FindingState.OPEN,
            requirement="TLS BR 6.3.2",
            revocation=Revocation.DAYS_5,
            message="valid for 400 days",
            first_seen=NOW,
            last_seen=NOW,
            deadline=None if deadline is None else NOW + deadline,
            rule_version="1",
        )
    )
    return fingerprint
