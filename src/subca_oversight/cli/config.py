"""``config``: check the configuration, show what is in force, print its schema."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from subca_oversight.cli.invocation import invocation_of
from subca_oversight.errors import ConfigurationError

if TYPE_CHECKING:
    from subca_oversight.settings import Settings


@click.group()
def config() -> None:
    """Check or show the configuration."""


@config.command()
@click.pass_context
def check(context: click.Context) -> None:
    """Read the configuration and every file that it names."""
    from subca_oversight.check.registry import load_registry
    from subca_oversight.evidence.registration import read_configured
    from subca_oversight.jobs.catalogue import verify_intervals

    invocation = invocation_of(context)
    settings = invocation.load_settings()
    configured = read_configured(settings.subordinate)
    registry = load_registry(settings.checks.directory)
    verify_intervals(settings.daemon.intervals)
    _verify_files(settings)
    keys = sum(len(one.keys) for one in configured)
    click.echo(
        f"{invocation.configuration}: good; {len(configured)} subordinates with {keys} keys,"
        f" {len(registry.checks)} checks"
    )


def _verify_files(settings: Settings) -> None:
    """Raise ConfigurationError where a file that the configuration names is not there."""
    named = [("http.ca_bundle", settings.http.ca_bundle), ("ccadb.records", settings.ccadb.records)]
    named += [("ccadb.certificates", one) for one in settings.ccadb.certificates]
    for entry in settings.ct.log_lists:
        named.append(("ct.log_lists.source", entry.source))
        if entry.public_key != "google":
            named.append(("ct.log_lists.public_key", entry.public_key))
    named += [(f'subordinate "{one.name}"', one.commitments) for one in settings.subordinate]
    for key, name in named:
        if name is None or str(name) == "" or "://" in str(name):
            continue
        if not os.access(name, os.R_OK):
            reason = "cannot be read" if Path(name).exists() else "there is no such file"
            raise ConfigurationError(f"{key}: {name}: {reason}")


@config.command()
@click.pass_context
def show(context: click.Context) -> None:
    """Print what is in force after environment, credentials and defaults; secrets are masked."""
    from subca_oversight.cli.output import print_json

    print_json(invocation_of(context).load_settings().model_dump(mode="json", by_alias=True))


@config.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file."""
    from subca_oversight.cli.output import print_json
    from subca_oversight.settings import Settings

    print_json(Settings.model_json_schema())
