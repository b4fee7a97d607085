"""Issuance of a period in numbers: per week and kind, by profile, validity and key.

Counted while the units stream by, so that a hundred thousand of them need no more memory than one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import pairwise

from subca_oversight.reports.period import Quarter, week_of
from subca_oversight.reports.population import UNKNOWN, IssuedUnit, UnitKind

VALIDITY_STEPS = (0, 10, 47, 100, 200, 398)
"""Upper bounds, in days, of short-lived certificates and of BR 6.3.2 over the years."""
PROFILES = {
    "tls": "TLS (serverAuth)",
    "ev": "TLS, Extended Validation",
    "smime": "S/MIME (emailProtection)",
    "other": "other or not stated",
}


@dataclass(frozen=True, slots=True)
class WeekCount:
    """Units first logged in one week."""

    week: date
    """Its Monday."""
    pairs: int
    precertificates: int
    finals: int
    total: int


@dataclass(frozen=True, slots=True)
class Share:
    """How many units are of one sort."""

    label: str
    count: int
    percent: str
    """Of all units of the period, with one decimal."""


@dataclass(frozen=True, slots=True)
class Issuance:
    """The units of a period."""

    total: int
    previous_total: int
    """In the quarter before, as far as was known."""
    weeks: tuple[WeekCount, ...]
    kinds: tuple[Share, ...]
    profiles: tuple[Share, ...]
    validities: tuple[Share, ...]
    keys: tuple[Share, ...]


@dataclass(slots=True)
class IssuanceTally:
    """Counts of the units seen so far."""

    quarter: Quarter
    as_of: datetime
    total: int = 0
    weeks: Counter[tuple[date, UnitKind]] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    profiles: Counter[str] = field(default_factory=Counter)
    validities: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)

    def add(self, unit: IssuedUnit) -> None:
        """Count one unit."""
        self.total += 1
        self.weeks[(week_of(unit.first_logged), unit.kind)] += 1
        self.kinds[unit.kind.value] += 1
        self.profiles[PROFILES.get(unit.profile, unit.profile)] += 1
        self.validities[validity_label(unit.validity_days)] += 1
        self.keys[unit.key] += 1

    def finish(self, *, previous_total: int) -> Issuance:
        """The counts as a value."""
        return Issuance(
            total=self.total,
            previous_total=previous_total,
            weeks=tuple(self._week(monday) for monday in self.quarter.weeks(self.as_of)),
            kinds=self._shares(self.kinds, [kind.value for kind in UnitKind]),
            profiles=self._shares(self.profiles, list(PROFILES.values())),
            validities=self._shares(self.validities, validity_labels()),
            keys=self._shares(self.keys, []),
        )

    def _week(self, monday: date) -> WeekCount:
        pairs, precertificates, finals = (self.weeks[(monday, kind)] for kind in UnitKind)
        return WeekCount(monday, pairs, precertificates, finals, pairs + precertificates + finals)

    def _shares(self, counts: Counter[str], order: list[str]) -> tuple[Share, ...]:
        """In the given order; labels that it lacks follow, the most frequent first."""
        known = [label for label in order if counts[label] > 0]
        others = sorted(
            (label for label in counts if label not in order and counts[label] > 0),
            key=lambda label: (-counts[label], label),
        )
        return tuple(
            Share(label, counts[label], f"{100 * counts[label] / self.total:.1f}")
            for label in (*known, *others)
        )


def validity_label(days: int | None) -> str:
    """The class of a validity period."""
    if days is None:
        return UNKNOWN
    for below, limit in pairwise(VALIDITY_STEPS):
        if days <= limit:
            return _between(below, limit)
    return f"more than {VALIDITY_STEPS[-1]} days"


def validity_labels() -> list[str]:
    """Every class, ascending."""
    steps = [_between(below, limit) for below, limit in pairwise(VALIDITY_STEPS)]
    return [*steps, f"more than {VALIDITY_STEPS[-1]} days", UNKNOWN]


def _between(below: int, limit: int) -> str:
    return f"up to {limit} days" if below == 0 else f"{below + 1} to {limit} days"
