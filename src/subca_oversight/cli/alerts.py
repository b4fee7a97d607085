"""``alerts``: try the channels, and list the notices with how far they have come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from subca_oversight.cli.invocation import Invocation, invocation_of
from subca_oversight.errors import ConfigurationError, DeliveryError

if TYPE_CHECKING:
    from subca_oversight.alerts.rehearsal import Rehearsal
    from subca_oversight.settings import Settings


@click.group()
def alerts() -> None:
    """Notices and their delivery."""


@alerts.command("test")
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects.")
@click.pass_context
def test(context: click.Context, *, as_json: bool) -> None:
    """Send one notice through every channel. Exit code 3 where one does not take it."""
    from subca_oversight.cli.output import print_json, print_table

    invocation = invocation_of(context)
    settings = invocation.load_settings()
    if settings.http.offline:
        raise ConfigurationError("http.offline is set: nothing may be sent")
    results = asyncio.run(_rehearse(invocation, settings))
    if len(results) == 0:
        raise ConfigurationError(
            "no channel is configured: set alerts.smtp (with to) or alerts.webhook"
        )
    if as_json:
        print_json(results)
    else:
        print_table(
            "test notice",
            ("channel", "result", "detail"),
            [(one.channel, "taken" if one.delivered else "FAILED", one.detail) for one in results],
        )
    if not all(one.delivered for one in results):
        context.exit(DeliveryError.exit_code)


@alerts.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects.")
@click.pass_context
def list_notices(context: click.Context, *, as_json: bool) -> None:
    """List notices, newest first, with the state of each delivery."""
    from subca_oversight.alerts.listing import count_untold, find_notices
    from subca_oversight.cli.output import print_json, print_table

    with invocation_of(context).open_database() as database, database.read() as session:
        notices = find_notices(session)
        untold = count_untold(session)
    if as_json:
        print_json(notices)
        return
    print_table(
        f"{len(notices)} deliveries",
        ("notice", "channel", "state", "severity", "what", "created", "attempts", "last error"),
        [
            (
                one.notice_id[:16],
                one.channel,
                one.state,
                one.severity,
                one.subject,
                one.created_at,
                one.attempts,
                one.last_error,
            )
            for one in notices
        ],
        caption="" if untold == 0 else f"{untold} events wait for the next notice",
    )


async def _rehearse(invocation: Invocation, settings: Settings) -> list[Rehearsal]:
    from subca_oversight.alerts.rehearsal import rehearse
    from subca_oversight.http import Client

    async with Client(settings.http, contact=settings.agent.contact) as client:
        return await rehearse(settings, client, now=invocation.now())
