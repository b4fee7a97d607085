from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.clocks.calendar import (
    add_months,
    add_years,
    end_of_day_utc,
    is_document_stale,
    is_long_period,
    next_period_end,
    publication_due,
    report_due,
    utc_date,
)

DAYS = st.dates(date(1900, 1, 1), date(2300, 12, 31))


@pytest.mark.parametrize(
    ("day", "years", "expected"),
    [
        (date(2024, 2, 29), 1, date(2025, 3, 1)),
        (date(2024, 2, 29), 4, date(2028, 2, 29)),
        (date(2023, 2, 28), 1, date(2024, 2, 28)),
        (date(1896, 2, 29), 4, date(1900, 3, 1)),
        (date(2021, 12, 31), 1, date(2022, 12, 31)),
        (date(2021, 3, 1), -1, date(2020, 3, 1)),
    ],
)
def test_a_year_later_is_the_same_day_or_1_march(day: date, years: int, expected: date) -> None:
    assert add_years(day, years) == expected


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2025, 11, 30), 3, date(2026, 2, 28)),
        (date(2023, 11, 30), 3, date(2024, 2, 29)),
        (date(2025, 1, 31), 3, date(2025, 4, 30)),
        (date(2025, 2, 28), 3, date(2025, 5, 28)),
        (date(2025, 12, 31), 3, date(2026, 3, 31)),
        (date(2025, 3, 31), -1, date(2025, 2, 28)),
        (date(2025, 1, 15), -1, date(2024, 12, 15)),
    ],
)
def test_months_are_clamped_to_month_ends(day: date, months: int, expected: date) -> None:
    assert add_months(day, months) == expected


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (date(2024, 2, 28), date(2025, 2, 28)),  # the period starts on 29 February
        (date(2024, 2, 29), date(2025, 2, 28)),
        (date(2023, 2, 28), date(2024, 2, 29)),  # the last day before 1 March
        (date(2025, 12, 31), date(2026, 12, 31)),
        (date(2025, 11, 30), date(2026, 11, 30)),
    ],
)
def test_the_next_period_is_the_year_from_the_day_after(end: date, expected: date) -> None:
    assert next_period_end(end) == expected
    assert report_due(end) == expected + timedelta(days=92)


def test_three_months_can_be_stricter_than_92_days() -> None:
    end = date(2025, 11, 30)
    assert (publication_due(end) - end).days == 90


@given(DAYS)
def test_the_next_period_is_one_year_long_and_no_longer(end: date) -> None:
    start = end + timedelta(days=1)
    following = next_period_end(end)
    assert not is_long_period(start, following)
    assert is_long_period(start, following + timedelta(days=1))
    assert 364 <= (following - end).days <= 366


@given(DAYS, DAYS)
def test_a_later_period_end_is_never_due_earlier(one: date, other: date) -> None:
    first, second = sorted((one, other))
    assert next_period_end(first) <= next_period_end(second)
    assert report_due(first) <= report_due(second)
    assert publication_due(first) <= publication_due(second)


@given(DAYS, st.integers(-1200, 1200))
def test_months_land_in_the_month_meant(day: date, months: int) -> None:
    later = add_months(day, months)
    assert later.year * 12 + later.month == day.year * 12 + day.month + months
    assert later.day == day.day or (later + timedelta(days=1)).day == 1


@given(DAYS, st.integers(-100, 100))
def test_years_and_twelve_months_agree_but_on_29_february(day: date, years: int) -> None:
    expected = add_months(day, 12 * years)
    if (day.month, day.day) == (2, 29) and expected.day == 28:
        expected = date(expected.year, 3, 1)
    assert add_years(day, years) == expected


@pytest.mark.parametrize("count", [10_000, -10_000])
def test_beyond_the_calendar_is_an_overflow(count: int) -> None:
    with pytest.raises(OverflowError):
        add_years(date(2024, 2, 29), count)
    with pytest.raises(OverflowError):
        add_months(date(2024, 2, 29), 12 * count)


def test_a_document_is_stale_on_its_367th_day() -> None:
    updated = date(2025, 1, 1)
    assert not is_document_stale(updated, updated + timedelta(days=366))
    assert is_document_stale(updated, updated + timedelta(days=367))


def test_a_date_deadline_ends_at_midnight_utc() -> None:
    assert end_of_day_utc(date(2024, 2, 29)) == datetime(2024, 3, 1, tzinfo=UTC)


def test_an_instant_belongs_to_its_utc_day() -> None:
    late = datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=2)))
    assert utc_date(late) == date(2025, 12, 31)
    with pytest.raises(ValueError, match="time zone"):
        utc_date(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the case


@given(DAYS)
def test_the_end_of_a_day_is_the_first_instant_of_the_next(day: date) -> None:
    end = end_of_day_utc(day)
    assert utc_date(end) == day + timedelta(days=1)
    assert utc_date(end - timedelta(microseconds=1)) == day
