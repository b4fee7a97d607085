"""``config``: check the configuration, show what is in force, print its schema."""

from __future__ import annotations

import click

from subca_oversight.cli.invocation import invocation_of


@click.group()
def config() -> None:
    """Check or show the configuration."""


@config.command()
@click.pass_context
def check(context: click.Context) -> None:
    """Read the configuration and every file that it names."""
    from subca_oversight.check.registry import load_registry
    from subca_oversight.evidence.registration import read_configured

    invocation = invocation_of(context)
    settings = invocation.load_settings()
    configured = read_configured(settings.subordinate)
    registry = load_registry(settings.checks.directory)
    keys = sum(len(one.keys) for one in configured)
    click.echo(
        f"{invocation.configuration}: good; {len(configured)} subordinates with {keys} keys,"
        f" {len(registry.checks)} checks"
    )


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
