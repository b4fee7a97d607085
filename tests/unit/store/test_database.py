"""Transactions that lose nothing, block no reader, and say in one line what failed."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlmodel import Session, select

from subca_oversight.errors import ConfigurationError, StoreError
from subca_oversight.store import database as database_module
from subca_oversight.store.database import Database, sqlite_version
from subca_oversight.store.tables import LeaseRow, SourceRow

NOW = datetime(2026, 11, 24, tzinfo=UTC)
WRITERS = 4
ROUNDS = 25

COUNT_UP = f"""
import sys
from subca_oversight.store.database import Database
from subca_oversight.store.tables import LeaseRow
database = Database(sys.argv[1])
for _ in range({ROUNDS}):
    with database.write() as session:
        row = session.get_one(LeaseRow, "counter")
        row.epoch = row.epoch + 1
        session.add(row)
database.close()
"""
HANG = """
import sys, time
from subca_oversight.store.database import Database
from subca_oversight.store.tables import LeaseRow
database = Database(sys.argv[1])
with database.write() as session:
    row = session.get_one(LeaseRow, "counter")
    row.epoch = 666
    session.add(row)
    session.flush()
    print("writing", flush=True)
    time.sleep(600)
"""


def url_of(database: Database) -> str:
    return database.engine.url.render_as_string(hide_password=False)


def add_counter(database: Database) -> None:
    with database.write() as session:
        session.add(LeaseRow(name="counter", holder="", epoch=0, expires_at=NOW))


def counter(database: Database) -> int:
    with database.read() as session:
        return session.get_one(LeaseRow, "counter").epoch


def test_four_writing_processes_lose_no_update(database: Database) -> None:
    add_counter(database)
    writers = [
        subprocess.Popen([sys.executable, "-c", COUNT_UP, url_of(database)])  # noqa: S603 - ours
        for _ in range(WRITERS)
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0] * WRITERS
    assert counter(database) == WRITERS * ROUNDS


def test_a_writer_killed_in_a_transaction_leaves_nothing(database: Database) -> None:
    add_counter(database)
    command = [sys.executable, "-c", HANG, url_of(database)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:  # noqa: S603
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        assert counter(database) == 0
        writer.send_signal(signal.SIGKILL)
    with database.write() as session:  # neither lock outlives its process
        row = session.get_one(LeaseRow, "counter")
        assert row.epoch == 0
        row.epoch = 1
    assert counter(database) == 1


def test_a_reader_neither_waits_for_a_writer_nor_holds_one_up(database: Database) -> None:
    add_counter(database)
    with database.write() as writing:
        row = writing.get_one(LeaseRow, "counter")
        row.epoch = 7
        writing.flush()
        began = time.monotonic()
        assert counter(database) == 0
        assert time.monotonic() - began < 5
    with database.read() as reading:
        assert reading.get_one(LeaseRow, "counter").epoch == 7
        with database.write() as writing:
            writing.get_one(LeaseRow, "counter").epoch = 8
    assert counter(database) == 8


def test_a_reader_sees_one_state_to_its_end(database: Database) -> None:
    add_counter(database)
    with database.read() as reading:
        assert reading.exec(select(LeaseRow.epoch)).all() == [0]
        with database.write() as writing:
            writing.get_one(LeaseRow, "counter").epoch = 1
            writing.add(SourceRow(source="new", last_attempt=NOW))
        assert reading.exec(select(LeaseRow.epoch)).all() == [0]
        assert reading.exec(select(SourceRow)).all() == []
    assert counter(database) == 1


def _write_and_fail(session: Session) -> None:
    session.get_one(LeaseRow, "counter").epoch = 9
    session.flush()
    raise ZeroDivisionError


def test_an_exception_rolls_everything_back(database: Database) -> None:
    add_counter(database)
    with pytest.raises(ZeroDivisionError), database.write() as session:
        _write_and_fail(session)
    assert counter(database) == 0


def test_one_writer_at_a_time(database: Database) -> None:
    add_counter(database)
    inside = threading.Event()
    entered: list[str] = []

    def second() -> None:
        inside.wait(10)
        with database.write() as session:
            session.get_one(LeaseRow, "counter")
            entered.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with database.write() as session:
        session.get_one(LeaseRow, "counter")
        inside.set()
        time.sleep(0.3)
        entered.append("first")
    thread.join(30)
    assert entered == ["first", "second"]


def test_the_database_tells_its_own_time(database: Database) -> None:
    with database.write() as session:
        told = database.clock(session)
    assert abs(told - datetime.now(UTC)) < timedelta(minutes=5)
    assert told.utcoffset() == timedelta(0)


def test_an_integrity_error_is_a_store_error_in_one_line(database: Database) -> None:
    add_counter(database)
    with pytest.raises(StoreError) as caught:
        add_counter(database)
    assert "\n" not in str(caught.value)
    assert "insert" not in str(caught.value).lower()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "mysql://host/db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite+nosuch:///x.db",
        "postgresql://host:port/db",
    ],
)
def test_a_url_that_cannot_work_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^database\.url: "):
        Database(url)


def test_a_plain_postgresql_url_takes_the_driver_that_is_shipped() -> None:
    database = Database("postgresql://someone:secret@db.example/oversight")
    assert database.engine.url.drivername == "postgresql+psycopg"
    assert "secret" not in database.location


def test_a_server_that_does_not_answer_is_told_in_one_line() -> None:
    database = Database("postgresql+psycopg://someone:secret@127.0.0.1:1/oversight")
    with pytest.raises(StoreError) as caught, database.read() as session:
        session.exec(select(LeaseRow)).all()
    line = str(caught.value)
    assert "\n" not in line
    assert "secret" not in line
    assert "start the server" in line


def test_a_missing_folder_is_told_with_what_to_do(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'none' / 'oversight.db'}")
    with pytest.raises(StoreError, match="create it or mend its permissions"), database.write():
        pass


def test_sqlite_is_opened_as_the_design_says(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'oversight.db'}")
    with database.engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "wal_autocheckpoint")
        }
    database.close()
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "wal_autocheckpoint": 0,
    }


def test_sqlite_writes_begin_immediate_and_reads_do_not(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'oversight.db'}")
    said: list[str] = []
    event.listen(
        database.engine, "before_cursor_execute", lambda *words: said.append(str(words[2]))
    )
    with database.write() as session:
        session.connection()
    with database.read() as session:
        session.connection()
    database.close()
    assert said == ["BEGIN IMMEDIATE", "BEGIN"]


def test_a_grown_log_is_checkpointed_by_its_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "oversight.db"
    database = Database(f"sqlite:///{path}")
    with database.write() as session:
        session.connection().exec_driver_sql("create table t (x)")
    before = path.stat().st_size
    monkeypatch.setattr(database_module, "_CHECKPOINT_BYTES", 1)
    with database.write() as session:
        session.connection().exec_driver_sql("insert into t values (zeroblob(100000))")
    assert path.stat().st_size > before + 90_000
    database.close()


def test_a_failed_checkpoint_does_not_look_like_a_lost_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'oversight.db'}")
    monkeypatch.setattr(database_module, "_CHECKPOINT_BYTES", 1)

    class Failing:
        def cursor(self) -> Failing:
            return self

        def execute(self, _statement: str) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        def close(self) -> None:
            pass

    with database.write() as session:
        session.connection().exec_driver_sql("create table t (x)")
        monkeypatch.setattr(database.engine, "raw_connection", Failing)
    monkeypatch.undo()
    with database.read() as session:
        assert session.connection().exec_driver_sql("select count(*) from t").scalar() == 0
    database.close()


def test_closing_checkpoints_and_leaves_one_file(tmp_path: Path) -> None:
    path = tmp_path / "oversight.db"
    database = Database(f"sqlite:///{path}")
    with database.write() as session:
        session.connection().exec_driver_sql("create table t (x)")
    database.close()
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "oversight.db",
        "oversight.db.writer-lock",
    ]


def test_a_closed_database_can_be_closed_again_even_where_its_folder_is_gone(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    database = Database(f"sqlite:///{folder / 'oversight.db'}")
    database.close()
    (folder / "oversight.db.writer-lock").unlink()
    folder.rmdir()
    database.close()


def test_the_linked_sqlite_has_a_comparable_version() -> None:
    assert (3, 0, 0) < sqlite_version() < (99,)


def test_a_reader_that_fails_amid_its_rows_leaves_no_writer_locked_out(database: Database) -> None:
    """Rows not yet fetched keep a SQLite connection in its old state, and so would the pool."""
    if not database.is_sqlite:
        pytest.skip("rows not fetched hold up no writer on PostgreSQL")
    with database.write() as session:
        for number in range(3):
            session.add(SourceRow(source=f"s{number}", last_attempt=NOW))
    held: list[object] = []

    def fail() -> None:
        with database.read() as session:
            rows = session.scalars(select(SourceRow).execution_options(yield_per=1))
            held.extend((rows, next(rows)))
            raise ValueError("a defect amid the rows")

    for _ in range(3):
        with pytest.raises(ValueError, match="a defect"):
            fail()
    other = Database(database.engine.url.render_as_string(hide_password=False))
    for number in range(3, 6):
        with other.write() as session:
            session.add(SourceRow(source=f"s{number}", last_attempt=NOW))
        with database.write() as session:
            session.add(SourceRow(source=f"t{number}", last_attempt=NOW))
    other.close()
    with database.read() as session:
        assert len(session.scalars(select(SourceRow)).all()) == 9
    assert len(held) == 6
