"""The one state machine of findings: which step leads where, and what each step needs.

People decide; the program creates, leaves, closes and reopens (DESIGN section 5). A decision of a
person is never undone by a re-run; only its expiry, or another person, undoes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from subca_oversight.errors import ConfigurationError
from subca_oversight.model.finding import FindingState

PROGRAM = "subca-oversight"
"""The actor of every step that the program takes by itself."""


class Verb(StrEnum):
    """A step that a person can take; each is a command."""

    ACKNOWLEDGE = "acknowledge"
    CONFIRM = "confirm"
    DISPUTE = "dispute"
    NOT_A_VIOLATION = "not-a-violation"
    ACCEPT_RISK = "accept-risk"
    REMEDIATE = "remediate"
    CLOSE = "close"
    REOPEN = "reopen"


@dataclass(frozen=True, slots=True)
class Step:
    """Where a verb may start, where it leads, and what it must state."""

    sources: frozenset[FindingState]
    target: FindingState
    needs_approver: bool = False
    needs_owner: bool = False
    needs_expiry: bool = False


_OPEN = FindingState.OPEN
_ACKNOWLEDGED = FindingState.ACKNOWLEDGED
_CONFIRMED = FindingState.CONFIRMED
_REMEDIATED = FindingState.REMEDIATED
_CLOSED = FindingState.CLOSED
_DISPUTED = FindingState.DISPUTED
_NOT_A_VIOLATION = FindingState.NOT_A_VIOLATION
_RISK_ACCEPTED = FindingState.RISK_ACCEPTED

STEPS: dict[Verb, Step] = {
    Verb.ACKNOWLEDGE: Step(frozenset({_OPEN}), _ACKNOWLEDGED),
    Verb.CONFIRM: Step(frozenset({_OPEN, _ACKNOWLEDGED, _DISPUTED}), _CONFIRMED),
    Verb.DISPUTE: Step(frozenset({_OPEN, _ACKNOWLEDGED, _CONFIRMED}), _DISPUTED),
    Verb.NOT_A_VIOLATION: Step(
        frozenset({_OPEN, _ACKNOWLEDGED, _CONFIRMED, _DISPUTED}),
        _NOT_A_VIOLATION,
        needs_approver=True,
    ),
    Verb.ACCEPT_RISK: Step(
        frozenset({_OPEN, _ACKNOWLEDGED, _CONFIRMED, _DISPUTED}),
        _RISK_ACCEPTED,
        needs_owner=True,
        needs_expiry=True,
    ),
    Verb.REMEDIATE: Step(frozenset({_OPEN, _ACKNOWLEDGED, _CONFIRMED}), _REMEDIATED),
    Verb.CLOSE: Step(frozenset({_OPEN, _ACKNOWLEDGED, _CONFIRMED, _REMEDIATED}), _CLOSED),
    Verb.REOPEN: Step(
        frozenset({_CLOSED, _REMEDIATED, _NOT_A_VIOLATION, _RISK_ACCEPTED, _DISPUTED}), _OPEN
    ),
}

UNDECIDED = frozenset({_OPEN, _ACKNOWLEDGED})
"""States that a clear outcome closes; later ones carry a person's decision."""
ACTIONABLE = frozenset({_OPEN, _ACKNOWLEDGED, _CONFIRMED, _DISPUTED})
"""States in which somebody still has to act."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's step, as stated."""

    verb: Verb
    actor: str
    reason: str
    approver: str | None = None
    owner: str | None = None
    expires: datetime | None = None


def target_of(decision: Decision, state: FindingState, *, now: datetime) -> FindingState:
    """The state that ``decision`` leads to from ``state``.

    Raises ConfigurationError where the step is not possible from there, or lacks what it needs.
    """
    step = STEPS[decision.verb]
    if state not in step.sources:
        possible = ", ".join(verb for verb, other in STEPS.items() if state in other.sources)
        raise ConfigurationError(
            f"a finding that is {state} cannot {decision.verb}; try {possible}"
        )
    if len(decision.actor.strip()) == 0 or len(decision.reason.strip()) == 0:
        raise ConfigurationError(f"{decision.verb} needs --actor and --reason")
    if decision.actor.strip() == PROGRAM:
        raise ConfigurationError(f"--actor: {PROGRAM} is the program itself; name a person")
    if step.needs_approver and _is_blank(decision.approver):
        raise ConfigurationError(f"{decision.verb} needs --approver")
    if step.needs_owner and _is_blank(decision.owner):
        raise ConfigurationError(f"{decision.verb} needs --owner")
    if step.needs_expiry and (decision.expires is None or decision.expires <= now):
        raise ConfigurationError(f"{decision.verb} needs --expires, an instant in the future")
    return step.target


def _is_blank(value: str | None) -> bool:
    return value is None or len(value.strip()) == 0
