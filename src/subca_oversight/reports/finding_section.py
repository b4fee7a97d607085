"""The findings section: by check and severity, the violations by name, decisions, the baseline.

Findings stream by and are counted; only as many as a page can show are kept, and all of them go to
the annex ``findings.csv``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session

from subca_oversight.check.api import Check
from subca_oversight.model.finding import FindingState, Severity
from subca_oversight.reports.finding_rows import FindingEntry
from subca_oversight.reports.shortlist import Shortlist
from subca_oversight.reports.subjects import name_subjects

MAX_VIOLATIONS = 60
MAX_DECISIONS = 40
_SEVERITIES = list(Severity)
_TURNS = {
    FindingState.OPEN: "signing CA: acknowledge and assess",
    FindingState.ACKNOWLEDGED: "signing CA: confirm, or decide otherwise",
    FindingState.CONFIRMED: "operator: mend, and show it",
    FindingState.DISPUTED: "signing CA: decide the dispute",
    FindingState.REMEDIATED: "signing CA: verify and close",
    FindingState.RISK_ACCEPTED: "owner of the risk, until it expires",
    FindingState.NOT_A_VIOLATION: "nobody",
    FindingState.CLOSED: "nobody",
}
_DECIDED = frozenset(
    {FindingState.RISK_ACCEPTED, FindingState.NOT_A_VIOLATION, FindingState.DISPUTED}
)


@dataclass(frozen=True, slots=True)
class CheckCount:
    """The findings of one check and severity."""

    check: str
    title: str
    severity: Severity
    requirement: str
    new: int
    closed: int
    reopened: int
    open: int
    """On which somebody still had to act; without the baseline."""
    overdue: int
    affected: int
    """Units touched by those that were open."""
    baseline: int

    @property
    def is_baseline_only(self) -> bool:
        """Whether nothing of it is live: no clock, no notice, no turn of anybody's."""
        live = self.new + self.closed + self.reopened + self.open
        return live == 0 and self.baseline > 0


@dataclass(frozen=True, slots=True)
class ListedFinding:
    """A finding with what a reader needs beside it."""

    id: str
    entry: FindingEntry
    subject_name: str
    """The name that the subject bears; empty where it bears none."""
    turn: str
    overdue: bool


@dataclass(frozen=True, slots=True)
class FindingTotals:
    """The findings of one severity; the baseline is not among them."""

    severity: Severity
    new: int
    closed: int
    reopened: int
    open: int
    overdue: int


@dataclass(frozen=True, slots=True)
class FindingSection:
    """All findings of a subordinate."""

    total: int
    """Rows of findings.csv."""
    by_severity: tuple[FindingTotals, ...]
    by_check: tuple[CheckCount, ...]
    violations: tuple[ListedFinding, ...]
    """Those still open, and those of the period; the most urgent first."""
    violations_total: int
    decisions: tuple[ListedFinding, ...]
    decisions_total: int
    baseline_total: int
    oldest_open_days: int | None
    """Age of the oldest open violation."""

    def of(self, severity: Severity) -> FindingTotals:
        """The totals of one severity."""
        return next(one for one in self.by_severity if one.severity is severity)


def turn_of(state: FindingState) -> str:
    """Whose turn it is, and to do what."""
    return _TURNS[state]


@dataclass(slots=True)
class FindingTally:
    """Counts of the findings seen so far."""

    as_of: datetime
    checks: Mapping[str, Check]
    total: int = 0
    baseline: int = 0
    violations: Shortlist[FindingEntry] = field(default_factory=lambda: Shortlist(MAX_VIOLATIONS))
    decisions: Shortlist[FindingEntry] = field(default_factory=lambda: Shortlist(MAX_DECISIONS))
    oldest: datetime | None = None
    _counts: dict[tuple[str, Severity], Counter[str]] = field(default_factory=dict)
    _requirements: dict[tuple[str, Severity], str] = field(default_factory=dict)

    def add(self, entry: FindingEntry) -> None:
        """Count one finding."""
        self.total += 1
        group = (entry.check, entry.severity)
        counts = self._counts.setdefault(group, Counter())
        self._requirements.setdefault(group, entry.requirement)
        if entry.baseline:
            self.baseline += 1
            counts["baseline"] += 1
            return
        counts["new"] += entry.opened
        counts["closed"] += entry.closed
        counts["reopened"] += entry.reopened
        if entry.is_actionable:
            counts["open"] += 1
            counts["overdue"] += entry.is_overdue(self.as_of)
            counts["affected"] += entry.affected
        if entry.severity is Severity.VIOLATION:
            self._add_violation(entry)
        if entry.state in _DECIDED:
            self.decisions.add((entry.state.value, entry.check, entry.fingerprint), entry)

    def _add_violation(self, entry: FindingEntry) -> None:
        if entry.is_actionable:
            self.oldest = min(self.oldest or entry.first_seen, entry.first_seen)
        elif not (entry.opened or entry.closed > 0 or entry.reopened > 0):
            return
        deadline = entry.first_seen if entry.deadline is None else entry.deadline
        self.violations.add(
            (
                not entry.is_actionable,
                entry.deadline is None,
                deadline,
                entry.check,
                entry.fingerprint,
            ),
            entry,
        )

    def finish(self, session: Session) -> FindingSection:
        """The counts as a value; names of the listed subjects are looked up."""
        shown = [*self.violations.items(), *self.decisions.items()]
        names = name_subjects(session, shown)
        listed: Callable[[FindingEntry], ListedFinding] = lambda entry: ListedFinding(  # noqa: E731 - one line, used twice
            entry.id,
            entry,
            names.get(entry.subject, ""),
            turn_of(entry.state),
            entry.is_overdue(self.as_of),
        )
        by_check = tuple(
            self._check(check, severity)
            for check, severity in sorted(
                self._counts, key=lambda group: (_SEVERITIES.index(group[1]), group[0])
            )
        )
        return FindingSection(
            total=self.total,
            by_severity=tuple(_totals(severity, by_check) for severity in Severity),
            by_check=by_check,
            violations=tuple(map(listed, self.violations.items())),
            violations_total=self.violations.total,
            decisions=tuple(map(listed, self.decisions.items())),
            decisions_total=self.decisions.total,
            baseline_total=self.baseline,
            oldest_open_days=None if self.oldest is None else (self.as_of - self.oldest).days,
        )

    def _check(self, check: str, severity: Severity) -> CheckCount:
        counts = self._counts[(check, severity)]
        known = self.checks.get(check)
        return CheckCount(
            check=check,
            title="" if known is None else known.title,
            severity=severity,
            requirement=self._requirements[(check, severity)],
            new=counts["new"],
            closed=counts["closed"],
            reopened=counts["reopened"],
            open=counts["open"],
            overdue=counts["overdue"],
            affected=counts["affected"],
            baseline=counts["baseline"],
        )


def _totals(severity: Severity, by_check: tuple[CheckCount, ...]) -> FindingTotals:
    own = [one for one in by_check if one.severity is severity]
    return FindingTotals(
        severity=severity,
        new=sum(one.new for one in own),
        closed=sum(one.closed for one in own),
        reopened=sum(one.reopened for one in own),
        open=sum(one.open for one in own),
        overdue=sum(one.overdue for one in own),
    )
