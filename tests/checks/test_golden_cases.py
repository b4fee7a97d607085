from __future__ import annotations

from functools import cache
from unittest.mock import ANY

import pytest

from subca_oversight.check.registry import Registry, load_registry, make_registry
from subca_oversight.check.runner import run_subject
from subca_oversight.model.finding import Outcome
from tests.checks.golden import Case, count_differences, load_cases

CASES = load_cases()
registry = cache(load_registry)
CHECK_IDS = sorted(registry().checks)


def only(check_id: str) -> Registry:
    return make_registry([registry().checks[check_id]])


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.check}: {case.name}")
def test_a_golden_case_is_judged_as_stated(case: Case) -> None:
    (outcome,) = run_subject(only(case.check), case.subject)
    check = registry().checks[case.check]
    stated = [
        {
            "key": ANY if wanted.get("key") == "*" else wanted.get("key", ""),
            "severity": wanted.get("severity", check.severity.value),
            "revocation": wanted.get("revocation", check.revocation.value),
        }
        for wanted in case.expect
    ]
    found = [
        {
            "key": breach.key,
            "severity": (check.severity if breach.severity is None else breach.severity).value,
            "revocation": (
                check.revocation if breach.revocation is None else breach.revocation
            ).value,
        }
        for breach in outcome.breaches
    ]
    assert found == stated, outcome
    for breach, wanted in zip(outcome.breaches, case.expect, strict=True):
        assert wanted["says"] in breach.message
        assert len(breach.evidence) > 0
    if len(case.expect) > 0:
        assert outcome.outcome is Outcome.BREACH
    elif case.could_not_run is not None:
        assert outcome.outcome is Outcome.COULD_NOT_RUN
    else:
        assert outcome.outcome is Outcome.CLEAR, outcome.reason
    if case.could_not_run is None:
        assert outcome.reason == ""
    else:
        assert case.could_not_run in outcome.reason


@pytest.mark.parametrize("check_id", CHECK_IDS)
def test_every_check_has_a_breach_with_a_clean_twin_and_a_trap(check_id: str) -> None:
    cases = {case.name: case for case in CASES if case.check == check_id}
    by_kind = {kind: [c for c in cases.values() if c.kind == kind] for kind in KINDS}
    assert all(len(found) > 0 for found in by_kind.values()), {
        k: len(v) for k, v in by_kind.items()
    }
    for breach in by_kind["breach"]:
        assert len(breach.expect) > 0, breach.name
    for clean in by_kind["clean"]:
        assert clean.expect == []
        assert clean.could_not_run is None
        assert count_differences(clean.facts, cases[clean.twin].facts) == 1, clean.name
        assert cases[clean.twin].kind == "breach"


KINDS = ("breach", "clean", "trap")


def test_no_golden_case_is_left_over_from_a_withdrawn_check() -> None:
    assert {case.check for case in CASES} == set(CHECK_IDS)
    assert len({(case.check, case.name) for case in CASES}) == len(CASES)
