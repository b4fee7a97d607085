"""Column types that mean the same on SQLite and PostgreSQL.

Sizes, log indexes and millisecond times exceed 32 bits; text from certificates may hold what
PostgreSQL refuses; enumerations are stored by value, so that SQL, CSV and JSON agree; and sorting
must not depend on a collation.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Dialect, Enum, Integer, LargeBinary, Text
from sqlalchemy.types import TypeDecorator

_UNSTORABLE = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff]")
BIG = BigInteger()
AUTO_ID = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite gives row ids to INTEGER PRIMARY KEY alone."""
BYTES = LargeBinary()


class SafeText(TypeDecorator[str]):
    """Text in which NUL, lone surrogates and bare control characters are stored escaped."""

    impl = Text().with_variant(Text(collation="C"), "postgresql")
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Escape what a database refuses; idempotent on ordinary text."""
        del dialect
        return None if value is None else escape_text(value)


def escape_text(text: str) -> str:
    r"""``text`` with NUL, lone surrogates and C0 controls but tab and newline as ``\xNN``."""
    if text.isprintable():
        return text
    return _UNSTORABLE.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def enum_type(members: type[StrEnum], length: int = 32) -> Enum:
    """A column type that stores the members' values, not their names."""

    def values(kind: Any) -> list[str]:  # noqa: ANN401 - SQLAlchemy's own signature
        return [member.value for member in kind]

    return Enum(members, native_enum=False, length=length, values_callable=values)
