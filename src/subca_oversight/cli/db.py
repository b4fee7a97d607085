"""``db``: the database's schema, its health, its backups."""

from __future__ import annotations

from pathlib import Path

import click

from subca_oversight.cli.invocation import invocation_of
from subca_oversight.errors import ConfigurationError


@click.group()
def db() -> None:
    """Upgrade, check, back up or copy the database."""


@db.command()
@click.pass_context
def upgrade(context: click.Context) -> None:
    """Move the schema to this version; a SQLite database is backed up first."""
    from subca_oversight.store.database import Database
    from subca_oversight.store.schema import ensure_schema, upgrade_schema

    invocation = invocation_of(context)
    database = Database(invocation.load_settings().database_url)
    try:
        backup = upgrade_schema(database, now=invocation.now())
        ensure_schema(database)
    finally:
        database.close()
    made = "" if backup is None else f"; backup: {backup}"
    click.echo(f"{database.location}: schema is up to date{made}")


@db.command()
@click.pass_context
def check(context: click.Context) -> None:
    """Look for damage: structure, foreign keys, schema version."""
    from subca_oversight.store.schema import check_database

    with invocation_of(context).open_database(create=False) as database:
        problems = check_database(database)
        click.echo("\n".join(problems) if len(problems) > 0 else f"{database.location}: good")
    if len(problems) > 0:
        context.exit(4)


@db.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.pass_context
def backup(context: click.Context, target: Path) -> None:
    """Copy a SQLite database to TARGET while it is in use."""
    from subca_oversight.store.schema import backup_database

    if target.exists():
        raise ConfigurationError(f"{target}: exists already; name a new file")
    with invocation_of(context).open_database(create=False) as database:
        backup_database(database, target)
    click.echo(f"copied to {target}")


@db.command()
@click.option("--to", "url", required=True, help="URL of an empty database.")
@click.pass_context
def copy(context: click.Context, url: str) -> None:
    """Copy everything into an empty database: how SQLite is outgrown."""
    from subca_oversight.store.copying import copy_database
    from subca_oversight.store.database import Database

    target = Database(url)
    try:
        with invocation_of(context).open_database(create=False) as source:
            rows = copy_database(source, target)
    finally:
        target.close()
    click.echo(f"{rows:,} rows copied to {target.location}")
