"""Findings from the command line: listed, shown, decided, waived."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from subca_oversight.model.finding import FindingState, Severity
from tests.unit.cli.installation import Installation
from tests.unit.findings.judging import (
    ANCHOR,
    DAY,
    NOW,
    OTHER_UNIT,
    UNIT,
    add_subordinate,
    breach,
    judged,
    record,
)

WHO = ("--actor", "analyst", "--reason", "seen")
CHECK = "key-size"


@pytest.fixture
def recorded(installed: Installation) -> Installation:
    installed.make_database()
    database = installed.open()
    with database.write() as session:
        add_subordinate(session)
    record(
        database,
        judged(breach()),
        judged(breach(Severity.SHOULD, key="k"), unit=OTHER_UNIT),
        judged(breach(check="other", message="\x1b[31mred\u202e"), scope="other"),
    )
    database.close()
    return installed


def listed(installed: Installation, *words: str) -> list[dict[str, object]]:
    code, out, _ = installed.run("findings", "list", "--json", *words)
    assert code == 0
    found = json.loads(out)
    assert isinstance(found, list)
    return found


def first_id(installed: Installation) -> str:
    return str(listed(installed, "--check", CHECK)[0]["id"])


def test_an_empty_listing_is_an_empty_array(installed: Installation) -> None:
    installed.make_database()
    assert installed.run("findings", "list", "--json") == (0, "[]\n", "")


def test_a_listing_has_the_documented_keys_and_forms(recorded: Installation) -> None:
    found = listed(recorded)[0]
    documented = (
        "id check subordinate subject severity state requirement revocation first_seen last_seen"
        " deadline affected"
    )
    assert set(documented.split()) <= set(found)
    assert found["check"] == CHECK
    assert found["subordinate"] == "acme"
    assert found["subject"] == UNIT
    assert found["revocation"] == "5d"
    assert found["first_seen"] == "2026-11-24T12:00:00Z"
    assert found["deadline"] == "2026-11-29T12:00:00Z"
    assert found["affected"] == 1


def test_a_listing_is_chosen_by_option(recorded: Installation) -> None:
    assert len(listed(recorded)) == 3
    assert len(listed(recorded, "--check", "other")) == 1
    assert len(listed(recorded, "--subordinate", "acme")) == 3
    assert listed(recorded, "--state", "closed") == []
    assert len(listed(recorded, "--state", "open", "--state", "closed")) == 3
    code, line = recorded.refuse("findings", "list", "--subordinate", "nobody")
    assert (code, line) == (2, "no subordinate is called nobody; known: acme")


def test_a_table_shows_no_control_characters(recorded: Installation) -> None:
    code, out, _ = recorded.run("findings", "list")
    assert code == 0
    assert out.splitlines()[0].strip() == "3 findings"
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\\x1b[31mred\\u202e" in out
    shown = recorded.run("findings", "show", str(listed(recorded, "--check", "other")[0]["id"]))[1]
    assert "\\x1b[31mred\\u202e" in shown


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), 0),
        (("--fail-on", "violation"), 1),
        (("--fail-on", "notice"), 1),
        (("--fail-on", "notice", "--state", "closed"), 0),
    ],
)
def test_fail_on_tells_whether_there_is_something_to_act_on(
    recorded: Installation, words: tuple[str, ...], code: int
) -> None:
    assert recorded.run("findings", "list", *words)[0] == code


def test_fail_on_counts_what_is_as_severe_or_worse(recorded: Installation) -> None:
    for finding in listed(recorded):
        if finding["severity"] == "violation":
            words = (*WHO, "--approver", "head")
            recorded.run("findings", "not-a-violation", str(finding["id"]), *words)
    assert recorded.run("findings", "list", "--fail-on", "violation")[0] == 0
    assert recorded.run("findings", "list", "--fail-on", "should")[0] == 1


def test_a_finding_is_shown_with_evidence_units_and_trail(recorded: Installation) -> None:
    code, out, _ = recorded.run("findings", "show", first_id(recorded), "--json")
    shown = json.loads(out)
    assert code == 0
    assert shown["finding"]["anchor"] == ANCHOR
    assert shown["finding"]["evidence"] == [
        {"kind": "certificate", "reference": "cc" * 32, "detail": "final"}
    ]
    assert shown["units"] == [UNIT]
    assert [step["target"] for step in shown["trail"]] == ["open"]
    text = recorded.run("findings", "show", first_id(recorded))[1]
    assert "deadline     2026-11-29T12:00:00Z" in text
    assert "trail        2026-11-24T12:00:00Z new -> open by subca-oversight: found" in text


def test_every_step_has_its_command_and_leaves_its_row(recorded: Installation) -> None:
    finding = first_id(recorded)
    expires = ("--expires", "2099-01-01")
    steps = [
        ("acknowledge", (), "acknowledged"),
        ("dispute", (), "disputed"),
        ("confirm", (), "confirmed"),
        ("remediate", (), "remediated"),
        ("close", (), "closed"),
        ("reopen", (), "open"),
        ("accept-risk", ("--owner", "cto", *expires), "risk_accepted"),
        ("reopen", (), "open"),
        ("not-a-violation", ("--approver", "head"), "not_a_violation"),
    ]
    for verb, words, state in steps:
        code, out, error = recorded.run("findings", verb, finding, *WHO, *words)
        assert (code, out, error) == (0, f"{finding} is {state}\n", "")
    trail = json.loads(recorded.run("findings", "show", finding, "--json")[1])["trail"]
    assert [step["target"] for step in trail] == ["open", *(state for *_, state in steps)]
    assert {step["actor"] for step in trail[1:]} == {"analyst"}
    assert trail[7]["owner"] == "cto"
    assert trail[7]["expires"] == "2099-01-01T00:00:00Z"
    assert trail[9]["approver"] == "head"


def test_a_step_that_is_not_possible_is_refused(recorded: Installation) -> None:
    finding = first_id(recorded)
    code, line = recorded.refuse("findings", "reopen", finding, *WHO)
    assert code == 2
    assert line.startswith("a finding that is open cannot reopen; try acknowledge, confirm,")
    code, line = recorded.refuse("findings", "close", "ffffffffffffffff", *WHO)
    assert (code, line) == (2, "no finding has the id ffffffffffffffff; see: findings list")


@pytest.mark.parametrize(
    ("verb", "words", "option"),
    [
        ("close", ("--reason", "r"), "--actor"),
        ("close", ("--actor", "a"), "--reason"),
        ("not-a-violation", WHO, "--approver"),
        ("accept-risk", (*WHO, "--expires", "2099-01-01"), "--owner"),
        ("accept-risk", (*WHO, "--owner", "o"), "--expires"),
    ],
)
def test_a_step_without_what_it_needs_is_refused(
    recorded: Installation, verb: str, words: tuple[str, ...], option: str
) -> None:
    code, out, error = recorded.run("findings", verb, first_id(recorded), *words)
    assert (code, out) == (2, "")
    assert f"Missing option '{option}'" in error


@pytest.mark.parametrize("expires", ["yesterday", "2020-01-01", "2099-01-01T00:00:00"])
def test_an_expiry_that_is_no_instant_to_come_is_refused(
    recorded: Installation, expires: str
) -> None:
    words = ("accept-risk", first_id(recorded), *WHO, "--owner", "o", "--expires", expires)
    assert recorded.run("findings", *words)[0] == 2
    assert listed(recorded, "--check", CHECK)[0]["state"] == "open"


def test_a_waiver_meets_the_next_finding_until_its_end(recorded: Installation) -> None:
    words = ("--reason", "legacy", "--approver", "head", "--expires", "2026-12-01")
    at = ("--at", NOW.isoformat())
    code, out, _ = recorded.run(*at, "findings", "waive", "--check", "weak-key", *words)
    assert (code, out) == (0, "waiver 1 recorded\n")
    database = recorded.open()
    record(
        database, judged(breach(check="weak-key"), scope="weak-key"), at=NOW + timedelta(hours=1)
    )
    database.close()
    assert listed(recorded, "--check", "weak-key")[0]["state"] == FindingState.RISK_ACCEPTED
    later = ("--at", (NOW + 10 * DAY).isoformat())
    assert recorded.run(*later, "run", "--once", "--job", "clocks")[0] == 0
    assert listed(recorded, "--check", "weak-key")[0]["state"] == FindingState.OPEN


def test_a_waiver_of_no_check_is_refused(recorded: Installation) -> None:
    words = ("--reason", "r", "--approver", "a", "--expires", "2099-01-01")
    code, line = recorded.refuse("findings", "waive", "--check", "key-sise", *words)
    assert (code, line) == (2, "--check: there is no check key-sise; see: checks list")
    assert recorded.run("findings", "waive", "--check", "pkilint:cabf.x", *words)[0] == 0
