"""``sample``: draw a sample, verify one offline, list and export those drawn."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from subca_oversight.cli.invocation import INSTANT, invocation_of
from subca_oversight.errors import ConfigurationError, EvidenceError

if TYPE_CHECKING:
    from subca_oversight.evidence.transcript import SampleTranscript


@click.group()
def sample() -> None:
    """Draw samples that either party can recompute, and verify them."""


@sample.command("draw")
@click.option("--subordinate", required=True, help="Whose certificates.")
@click.option(
    "--public-value",
    required=True,
    help="Text that nobody could know or choose before the population's end.",
)
@click.option("--until", type=INSTANT, help="The population's end; now where not given.")
@click.option(
    "--ev-by-ra",
    is_flag=True,
    help="A registration authority does the final check of EV: 6 % instead of 3 %.",
)
@click.option("--output", required=True, type=click.Path(path_type=Path), help="The transcript.")
@click.pass_context
def draw(
    context: click.Context,
    *,
    subordinate: str,
    public_value: str,
    until: datetime | None,
    ev_by_ra: bool,
    output: Path,
) -> None:
    """Draw a sample and write its transcript. A population is drawn once only."""
    from subca_oversight.evidence.registration import load_anchor
    from subca_oversight.evidence.sampling import EV_PERCENT, EV_PERCENT_BY_RA
    from subca_oversight.evidence.transcript_json import encode_transcript
    from subca_oversight.jobs.sample import draw_sample

    invocation = invocation_of(context)
    # Checked first: a draw cannot be taken back.
    _check_target(output)
    with invocation.open_database() as database:
        with database.read() as session:
            anchor = load_anchor(session, subordinate)
        now = invocation.now()
        transcript = draw_sample(
            database,
            anchor,
            public_value=public_value,
            population_end=now if until is None else until,
            now=now,
            ev_percent=EV_PERCENT_BY_RA if ev_by_ra else EV_PERCENT,
        )
    _write_transcript(output, encode_transcript(transcript))
    click.echo(f"{_summary(transcript)}; transcript in {output}")


@sample.command("verify")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--public-value", help="The value as learned from its own source.")
def verify(file: Path, *, public_value: str | None) -> None:
    """Recompute a draw from its transcript, with no configuration, database or network."""
    from subca_oversight.evidence.transcript import verify_transcript
    from subca_oversight.evidence.transcript_json import MAX_BYTES, load_transcript

    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from error
    try:
        transcript = load_transcript(content)
        verify_transcript(transcript, public_value=public_value)
    except EvidenceError as error:
        raise type(error)(f"{file}: does not verify: {error}") from error
    click.echo(f"verified: {_summary(transcript)}")
    if public_value is None:
        click.echo(
            f"drawn with the public value {transcript.public_value!a}: compare it with its source,"
            " or give it with --public-value",
            err=True,
        )


@sample.command("list")
@click.option("--subordinate", help="Draws of this subordinate only.")
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects.")
@click.pass_context
def list_draws(context: click.Context, *, subordinate: str | None, as_json: bool) -> None:
    """List every draw, oldest first."""
    from subca_oversight.cli.output import print_json, print_table
    from subca_oversight.evidence.registration import load_anchor
    from subca_oversight.jobs.sample import find_draws

    invocation = invocation_of(context)
    with invocation.open_database() as database, database.read() as session:
        anchor = None if subordinate is None else load_anchor(session, subordinate)
        draws = find_draws(session, anchor)
    if as_json:
        print_json(draws)
        return
    print_table(
        f"{len(draws)} draws",
        ("draw", "subordinate", "drawn at", "population end", "population", "drawn", "commitment"),
        [
            (
                one.id,
                one.subordinate,
                one.drawn_at,
                one.population_end,
                one.population,
                one.drawn,
                one.commitment,
            )
            for one in draws
        ],
    )


@sample.command("export")
@click.argument("draw_id", type=int)
@click.option("--output", required=True, type=click.Path(path_type=Path), help="The transcript.")
@click.pass_context
def export(context: click.Context, draw_id: int, *, output: Path) -> None:
    """Write the transcript of a recorded draw again."""
    from subca_oversight.jobs.sample import load_recorded_transcript

    _check_target(output)
    with invocation_of(context).open_database() as database, database.read() as session:
        content = load_recorded_transcript(session, draw_id)
    _write_transcript(output, content)
    click.echo(f"transcript of draw {draw_id} in {output}")


def _check_target(output: Path) -> None:
    if output.exists():
        raise ConfigurationError(f"{output}: exists already; name another file")
    if not output.parent.is_dir() or not os.access(output.parent, os.W_OK | os.X_OK):
        raise ConfigurationError(f"{output.parent}: not a folder that can be written")


def _write_transcript(output: Path, content: bytes) -> None:
    try:
        with output.open("xb") as stream:
            stream.write(content)
    except OSError as error:
        raise ConfigurationError(
            f"{output}: cannot be written: {error.strerror}; the draw is recorded: see sample list,"
            " and write its transcript with sample export"
        ) from error


def _summary(transcript: SampleTranscript) -> str:
    from subca_oversight.cli.output import format_instant, visible

    count = len(transcript.units)
    end = format_instant(transcript.population_end)
    if count == 0:
        return f"{visible(transcript.subordinate)}: no issuance until {end}; nothing to draw"
    return (
        f"{visible(transcript.subordinate)}: {len(transcript.sample)} of {count} units until {end}"
        f" ({transcript.basis})"
    )
