"""The database: one engine, transactions that cannot lose an update, one writer at a time.

SQLite begins every writing transaction with ``BEGIN IMMEDIATE`` (a deferred one loses updates
silently), runs with ``synchronous=FULL``, and takes a file lock beside the database around every
writing transaction and checkpoint: releases before 3.51.3 can corrupt a WAL database when two
connections write and checkpoint at the same moment. On PostgreSQL an advisory lock gives the same
promise, since READ COMMITTED would lose an update that two transactions read before they write; and
readers ask for REPEATABLE READ, since each of their statements would otherwise see another state.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError, StatementError
from sqlmodel import Session

from subca_oversight.errors import ConfigurationError, StoreError

FIRST_SAFE_SQLITE = (3, 51, 3)
_READ_ONLY = "subca_read_only"
_CHECKPOINT_BYTES = 16 * 1024 * 1024
"""Size of the write-ahead log above which a writer checkpoints after its transaction."""
_BUSY_SECONDS = 30
_ONE_WRITER = 0x73756263610001
"""Key of the advisory lock that every writing transaction takes on PostgreSQL."""
_ADVICE = (
    (("disk is full", "no space"), "free space on its disk; nothing was lost"),
    (("disk i/o error",), "its disk is full or fails: free space, or mend it; nothing was lost"),
    (("readonly", "read-only"), "make the database and its folder writable for this user"),
    (("unable to open",), "create its folder or mend its permissions"),
    (("locked",), "another program holds it"),
    (("no such table", "does not exist"), "run: subca-oversight db upgrade"),
    (("malformed", "not a database"), "restore a backup"),
    (("connection",), "start the server, or mend database.url"),
)


class Database:
    """Owner of the engine; hands out transactions.

    Calls block: on an event loop go through ``asyncio.to_thread``.
    """

    def __init__(self, url: str) -> None:
        """Open ``url``; no connection is made yet. Raises ConfigurationError on a bad URL."""
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError) as error:
            raise ConfigurationError("database.url: not a database URL") from error
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise ConfigurationError("database.url: use sqlite:///… or postgresql+psycopg://…")
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite and parsed.database in (None, "", ":memory:"):
            raise ConfigurationError("database.url: name a file; evidence must outlive the process")
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.path = Path(str(parsed.database)) if self.is_sqlite else None
        self.location = str(self.path) if self.path is not None else parsed.render_as_string()
        try:
            self.engine = self._create_engine(parsed)
        except ImportError as error:
            raise ConfigurationError(
                "database.url: the PostgreSQL driver is missing; install subca-oversight[postgres]"
            ) from error
        except ArgumentError as error:
            raise ConfigurationError(f"database.url: {error}") from error

    def _create_engine(self, url: URL) -> Engine:
        if not self.is_sqlite:
            engine = create_engine(url, pool_pre_ping=True)
            # An instant of the year 9999 overflows in any zone east of Greenwich.
            event.listen(engine, "connect", _speak_utc)
            event.listen(engine, "begin", _begin_postgresql)
            return engine
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
            with (
                Session(self.engine, expire_on_commit=False) as session,
                _discarded_on_failure(session),
                session.begin(),
            ):
                yield session
            self._checkpoint_if_large()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A reading transaction over one consistent state; it never blocks a writer."""
        options: dict[str, Any] = {_READ_ONLY: True}
        if not self.is_sqlite:
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with (
            self._mapped_errors(),
            self.engine.connect().execution_options(**options) as connection,
            Session(connection, expire_on_commit=False) as session,
            _discarded_on_failure(session),
        ):
            yield session

    def clock(self, session: Session) -> datetime:
        """The database's own time: what a lease is measured by."""
        if self.is_sqlite:
            return datetime.now(UTC)
        return _aware(session.connection().scalar(text("select clock_timestamp()")))

    def close(self) -> None:
        """Close every connection; the last one checkpoints, under the writer lock.

        Never raises: where the lock cannot be had there is nothing to checkpoint either.
        """
        with contextlib.suppress(StoreError), self._writer_lock():
            self.engine.dispose()
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
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError as error:
                raise StoreError(
                    f"{self.path}.writer-lock: cannot be locked: {error.strerror}; keep the"
                    " database on a local disk"
                ) from error
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
        """Move the log into the database; where that fails, the next writer tries again.

        What was written is committed already, so that a failure here must not look like its loss.
        """
        connection = self.engine.raw_connection()
        try:
            with contextlib.suppress(sqlite3.Error):
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
            raise StoreError(f"{self.location}: {_first_line(error)}") from error


@contextmanager
def _discarded_on_failure(session: Session) -> Iterator[None]:
    """Close a connection on which something failed, instead of giving it back to the pool.

    Rows that were not fetched to their end, and that a traceback still holds, keep SQLite in the
    state it read: whoever got that connection next could not write, "database is locked".
    """
    try:
        yield
    except BaseException:
        session.invalidate()
        raise


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


def _speak_utc(connection: Any, record: object) -> None:  # noqa: ANN401 - any driver's connection
    del record
    with connection.cursor() as cursor:
        cursor.execute("set time zone 'UTC'")
    connection.commit()


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get(_READ_ONLY, False) is not True:
        connection.exec_driver_sql(f"select pg_advisory_xact_lock({_ONE_WRITER})")


def _aware(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise StoreError("the database did not tell its time")
    return value.astimezone(UTC)


def _advice(error: DBAPIError) -> str:
    """One line: what the driver said, and what the operator can do."""
    said = _first_line(error)
    lowered = said.lower()
    for words, advice in _ADVICE:
        if any(word in lowered for word in words):
            return f"{said}; {advice}"
    return said


def _first_line(error: SQLAlchemyError) -> str:
    """What went wrong, without the statement and its values, which may be hostile."""
    said = str(error.orig) if isinstance(error, StatementError) else str(error)
    return said.partition("\n")[0]
