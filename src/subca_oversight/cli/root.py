"""The command line's root: global options, commands found when they are used, exit codes.

A command's module is imported when the command runs: linters and the ORM take a second to load, and
``--help`` should not wait for them.
"""

from __future__ import annotations

import sys
import traceback
from datetime import datetime
from pathlib import Path

import click

from subca_oversight import __version__
from subca_oversight.cli.invocation import INSTANT, Invocation
from subca_oversight.cli.lazy import LazyGroup
from subca_oversight.errors import OversightError

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("subca_oversight.cli.demo:demo", "Build a small CA world and oversee it."),
    "doctor": ("subca_oversight.cli.doctor:doctor", "Tell what is reachable and what is missing."),
    "run": ("subca_oversight.cli.run:run", "Run the daemon, or every job once."),
    "status": ("subca_oversight.cli.status:status", "State of logs, jobs and sources."),
    "ct": (
        "subca_oversight.cli.ct:ct",
        "Certificate Transparency logs, and what is known of them.",
    ),
    "certificates": (
        "subca_oversight.cli.certificates:certificates",
        "Certificates of a subordinate.",
    ),
    "lint": ("subca_oversight.cli.lint:lint", "Lint and check certificate files."),
    "checks": ("subca_oversight.cli.checks:checks", "The catalogue of checks."),
    "ccadb": ("subca_oversight.cli.ccadb:ccadb", "Audits and owners from CCADB exports."),
    "sample": ("subca_oversight.cli.sample:sample", "Draw and verify samples."),
    "findings": ("subca_oversight.cli.findings:findings", "Findings and decisions on them."),
    "alerts": ("subca_oversight.cli.alerts:alerts", "Notices and their delivery."),
    "report": ("subca_oversight.cli.report:report", "The quarterly oversight report."),
    "db": ("subca_oversight.cli.db:db", "Upgrade, check, back up or copy the database."),
    "config": ("subca_oversight.cli.config:config", "Check or show the configuration."),
    "health": ("subca_oversight.cli.health:health", "Ask the running daemon how it is."),
}
USAGE_ERROR = 2
INTERRUPTED = 130


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="subca-oversight")
@click.option(
    "--config",
    "configuration",
    type=click.Path(path_type=Path),
    default=Path("/etc/subca-oversight/oversight.toml"),
    show_default=True,
    envvar="SUBCA_OVERSIGHT_CONFIG",
    help="The configuration file.",
)
@click.option("--at", type=INSTANT, hidden=True, help="Take this instant as now, for replays.")
@click.option("--debug", is_flag=True, help="Show tracebacks and debug messages.")
@click.pass_context
def cli(context: click.Context, configuration: Path, at: datetime | None, *, debug: bool) -> None:
    """Oversight of cross-signed and externally operated subordinate CAs.

    Exit codes: 0 done and nothing wrong, 1 done and there is something to act on, 2 usage or
    configuration error, 3 a source failed, 4 the store failed.
    """
    context.obj = Invocation(configuration=configuration, debug=debug, at=at)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; every error is one line on stderr."""
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    try:
        result = cli.main(args=words, prog_name="subca-oversight", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return USAGE_ERROR
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; run the same command again to go on", err=True)
        return INTERRUPTED
    except OversightError as error:
        if debug:
            traceback.print_exc()
        click.echo(f"subca-oversight: {_one_line(str(error))}", err=True)
        return error.exit_code
    except OSError as error:
        if debug:
            traceback.print_exc()
        click.echo(f"subca-oversight: {_one_line(str(error))}", err=True)
        return OversightError.exit_code
    return result if isinstance(result, int) else 0


def _one_line(text: str) -> str:
    return " ".join(text.split())
