"""``ct harvest``: read logs now, history included, with progress on standard error."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import click

from subca_oversight.cli.invocation import Invocation, invocation_of

if TYPE_CHECKING:
    from subca_oversight.jobs.context import JobContext, JobOutcome


@click.command()
@click.option(
    "--log",
    "prefixes",
    multiple=True,
    metavar="PREFIX",
    help="Only logs whose name or id begins so; repeatable.",
)
@click.pass_context
def harvest(context: click.Context, *, prefixes: tuple[str, ...]) -> None:
    """Read logs up to their heads, and then their history to its end.

    Needs the lease: it does not run beside the daemon. What was read is kept when it is stopped. A
    source that failed or misbehaved ends in exit code 3, after everything else was done.
    """
    from subca_oversight.telemetry import configure_logging

    invocation = invocation_of(context)
    configure_logging(level=logging.DEBUG if invocation.debug else logging.WARNING)
    context.exit(asyncio.run(_harvest(invocation, prefixes)))


async def _harvest(invocation: Invocation, prefixes: tuple[str, ...]) -> int:
    from subca_oversight.cli.progress import open_progress
    from subca_oversight.jobs.catalogue import Job
    from subca_oversight.jobs.harvest import harvest_to_the_end
    from subca_oversight.jobs.once import run_once

    async def run(context: JobContext) -> JobOutcome:
        return await harvest_to_the_end(context, prefixes)

    job = Job("harvest", run, 0.0, "read the logs and their history")
    exit_code = 0
    with open_progress() as progress:
        outcomes = run_once(
            invocation.load_settings(), [job], now=invocation.now, progress=progress
        )
        async for _, outcome in outcomes:
            exit_code = max(exit_code, outcome.exit_code)
            for problem in outcome.problems:
                click.echo(f"subca-oversight: {problem}", err=True)
    return exit_code
