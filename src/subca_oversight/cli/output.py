"""What commands print: JSON for programs, tables for people; progress goes to stderr only."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table

_INVISIBLE = {
    **{
        code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (9, 10)
    },
    **{
        code: f"\\u{code:04x}"
        for code in (*range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF)
    },
}
"""Control and bidirectional characters: made visible before a terminal acts on them."""


def print_json(value: object) -> None:
    """Print ``value`` as JSON: instants in RFC 3339 UTC, bytes in lower-case hex."""
    text = orjson.dumps(
        value,
        default=_encode,
        option=orjson.OPT_INDENT_2 | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_APPEND_NEWLINE,
    )
    click.echo(text.decode(), nl=False)


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, caption: str = ""
) -> None:
    """Print a table to standard output, as wide as its content needs when not on a terminal."""
    table = Table(title=title, title_justify="left", caption=caption or None, highlight=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(visible(_plain(cell)) for cell in row))
    console = Console(highlight=False, markup=False, soft_wrap=False)
    if not sys.stdout.isatty():
        console = Console(highlight=False, markup=False, width=180)
    console.print(table)


def visible(text: str) -> str:
    """``text`` with control and bidirectional characters shown as escapes."""
    return text.translate(_INVISIBLE)


def format_instant(instant: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _plain(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return format_instant(cell)
    return str(cell)


def _encode(value: Any) -> object:  # noqa: ANN401 - orjson's own signature
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, frozenset | set):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"cannot encode {type(value).__name__}")
