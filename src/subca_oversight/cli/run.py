"""``run``: the daemon, or every job once."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import click

from subca_oversight.cli.invocation import Invocation, invocation_of

if TYPE_CHECKING:
    from subca_oversight.jobs.catalogue import Job
    from subca_oversight.settings import Settings


@click.command()
@click.option("--once", is_flag=True, help="Run every job once and end.")
@click.option("--job", "jobs", multiple=True, help="With --once: this job only; repeatable.")
@click.pass_context
def run(context: click.Context, *, once: bool, jobs: tuple[str, ...]) -> None:
    """Run the daemon, or every job once.

    A source that failed or misbehaved ends in exit code 3, after everything else was done.
    """
    from subca_oversight.jobs.once import choose_jobs
    from subca_oversight.telemetry import configure_logging

    if len(jobs) > 0 and not once:
        raise click.UsageError("--job goes with --once")
    invocation = invocation_of(context)
    settings = invocation.load_settings()
    chosen = choose_jobs(jobs)
    if once:
        level = logging.DEBUG if invocation.debug else logging.WARNING
        configure_logging(level=level)
        context.exit(asyncio.run(_run_once(invocation, settings, chosen)))
    from subca_oversight.daemon import run_daemon

    configure_logging(level=logging.DEBUG if invocation.debug else logging.INFO)
    context.exit(asyncio.run(run_daemon(settings, now=invocation.now)))


async def _run_once(invocation: Invocation, settings: Settings, jobs: list[Job]) -> int:
    from subca_oversight.cli.progress import open_progress
    from subca_oversight.jobs.once import run_once

    exit_code = 0
    with open_progress() as progress:
        outcomes = run_once(settings, jobs, now=invocation.now, progress=progress)
        async for job, outcome in outcomes:
            exit_code = max(exit_code, outcome.exit_code)
            for problem in outcome.problems:
                click.echo(f"subca-oversight: {job.name}: {problem}", err=True)
    return exit_code
