"""``certificates``: what a subordinate issued, as far as the logs showed it."""

from __future__ import annotations

import click

from subca_oversight.cli.invocation import invocation_of


@click.group()
def certificates() -> None:
    """Certificates of a subordinate."""


@certificates.command("list")
@click.option("--subordinate", required=True, help="Name of the subordinate.")
@click.option(
    "--unconfirmed", is_flag=True, help="Also units whose issuer's signature is not verified."
)
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects.")
@click.pass_context
def list_certificates(
    context: click.Context, *, subordinate: str, unconfirmed: bool, as_json: bool
) -> None:
    """List certificate units: precertificate and final certificate are one."""
    from subca_oversight.cli.output import print_json, print_table
    from subca_oversight.evidence.inventory import find_inventory
    from subca_oversight.evidence.registration import load_anchor

    with invocation_of(context).open_database() as database, database.read() as session:
        anchor = load_anchor(session, subordinate)
        units = list(find_inventory(session, anchor, unconfirmed=unconfirmed))
    if as_json:
        print_json(units)
        return
    print_table(
        f"{len(units)} units of {subordinate}",
        ("unit", "serial", "precertificates", "finals", "not before", "not after", "first logged"),
        [
            (
                unit.unit_id[:16],
                unit.serial,
                len(unit.precertificates),
                len(unit.finals),
                unit.not_before,
                unit.not_after,
                unit.first_logged,
            )
            for unit in units
        ],
    )
