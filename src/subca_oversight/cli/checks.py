"""The ``checks`` commands: which checks there are, what each looks for, and why.

The register is the product's claim of what it covers, so it can be read without a configuration or
a database; where a configuration is at hand, the site's own checks are listed too (DESIGN 6, 8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from subca_oversight.cli.invocation import Invocation
from subca_oversight.errors import ConfigurationError

if TYPE_CHECKING:
    from subca_oversight.check.api import Check
    from subca_oversight.check.registry import Registry

SUBJECT_NAMES = {
    "CertificateFacts": "certificate",
    "UnitFacts": "unit",
    "AuthorityFacts": "authority",
    "AuditFacts": "audit",
}


@click.group()
def checks() -> None:
    """Show what is checked, and why."""


@checks.command("list")
@click.option("--json", "as_json", is_flag=True, help="Write a JSON array.")
@click.pass_context
def list_checks(context: click.Context, *, as_json: bool) -> None:
    """List every check, by id."""
    from subca_oversight.cli.output import print_json, print_table

    registry = _registry(context)
    if as_json:
        print_json([describe(check) for check in registry.checks.values()])
        return
    print_table(
        f"{len(registry.checks)} checks",
        ("id", "family", "severity", "requirement", "revocation", "title"),
        [
            (
                check.id,
                check.family,
                check.severity.value,
                check.requirement,
                check.revocation.value,
                check.title,
            )
            for check in registry.checks.values()
        ],
    )


@checks.command()
@click.argument("check_id", metavar="ID")
@click.pass_context
def explain(context: click.Context, check_id: str) -> None:
    """Say what a check looks for, why, and by which clause."""
    registry = _registry(context)
    check = registry.checks.get(check_id)
    if check is None:
        raise ConfigurationError(f"there is no check {check_id!r}: see 'checks list'")
    facts = [
        f"{check.id} ({check.family}, version {check.version})",
        "",
        check.documentation,
        "",
        f"Looks at     {describe(check)['subject']}",
        f"Severity     {check.severity.value}",
        f"Requirement  {check.requirement}",
        f"Revocation   {check.revocation.value}",
        f"Covers       {', '.join(check.covers) if len(check.covers) > 0 else '-'}",
    ]
    click.echo("\n".join(facts))


def describe(check: Check) -> dict[str, object]:
    """Give a check's entry in the catalogue (DESIGN section 8)."""
    return {
        "id": check.id,
        "family": check.family,
        "subject": SUBJECT_NAMES[check.subject.__name__],
        "severity": check.severity.value,
        "requirement": check.requirement,
        "revocation": check.revocation.value,
        "covers": list(check.covers),
        "title": check.title,
    }


def _registry(context: click.Context) -> Registry:
    """Load the shipped checks, and the site's where a configuration is named or in its place."""
    from subca_oversight.check.registry import load_registry

    invocation = context.find_object(Invocation)
    if invocation is None:
        return load_registry()
    source = context.find_root().get_parameter_source("configuration")
    is_default = source is click.core.ParameterSource.DEFAULT
    if is_default and not invocation.configuration.exists():
        return load_registry()
    return load_registry(invocation.load_settings().checks.directory)
