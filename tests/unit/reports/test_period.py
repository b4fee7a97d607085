"""Quarters in UTC, to the instant."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.errors import ConfigurationError
from subca_oversight.reports.period import Quarter, parse_quarter, quarter_of

INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(8999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


@given(INSTANTS)
def test_every_instant_lies_in_exactly_one_quarter(instant: datetime) -> None:
    quarter = quarter_of(instant)
    assert quarter.start <= instant < quarter.end
    assert quarter.previous.end == quarter.start
    assert quarter.following.previous == quarter
    assert parse_quarter(str(quarter)) == quarter
    assert not quarter.has_ended(instant)
    assert quarter.has_ended(quarter.end)


@given(INSTANTS)
def test_the_weeks_cover_the_quarter_without_a_gap(instant: datetime) -> None:
    quarter = quarter_of(instant)
    weeks = list(quarter.weeks(quarter.end))
    assert weeks[0] <= quarter.start.date() < weeks[0] + timedelta(days=7)
    assert weeks[-1] < quarter.end.date() <= weeks[-1] + timedelta(days=7)
    assert {later - week for week, later in pairwise(weeks)} == {timedelta(days=7)}
    assert {week.weekday() for week in weeks} == {0}


def test_weeks_end_with_that_of_the_report() -> None:
    weeks = list(Quarter(2026, 4).weeks(datetime(2026, 10, 12, tzinfo=UTC)))
    assert weeks == [date(2026, 9, 28), date(2026, 10, 5), date(2026, 10, 12)]


@pytest.mark.parametrize(
    "text",
    ["", "2026", "2026Q0", "2026Q5", "Q3", "9999Q4", "\u0662\u0660\u0662\u0666Q3", "2026Q33"],
)
def test_anything_else_is_no_quarter(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_quarter(text)
