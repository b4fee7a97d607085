"""A copy holds every row of every table, and goes on counting where the source stopped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import BigInteger, Boolean, Integer, LargeBinary, Table
from sqlalchemy.types import Enum as EnumType
from sqlmodel import select
from sqlmodel.sql.sqltypes import UTCDateTime

from subca_oversight.errors import StoreError
from subca_oversight.store.copying import copy_database
from subca_oversight.store.database import Database
from subca_oversight.store.tables import METADATA, TransitionRow, WaiverRow
from tests.databases import postgres_database, sqlite_database

NOW = datetime(2026, 11, 24, 12, 0, 0, 654321, tzinfo=UTC)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        (tmp_path / "target").mkdir()
        with sqlite_database(tmp_path / "target") as opened:
            yield opened
    else:
        with postgres_database(request.getfixturevalue("postgres_url")) as opened:
            yield opened


def _value(table: Table, name: str, number: int) -> Any:  # noqa: ANN401 - whatever the column takes
    column = table.columns[name]
    if len(column.foreign_keys) > 0:
        other = next(iter(column.foreign_keys)).column
        return _value(other.table, other.name, number)
    if isinstance(column.type, EnumType):
        kinds: list[Enum] = list(column.type.enum_class or ())
        return kinds[number % len(kinds)]
    if isinstance(column.type, Boolean):
        return number % 2 == 0
    if isinstance(column.type, BigInteger | Integer):
        return (
            number + 2**40
            if not column.primary_key and isinstance(column.type, BigInteger)
            else number
        )
    if isinstance(column.type, LargeBinary):
        return bytes([number, 0, 255])
    if isinstance(column.type, UTCDateTime):
        return NOW
    if column.type.python_type is date:
        return NOW.date()
    return f"{name[:3]}{number}"


def _fill(database: Database, rows: int) -> None:
    with database.write() as session:
        for table in METADATA.sorted_tables:
            session.connection().execute(
                table.insert(),
                [
                    {name: _value(table, name, number) for name in table.columns.keys()}  # noqa: SIM118
                    for number in range(1, rows + 1)
                ],
            )


def _dump(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    with database.read() as session:
        return {
            table.name: sorted(map(tuple, session.connection().execute(table.select())), key=repr)
            for table in METADATA.sorted_tables
        }


def test_every_row_of_every_table_is_copied(database: Database, target: Database) -> None:
    _fill(database, 3)
    assert copy_database(database, target) == 3 * len(METADATA.tables)
    assert _dump(target) == _dump(database)


def test_numbering_goes_on_after_a_copy(database: Database, target: Database) -> None:
    _fill(database, 3)
    copy_database(database, target)
    with target.write() as session:
        known = session.exec(select(TransitionRow)).first()
        assert known is not None
        added = TransitionRow(
            fingerprint=known.fingerprint,
            at=NOW,
            from_state="",
            to_state="open",
            actor="",
            reason="",
        )
        session.add(added)
        session.flush()
        assert added.id == 4


def test_numbering_starts_at_one_in_a_copy_of_nothing(database: Database, target: Database) -> None:
    assert copy_database(database, target) == 0
    with target.write() as session:
        waiver = WaiverRow(check_id="c", reason="r", approver="a", created_at=NOW, expires=NOW)
        session.add(waiver)
        session.flush()
        assert waiver.id == 1


def test_a_target_with_rows_is_refused_and_left_as_it_is(
    database: Database, target: Database
) -> None:
    _fill(database, 2)
    _fill(target, 1)
    before = _dump(target)
    with pytest.raises(StoreError, match="has rows; name an empty database"):
        copy_database(database, target)
    assert _dump(target) == before


def test_a_copy_that_is_cut_off_leaves_the_target_empty(
    database: Database, target: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(database, 2)
    last = METADATA.sorted_tables[-1]

    def fail(_self: Table) -> None:
        raise OSError("cut off")

    monkeypatch.setattr(last, "insert", fail.__get__(last))
    with pytest.raises(OSError, match="cut off"):
        copy_database(database, target)
    monkeypatch.undo()
    assert all(rows == [] for rows in _dump(target).values())


def test_a_database_is_not_copied_onto_itself(database: Database) -> None:
    _fill(database, 1)
    with pytest.raises(StoreError, match="has rows"):
        copy_database(database, database)
