"""The schema's version is known, moved forward with a backup first, and never guessed at."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlmodel import select

from subca_oversight.errors import StoreError
from subca_oversight.store import schema
from subca_oversight.store.database import Database
from subca_oversight.store.schema import (
    backup_database,
    check_database,
    ensure_schema,
    upgrade_schema,
)
from subca_oversight.store.tables import METADATA, SourceRow

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
OLDER = '''"""The first schema, in this test: one table.

Revision ID: 0000
"""

revision = "0000"
down_revision = None


def upgrade() -> None:
    pass
'''


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "oversight.db"


def _open(path: Path) -> Database:
    return Database(f"sqlite:///{path}")


def _set_revision(database: Database, revision: str) -> None:
    with database.write() as session:
        session.connection().execute(
            text("update alembic_version set version_num = :revision"), {"revision": revision}
        )


@pytest.fixture
def _an_older_version_exists(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the shipped migrations follow upon one that an older program shipped."""
    migrations = tmp_path / "migrations"
    shutil.copytree(schema._MIGRATIONS, migrations, ignore=shutil.ignore_patterns("__pycache__"))
    (migrations / "versions" / "0000_start.py").write_text(OLDER)
    first = migrations / "versions" / "0001_create_the_schema.py"
    content = first.read_text()
    assert "down_revision" in content
    lines = [
        'down_revision = "0000"' if line.startswith("down_revision") else line
        for line in content.splitlines()
    ]
    first.write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(schema, "_MIGRATIONS", migrations)


def test_the_migrations_make_exactly_the_tables_of_the_code(database: Database) -> None:
    with database.read() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_an_empty_database_gets_the_schema_once(database: Database) -> None:
    ensure_schema(database)
    assert check_database(database) == []
    with database.read() as session:
        tables = set(inspect(session.connection()).get_table_names())
    assert tables == set(METADATA.tables) | {"alembic_version"}


def test_two_that_create_at_once_both_succeed(path: Path) -> None:
    databases = [_open(path), _open(path)]
    errors: list[BaseException] = []

    def create(database: Database) -> None:
        try:
            ensure_schema(database)
        except StoreError as error:
            errors.append(error)

    threads = [threading.Thread(target=create, args=(one,)) for one in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert check_database(databases[0]) == []
    for database in databases:
        database.close()


def test_the_folder_is_made_for_this_user_alone(tmp_path: Path) -> None:
    database = _open(tmp_path / "state" / "deep" / "oversight.db")
    ensure_schema(database)
    database.close()
    assert (tmp_path / "state" / "deep").stat().st_mode & 0o777 == 0o700


def test_a_schema_of_the_future_is_refused(database: Database) -> None:
    _set_revision(database, "9999")
    for refuse in (ensure_schema, lambda one: upgrade_schema(one, now=NOW)):
        with pytest.raises(StoreError, match="newer version of subca-oversight"):
            refuse(database)
    assert check_database(database) == ["schema is 9999, not 0001"]


def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("create table bookmarks (url)")
    connection.close()
    database = _open(path)
    for refuse in (ensure_schema, lambda one: upgrade_schema(one, now=NOW)):
        with pytest.raises(StoreError, match="another program's tables"):
            refuse(database)
    database.close()
    with sqlite3.connect(path) as connection:
        tables = connection.execute("select name from sqlite_master").fetchall()
    connection.close()
    assert tables == [("bookmarks",)]


@pytest.mark.usefixtures("_an_older_version_exists")
def test_an_older_schema_is_refused_until_upgraded_with_a_backup_first(path: Path) -> None:
    database = _open(path)
    with database.write() as session:
        connection = session.connection()
        connection.exec_driver_sql("create table alembic_version (version_num varchar(32))")
        connection.exec_driver_sql("insert into alembic_version values ('0000')")
        connection.exec_driver_sql("create table treasure (x)")
        connection.exec_driver_sql("insert into treasure values (42)")
    with pytest.raises(StoreError, match="older than this version; run: subca-oversight db"):
        ensure_schema(database)
    backup = upgrade_schema(database, now=NOW)
    assert backup == path.with_name("oversight.db.20261124T123000Z.backup")
    assert check_database(database) == []
    assert upgrade_schema(database, now=NOW) is None
    database.close()
    with sqlite3.connect(backup) as copy:
        tables = {name for (name,) in copy.execute("select name from sqlite_master")}
        assert copy.execute("select x from treasure").fetchall() == [(42,)]
        assert copy.execute("select version_num from alembic_version").fetchone() == ("0000",)
    copy.close()
    assert tables == {"alembic_version", "treasure"}


@pytest.mark.usefixtures("_an_older_version_exists")
def test_an_upgrade_that_fails_leaves_the_old_schema(path: Path) -> None:
    last = schema._MIGRATIONS / "versions" / "0001_create_the_schema.py"
    last.write_text(last.read_text().rstrip() + '\n    op.execute("this is no SQL")\n')
    text_before_downgrade = last.read_text().index("def upgrade")
    assert "def downgrade" not in last.read_text()[text_before_downgrade:]
    database = _open(path)
    with database.write() as session:
        connection = session.connection()
        connection.exec_driver_sql("create table alembic_version (version_num varchar(32))")
        connection.exec_driver_sql("insert into alembic_version values ('0000')")
    with pytest.raises(StoreError, match="syntax error"):
        upgrade_schema(database, now=NOW)
    with database.read() as session:
        assert inspect(session.connection()).get_table_names() == ["alembic_version"]
    with pytest.raises(StoreError, match="older than this version"):
        ensure_schema(database)
    database.close()


def test_a_backup_taken_while_writing_is_whole(path: Path, tmp_path: Path) -> None:
    """Each transaction writes two rows: a copy with an odd number of them was torn."""
    database = _open(path)
    ensure_schema(database)
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            with database.write() as session:
                for side in ("left", "right"):
                    session.add(SourceRow(source=f"{side} {number}", last_attempt=NOW))
                    session.flush()
            number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(5):
            target = tmp_path / f"copy-{number}.db"
            backup_database(database, target)
            copy = _open(target)
            assert check_database(copy) == []
            with copy.read() as session:
                rows = session.exec(select(SourceRow)).all()
            copy.close()
            assert len(rows) % 2 == 0
            left = {row.source.split()[1] for row in rows if row.source.startswith("left")}
            assert left == {row.source.split()[1] for row in rows if row.source.startswith("right")}
    finally:
        stop.set()
        thread.join()
        database.close()
    assert not list(tmp_path.glob("*.partial*"))


def test_a_backup_that_fails_leaves_no_part_of_itself(path: Path, tmp_path: Path) -> None:
    database = _open(path)
    ensure_schema(database)
    with pytest.raises(StoreError, match="the backup failed"):
        backup_database(database, tmp_path / "no such folder" / "copy.db")
    target = tmp_path / "copy.db"
    target.mkdir()
    with pytest.raises(StoreError, match="the backup failed"):
        backup_database(database, target)
    database.close()
    assert not list(tmp_path.glob("*.partial*"))


def test_damage_is_told_by_the_check(path: Path) -> None:
    database = _open(path)
    ensure_schema(database)
    with database.write() as session:
        session.connection().exec_driver_sql("PRAGMA defer_foreign_keys=ON")
    database.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute(
            "insert into finding_unit (fingerprint, unit_id, first_seen) values ('x', 'y', 'z')"
        )
    connection.close()
    database = _open(path)
    problems = check_database(database)
    database.close()
    assert len(problems) == 1
    assert problems[0].startswith("foreign_key_check: ('finding_unit'")


def test_where_none_is_to_be_made_a_missing_or_empty_database_is_refused(path: Path) -> None:
    database = _open(path)
    with pytest.raises(StoreError, match="there is no database"):
        ensure_schema(database, create=False)
    assert not path.exists()
    path.touch()
    with pytest.raises(StoreError, match="the database is empty"):
        ensure_schema(database, create=False)
    database.close()


@pytest.mark.postgres
def test_a_backup_of_postgresql_is_left_to_its_own_tools(postgres_url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="pg_dump"):
        backup_database(Database(postgres_url), tmp_path / "copy.db")
