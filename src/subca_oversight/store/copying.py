"""Copying one database into another: how SQLite is outgrown."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, func, select, text

from subca_oversight.errors import StoreError
from subca_oversight.store.database import Database
from subca_oversight.store.schema import ensure_schema
from subca_oversight.store.tables import METADATA

_BATCH = 1000


def copy_database(source: Database, target: Database) -> int:
    """Copy every row into ``target``, which must be empty; returns how many.

    One transaction: a target that was cut off stays empty. Raises StoreError.
    """
    ensure_schema(target)
    copied = 0
    with source.read() as reading, target.write() as writing:
        for table in METADATA.sorted_tables:
            count = writing.connection().scalar(select(func.count()).select_from(table))
            if count != 0:
                raise StoreError(
                    f"{target.location}: {table.name} has rows; name an empty database"
                )
        for table in METADATA.sorted_tables:
            streaming = reading.connection().execution_options(yield_per=_BATCH)
            with streaming.execute(select(table)) as rows:
                for part in rows.mappings().partitions(_BATCH):
                    writing.connection().execute(table.insert(), [dict(row) for row in part])
                    copied += len(part)
        if not target.is_sqlite:
            for table in METADATA.sorted_tables:
                column = table.autoincrement_column
                if column is None or not isinstance(column.type, BigInteger | Integer):
                    continue
                sequence = f"pg_get_serial_sequence('{table.name}', '{column.name}')"
                highest = f'(select max("{column.name}") from "{table.name}")'
                writing.connection().execute(
                    text(f"select setval({sequence}, coalesce({highest}, 0) + 1, false)")
                )
    return copied
