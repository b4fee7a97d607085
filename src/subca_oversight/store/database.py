"""The database: one engine, transactions that cannot lose an update, one writer at a time.

SQLite begins every writing transaction with ``BEGIN IMMEDIATE`` (a deferred one loses updates
silently), runs with ``synchronous=FULL``, and takes a file lock beside the database around every
writing transaction and checkpoint: releases before 3.51.3 can corrupt a WAL database when two
connections write and checkpoint at the same moment. PostgreSQL needs none of this.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlmodel import Session

from subca_oversight.errors import ConfigurationError, StoreError

FIRST_SAFE_SQLITE = (3, 51, 3)
_READ_ONLY = "subca_read_only"
_CHECKPOINT_BYTES = 16 * 1024 * 1024
"""Size of the write-ahead log above which a writer checkpoints after its transaction."""
_BUSY_SECONDS = 30
_ADVICE = (
    (("disk is full", "no space"), "free space on its disk; nothing was lost"),
    (("readonly", "read-only"), "make the database and its folder writable for this user"),
    (("unable to open",), "create its folder or mend its permissions"),
    (("locked",), "another program holds it"),
    (("no such table", "does not exist"), "run: subca-oversight db upgrade"),
    (("malformed", "not a database"), "restore a backup"),
)


class Database:
    """Owner of the engine; hands out transactions.

    Calls block: on an event loop go through ``asyncio.to_thread``.
    """

    def __init__(self, url: str) -> None:
        """Open ``url``; no connection is made yet. Raises ConfigurationError on a bad URL."""
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise ConfigurationError("database.url: not a database URL") from error
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise ConfigurationError("database.url: use sqlite:///… or postgresql+psycopg://…")
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.path = Path(parsed.database) if self.is_sqlite and parsed.database else None
        self.location = str(self.path) if self.path is not None else parsed.render_as_string()
        try:
            self.engine = self._create_engine(url)
        except ImportError as error:
            raise ConfigurationError(
                "database.url: the PostgreSQL driver is missing; install subca-oversight[postgres]"
            ) from error

    def _create_engine(self, url: str) -> Engine:
        if not self.is_sqlite:
            return create_engine(url, pool_pre_ping=True)
        engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A writing transaction: committed at the end, rolled back on any exception.

        Raises StoreError when the store fails.
        """
        with self._mapped_errors(), self._writer_lock():
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                yield session
            self._checkpoint_if_large()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A reading transaction over one consistent state; it never blocks a writer."""
        with (
            self._mapped_errors(),
            self.engine.connect().execution_options(**{_READ_ONLY: True}) as connection,
            Session(connection, expire_on_commit=False) as session,
        ):
            yield session

    def clock(self, session: Session) -> datetime:
        """The database's own time: what a lease is measured by."""
        if self.is_sqlite:
            return datetime.now(UTC)
        return _aware(session.connection().scalar(text("select clock_timestamp()")))

    def close(self) -> None:
        """Close every connection; the last one checkpoints, under the writer lock."""
        with self._writer_lock():
            self.engine.dispose()

    @contextmanager
    def _writer_lock(self) -> Iterator[None]:
        if self.path is None:
            yield
            return
        try:
            descriptor = os.open(f"{self.path}.writer-lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(
                f"{self.path.parent}: cannot be written: {error.strerror}; create it or mend its"
                " permissions"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _checkpoint_if_large(self) -> None:
        if self.path is None:
            return
        try:
            size = Path(f"{self.path}-wal").stat().st_size
        except FileNotFoundError:
            return
        if size > _CHECKPOINT_BYTES:
            self._checkpoint()

    def _checkpoint(self) -> None:
        connection = self.engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            connection.close()

    @contextmanager
    def _mapped_errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise StoreError(f"{self.location}: {_advice(error)}") from error
        except SQLAlchemyError as error:
            raise StoreError(f"{self.location}: {error}") from error


def sqlite_version() -> tuple[int, ...]:
    """The linked SQLite's version."""
    return sqlite3.sqlite_version_info


def upsert_ignoring(session: Session, table: type[Any], rows: list[dict[str, Any]]) -> None:
    """Insert ``rows``, leaving rows whose key exists as they are; made for evidence in bulk."""
    if len(rows) == 0:
        return
    connection = session.connection()
    target = table.__table__
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert  # noqa: PLC0415 - one dialect is used
    else:
        from sqlalchemy.dialects.postgresql import insert  # type: ignore[assignment]  # noqa: PLC0415
    connection.execute(insert(target).on_conflict_do_nothing(), rows)


def _prepare_sqlite(connection: sqlite3.Connection, record: object) -> None:
    del record
    connection.isolation_level = None  # sqlite3 begins nothing on its own
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA wal_autocheckpoint=0")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get(_READ_ONLY, False) is True
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _aware(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise StoreError("the database did not tell its time")
    return value.astimezone(UTC)


def _advice(error: DBAPIError) -> str:
    """One line: what the driver said, and what the operator can do."""
    said = str(error.orig).splitlines()[0] if error.orig is not None else str(error)
    lowered = said.lower()
    for words, advice in _ADVICE:
        if any(word in lowered for word in words):
            return f"{said}; {advice}"
    return said
