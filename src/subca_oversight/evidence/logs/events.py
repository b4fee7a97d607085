"""Lifecycle events of a log: what changed between two words of the same list on it.

Each field has its own kind, so that "which logs changed their URL this year" is a question that can
be asked of the table. Log list schema v3; ``reference/ct.md`` 2.4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from subca_oversight.store.tables import LogListingRow


class LogEventKind(StrEnum):
    """What happened to a log in a list."""

    APPEARED = "appeared"
    VANISHED = "vanished"
    STATE_CHANGED = "state_changed"
    """To another state, or another time since when it is in it."""
    URL_CHANGED = "url_changed"
    KEY_CHANGED = "key_changed"
    """A log with another key, hence another id, stands where one vanished."""
    API_CHANGED = "api_changed"
    DESCRIPTION_CHANGED = "description_changed"
    OPERATOR_CHANGED = "operator_changed"
    INTERVAL_CHANGED = "interval_changed"
    MMD_CHANGED = "mmd_changed"
    FINAL_TREE_HEAD_CHANGED = "final_tree_head_changed"
    LOG_TYPE_CHANGED = "log_type_changed"


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that reads otherwise now; None where it was, or is, absent."""

    kind: LogEventKind
    before: str | None
    after: str | None


def find_differences(old: LogListingRow, new: LogListingRow) -> Iterator[Difference]:
    """Every field of which the list says something else than before."""
    for kind, shown in _FIELDS:
        before, after = shown(old), shown(new)
        if before != after:
            yield Difference(kind, before, after)


def describe(listing: LogListingRow) -> str:
    """A listing in one line, as the event of its appearance tells it."""
    state = _state(listing)
    return f"{listing.description} ({listing.operator}), {state}, {_url(listing)}"


def _state(listing: LogListingRow) -> str:
    if listing.state_since is None:
        return listing.state
    return f"{listing.state} since {_instant(listing.state_since)}"


def _url(listing: LogListingRow) -> str:
    if listing.submission_url == listing.monitoring_url:
        return listing.monitoring_url
    return f"{listing.monitoring_url} (submission: {listing.submission_url})"


def _interval(listing: LogListingRow) -> str | None:
    if listing.interval_start is None or listing.interval_end is None:
        return None
    return f"{_instant(listing.interval_start)}/{_instant(listing.interval_end)}"


def _final_tree_head(listing: LogListingRow) -> str | None:
    if listing.final_size is None or listing.final_root is None:
        return None
    return f"{listing.final_size} {listing.final_root.hex()}"


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


_FIELDS: tuple[tuple[LogEventKind, Callable[[LogListingRow], str | None]], ...] = (
    (LogEventKind.STATE_CHANGED, _state),
    (LogEventKind.URL_CHANGED, _url),
    (LogEventKind.API_CHANGED, lambda listing: listing.api),
    (LogEventKind.DESCRIPTION_CHANGED, lambda listing: listing.description),
    (LogEventKind.OPERATOR_CHANGED, lambda listing: listing.operator),
    (LogEventKind.INTERVAL_CHANGED, _interval),
    (LogEventKind.MMD_CHANGED, lambda listing: str(listing.mmd)),
    (LogEventKind.FINAL_TREE_HEAD_CHANGED, _final_tree_head),
    (LogEventKind.LOG_TYPE_CHANGED, lambda listing: listing.log_type),
)
