"""Quarters: the period of a report, in UTC, and the weeks that its charts count in.

Everything here is arithmetic on instants that the caller names, so that a report made again as of
the same instant covers the same period. Weeks are those of ISO 8601, from Monday.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from subca_oversight.errors import ConfigurationError

_NAME = re.compile(r"(\d{4})Q([1-4])", re.ASCII)
_MONTHS = 3
_WEEK = timedelta(days=7)
_FIRST_YEAR, _LAST_YEAR = 2000, 9000
"""Certificates of the web PKI exist in none before, and arithmetic overflows in none after."""


@dataclass(frozen=True, slots=True, order=True)
class Quarter:
    """A quarter of a calendar year, in UTC."""

    year: int
    number: int
    """1 to 4."""

    def __str__(self) -> str:
        """``2026Q3``: the form that people type."""
        return f"{self.year}Q{self.number}"

    @property
    def start(self) -> datetime:
        """Its first instant."""
        return datetime(self.year, _MONTHS * (self.number - 1) + 1, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first instant after it."""
        return self.following.start

    @property
    def following(self) -> Quarter:
        """The quarter after it."""
        return Quarter(self.year, self.number + 1) if self.number < 4 else Quarter(self.year + 1, 1)  # noqa: PLR2004 - quarters of a year

    @property
    def previous(self) -> Quarter:
        """The quarter before it."""
        return Quarter(self.year, self.number - 1) if self.number > 1 else Quarter(self.year - 1, 4)

    def has_ended(self, now: datetime) -> bool:
        """Whether the quarter is over at ``now``."""
        return now >= self.end

    def weeks(self, until: datetime) -> Iterator[date]:
        """The Mondays of the weeks that have a day in the quarter, up to ``until``'s own."""
        monday = week_of(self.start)
        while monday < self.end.date() and monday <= until.astimezone(UTC).date():
            yield monday
            monday += _WEEK


def parse_quarter(text: str) -> Quarter:
    """Read ``2026Q3``. Raises ConfigurationError on anything else."""
    match = _NAME.fullmatch(text.strip().upper())
    if match is None or not _FIRST_YEAR <= int(match[1]) <= _LAST_YEAR:
        raise ConfigurationError(f"{text[:20]!a} is no quarter; write 2026Q3")
    return Quarter(int(match[1]), int(match[2]))


def quarter_of(instant: datetime) -> Quarter:
    """The quarter in which ``instant`` lies."""
    day = instant.astimezone(UTC).date()
    return Quarter(day.year, (day.month - 1) // _MONTHS + 1)


def week_of(instant: datetime) -> date:
    """The Monday of the week in which ``instant`` lies."""
    day = instant.astimezone(UTC).date()
    return day - timedelta(days=day.weekday())
