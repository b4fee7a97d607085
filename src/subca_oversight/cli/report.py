"""``report``: the quarterly oversight report."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from subca_oversight.cli.invocation import INSTANT, invocation_of
from subca_oversight.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlmodel import Session

    from subca_oversight.model.subordinate import Subordinate
    from subca_oversight.reports.publication import Format

_PDF = "pdf"


@click.group()
def report() -> None:
    """The quarterly oversight report."""


@report.command("quarter")
@click.argument("quarter")
@click.option("--subordinate", help="This subordinate only; all that are not retired otherwise.")
@click.option(
    "--as-of",
    type=INSTANT,
    help="Nothing that became known later shows. The first making's instant where not given.",
)
@click.option(
    "--format",
    "formats",
    default="html,json,csv",
    show_default=True,
    help="Formats, separated by commas.",
)
@click.option(
    "--output", required=True, type=click.Path(path_type=Path), help="Folder for the files."
)
@click.pass_context
def make_quarter(
    context: click.Context,
    *,
    quarter: str,
    subordinate: str | None,
    as_of: datetime | None,
    formats: str,
    output: Path,
) -> None:
    """Write the report of QUARTER, such as 2026Q3, below OUTPUT/<subordinate>/<quarter>/.

    The same instant gives the same bytes, however far the store has moved on.
    """
    from subca_oversight.check.registry import load_registry
    from subca_oversight.reports.period import parse_quarter
    from subca_oversight.reports.publication import publish
    from subca_oversight.reports.quarter import ReportRequest, keep_instant, settle_instant

    invocation = invocation_of(context)
    wanted = _parse_formats(formats)
    period = parse_quarter(quarter)
    now = invocation.now()
    if (now if as_of is None else as_of) < period.start:
        raise ConfigurationError(f"{period} has not begun by then; it begins on {period.start:%F}")
    settings = invocation.load_settings()
    registry = load_registry(settings.checks.directory)
    with invocation.open_database(settings) as database:
        with database.read() as session:
            chosen = _choose(session, subordinate)
        if as_of is not None and as_of > now:
            click.echo("--as-of lies ahead: made again later, the report may differ", err=True)
        for one in chosen:
            with database.write() as session:
                if as_of is None:
                    instant = settle_instant(session, one.anchor, period, now=now)
                else:
                    instant = as_of
                    keep_instant(session, one.anchor, period, as_of=as_of)
            request = ReportRequest(one.anchor, period, instant, settings.agent.organization)
            made = publish(database, registry, request, output, formats=wanted)
            for file in made.files:
                click.echo(str(file))


def _parse_formats(text: str) -> tuple[Format, ...]:
    from subca_oversight.reports.publication import Format

    words = [word.strip().lower() for word in text.split(",") if len(word.strip()) > 0]
    if _PDF in words:
        raise ConfigurationError(
            "--format pdf: not in this version; print report.html from a browser, it is laid out"
            " for A4"
        )
    known = [one.value for one in Format]
    for word in words:
        if word not in known:
            raise ConfigurationError(f"--format {word[:20]!a}: choose from {', '.join(known)}")
    if len(words) == 0:
        raise ConfigurationError(f"--format: choose from {', '.join(known)}")
    return tuple(Format(word) for word in words)


def _choose(session: Session, name: str | None) -> list[Subordinate]:
    """The subordinate of that name, retired or not; without a name all that are not retired."""
    from subca_oversight.evidence.registration import load_anchor, load_subordinates

    if name is not None:
        anchor = load_anchor(session, name)
        return [one for one in load_subordinates(session, retired=True) if one.anchor == anchor]
    chosen = load_subordinates(session)
    if len(chosen) == 0:
        raise ConfigurationError(
            "no subordinate is registered yet; name one in the configuration and run:"
            " subca-oversight run --once"
        )
    return chosen
