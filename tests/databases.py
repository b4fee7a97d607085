"""Databases for tests: a SQLite file, or a schema of its own on the PostgreSQL server."""

from __future__ import annotations

import functools
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from subca_oversight.store.database import Database
from subca_oversight.store.schema import ensure_schema


@contextmanager
def sqlite_database(folder: Path) -> Iterator[Database]:
    """A new SQLite database in ``folder``."""
    path = folder / "oversight.db"
    path.write_bytes(_migrated_file())
    database = Database(f"sqlite:///{path}")
    try:
        yield database
    finally:
        database.close()


@functools.cache
def _migrated_file() -> bytes:
    """The bytes of an empty database: migrating each test's own would take most of its time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "oversight.db"
        database = Database(f"sqlite:///{path}")
        ensure_schema(database)
        database.close()
        return path.read_bytes()


@contextmanager
def postgres_database(url: str) -> Iterator[Database]:
    """A new schema on the server at ``url``, dropped in the end."""
    schema = f"test_{uuid.uuid4().hex}"
    server = create_engine(url)
    with server.begin() as connection:
        connection.execute(text(f"create schema {schema}"))
    database = Database(
        make_url(url)
        .update_query_dict({"options": f"-csearch_path={schema}"})
        .render_as_string(hide_password=False)
    )
    try:
        ensure_schema(database)
        yield database
    finally:
        database.close()
        with server.begin() as connection:
            connection.execute(text(f"drop schema {schema} cascade"))
        server.dispose()
