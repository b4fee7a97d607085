"""Re-runs create, leave, close and reopen findings; people's decisions survive them."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest
from sqlmodel import col, select

from subca_oversight.findings.decisions import decide, expire_decisions, find_affected_units
from subca_oversight.findings.lifecycle import PROGRAM, Decision, Verb
from subca_oversight.findings.recorder import affected_units
from subca_oversight.findings.waivers import add_waiver
from subca_oversight.model.finding import (
    FindingState,
    Revocation,
    Severity,
    SubjectKind,
    finding_fingerprint,
)
from subca_oversight.store.database import Database
from subca_oversight.store.tables import CheckFailureRow, FindingUnitRow, TransitionRow
from tests.unit.findings.judging import (
    ANCHOR,
    DAY,
    NOW,
    OTHER_UNIT,
    UNIT,
    breach,
    events,
    findings,
    judged,
    only,
    record,
    trail,
)

SHOULD = Severity.SHOULD


def _decide(database: Database, verb: Verb) -> None:
    decision = Decision(verb, "analyst", "because", "head", "owner", NOW + 10 * DAY)
    with database.write() as session:
        decide(session, only_id(database), decision, now=NOW)


def only_id(database: Database) -> str:
    return only(database).fingerprint


def _failures(database: Database) -> list[tuple[str, str, str]]:
    with database.read() as session:
        return [
            (row.check_id, row.subject, row.reason)
            for row in session.exec(select(CheckFailureRow).order_by(col(CheckFailureRow.check_id)))
        ]


def test_a_breach_becomes_an_open_finding_with_its_evidence_and_its_clock(
    database: Database,
) -> None:
    tally = record(database, judged(breach()))
    row = only(database)
    assert (tally.created, tally.fingerprints) == (1, [row.fingerprint])
    assert row.fingerprint == finding_fingerprint("key-size", ANCHOR, UNIT)
    assert (row.state, row.severity, row.subject) == (FindingState.OPEN, Severity.VIOLATION, UNIT)
    assert (row.first_seen, row.last_seen, row.rule_version) == (NOW, NOW, "v1")
    assert row.deadline == NOW + 5 * DAY
    assert orjson.loads(row.evidence) == [
        {"kind": "certificate", "reference": "cc" * 32, "detail": "final"}
    ]
    assert trail(database) == [">open"]
    assert [event.kind for event in events(database)] == ["finding_opened"]


@pytest.mark.parametrize(
    ("revocation", "clock"),
    [
        (Revocation.HOURS_24, timedelta(hours=24)),
        (Revocation.DAYS_5, timedelta(days=5)),
        (Revocation.DAYS_7_DECISION, timedelta(days=7)),
        (Revocation.NONE, None),
    ],
)
def test_the_clock_is_that_of_the_revocation_class(
    database: Database, revocation: Revocation, clock: timedelta | None
) -> None:
    record(database, judged(breach(revocation=revocation)))
    assert only(database).deadline == (None if clock is None else NOW + clock)


def test_a_deadline_never_moves(database: Database) -> None:
    record(database, judged(breach(revocation=Revocation.DAYS_5)))
    for days in range(1, 4):
        record(database, judged(breach(revocation=Revocation.HOURS_24)), at=NOW + days * DAY)
    assert only(database).deadline == NOW + 5 * DAY


def test_recording_the_same_again_changes_nothing_but_the_last_sight(database: Database) -> None:
    judgments = (
        judged(breach(), breach(SHOULD, key="k")),
        judged(unit=OTHER_UNIT),
        judged(reason="no key", unit="33" * 32),
    )
    record(database, *judgments)
    before = [row.model_dump(exclude={"last_seen"}) for row in findings(database)]
    told = [event.key for event in events(database)]
    tally = record(database, *judgments, at=NOW + DAY)
    assert [row.model_dump(exclude={"last_seen"}) for row in findings(database)] == before
    assert {row.last_seen for row in findings(database)} == {NOW + DAY}
    assert [event.key for event in events(database)] == told
    assert (tally.created, tally.left, tally.closed, tally.reopened) == (0, 2, 0, 0)
    assert trail(database) == [">open", ">open"]


def test_a_clear_outcome_closes_and_a_later_breach_reopens(database: Database) -> None:
    record(database, judged(breach()))
    assert record(database, judged(), at=NOW + DAY).closed == 1
    assert only(database).state is FindingState.CLOSED
    tally = record(database, judged(breach()), at=NOW + 9 * DAY)
    row = only(database)
    assert tally.reopened == 1
    assert row.state is FindingState.OPEN
    assert row.first_seen == NOW
    assert row.deadline == NOW + 14 * DAY
    assert trail(database) == [">open", "open>closed", "closed>open"]
    assert [event.kind for event in events(database)] == ["finding_opened", "finding_reopened"]
    assert len({event.key for event in events(database)}) == 2


def test_order_counts_within_one_batch(database: Database) -> None:
    record(database, judged(breach()), judged(), judged(breach()), judged(reason="x"), judged())
    assert only(database).state is FindingState.CLOSED
    assert trail(database) == [">open", "open>closed", "closed>open", "open>closed"]
    assert _failures(database) == []


def test_what_could_not_run_closes_nothing_and_is_stored(database: Database) -> None:
    record(database, judged(breach()))
    tally = record(database, judged(reason="the key cannot be read"))
    assert only(database).state is FindingState.OPEN
    assert tally.could_not_run == 1
    assert _failures(database) == [("key-size", UNIT, "the key cannot be read")]
    record(database, judged(breach()))
    assert _failures(database) == []


def test_a_partial_breach_clears_nothing_else(database: Database) -> None:
    record(database, judged(breach(key="a"), breach(key="b")))
    record(database, judged(breach(key="a"), reason="part of it could not be read"))
    assert [row.state for row in findings(database)] == [FindingState.OPEN] * 2
    assert _failures(database) == [("key-size", UNIT, "part of it could not be read")]
    record(database, judged(breach(key="a")))
    states = {row.key: row.state for row in findings(database)}
    assert states == {"a": FindingState.OPEN, "b": FindingState.CLOSED}


@pytest.mark.parametrize(
    ("verb", "state"),
    [
        (Verb.CONFIRM, FindingState.CONFIRMED),
        (Verb.DISPUTE, FindingState.DISPUTED),
        (Verb.NOT_A_VIOLATION, FindingState.NOT_A_VIOLATION),
        (Verb.ACCEPT_RISK, FindingState.RISK_ACCEPTED),
        (Verb.REMEDIATE, FindingState.REMEDIATED),
        (Verb.CLOSE, FindingState.CLOSED),
    ],
)
def test_a_persons_decision_survives_every_rerun(
    database: Database, verb: Verb, state: FindingState
) -> None:
    record(database, judged(breach()))
    _decide(database, verb)
    told = len(events(database))
    for judgment in (judged(breach()), judged(), judged(reason="x"), judged(breach())):
        record(database, judgment)
        assert only(database).state is state
    assert len(events(database)) == told


def test_a_confirmed_finding_that_is_gone_is_marked_and_left_to_a_person(
    database: Database,
) -> None:
    record(database, judged(breach()))
    _decide(database, Verb.CONFIRM)
    record(database, judged())
    assert (only(database).state, only(database).reproduced) == (FindingState.CONFIRMED, False)
    record(database, judged(breach()))
    assert only(database).reproduced


def test_an_acknowledged_finding_is_closed_by_a_clear_outcome(database: Database) -> None:
    record(database, judged(breach()))
    _decide(database, Verb.ACKNOWLEDGE)
    record(database, judged())
    assert only(database).state is FindingState.CLOSED


def test_what_the_program_closed_after_a_person_reopened_it_reopens(database: Database) -> None:
    record(database, judged(breach()))
    _decide(database, Verb.CLOSE)
    _decide(database, Verb.REOPEN)
    record(database, judged())
    record(database, judged(breach()))
    assert only(database).state is FindingState.OPEN


def test_should_and_notice_are_one_finding_with_a_table_of_units(database: Database) -> None:
    record(database, judged(breach(SHOULD)), judged(breach(SHOULD), unit=OTHER_UNIT))
    row = only(database)
    assert (row.subject, row.deadline) == ("*", None)
    with database.read() as session:
        assert find_affected_units(session, row.fingerprint) == [UNIT, OTHER_UNIT]
    assert len(events(database)) == 1
    record(database, judged())
    with database.read() as session:
        assert find_affected_units(session, row.fingerprint) == [OTHER_UNIT]
    assert only(database).state is FindingState.OPEN
    record(database, judged(unit=OTHER_UNIT))
    assert only(database).state is FindingState.CLOSED
    record(database, judged(breach(SHOULD)))
    assert only(database).state is FindingState.OPEN
    with database.read() as session:
        assert affected_units(session, row.fingerprint) == 1
        unit = session.get_one(FindingUnitRow, (row.fingerprint, UNIT))
        assert (unit.first_seen, unit.gone_at) == (NOW, None)


def test_each_severity_of_one_check_is_a_finding_of_its_own(database: Database) -> None:
    record(database, judged(breach()), judged(breach(SHOULD), unit=OTHER_UNIT))
    assert sorted(row.subject for row in findings(database)) == ["*", UNIT]


def test_should_findings_on_ca_certificates_are_not_grouped(database: Database) -> None:
    record(
        database,
        judged(breach(SHOULD), kind=SubjectKind.AUTHORITY),
        judged(breach(SHOULD), kind=SubjectKind.AUTHORITY, unit=OTHER_UNIT),
    )
    assert sorted(row.subject for row in findings(database)) == [UNIT, OTHER_UNIT]


def test_a_check_whose_severity_fell_closes_the_old_finding(database: Database) -> None:
    record(database, judged(breach()))
    record(database, judged(breach(SHOULD)))
    states = {row.subject: row.state for row in findings(database)}
    assert states == {UNIT: FindingState.CLOSED, "*": FindingState.OPEN}


def test_a_finding_that_grows_worse_is_told_again_and_starts_its_clock(database: Database) -> None:
    kind = SubjectKind.AUTHORITY
    record(database, judged(breach(Severity.NOTICE, revocation=Revocation.NONE), kind=kind))
    assert only(database).deadline is None
    for days in (1, 2):
        record(database, judged(breach(message="worse"), kind=kind), at=NOW + days * DAY)
    row = only(database)
    assert (row.severity, row.message) == (Severity.VIOLATION, "worse")
    assert row.deadline == NOW + 6 * DAY
    assert [event.severity for event in events(database)] == ["notice", "violation"]
    record(database, judged(breach(Severity.NOTICE), kind=kind))
    record(database, judged(breach(), kind=kind))
    assert only(database).deadline == NOW + 6 * DAY
    assert len(events(database)) == 2


def test_scopes_do_not_reach_into_each_other(database: Database) -> None:
    record(
        database,
        judged(breach(check="key-size")),
        judged(breach(check="pkilint:cabf.key"), scope="pkilint:"),
        judged(breach(check="pkilint-site"), scope="pkilint-site"),
    )
    record(database, judged(scope="pkilint:"))
    states = {row.check_id: row.state for row in findings(database)}
    assert states == {
        "key-size": FindingState.OPEN,
        "pkilint:cabf.key": FindingState.CLOSED,
        "pkilint-site": FindingState.OPEN,
    }


def test_subordinates_do_not_close_each_others_findings(database: Database) -> None:
    other = "bb" * 32
    record(database, judged(breach()), judged(breach(), anchor=other))
    record(database, judged(anchor=other))
    states = {row.anchor: row.state for row in findings(database)}
    assert states == {ANCHOR: FindingState.OPEN, other: FindingState.CLOSED}


def test_a_baseline_is_quiet_and_starts_no_clock(database: Database) -> None:
    record(database, judged(breach(), breach(SHOULD, key="k"), baseline=True))
    assert [(row.baseline, row.deadline) for row in findings(database)] == [(True, None)] * 2
    assert events(database) == []
    record(database, judged(), at=NOW + DAY)
    record(database, judged(breach(), breach(SHOULD, key="k"), baseline=True), at=NOW + 2 * DAY)
    assert events(database) == []
    assert [row.deadline for row in findings(database)] == [None, None]


def test_a_live_unit_ends_the_quiet_of_a_grouped_baseline(database: Database) -> None:
    record(database, judged(breach(SHOULD), baseline=True))
    for _ in range(2):
        record(database, judged(breach(SHOULD), unit=OTHER_UNIT))
    assert not only(database).baseline
    assert [event.kind for event in events(database)] == ["finding_opened"]


def test_a_live_certificate_starts_the_clock_of_a_baseline(database: Database) -> None:
    record(database, judged(breach(), baseline=True))
    record(database, judged(breach()), at=NOW + DAY)
    assert only(database).deadline == NOW + 6 * DAY
    assert len(events(database)) == 1


def test_a_certificate_that_expired_since_keeps_its_clock(database: Database) -> None:
    record(database, judged(breach()))
    record(database, judged(breach(), baseline=True), at=NOW + DAY)
    assert (only(database).baseline, only(database).deadline) == (False, NOW + 5 * DAY)


def _waive(database: Database, *, subject: str | None = None, anchor: str | None = None) -> None:
    with database.write() as session:
        add_waiver(
            session,
            check="key-size",
            anchor=anchor,
            subject=subject,
            reason="legacy",
            approver="head",
            expires=NOW + 10 * DAY,
            now=NOW,
        )


def test_a_waiver_applies_at_creation_quietly_and_ends_aloud(database: Database) -> None:
    _waive(database)
    record(database, judged(breach()))
    assert only(database).state is FindingState.RISK_ACCEPTED
    assert events(database) == []
    with database.read() as session:
        accepted = session.exec(
            select(TransitionRow).where(col(TransitionRow.to_state) == "risk_accepted")
        ).one()
    assert (accepted.actor, accepted.approver, accepted.owner) == (PROGRAM, "head", "head")
    assert (accepted.reason, accepted.expires) == ("waiver 1: legacy", NOW + 10 * DAY)
    with database.write() as session:
        assert expire_decisions(session, now=NOW + 9 * DAY) == 0
        assert expire_decisions(session, now=NOW + 10 * DAY) == 1
        assert expire_decisions(session, now=NOW + 11 * DAY) == 0
    assert only(database).state is FindingState.OPEN
    assert only(database).deadline == NOW + 5 * DAY
    assert [event.kind for event in events(database)] == ["finding_reopened"]


def test_a_waiver_applies_to_a_finding_that_comes_back(database: Database) -> None:
    record(database, judged(breach()))
    record(database, judged())
    _waive(database)
    record(database, judged(breach()))
    assert only(database).state is FindingState.RISK_ACCEPTED
    assert [event.kind for event in events(database)] == ["finding_opened"]


def test_a_waiver_leaves_what_is_open_already_to_a_person(database: Database) -> None:
    record(database, judged(breach()))
    _waive(database)
    record(database, judged(breach()))
    assert only(database).state is FindingState.OPEN


def test_a_waiver_reaches_only_what_it_names(database: Database) -> None:
    _waive(database, subject=UNIT)
    _waive(database, anchor="bb" * 32)
    record(
        database,
        judged(breach()),
        judged(breach(), unit=OTHER_UNIT),
        judged(breach(SHOULD, key="group")),
        judged(breach(check="weak-key"), scope="weak-key"),
    )
    states = {(row.check_id, row.subject): row.state for row in findings(database)}
    assert states == {
        ("key-size", UNIT): FindingState.RISK_ACCEPTED,
        ("key-size", OTHER_UNIT): FindingState.OPEN,
        ("key-size", "*"): FindingState.OPEN,
        ("weak-key", UNIT): FindingState.OPEN,
    }


def test_an_expired_waiver_is_none(database: Database) -> None:
    _waive(database)
    record(database, judged(breach()), at=NOW + 10 * DAY)
    assert only(database).state is FindingState.OPEN


def test_an_acceptance_of_what_is_no_longer_found_ends_closed(database: Database) -> None:
    record(database, judged(breach()))
    _decide(database, Verb.ACCEPT_RISK)
    record(database, judged())
    with database.write() as session:
        assert expire_decisions(session, now=NOW + 11 * DAY) == 0
    assert only(database).state is FindingState.CLOSED
    record(database, judged(breach()), at=NOW + 12 * DAY)
    assert only(database).state is FindingState.OPEN


def test_a_message_follows_what_is_seen_but_not_the_identity(database: Database) -> None:
    record(database, judged(breach(message="1024 bits")))
    record(database, judged(breach(message="1023 bits")))
    assert only(database).message == "1023 bits"


def test_a_crash_before_the_commit_leaves_no_event_and_the_next_run_tells_once(
    database: Database,
) -> None:
    class Crash(Exception):  # noqa: N818 - a stand-in for a kill
        pass

    def crash() -> None:
        with database.write() as session:
            from subca_oversight.findings.recorder import record_judgments  # noqa: PLC0415

            record_judgments(session, [judged(breach())], rule_version="v1", now=NOW)
            raise Crash

    for _ in range(2):
        with pytest.raises(Crash):
            crash()
    assert (findings(database), events(database)) == ([], [])
    record(database, judged(breach()))
    first = [event.key for event in events(database)]
    record(database, judged(breach()))
    assert [event.key for event in events(database)] == first
    assert len(first) == 1


def test_hostile_text_is_recorded(database: Database) -> None:
    record(database, judged(breach(message="\x00\ud800 name"), reason="\x00"))
    assert only(database).message == "\\x00\\xd800 name"
    record(database, judged(breach(message="\x00\ud800 name")))


def test_many_subjects_in_one_batch(database: Database) -> None:
    judgments = [judged(breach(SHOULD), unit=f"{number:064x}") for number in range(1200)]
    record(database, *judgments)
    with database.read() as session:
        assert affected_units(session, only_id(database)) == 1200
    tally = record(database, *(judged(unit=f"{number:064x}") for number in range(1200)))
    assert tally.closed == 1
