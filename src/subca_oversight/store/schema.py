"""The schema's version: making it, checking it, and moving it forward.

Migrations live in the package. A database made by a newer version is refused, never guessed at, and
each upgrade of a SQLite file is preceded by a backup.
"""

from __future__ import annotations

import contextlib
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from subca_oversight.errors import StoreError
from subca_oversight.store.database import Database

_MIGRATIONS = Path(__file__).parent / "migrations"


def ensure_schema(database: Database, *, create: bool = True) -> None:
    """Create the schema in an empty database; otherwise only check it.

    Raises StoreError where the schema is older (``db upgrade`` moves it) or newer than this
    version, and where there is no database and none is to be made.
    """
    if create:
        _create_folder(database)
    elif database.path is not None and not database.path.exists():
        raise StoreError(f"{database.location}: there is no database; mend database.url")
    with database.read() as session:
        current, is_empty = _revision(session.connection())
    if is_empty and create:
        _migrate(database)
        return
    if is_empty:
        raise StoreError(f"{database.location}: the database is empty; mend database.url")
    if current == _head():
        return
    _verify_known(database, current)
    raise StoreError(
        f"{database.location}: its schema is older than this version; run: subca-oversight db"
        " upgrade"
    )


def upgrade_schema(database: Database, *, now: datetime) -> Path | None:
    """Move the schema to this version; returns the backup that was made first, if any."""
    _create_folder(database)
    with database.read() as session:
        current, is_empty = _revision(session.connection())
    if current == _head():
        return None
    if not is_empty:
        _verify_known(database, current)
    backup: Path | None = None
    if not is_empty and database.path is not None:
        backup = database.path.with_name(f"{database.path.name}.{now:%Y%m%dT%H%M%SZ}.backup")
        backup_database(database, backup)
    _migrate(database)
    return backup


def backup_database(database: Database, target: Path) -> None:
    """Copy a SQLite database to ``target``, consistently and while it is in use.

    The copy appears under its name only when it is whole. Raises StoreError.
    """
    if database.path is None:
        raise StoreError("only a SQLite database is backed up here; use pg_dump for PostgreSQL")
    partial = target.with_name(f"{target.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        with (
            closing(sqlite3.connect(database.path)) as source,
            closing(sqlite3.connect(partial)) as copy,
        ):
            source.execute("PRAGMA wal_autocheckpoint=0")
            source.backup(copy)
        partial.replace(target)
    except (OSError, sqlite3.Error) as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise StoreError(f"{target}: the backup failed: {error}") from error


def check_database(database: Database) -> list[str]:
    """What is wrong with a database's structure; empty where nothing is."""
    with database.read() as session:
        connection = session.connection()
        current, _ = _revision(connection)
        problems = [] if current == _head() else [f"schema is {current}, not {_head()}"]
        if database.is_sqlite:
            for pragma in ("integrity_check", "foreign_key_check"):
                rows = connection.exec_driver_sql(f"PRAGMA {pragma}").all()
                problems += [f"{pragma}: {tuple(row)}" for row in rows if tuple(row) != ("ok",)]
    return problems


def _revision(connection: Connection) -> tuple[str | None, bool]:
    """(revision, whether there is no table at all)."""
    tables = inspect(connection).get_table_names()
    return MigrationContext.configure(connection).get_current_revision(), len(tables) == 0


def _verify_known(database: Database, revision: str | None) -> None:
    """Raise StoreError where a database that is not empty is not ours, or from the future."""
    if revision is None:
        raise StoreError(
            f"{database.location}: holds another program's tables; name a database of its own"
        )
    if revision not in _known_revisions():
        raise StoreError(
            f"{database.location}: its schema was made by a newer version of subca-oversight;"
            " upgrade the program, or restore a backup"
        )


def _migrate(database: Database) -> None:
    with database.write() as session:
        configuration = _configuration()
        configuration.attributes["connection"] = session.connection()
        command.upgrade(configuration, "head")


def _create_folder(database: Database) -> None:
    if database.path is None or database.path.parent.is_dir():
        return
    try:
        database.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{database.path.parent}: cannot be created: {error.strerror}; create it for this user"
        ) from error


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    configuration.set_main_option("path_separator", "os")
    return configuration


def _head() -> str:
    head = ScriptDirectory.from_config(_configuration()).get_current_head()
    if head is None:
        raise StoreError("this installation lacks its migrations; install it again")
    return head


def _known_revisions() -> set[str]:
    script = ScriptDirectory.from_config(_configuration())
    return {revision.revision for revision in script.walk_revisions()}
