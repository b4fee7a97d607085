"""Calendar arithmetic for audit periods and document deadlines.

The rules count in calendar years, calendar months and days, which disagree at month ends and in
leap years; DESIGN section 7 settles each case once, here (BR 8.1 and 8.6, CCADB Policy 5.2).
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta

UPLOAD_DAYS = 92
"""CCADB Policy 5.2: days from period end to the upload of the statement."""
PUBLICATION_MONTHS = 3
"""BR 8.6: calendar months from period end to a public report."""
DOCUMENT_DAYS = 366
"""BR 2.2: the longest a CP or CPS may stand without an update, in days."""

_ONE_DAY = timedelta(days=1)


def add_years(day: date, years: int) -> date:
    """Return the same day of another year; 29 February becomes 1 March in a common year.

    Raises OverflowError beyond the years 1 to 9999.
    """
    year = _checked_year(day.year + years)
    if (day.month, day.day) == (2, 29) and monthrange(year, 2)[1] == 28:  # noqa: PLR2004 - February
        return date(year, 3, 1)
    return day.replace(year=year)


def add_months(day: date, months: int) -> date:
    """Return the same day of another month, clamped to that month's last day.

    Raises OverflowError beyond the years 1 to 9999.
    """
    years, month_index = divmod(day.month - 1 + months, 12)
    year = _checked_year(day.year + years)
    month = month_index + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def next_period_end(period_end: date) -> date:
    """Return the last day of the one-year period that begins the day after ``period_end``."""
    return add_years(period_end + _ONE_DAY, 1) - _ONE_DAY


def report_due(period_end: date) -> date:
    """Return the last day on which the statement of the *next* period may be uploaded."""
    return next_period_end(period_end) + timedelta(days=UPLOAD_DAYS)


def publication_due(period_end: date) -> date:
    """Return the last day on which the report of *this* period may become public (BR 8.6)."""
    return add_months(period_end, PUBLICATION_MONTHS)


def is_long_period(start: date, end: date) -> bool:
    """Whether a period with both days counted is longer than one calendar year (BR 8.1)."""
    return end >= add_years(start, 1)


def is_document_stale(updated: date, as_of: date) -> bool:
    """Whether a CP or CPS last updated on ``updated`` is overdue for its yearly update."""
    return (as_of - updated).days > DOCUMENT_DAYS


def end_of_day_utc(day: date) -> datetime:
    """Return 24:00 UTC of ``day``: the instant at which a date deadline has passed."""
    return datetime.combine(day + _ONE_DAY, time.min, tzinfo=UTC)


def utc_date(instant: datetime) -> date:
    """Return the UTC calendar date of an aware instant; raises ValueError for a naive one."""
    if instant.tzinfo is None:
        raise ValueError("an instant without a time zone has no UTC date")
    return instant.astimezone(UTC).date()


def _checked_year(year: int) -> int:
    if not date.min.year <= year <= date.max.year:
        raise OverflowError(f"year {year} is outside the calendar")
    return year
