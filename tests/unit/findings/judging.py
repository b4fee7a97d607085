"""Judgments for tests, said in few words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlmodel import Session, col, select

from subca_oversight.findings.recorder import JudgedBreach, Judgment, Tally, record_judgments
from subca_oversight.model.finding import (
    EvidenceItem,
    FindingState,
    Outcome,
    Revocation,
    Severity,
    SubjectKind,
)
from subca_oversight.model.subordinate import Relation
from subca_oversight.store.database import Database
from subca_oversight.store.tables import (
    AlertEventRow,
    FindingRow,
    SubordinateRow,
    TransitionRow,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
ANCHOR = "aa" * 32
UNIT = "11" * 32
OTHER_UNIT = "22" * 32


def breach(
    severity: Severity = Severity.VIOLATION,
    *,
    check: str = "key-size",
    key: str = "",
    message: str = "1024 bits",
    revocation: Revocation = Revocation.DAYS_5,
) -> JudgedBreach:
    return JudgedBreach(
        check=check,
        key=key,
        severity=severity,
        requirement="TLS BR 6.1.5",
        revocation=revocation,
        message=message,
        evidence=(EvidenceItem("certificate", "cc" * 32, "final"),),
    )


def judged(
    *breaches: JudgedBreach,
    unit: str = UNIT,
    scope: str = "key-size",
    reason: str = "",
    baseline: bool = False,
    kind: SubjectKind = SubjectKind.UNIT,
    anchor: str = ANCHOR,
) -> Judgment:
    """Clear without breaches; could not run where a reason stands alone."""
    outcome = Outcome.BREACH
    if len(breaches) == 0:
        outcome = Outcome.CLEAR if reason == "" else Outcome.COULD_NOT_RUN
    return Judgment(
        scope=scope,
        anchor=anchor,
        kind=kind,
        subject=unit,
        outcome=outcome,
        breaches=breaches,
        reason=reason,
        is_baseline=baseline,
    )


def record(database: Database, *judgments: Judgment, at: datetime = NOW) -> Tally:
    with database.write() as session:
        return record_judgments(session, judgments, rule_version="v1", now=at)


def findings(database: Database) -> list[FindingRow]:
    with database.read() as session:
        return list(session.exec(select(FindingRow).order_by(col(FindingRow.fingerprint))))


def only(database: Database) -> FindingRow:
    (row,) = findings(database)
    return row


def events(database: Database) -> list[AlertEventRow]:
    with database.read() as session:
        return list(session.exec(select(AlertEventRow).order_by(col(AlertEventRow.id))))


def trail(database: Database) -> list[str]:
    with database.read() as session:
        rows = session.exec(select(TransitionRow).order_by(col(TransitionRow.id))).all()
    return [f"{row.from_state}>{row.to_state}" for row in rows]


def set_state(session: Session, state: FindingState) -> None:
    for row in session.exec(select(FindingRow)):
        row.state = state
        session.add(row)


def add_subordinate(session: Session, name: str = "acme", anchor: str = ANCHOR) -> None:
    session.add(
        SubordinateRow(
            anchor=anchor,
            name=name,
            operator="Acme",
            relation=Relation.CROSS_SIGNED,
            registered_at=NOW,
        )
    )
