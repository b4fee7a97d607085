"""Judgments: what was said of a subject, and the clock that a breach of each class starts.

The form in which checks and linters hand their outcomes over; the recorder gives them a life.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from subca_oversight.model.finding import (
    EvidenceItem,
    Outcome,
    Revocation,
    Severity,
    SubjectKind,
    finding_fingerprint,
)

CLOCKS = {
    Revocation.HOURS_24: timedelta(hours=24),
    Revocation.DAYS_5: timedelta(days=5),
    Revocation.DAYS_7_DECISION: timedelta(days=7),
}
"""BR 4.9.1.1 and 4.9.1.2; the third is the time to decide, not to revoke."""
GROUP = "*"
"""Subject of a finding that gathers many units."""


@dataclass(frozen=True, slots=True)
class JudgedBreach:
    """A breach with everything that the check's declaration adds to it."""

    check: str
    key: str
    severity: Severity
    requirement: str
    revocation: Revocation
    message: str
    evidence: tuple[EvidenceItem, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgment:
    """What was said of one subject by one check, or by one run of a linter.

    ``scope`` names the checks that looked: a check id, or a tool's prefix ending in ``:``. Findings
    inside the scope that are not among ``breaches`` are thereby clear.
    """

    scope: str
    anchor: str
    kind: SubjectKind
    subject: str
    outcome: Outcome
    breaches: tuple[JudgedBreach, ...] = ()
    reason: str = ""
    """Why it could not run; beside breaches: why there may be more than these."""
    is_baseline: bool = False
    """Already expired when found: recorded quietly, without clock or notice."""

    @property
    def is_whole(self) -> bool:
        """Whether everything was looked at, so that what is not named is clear."""
        return len(self.reason) == 0 and self.outcome is not Outcome.COULD_NOT_RUN

    def covers(self, check: str) -> bool:
        """Whether a finding of ``check`` is in this judgment's scope."""
        return check.startswith(self.scope) if self.scope.endswith(":") else check == self.scope

    def subject_of(self, breach: JudgedBreach) -> str:
        """The subject that the breach's finding has: the unit, or the group of all units."""
        is_grouped = breach.severity is not Severity.VIOLATION and self.kind is SubjectKind.UNIT
        return GROUP if is_grouped else self.subject

    def fingerprint_of(self, breach: JudgedBreach) -> str:
        """Identity of the breach's finding."""
        subject = self.subject_of(breach)
        identity = subject if len(breach.key) == 0 else f"{subject}#{breach.key}"
        return finding_fingerprint(breach.check, self.anchor, identity)

    def deadline_of(self, breach: JudgedBreach, now: datetime) -> datetime | None:
        """When the breach's clock, started ``now``, runs out; None where it starts none."""
        if self.is_baseline or breach.severity is not Severity.VIOLATION:
            return None
        clock = CLOCKS.get(breach.revocation)
        return None if clock is None else now + clock
