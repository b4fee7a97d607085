"""Precedence: the word that counts where several lists speak of one log.

The rule, by log id:

* A list that names the log comes before one that dropped it, a fresh list before a stale one, a
  signed before an unsigned one, and then the one that is configured first. Description, operator,
  API, URLs, merge delay and type are taken from the first, interval and final tree head from the
  first that states one.
* The state is the most alive that any list states (usable, qualified, pending, readonly, retired,
  rejected): what Chrome rejected may still count at Apple, and reading too much harms nobody. A
  stale list is heard on states only where no fresh one states any. Once the log's interval is over,
  nothing valid can be logged there any more, and one list that ended it is enough.
* A list without states (a monitor's own) does not bring back a log that another list retired or
  rejected, be it with its last word.

``reference/ct.md`` 2.4 and 2.5.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.evidence.logs.rows import log_of
from subca_oversight.model.log import LogState
from subca_oversight.store.columns import escape_text
from subca_oversight.store.tables import LogListingRow, LogRow

ENDED = frozenset({LogState.RETIRED, LogState.REJECTED})
LIVELINESS = {
    state: rank
    for rank, state in enumerate(
        (
            LogState.USABLE,
            LogState.QUALIFIED,
            LogState.PENDING,
            LogState.READONLY,
            LogState.RETIRED,
            LogState.REJECTED,
            LogState.UNKNOWN,
        )
    )
}


@dataclass(frozen=True, slots=True)
class Voice:
    """A configured list, as far as its word weighs."""

    source: str
    is_signed: bool = False
    is_stale: bool = False


@dataclass(frozen=True, slots=True)
class Merged:
    """How many logs the lists name, and how many of these are followed."""

    named: int
    monitored: int


def merge_listings(session: Session, voices: Sequence[Voice], now: datetime) -> Merged:
    """Bring every stored log in line with what the lists say of it; ``voices`` as configured."""
    order = _order(voices)
    stale = {escape_text(voice.source) for voice in voices if voice.is_stale}
    rows = session.scalars(select(LogListingRow).order_by(col(LogListingRow.log_id)))
    listings = {
        log_id: sorted(group, key=lambda listing: _rank(listing, order))
        for log_id, group in groupby(rows, key=lambda listing: listing.log_id)
    }
    named = monitored = 0
    for row in session.scalars(select(LogRow).order_by(col(LogRow.log_id))).all():
        said = listings.get(row.log_id, [])
        if len(said) == 0:
            continue
        _apply(row, said, stale, now)
        session.add(row)
        named += said[0].vanished_at is None
        monitored += row.monitored
    session.flush()
    return Merged(named, monitored)


def find_disagreements(listings: Sequence[LogListingRow]) -> list[str]:
    """What the lists that name a log state differently of it: state, URLs, final tree head."""
    named = [listing for listing in listings if listing.vanished_at is None]
    found = []
    states = {one.state for one in named} - {LogState.UNKNOWN.value}
    if len(states) > 1:
        found.append("state")
    if len({(one.submission_url, one.monitoring_url) for one in named}) > 1:
        found.append("url")
    heads = {(one.final_size, one.final_root) for one in named} - {(None, None)}
    if len(heads) > 1:
        found.append("final_tree_head")
    return found


def _order(voices: Sequence[Voice]) -> dict[str, tuple[bool, bool, int]]:
    return {
        escape_text(voice.source): (voice.is_stale, not voice.is_signed, place)
        for place, voice in enumerate(voices)
    }


def _rank(
    listing: LogListingRow, order: Mapping[str, tuple[bool, bool, int]]
) -> tuple[bool, tuple[bool, bool, int], str]:
    unconfigured = (True, True, len(order))
    return (
        listing.vanished_at is not None,
        order.get(listing.source, unconfigured),
        listing.source,
    )


def _apply(
    row: LogRow, said: Sequence[LogListingRow], stale: Collection[str], now: datetime
) -> None:
    first = said[0]
    row.description = first.description
    row.operator = first.operator
    row.api = first.api
    row.submission_url = first.submission_url
    row.monitoring_url = first.monitoring_url
    row.mmd = first.mmd
    row.log_type = first.log_type
    dated = next((one for one in said if one.interval_start is not None), first)
    row.interval_start, row.interval_end = dated.interval_start, dated.interval_end
    is_over = row.interval_end is not None and row.interval_end <= now
    chosen = choose_state(said, stale, is_over=is_over)
    row.state, row.state_since = chosen.state, chosen.state_since
    _apply_final_head(row, said)
    is_named = first.vanished_at is None
    is_monitored = is_named and log_of(row).is_monitored
    if is_monitored:
        row.unmonitored_since = None
    elif row.monitored:
        row.unmonitored_since = now
    row.monitored = is_monitored


def choose_state(
    said: Sequence[LogListingRow], stale: Collection[str], *, is_over: bool
) -> LogListingRow:
    """The listing whose state counts; ``said`` in the order of precedence and not empty.

    ``is_over`` tells that the log's interval has ended.
    """
    ended = [one for one in said if one.state in ENDED]
    named = [one for one in said if one.vanished_at is None]
    stated = [one for one in named if one.state != LogState.UNKNOWN]
    fresh = [one for one in stated if one.source not in stale]
    if len(fresh) > 0:
        stated = fresh
    if len(ended) > 0 and (is_over or len(stated) == 0):
        return ended[0]
    for candidates in (stated, named, said):
        if len(candidates) > 0:
            return min(candidates, key=lambda one: LIVELINESS[LogState(one.state)])
    raise ValueError("no listing")


def _apply_final_head(row: LogRow, said: Sequence[LogListingRow]) -> None:
    """A log that ended keeps its final head though lists leave it out then."""
    for one in said:
        if one.vanished_at is None and one.final_size is not None:
            row.final_size, row.final_root = one.final_size, one.final_root
            return
    if row.state != LogState.READONLY and row.state not in ENDED:
        row.final_size = row.final_root = None
