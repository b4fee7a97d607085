"""The policy tables, and what holds of every judgment by them."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.clocks.sct_policies import (
    POLICIES,
    PolicyJudgment,
    judge_scts,
    lifetime_days,
    policies_at,
)
from subca_oversight.model.log import LogState
from subca_oversight.model.sct import (
    LogFacts,
    LogListing,
    RootProgram,
    SctAudit,
    SctStanding,
    SctVerdict,
)

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ISSUED = datetime(2026, 11, 1, tzinfo=UTC)
RETIRED = datetime(2026, 11, 10, tzinfo=UTC)


def verdict(
    number: int,
    operator: str,
    *,
    state: LogState = LogState.USABLE,
    is_rfc6962: bool = True,
    standing: SctStanding = SctStanding.VALID,
    timestamp: datetime = ISSUED,
) -> SctVerdict:
    listings = tuple(LogListing(one, operator, state, RETIRED) for one in RootProgram)
    log = LogFacts(f"log {number}", is_rfc6962, listings)
    is_known = standing is not SctStanding.UNKNOWN_LOG
    return SctVerdict(f"{number:064x}", timestamp, standing, log if is_known else None)


def audit(*verdicts: SctVerdict, as_of: datetime = NOW) -> SctAudit:
    return SctAudit(as_of, as_of, verdicts)


verdicts = st.builds(
    verdict,
    st.integers(0, 5),
    st.sampled_from(["A", "B", "C"]),
    state=st.sampled_from(LogState),
    is_rfc6962=st.booleans(),
    standing=st.sampled_from(SctStanding),
    timestamp=st.sampled_from([ISSUED, RETIRED, NOW, NOW + timedelta(days=1)]),
)
audits = st.lists(verdicts, max_size=6).map(lambda scts: audit(*scts))


def satisfied(judgments: tuple[PolicyJudgment, ...]) -> set[RootProgram]:
    return {
        one.policy.program
        for one in judgments
        if len(one.shortfalls) == 0 and len(one.unknown) == 0
    }


def test_each_program_has_one_policy_at_a_time() -> None:
    for policy in POLICIES:
        for moment in (policy.since, NOW, policy.since - timedelta(seconds=1)):
            programs = [one.program for one in policies_at(moment)]
            assert len(programs) == len(set(programs))
    assert {one.program for one in policies_at(NOW)} == set(RootProgram)
    assert policies_at(datetime(2021, 4, 20, tzinfo=UTC)) == ()


@pytest.mark.parametrize(
    ("seconds", "days"),
    [
        (180 * 86_400 - 1, 180),
        (180 * 86_400, 181),
        (199 * 86_400 - 1, 199),
        (0, 1),
    ],
)
def test_a_lifetime_counts_both_ends(seconds: int, days: int) -> None:
    assert lifetime_days(ISSUED, ISSUED + timedelta(seconds=seconds)) == days


@pytest.mark.parametrize(
    ("until", "program"),
    [
        (datetime(2026, 2, 10, tzinfo=UTC), RootProgram.MOZILLA),
        (datetime(2026, 4, 15, tzinfo=UTC), RootProgram.CHROME),
    ],
)
def test_the_duty_of_an_rfc6962_log_ends_at_an_instant(
    until: datetime, program: RootProgram
) -> None:
    before = until - timedelta(seconds=1)
    scts = [
        verdict(number, operator, is_rfc6962=False, timestamp=until - timedelta(days=1))
        for number, operator in enumerate("AB")
    ]
    assert program not in satisfied(judge_scts(audit(*scts, as_of=before), days=90))
    assert program in satisfied(judge_scts(audit(*scts, as_of=until), days=90))
    assert RootProgram.APPLE not in satisfied(judge_scts(audit(*scts), days=90))


@given(audits, st.integers(1, 400))
def test_the_order_of_scts_does_not_matter(found: SctAudit, days: int) -> None:
    backwards = dataclasses.replace(found, verdicts=found.verdicts[::-1])
    distinct = {one.log_id for one in found.verdicts}
    if len(distinct) == len(found.verdicts):
        assert satisfied(judge_scts(found, days=days)) == satisfied(
            judge_scts(backwards, days=days)
        )


@given(audits, verdicts, st.integers(1, 400))
def test_another_sct_never_does_harm(found: SctAudit, more: SctVerdict, days: int) -> None:
    """Chrome: SCTs beyond those that satisfy a policy change nothing."""
    added = dataclasses.replace(found, verdicts=(*found.verdicts, more))
    assert satisfied(judge_scts(found, days=days)) <= satisfied(judge_scts(added, days=days))


@given(audits)
def test_what_does_for_a_long_life_does_for_a_short_one(found: SctAudit) -> None:
    long, short = (satisfied(judge_scts(found, days=days)) for days in (181, 180))
    assert long <= short


@given(audits, st.integers(1, 400))
def test_nothing_is_short_for_certain_that_unknown_logs_could_mend(
    found: SctAudit, days: int
) -> None:
    known_now = dataclasses.replace(
        found,
        verdicts=tuple(
            verdict(int(one.log_id, 16), one.log_id, timestamp=one.timestamp)
            if one.standing is SctStanding.UNKNOWN_LOG and one.timestamp < NOW
            else one
            for one in found.verdicts
        ),
    )
    mended = satisfied(judge_scts(known_now, days=days))
    for one in judge_scts(found, days=days):
        if len(one.shortfalls) > 0:
            assert one.policy.program not in mended
            assert len(one.unknown) == 0


@given(audits, st.integers(1, 400))
def test_only_what_is_satisfied_can_rest_on_a_qualified_log(found: SctAudit, days: int) -> None:
    for one in judge_scts(found, days=days):
        if one.rests_on_qualified:
            assert one.policy.program in satisfied((one,))
            states = {
                listing.state
                for sct in found.verdicts
                if sct.log is not None
                for listing in sct.log.listings
            }
            assert LogState.QUALIFIED in states
