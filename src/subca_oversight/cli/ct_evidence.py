"""``ct evidence``: what logs have done wrong, as files that anyone can check."""

from __future__ import annotations

from pathlib import Path

import click

from subca_oversight.cli.invocation import invocation_of


@click.group()
def evidence() -> None:
    """Evidence against logs that contradicted what they signed."""


@evidence.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects.")
@click.pass_context
def list_(context: click.Context, *, as_json: bool) -> None:
    """All evidence, the oldest first."""
    from subca_oversight.cli.output import print_json, print_table
    from subca_oversight.evidence.log_evidence import list_evidence

    with invocation_of(context).open_database() as database, database.read() as session:
        pieces = list_evidence(session)
    if as_json:
        print_json(
            [
                {
                    "id": one.id,
                    "kind": one.kind,
                    "log": one.log.description,
                    "log_id": one.log.log_id.hex(),
                    "at": one.observed_at,
                    "tree_size": one.tree_size,
                    "detail": one.detail,
                    "explanation": one.explanation,
                    "provable": one.proof is not None or len(one.heads) > 0,
                }
                for one in pieces
            ]
        )
        return
    print_table(
        "Evidence against logs",
        ("id", "at", "log", "kind", "tree size", "detail"),
        [
            (one.id, one.observed_at, one.log.description, one.kind, one.tree_size, one.detail)
            for one in pieces
        ],
    )


@evidence.command()
@click.argument("number", type=int, metavar="ID")
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to be written.",
)
@click.pass_context
def export(context: click.Context, number: int, output: Path) -> None:
    """Write one piece of evidence to a file that is complete in itself."""
    from subca_oversight.evidence.log_evidence import encode_evidence, load_evidence

    with invocation_of(context).open_database() as database, database.read() as session:
        piece = load_evidence(session, number)
    output.write_bytes(encode_evidence(piece))
    click.echo(f"{output}: {piece.kind} of {piece.log.description}", err=True)


@evidence.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
def verify(file: Path, *, as_json: bool) -> None:
    """Check a file without configuration or database, and say what it proves.

    Ends with exit code 1 where it does not prove what it says. Whether the key is that of the log
    is for the reader to compare with a log list.
    """
    from subca_oversight.cli.output import print_json
    from subca_oversight.evidence.log_evidence import MAX_BYTES, decode_evidence
    from subca_oversight.evidence.log_verdict import verify_evidence

    with file.open("rb") as opened:
        piece = decode_evidence(opened.read(MAX_BYTES + 1))
    proven = verify_evidence(piece)
    if as_json:
        print_json(
            {
                "file": str(file),
                "kind": piece.kind,
                "log": piece.log.description,
                "log_id": piece.log.log_id.hex(),
                "observed_at": piece.observed_at,
                "proven": proven,
            }
        )
        return
    click.echo(f"{piece.log.description} (log id {piece.log.log_id.hex()})")
    click.echo(f"proven: {proven}")
