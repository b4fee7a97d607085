"""People's decisions: what is listed, what a step records, and what time undoes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from subca_oversight.errors import ConfigurationError
from subca_oversight.findings.decisions import (
    decide,
    expire_decisions,
    find_affected_units,
    find_findings,
    find_transitions,
    load_finding,
)
from subca_oversight.findings.lifecycle import Decision, Verb
from subca_oversight.findings.waivers import add_waiver
from subca_oversight.model.finding import FindingState, Severity, SubjectKind
from subca_oversight.store.database import Database
from tests.unit.findings.judging import (
    ANCHOR,
    DAY,
    NOW,
    OTHER_UNIT,
    UNIT,
    add_subordinate,
    breach,
    events,
    judged,
    only,
    record,
)


def test_findings_are_listed_most_severe_first_and_then_by_check_and_subject(
    database: Database,
) -> None:
    record(
        database,
        judged(breach(Severity.NOTICE, check="a"), scope="a"),
        judged(breach(check="z"), scope="z"),
        judged(breach(check="b"), scope="b", unit=OTHER_UNIT),
        judged(breach(check="b"), scope="b"),
        judged(breach(Severity.SHOULD, check="a", key="k"), scope="a"),
    )
    with database.read() as session:
        found = find_findings(session)
    assert [(f.severity.value, f.check, f.subject) for f in found] == [
        ("violation", "b", UNIT),
        ("violation", "b", OTHER_UNIT),
        ("violation", "z", UNIT),
        ("should", "a", "*#k"),
        ("notice", "a", "*"),
    ]


def test_findings_are_chosen_by_subordinate_state_and_check(database: Database) -> None:
    record(
        database,
        judged(breach()),
        judged(breach(check="other"), scope="other"),
        judged(breach(), anchor="bb" * 32),
    )
    record(database, judged(scope="other"))
    with database.read() as session:
        assert len(find_findings(session)) == 3
        assert len(find_findings(session, anchor=ANCHOR)) == 2
        assert len(find_findings(session, check="other")) == 1
        assert len(find_findings(session, states=frozenset({FindingState.CLOSED}))) == 1
        assert find_findings(session, states=frozenset()) == []


def test_a_finding_bears_the_name_that_the_subordinate_has_today(database: Database) -> None:
    record(database, judged(breach()))
    with database.read() as session:
        assert find_findings(session)[0].subordinate == ""
    with database.write() as session:
        add_subordinate(session, "acme")
    with database.read() as session:
        assert find_findings(session)[0].subordinate == "acme"


def test_affected_counts_what_is_touched_now(database: Database) -> None:
    authority = judged(breach(check="c"), scope="c", kind=SubjectKind.AUTHORITY, unit="ca" * 32)
    should = breach(Severity.SHOULD)
    record(database, judged(should), judged(should, unit=OTHER_UNIT), authority)
    with database.read() as session:
        assert {f.check: f.affected for f in find_findings(session)} == {"key-size": 2, "c": 1}
    record(database, judged(), judged(unit=OTHER_UNIT))
    with database.read() as session:
        assert {f.check: f.affected for f in find_findings(session)} == {"key-size": 0, "c": 1}


def test_a_finding_is_found_by_the_start_of_its_id(database: Database) -> None:
    record(database, judged(breach()), judged(breach(), unit=OTHER_UNIT))
    with database.read() as session:
        first, second = find_findings(session)
        assert load_finding(session, first.id) == first
        assert load_finding(session, f" {second.fingerprint.upper()} ") == second
        for bad in ("", "%", "_", "zzzz", first.fingerprint + "0"):
            with pytest.raises(ConfigurationError, match="no finding has the id"):
                load_finding(session, bad)


def test_an_id_that_fits_two_findings_is_refused(database: Database) -> None:
    units = [f"{number:064x}" for number in range(40)]
    record(database, *(judged(breach(), unit=unit) for unit in units))
    with database.read() as session:
        starts = [finding.fingerprint[0] for finding in find_findings(session)]
        common = max(starts, key=starts.count)
        with pytest.raises(ConfigurationError, match="more than one finding starts with"):
            load_finding(session, common)


def test_a_decision_is_recorded_with_who_when_and_why(database: Database) -> None:
    record(database, judged(breach()))
    decision = Decision(
        Verb.ACCEPT_RISK, "analyst", "no key left", owner="cto", expires=NOW + 30 * DAY
    )
    with database.write() as session:
        decided = decide(session, only(database).fingerprint, decision, now=NOW + DAY)
    assert decided.state is FindingState.RISK_ACCEPTED
    with database.read() as session:
        created, accepted = find_transitions(session, decided.fingerprint)
    assert (created.source, created.target) == ("", "open")
    assert (accepted.source, accepted.target, accepted.at) == ("open", "risk_accepted", NOW + DAY)
    assert (accepted.actor, accepted.reason, accepted.owner, accepted.approver) == (
        "analyst",
        "no key left",
        "cto",
        None,
    )
    assert accepted.expires == NOW + 30 * DAY


def test_a_refused_decision_leaves_no_trace(database: Database) -> None:
    record(database, judged(breach()))
    refused = Decision(Verb.REOPEN, "analyst", "again")
    with pytest.raises(ConfigurationError), database.write() as session:
        decide(session, only(database).fingerprint, refused, now=NOW)
    with database.read() as session:
        assert len(find_transitions(session, only(database).fingerprint)) == 1


def test_a_renewed_acceptance_runs_until_its_new_end(database: Database) -> None:
    record(database, judged(breach()))
    fingerprint = only(database).fingerprint
    with database.write() as session:
        for days in (5, 50):
            accept = Decision(Verb.ACCEPT_RISK, "a", "r", owner="o", expires=NOW + days * DAY)
            decide(session, fingerprint, accept, now=NOW)
            if days == 5:
                decide(session, fingerprint, Decision(Verb.REOPEN, "a", "r"), now=NOW)
    with database.write() as session:
        assert expire_decisions(session, now=NOW + 49 * DAY) == 0
        assert expire_decisions(session, now=NOW + 50 * DAY) == 1
    assert [event.kind for event in events(database)] == ["finding_opened", "finding_reopened"]


def test_affected_units_are_listed_in_order(database: Database) -> None:
    should = breach(Severity.SHOULD)
    record(database, judged(should, unit=OTHER_UNIT), judged(should))
    with database.read() as session:
        assert find_affected_units(session, only(database).fingerprint) == [UNIT, OTHER_UNIT]


@pytest.mark.parametrize(
    "bad",
    [{"reason": " "}, {"approver": ""}, {"expires": NOW}, {"expires": NOW - timedelta(seconds=1)}],
)
def test_a_waiver_without_reason_approver_or_future_is_refused(
    database: Database, bad: dict[str, object]
) -> None:
    good: dict[str, object] = {"reason": "r", "approver": "a", "expires": NOW + DAY}
    with pytest.raises(ConfigurationError, match="a waiver needs"), database.write() as session:
        add_waiver(session, check="c", anchor=None, subject=None, now=NOW, **(good | bad))  # type: ignore[arg-type]  # by name
