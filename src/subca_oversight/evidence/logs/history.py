"""In which state a log was at an instant, as each list has it.

Policies judge an SCT by the state of its log at dates in the past, when the list of today names
another state or does not name the log at all. A list states since when a state holds, so its later
words correct its earlier ones; before the first state it was seen to state, nothing is known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.evidence.logs.events import LogEventKind
from subca_oversight.evidence.logs.precedence import LIVELINESS
from subca_oversight.model.log import LogState
from subca_oversight.store.columns import escape_text
from subca_oversight.store.tables import LogEventRow

_STATING = (LogEventKind.APPEARED, LogEventKind.STATE_CHANGED)
_PRESENCE = (LogEventKind.APPEARED, LogEventKind.VANISHED)


@dataclass(frozen=True, slots=True)
class ListedState:
    """A list's word on the state of a log at an instant."""

    source: str
    state: LogState
    since: datetime | None
    """As the list states it."""
    is_listed: bool
    """Whether the list still named the log; where it did not, this was its last word."""


def states_at(session: Session, log_id: bytes, instant: datetime) -> tuple[ListedState, ...]:
    """What every list that ever named the log has for ``instant``, by source."""
    events = session.scalars(
        select(LogEventRow)
        .where(col(LogEventRow.log_id) == log_id.hex())
        .order_by(col(LogEventRow.source), col(LogEventRow.id).desc())
    )
    found: dict[str, ListedState] = {}
    presence: dict[str, bool] = {}
    for event in events:
        if event.kind in _PRESENCE and _told_at(event) <= instant:
            presence.setdefault(event.source, event.kind == LogEventKind.APPEARED)
        if event.source not in found and event.kind in _STATING and _holds_from(event) <= instant:
            found[event.source] = ListedState(
                event.source, LogState(event.state), event.state_since, is_listed=True
            )
    return tuple(
        replace(one, is_listed=presence.get(source, True)) for source, one in found.items()
    )


def state_at(
    session: Session, log_id: bytes, instant: datetime, *, source: str | None = None
) -> ListedState | None:
    """What the list ``source`` has for ``instant``; None where it was not seen to say anything.

    Without ``source``, the most alive state of all lists, those first that still named the log.
    """
    listed = states_at(session, log_id, instant)
    if source is not None:
        return next((one for one in listed if one.source == escape_text(source)), None)
    return min(listed, key=lambda one: (not one.is_listed, LIVELINESS[one.state]), default=None)


def _holds_from(event: LogEventRow) -> datetime:
    return _told_at(event) if event.state_since is None else event.state_since


def _told_at(event: LogEventRow) -> datetime:
    return event.at if event.published_at is None else event.published_at
