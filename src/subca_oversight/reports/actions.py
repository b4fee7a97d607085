"""Actions due: what is to be done next, by when, and whose turn it is.

Findings with the same check, state and deadline's day are one line, so that a thousand equal
breaches do not hide the one audit that is overdue.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

from subca_oversight.clocks.calendar import utc_date
from subca_oversight.model.audit import AuditState
from subca_oversight.model.finding import FindingState, Severity
from subca_oversight.reports.audit_section import AuditSection
from subca_oversight.reports.documents import DocumentEntry
from subca_oversight.reports.finding_rows import FindingEntry
from subca_oversight.reports.finding_section import turn_of
from subca_oversight.reports.samples import SampleSection
from subca_oversight.reports.scope import Scope

HORIZON_DAYS = 400
"""What is due later is in the sections, not among the actions."""
MAX_ACTIONS = 60
_SIGNER, _OPERATOR = "signing CA", "operator"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do."""

    due: date
    at: datetime | None
    """The instant, where it is due within the day; else the day's end in UTC."""
    days_left: int
    what: str
    turn: str
    reference: str
    """Ids of findings or certificates; cut where there are many."""
    is_overdue: bool


@dataclass(slots=True)
class _Group:
    earliest: datetime
    count: int = 0
    ids: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ActionTally:
    """Findings with a deadline, grouped as they stream by."""

    as_of: datetime
    _groups: dict[tuple[date, str, FindingState], _Group] = field(default_factory=dict)

    def add(self, entry: FindingEntry) -> None:
        """Count one finding."""
        deadline = entry.deadline
        if entry.state is FindingState.RISK_ACCEPTED:
            deadline = entry.expires
        elif entry.severity is not Severity.VIOLATION or not entry.is_actionable:
            return
        if deadline is None or entry.baseline:
            return
        group = self._groups.setdefault(
            (utc_date(deadline), entry.check, entry.state), _Group(deadline)
        )
        group.earliest = min(group.earliest, deadline)
        group.count += 1
        if len(group.ids) < 3:  # noqa: PLR2004 - as many as fit beside the text
            group.ids.append(entry.id)

    def actions(self) -> Iterator[Action]:
        """One action for each group."""
        for (day, check, state), group in self._groups.items():
            noun = "finding" if group.count == 1 else "findings"
            if state is FindingState.RISK_ACCEPTED:
                what = f"{check}: the acceptance of {group.count} {noun} expires"
            else:
                what = f"{check}: {group.count} {noun} {state.value.replace('_', ' ')}"
            rest = group.count - len(group.ids)
            yield Action(
                due=day,
                at=group.earliest,
                days_left=(day - utc_date(self.as_of)).days,
                what=what,
                turn=turn_of(state),
                reference=", ".join(group.ids) + (f" and {rest} more" if rest > 0 else ""),
                is_overdue=group.earliest < self.as_of and state is not FindingState.RISK_ACCEPTED,
            )


def list_actions(
    tally: ActionTally,
    scope: Scope,
    audits: AuditSection,
    documents: Iterable[DocumentEntry],
    samples: SampleSection,
) -> tuple[Action, ...]:
    """Everything due within the horizon, and everything overdue; the most urgent first."""
    today = utc_date(tally.as_of)
    found = [
        *tally.actions(),
        *_audits(audits, today),
        *_documents(documents, today),
        _sample(samples, today),
        *_expiries(scope, today),
    ]
    near = [action for action in found if action.days_left <= HORIZON_DAYS]
    return tuple(sorted(near, key=lambda a: (a.due, a.what, a.turn, a.reference)))


def _on(day: date, today: date, what: str, turn: str, reference: str) -> Action:
    return Action(
        due=day,
        at=None,
        days_left=(day - today).days,
        what=what,
        turn=turn,
        reference=reference,
        is_overdue=day < today,
    )


def _audits(audits: AuditSection, today: date) -> Iterator[Action]:
    groups: dict[tuple[date, str], list[str]] = {}
    for one in audits.entries:
        if one.freshness.state is AuditState.EXEMPT:
            continue
        for period in one.periods:
            if period.due is not None:
                groups.setdefault((period.due, period.type), []).append(one.freshness.sha256[:16])
    for (day, name), certificates in groups.items():
        yield _on(
            day,
            today,
            f"{name} audit: statement of the next period",
            f"{_OPERATOR}: hand in the statement",
            ", ".join(sorted(set(certificates))),
        )


def _documents(documents: Iterable[DocumentEntry], today: date) -> Iterator[Action]:
    groups: dict[tuple[date, str], set[str]] = {}
    for one in documents:
        if one.due is not None:
            groups.setdefault((one.due, one.kind), set()).add(one.certificate_sha256[:16])
    for (day, kind), certificates in groups.items():
        yield _on(
            day,
            today,
            f"{kind}: yearly update",
            f"{_OPERATOR}: publish, and tell CCADB",
            ", ".join(sorted(certificates)),
        )


def _sample(samples: SampleSection, today: date) -> Action:
    basis = "a duty by BR 8.7" if samples.is_duty else "this product's default, not a BR duty"
    return _on(samples.next_due, today, f"Next sample ({basis})", f"{_SIGNER}: draw", "")


def _expiries(scope: Scope, today: date) -> Iterator[Action]:
    for one in scope.authorities:
        if one.not_after is not None and utc_date(one.not_after) >= today:
            yield _on(
                utc_date(one.not_after),
                today,
                f"CA certificate expires: {one.name}",
                f"{_SIGNER} and {_OPERATOR}: renew or wind down",
                one.sha256[:16],
            )
