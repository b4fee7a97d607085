"""``certificates``: what a subordinate issued, as far as logs and its operator showed it."""

from __future__ import annotations

import itertools
from pathlib import Path

import click

from subca_oversight.cli.invocation import invocation_of
from subca_oversight.errors import ConfigurationError


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


@certificates.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--subordinate", required=True, help="Whose certificates they are.")
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
@click.pass_context
def import_certificates(
    context: click.Context, *, paths: tuple[Path, ...], subordinate: str, as_json: bool
) -> None:
    """Take in certificates that the operator sent: PEM, DER, CSV, zip or folders of them.

    Each is accepted by the signature of one of the subordinate's keys, and never counted as logged.
    """
    from subca_oversight.cli.output import print_json, print_table, visible
    from subca_oversight.evidence.operator_certificates import (
        BATCH,
        ImportTally,
        import_batch,
        load_signers,
    )
    from subca_oversight.evidence.registration import load_anchor
    from subca_oversight.sources.certificate_files import (
        FileCertificate,
        FileFlaw,
        read_certificates,
    )

    invocation = invocation_of(context)
    tally = ImportTally()
    now = invocation.now()
    with invocation.open_database() as database:
        with database.read() as session:
            anchor = load_anchor(session, subordinate)
            signers = load_signers(session, anchor)
        if len(signers) == 0:
            raise ConfigurationError(
                f"{subordinate}: no certificate of any of its keys is at hand, so nothing can be"
                " verified; configure its CA certificate"
            )
        items = read_certificates(paths)
        while True:
            batch: list[FileCertificate] = []
            chunk = list(itertools.islice(items, BATCH))
            for item in chunk:
                if isinstance(item, FileFlaw):
                    tally.refuse(item.origin, item.reason)
                else:
                    batch.append(item)
            if len(chunk) == 0:
                break
            with database.write() as session:
                import_batch(session, anchor, signers, batch, tally, now=now)
    if as_json:
        print_json(tally)
    else:
        click.echo(
            f"{tally.read} certificates read: {tally.new} new, {tally.known} known,"
            f" {tally.refused} refused; {tally.logged} of those accepted were seen in a log"
        )
        if tally.refused > 0:
            print_table(
                "Refused",
                ("where", "why"),
                [(visible(one.origin), one.reason) for one in tally.refusals],
            )
    if tally.refused > 0:
        context.exit(1)


@certificates.command("crosscheck")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--subordinate", required=True, help="Whose certificates they are.")
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
@click.pass_context
def crosscheck_certificates(
    context: click.Context, *, file: Path, subordinate: str, as_json: bool
) -> None:
    """Compare the serials of a crt.sh answer (JSON) with the store; writes nothing."""
    from subca_oversight.cli.output import print_json
    from subca_oversight.evidence.crosscheck import crosscheck, load_listed
    from subca_oversight.evidence.registration import load_anchor

    listed = load_listed(file)
    with invocation_of(context).open_database(create=False) as database, database.read() as session:
        found = crosscheck(session, load_anchor(session, subordinate), listed)
    if as_json:
        print_json(found)
        return
    click.echo(
        f"in both: {found.in_both}\nonly there: {len(found.only_there)}\n"
        f"only here: {len(found.only_here)}\nnot compared: {found.not_compared}"
    )
    if found.unusable > 0:
        click.echo(f"listed without a serial that can be read: {found.unusable}")
