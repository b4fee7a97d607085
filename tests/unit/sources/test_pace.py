"""Rate, concurrency and breaker, against a clock that stands where the test puts it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.sources.pace import (
    FIRST_REST,
    LONGEST_REST,
    MOST_AT_ONCE,
    SLOWEST,
    TRIP,
    UNHINDERED,
    Bucket,
    Pace,
)


def run(pace: Pace, seconds: float, bears: Callable[[float], bool]) -> tuple[int, int]:
    """Ask whenever the pace allows it; (answered, refused)."""
    now = answered = refused = 0.0
    while now < seconds:
        wait = pace.wait(now)
        now += wait
        ticket = pace.begin(now)
        if bears(now):
            pace.succeed()
            answered += 1
        else:
            pace.fail(ticket, now, silence=1.0)
            refused += 1
        now += 0.01
    return int(answered), int(refused)


class Meter:
    """A server that bears ``rate`` requests a second and refuses the rest."""

    def __init__(self, rate: float) -> None:
        self._bucket = Bucket(rate)

    def __call__(self, now: float) -> bool:
        if self._bucket.wait(now) > 0:
            return False
        self._bucket.take(now)
        return True


def test_a_log_that_answers_well_never_waits() -> None:
    pace = Pace()
    for number in range(10_000):
        now = number * 0.001
        assert pace.wait(now) == 0
        pace.begin(now)
        pace.succeed()
    assert pace.rate is None
    assert pace.window == MOST_AT_ONCE


@pytest.mark.parametrize("rate", [0.17, 1.0, 5.0])
def test_what_a_log_bears_is_found_and_most_of_it_is_used(rate: float) -> None:
    pace = Pace()
    meter = Meter(rate)
    run(pace, 600, meter)
    answered, refused = run(_from_zero(pace), 3600, Meter(rate))
    assert answered > 0.6 * rate * 3600
    assert refused < 0.05 * answered


def _from_zero(pace: Pace) -> Pace:
    """The same knowledge with a clock that starts over."""
    fresh = Pace()
    fresh.rate, fresh.window, fresh._step = pace.rate, pace.window, pace._step
    return fresh


def test_one_failure_halves_rate_and_concurrency_once_for_all_that_were_under_way() -> None:
    pace = Pace()
    tickets = [pace.begin(10.0) for _ in range(4)]
    before = pace.window
    for ticket in tickets:
        pace.fail(ticket, 10.5, silence=0.5)
    assert pace.window == before / 2
    assert pace.rate == pytest.approx(1.0)
    assert pace.failures == 4


def test_a_failure_after_the_first_slows_down_again() -> None:
    pace = Pace()
    pace.fail(pace.begin(0.0), 0.1, silence=0)
    first = pace.rate
    pace.fail(pace.begin(5.0), 5.1, silence=0)
    assert first is not None
    assert pace.rate == first / 2


def test_good_answers_bring_the_rate_back_step_by_step_until_it_is_no_limit() -> None:
    pace = Pace()
    pace.fail(pace.begin(0.0), 0.0, silence=0)
    rates = []
    for _ in range(40_000):
        pace.succeed()
        if pace.rate is None:
            break
        rates.append(pace.rate)
    assert pace.rate is None
    steps = {round(after - before, 9) for before, after in pairwise(rates)}
    assert len(steps) == 1
    assert max(rates) < UNHINDERED


def test_silence_is_kept_whatever_the_rate_would_allow() -> None:
    pace = Pace()
    pace.fail(pace.begin(0.0), 0.0, silence=37.0)
    assert pace.wait(1.0) == pytest.approx(36.0)
    assert pace.wait(37.0) == 0


def test_enough_failures_in_a_row_open_the_breaker_and_longer_after_each_failed_probe() -> None:
    pace = Pace()
    now = 0.0
    for _ in range(TRIP):
        assert pace.rest(now) == 0
        pace.fail(pace.begin(now), now, silence=0)
    rests = []
    for _ in range(6):
        rest = pace.rest(now)
        rests.append(rest)
        assert pace.window == 1
        now += rest
        assert pace.rest(now) == 0
        pace.fail(pace.begin(now), now, silence=0)
    assert rests == [FIRST_REST, 120, 240, 480, LONGEST_REST, LONGEST_REST]


def test_a_good_probe_closes_the_breaker_and_the_next_failure_opens_it_for_longer() -> None:
    pace = Pace()
    for _ in range(TRIP):
        pace.fail(pace.begin(0.0), 0.0, silence=0)
    pace.begin(FIRST_REST)
    pace.succeed()
    assert pace.rest(FIRST_REST) == 0
    pace.fail(pace.begin(70.0), 70.0, silence=0)
    assert pace.rest(70.0) == 2 * FIRST_REST


def test_as_many_good_answers_as_failures_make_a_log_well() -> None:
    pace = Pace()
    for _ in range(TRIP):
        pace.fail(pace.begin(0.0), 0.0, silence=0)
    for _ in range(TRIP):
        pace.succeed()
    assert pace.failures == 0
    for _ in range(TRIP):
        assert pace.rest(70.0) == 0
        pace.fail(pace.begin(70.0), 70.0, silence=0)
    assert pace.rest(70.0) == FIRST_REST


def test_late_failures_of_the_same_burst_do_not_prolong_the_rest() -> None:
    pace = Pace()
    tickets = [pace.begin(0.0) for _ in range(TRIP + 3)]
    for number, ticket in enumerate(tickets):
        pace.fail(ticket, number * 0.1, silence=0)
    assert pace.rest(1.0) == pytest.approx(FIRST_REST - 1.0 + (TRIP - 1) * 0.1)


def test_an_answer_of_no_such_thing_makes_up_for_a_failure_and_changes_no_rate() -> None:
    pace = Pace()
    pace.fail(pace.begin(0.0), 0.0, silence=0)
    rate = pace.rate
    pace.answer()
    assert (pace.failures, pace.rate) == (0, rate)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 5)), max_size=200))
def test_rate_and_window_stay_within_their_bounds(history: list[tuple[bool, float]]) -> None:
    pace = Pace()
    now = 0.0
    for is_good, seconds in history:
        now += seconds + pace.wait(now)
        ticket = pace.begin(now)
        if is_good:
            pace.succeed()
        else:
            pace.fail(ticket, now, silence=0)
        assert pace.rate is None or SLOWEST <= pace.rate < UNHINDERED
        assert 1 <= pace.window <= MOST_AT_ONCE
        assert 0 <= pace.rest(now) <= LONGEST_REST


@given(st.floats(0.1, 50), st.lists(st.floats(0, 3), min_size=1, max_size=100))
def test_a_bucket_never_gives_more_than_its_rate_and_a_second_of_burst(
    rate: float, pauses: list[float]
) -> None:
    bucket = Bucket(rate)
    now = taken = 0.0
    for pause in pauses:
        now += pause + bucket.wait(now + pause)
        bucket.take(now)
        taken += 1
        assert taken <= rate * now + max(1.0, rate) + 1e-6
