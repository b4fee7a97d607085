"""Deadlines are told of as they come near, each stage once; acceptances end by themselves."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlmodel import select

from subca_oversight.findings.decisions import decide
from subca_oversight.findings.lifecycle import Decision, Verb
from subca_oversight.jobs.clocks import run_clocks
from subca_oversight.model.finding import FindingState, Revocation
from subca_oversight.store.database import Database
from subca_oversight.store.tables import AlertEventRow, FindingRow
from tests.unit.findings.judging import DAY, NOW, breach, judged, only, record
from tests.unit.jobs.contexts import run

HOUR = timedelta(hours=1)


def tick(database: Database, at: datetime) -> str:
    return run(run_clocks, database, now=at).detail


def told(database: Database) -> list[str]:
    with database.read() as session:
        rows = session.exec(select(AlertEventRow).where(AlertEventRow.kind == "deadline")).all()
    assert all((row.check_id, row.fingerprint is None) == ("key-size", False) for row in rows)
    return [row.text.partition(" (")[0].partition(": ")[2] for row in rows]


def test_each_stage_of_a_clock_is_told_once(database: Database) -> None:
    record(database, judged(breach()))
    for hours in range(0, 24 * 7, 6):
        tick(database, NOW + hours * HOUR)
    assert told(database) == ["half of the time is gone", "a fifth of the time is left", "overdue"]


def test_after_a_pause_only_the_latest_stage_is_told(database: Database) -> None:
    record(database, judged(breach()))
    assert tick(database, NOW + 30 * DAY) == "1 deadlines passed, 0 acceptances ran out"
    assert told(database) == ["overdue"]


def test_a_finding_that_came_back_has_a_clock_of_its_own(database: Database) -> None:
    record(database, judged(breach()))
    record(database, judged(), at=NOW + DAY)
    record(database, judged(breach()), at=NOW + 300 * DAY)
    tick(database, NOW + 301 * DAY)
    assert told(database) == []
    tick(database, NOW + 303 * DAY)
    assert told(database) == ["half of the time is gone"]


def test_a_stored_deadline_does_not_follow_the_rules(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(database, judged(breach(revocation=Revocation.HOURS_24)))
    with database.read() as session:
        stored = session.exec(select(FindingRow.deadline)).one()
    assert stored == NOW + DAY
    monkeypatch.setattr("subca_oversight.findings.judgment.CLOCKS", {})
    tick(database, NOW + 2 * DAY)
    assert only(database).deadline == stored
    assert told(database) == ["overdue"]


@pytest.mark.parametrize("verb", [Verb.NOT_A_VIOLATION, Verb.CLOSE, Verb.REMEDIATE])
def test_a_decided_finding_is_not_told_of(database: Database, verb: Verb) -> None:
    record(database, judged(breach()))
    with database.write() as session:
        decision = Decision(verb, "a", "r", approver="head")
        decide(session, only(database).fingerprint, decision, now=NOW)
    tick(database, NOW + 30 * DAY)
    assert told(database) == []


def test_an_acceptance_that_ran_out_reopens(database: Database) -> None:
    record(database, judged(breach()))
    with database.write() as session:
        accept = Decision(Verb.ACCEPT_RISK, "a", "r", owner="o", expires=NOW + DAY)
        decide(session, only(database).fingerprint, accept, now=NOW)
    assert tick(database, NOW + DAY) == "0 deadlines passed, 1 acceptances ran out"
    assert only(database).state is FindingState.OPEN
