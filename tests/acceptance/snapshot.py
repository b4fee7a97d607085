"""What two databases must have in common when the same things happened to both."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import select as select_rows

from subca_oversight.store.database import Database
from subca_oversight.store.schema import check_database
from subca_oversight.store.tables import METADATA

WITHOUT: dict[str, set[str] | None] = {
    # These tell how often it was run, and by which process.
    "job_run": None,
    "lease": None,
    # An attempt that was cut short is counted.
    "delivery": {"attempts"},
}
"""Tables that are not compared (None), and columns that are not."""

Snapshot = dict[str, list[tuple[tuple[str, Any], ...]]]


def take_snapshot(
    url: str,
    *,
    without: Mapping[str, set[str]] | None = None,
    apart: Collection[str] = (),
) -> Snapshot:
    """Every row of every table that has to be the same, sorted, without row ids.

    ``without`` names further columns to leave out, ``apart`` whole tables.
    """
    left_out: dict[str, set[str] | None] = {**WITHOUT}
    for name, columns in (without or {}).items():
        left_out[name] = (left_out.get(name) or set()) | columns
    left_out |= dict.fromkeys(apart)
    snapshot: Snapshot = {}
    database = Database(url)
    try:
        assert check_database(database) == []
        with database.read() as session:
            for table in METADATA.sorted_tables:
                hidden = left_out.get(table.name, set())
                if hidden is None:
                    continue
                numbered = table.autoincrement_column
                names = [
                    column.name
                    for column in table.columns
                    if column is not numbered and column.name not in hidden
                ]
                rows = session.connection().execute(
                    select_rows(*(table.columns[name] for name in names))
                )
                snapshot[table.name] = sorted(
                    (tuple(zip(names, row, strict=True)) for row in rows), key=repr
                )
    finally:
        database.close()
    return snapshot


def find_differences(found: Snapshot, expected: Snapshot) -> list[str]:
    """One line for each row that only one of the two has; empty where they are equal."""
    lines: list[str] = []
    for table in sorted(found.keys() | expected.keys()):
        mine, theirs = found.get(table, []), expected.get(table, [])
        if mine == theirs:
            continue
        lines += [f"{table}: surplus {row!r}"[:600] for row in mine if row not in theirs]
        lines += [f"{table}: missing {row!r}"[:600] for row in theirs if row not in mine]
        if len(mine) != len(theirs):
            lines.append(f"{table}: {len(mine)} rows instead of {len(theirs)}")
    return lines
