"""``doctor``: what is reachable, what it will cost, what is missing."""

from __future__ import annotations

import asyncio

import click

from subca_oversight.cli.invocation import invocation_of


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects.")
@click.pass_context
def doctor(context: click.Context, *, as_json: bool) -> None:
    """Examine everything before the daemon starts; nothing is written or sent.

    Exits with 1 where something must be mended.
    """
    from subca_oversight.cli.output import print_json, print_table
    from subca_oversight.jobs.doctor import Verdict, examine

    invocation = invocation_of(context)
    points = asyncio.run(examine(invocation.load_settings(), now=invocation.now))
    if as_json:
        print_json(points)
    else:
        print_table(
            "Examination",
            ("topic", "verdict", "what"),
            [(point.topic, point.verdict, point.text) for point in points],
        )
    if any(point.verdict is Verdict.BAD for point in points):
        context.exit(1)
