"""``ct logs``: every log ever seen, what each list says of it, and every change of that."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from subca_oversight.cli.invocation import invocation_of

if TYPE_CHECKING:
    from subca_oversight.jobs.log_accounts import LogAccount, LogEvent


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects.")
@click.option("--events", "only_events", is_flag=True, help="Every change instead, oldest first.")
@click.pass_context
def logs(context: click.Context, *, as_json: bool, only_events: bool) -> None:
    """Every log ever seen: state, reading, the lists that name it, the last changes."""
    from subca_oversight.cli.output import print_json
    from subca_oversight.jobs.log_accounts import load_accounts, load_events

    invocation = invocation_of(context)
    with invocation.open_database() as database, database.read() as session:
        events = load_events(session) if only_events else []
        accounts = [] if only_events else load_accounts(session, invocation.now())
    if as_json:
        print_json(events if only_events else accounts)
    elif only_events:
        _print_events(events)
    else:
        _print_logs(accounts)


def _print_logs(accounts: list[LogAccount]) -> None:
    from subca_oversight.cli.output import print_table

    followed = sum(one.monitored for one in accounts)
    print_table(
        f"{len(accounts)} logs, {followed} of them followed",
        ("log", "operator", "api", "state", "since", "until", "read", "verified", "head", "lists"),
        [
            (
                one.description,
                one.operator,
                one.api,
                one.state,
                _day(one.since),
                _day(one.interval_end),
                one.polling if one.quarantined_at is None else "quarantined",
                one.verified_size,
                one.head_size,
                _lists(one),
            )
            for one in accounts
        ],
    )
    differing = [one for one in accounts if len(one.disagreements) > 0]
    if len(differing) > 0:
        print_table(
            "Where the lists disagree",
            ("log", "on", "list", "state", "since", "url"),
            [
                (
                    one.description,
                    ", ".join(one.disagreements),
                    listing.list,
                    listing.state,
                    _day(listing.since),
                    listing.url,
                )
                for one in differing
                for listing in one.lists
                if listing.vanished_at is None
            ],
        )


def _print_events(events: list[LogEvent]) -> None:
    from subca_oversight.cli.output import print_table

    print_table(
        f"{len(events)} changes",
        ("noticed", "log", "list", "version", "change", "before", "after"),
        [
            (
                event.at,
                event.description,
                event.list,
                event.version,
                event.kind.replace("_", " "),
                event.before,
                event.after,
            )
            for event in events
        ],
    )


def _lists(account: LogAccount) -> str:
    named = [one for one in account.lists if one.vanished_at is None]
    if len(named) == 0:
        return "none any more"
    if len(named) == 1:
        return named[0].list
    return f"{len(named)} lists"


def _day(instant: datetime | None) -> str:
    return "" if instant is None else instant.date().isoformat()
