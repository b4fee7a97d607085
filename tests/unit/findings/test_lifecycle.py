"""The state machine: every verb from every state, and what each step must state."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from subca_oversight.errors import ConfigurationError
from subca_oversight.findings.lifecycle import (
    ACTIONABLE,
    PROGRAM,
    STEPS,
    UNDECIDED,
    Decision,
    Verb,
    target_of,
)
from subca_oversight.model.finding import FindingState

NOW = datetime(2026, 11, 24, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
# Columns: open, acknowledged, confirmed, remediated, closed, disputed, not_a_violation,
# risk_accepted. A dot is refused.
TABLE = {
    Verb.ACKNOWLEDGE: "x . . . . . . .",
    Verb.CONFIRM: "x x . . . x . .",
    Verb.DISPUTE: "x x x . . . . .",
    Verb.NOT_A_VIOLATION: "x x x . . x . .",
    Verb.ACCEPT_RISK: "x x x . . x . .",
    Verb.REMEDIATE: "x x x . . . . .",
    Verb.CLOSE: "x x x x . . . .",
    Verb.REOPEN: ". . . x x x x x",
}
TARGETS = {
    Verb.ACKNOWLEDGE: FindingState.ACKNOWLEDGED,
    Verb.CONFIRM: FindingState.CONFIRMED,
    Verb.DISPUTE: FindingState.DISPUTED,
    Verb.NOT_A_VIOLATION: FindingState.NOT_A_VIOLATION,
    Verb.ACCEPT_RISK: FindingState.RISK_ACCEPTED,
    Verb.REMEDIATE: FindingState.REMEDIATED,
    Verb.CLOSE: FindingState.CLOSED,
    Verb.REOPEN: FindingState.OPEN,
}
CASES = [
    (verb, state, mark == "x")
    for verb, marks in TABLE.items()
    for state, mark in zip(FindingState, marks.split(), strict=True)
]


def decision(verb: Verb) -> Decision:
    return Decision(verb, "analyst", "seen", approver="head", owner="owner", expires=LATER)


@pytest.mark.parametrize(("verb", "state", "allowed"), CASES)
def test_a_step_is_possible_exactly_where_the_table_says(
    verb: Verb, state: FindingState, allowed: bool
) -> None:
    if allowed:
        assert target_of(decision(verb), state, now=NOW) is TARGETS[verb]
    else:
        with pytest.raises(ConfigurationError, match=f"that is {state} cannot {verb}; try "):
            target_of(decision(verb), state, now=NOW)


def test_a_refusal_names_what_is_possible() -> None:
    with pytest.raises(ConfigurationError, match=r"cannot close; try reopen$"):
        target_of(decision(Verb.CLOSE), FindingState.CLOSED, now=NOW)


def test_every_state_can_be_left() -> None:
    left = {state for step in STEPS.values() for state in step.sources}
    assert left == set(FindingState)


def test_what_the_program_may_close_carries_no_decision() -> None:
    assert {FindingState.OPEN, FindingState.ACKNOWLEDGED} == UNDECIDED
    assert UNDECIDED < ACTIONABLE


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("missing", ["actor", "reason"])
def test_who_and_why_are_always_stated(verb: Verb, missing: str) -> None:
    state = min(STEPS[verb].sources)
    for blank in ("", "  \t"):
        made = decision(verb)
        bad = replace(made, actor=blank) if missing == "actor" else replace(made, reason=blank)
        with pytest.raises(ConfigurationError, match="needs --actor and --reason"):
            target_of(bad, state, now=NOW)


def test_nobody_decides_in_the_programs_name() -> None:
    bad = replace(decision(Verb.CLOSE), actor=f" {PROGRAM} ")
    with pytest.raises(ConfigurationError, match="name a person"):
        target_of(bad, FindingState.OPEN, now=NOW)


@pytest.mark.parametrize(
    ("verb", "bad", "option"),
    [
        (Verb.NOT_A_VIOLATION, {"approver": None}, "--approver"),
        (Verb.NOT_A_VIOLATION, {"approver": " "}, "--approver"),
        (Verb.ACCEPT_RISK, {"owner": None}, "--owner"),
        (Verb.ACCEPT_RISK, {"owner": ""}, "--owner"),
        (Verb.ACCEPT_RISK, {"expires": None}, "--expires"),
        (Verb.ACCEPT_RISK, {"expires": NOW}, "--expires"),
        (Verb.ACCEPT_RISK, {"expires": NOW - timedelta(days=1)}, "--expires"),
    ],
)
def test_a_step_without_what_it_needs_is_refused(
    verb: Verb, bad: dict[str, object], option: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{verb} needs {option}"):
        target_of(replace(decision(verb), **bad), FindingState.OPEN, now=NOW)  # type: ignore[arg-type]  # by name
