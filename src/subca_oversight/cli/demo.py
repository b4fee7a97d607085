"""``demo``: a small CA world, built, served on loopback, and overseen once."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from subca_oversight.errors import ConfigurationError

if TYPE_CHECKING:
    from subca_oversight.demo.server import ServedWorld
    from subca_oversight.model.finding import Finding

_MARK = ".subca-oversight-demo"
"""Lies in every folder that this command made, and may therefore remake."""


@click.group(invoke_without_command=True)
@click.option("--seed", default=1, show_default=True, help="The world's seed.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-output"),
    show_default=True,
    help="Folder for the world, the database and the reports; made anew each time.",
)
@click.pass_context
def demo(context: click.Context, seed: int, output: Path) -> None:
    """Build a small CA world and oversee it.

    Three subordinate CAs with planted faults, two logs, CCADB exports, policy pages: served on
    loopback, read through the real jobs, and reported on. Nothing leaves this machine.
    """
    if context.invoked_subcommand is None:
        context.exit(_tour(seed, output))


@demo.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--seed", default=1, show_default=True, help="The world's seed.")
def build(directory: Path, seed: int) -> None:
    """Build the world into DIRECTORY."""
    from subca_oversight.demo.world import build_world

    _make_folder(directory)
    manifest = build_world(directory / "world", seed=seed)
    click.echo(f"built {directory / 'world'}: {len(manifest.planted)} faults planted")


@demo.command()
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--port", default=0, show_default=True, help="0 chooses a free one.")
@click.option("--stage", type=click.IntRange(1, 2), default=2, show_default=True)
def serve(directory: Path, port: int, stage: int) -> None:
    """Serve the world that was built into DIRECTORY, until interrupted."""
    from subca_oversight.demo.server import serve_world

    with serve_world(directory / "world", port=port, stage=stage) as world:
        configuration = world.write_configuration(directory / "state")
        instant = world.manifest.instants[stage].isoformat().replace("+00:00", "Z")
        click.echo(f"serving {world.base_url}; configuration: {configuration}")
        click.echo(f"subca-oversight --config {configuration} --at {instant} run --once")
        while True:
            time.sleep(3600)


def _tour(seed: int, output: Path) -> int:
    from subca_oversight.demo.server import serve_world
    from subca_oversight.demo.world import build_world
    from subca_oversight.telemetry import configure_logging

    configure_logging(level=logging.ERROR)
    started = time.monotonic()
    _make_folder(output)
    click.echo("building the world …", err=True)
    build_world(output / "world", seed=seed)
    with serve_world(output / "world") as world:
        code = _oversee(world, output / "state")
    click.echo(f"took {time.monotonic() - started:.0f} s")
    return code


def _oversee(world: ServedWorld, state: Path) -> int:
    from subca_oversight.cli.output import print_table, visible
    from subca_oversight.cli.progress import open_progress
    from subca_oversight.demo import tour
    from subca_oversight.settings import load_settings

    settings = load_settings(world.write_configuration(state))
    manifest = world.manifest

    async def oversee() -> None:
        with open_progress() as progress:
            async for job, outcome in tour.run_tour(
                settings, now=lambda: manifest.instant, progress=progress
            ):
                click.echo(f"{job.name:10} {outcome.state:8} {visible(outcome.detail)}")
                for problem in outcome.problems:
                    click.echo(f"{'':10} note     {visible(problem)}")

    asyncio.run(oversee())
    found = tour.load_findings(settings)
    violations = [one for one in found if one.severity == "violation"]
    print_table(
        f"{len(violations)} violations (of {len(found)} findings)",
        ("id", "subordinate", "check", "what", "requirement", "deadline"),
        [(f.id, f.subordinate, f.check, f.message, f.requirement, _due(f)) for f in violations],
    )
    measurement = tour.measure(settings, manifest)
    hits = measurement.planted - len(measurement.missed)
    click.echo(
        f"planted faults found: {hits} of {measurement.planted};"
        f" clean certificates flagged: {len(measurement.flagged)} of {len(manifest.clean_units)}"
    )
    for fault in measurement.missed:
        click.echo(f"  missed: {fault.check} {fault.label} ({fault.subject[:16]})")
    for check, subject in measurement.flagged:
        click.echo(f"  flagged: {check} on {subject[:16]}")
    click.echo(f"notices received by webhook: {len(tour.received_notice_ids(world))}")
    for report in tour.find_reports(settings.agent.state_directory):
        click.echo(f"report: {report}")
    return 0 if measurement.is_perfect else 1


def _make_folder(folder: Path) -> None:
    """An empty folder of ours. Raises ConfigurationError rather than delete someone else's."""
    if folder.exists():
        if any(folder.iterdir()) and not (folder / _MARK).exists():
            raise ConfigurationError(f"{folder}: not empty, and not made by this command")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / _MARK).touch()


def _due(finding: Finding) -> object:
    """When it must be mended; a baseline finding has no clock."""
    return "baseline: had expired" if finding.baseline else finding.deadline
