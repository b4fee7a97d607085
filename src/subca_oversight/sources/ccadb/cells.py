"""The cells of one row of a CCADB report: text, dates, check boxes and lists of addresses.

The spellings differ between the raw download and its mirrors, and between versions; all that have
been seen are read, everything else is reported by cell and never guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from subca_oversight.sources.ccadb.layout import Columns

MAX_CELL_CHARACTERS = 8 * 2**20
"""Google's partitioned CRL cells pass 131,072 characters; nothing honest comes near this."""
AUDIT_YEARS = range(1990, 2200)
"""Years that an audit or document date can have; 0000 and 9999 have been typed."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_DATE = re.compile(r"([0-9]{4})([.-])([0-9]{2})\2([0-9]{2})")
_ADDRESS = re.compile(r"(?:https?|ldaps?)://[^\s\"',;\\\]\[]+", re.IGNORECASE)
_LONGEST_DATE = 16
"""Characters; keeps hostile cells out of the cache, and is longer than any date."""
_UNREADABLE = re.compile("[\x00\ufffd]")
_SEPARATOR = re.compile(r"[;\n]")


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Something in a row that could not be used."""

    line: int
    """Last line of the row in the file; 0 where no one line is meant."""
    record_id: str
    column: str
    text: str
    set_aside: bool = False
    """Whether the whole row was left out."""


def is_sha256(text: str) -> bool:
    """Whether the text is a SHA-256 in lower-case hex."""
    return _SHA256.fullmatch(text) is not None


@lru_cache(maxsize=65_536)
def parse_date(text: str) -> date:
    """Parse ``YYYY.MM.DD`` or ``YYYY-MM-DD``; raises ValueError for anything else."""
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError("neither YYYY.MM.DD nor YYYY-MM-DD")
    return date(int(match[1]), int(match[3]), int(match[4]))


class Cells:
    """One row, read by field name; what cannot be read is collected in ``problems``."""

    __slots__ = ("_columns", "_line", "_row", "problems")

    def __init__(self, columns: Columns, row: Sequence[str], line: int) -> None:
        self._columns = columns
        self._row = row
        self._line = line
        self.problems: list[RowProblem] = []

    def has_right_width(self) -> bool:
        """Whether cells stand under their headers; a row that is too short or long is set aside.

        Empty cells past the last header are harmless: V4 rows end in commas.
        """
        if len(self._row) < self._columns.width:
            self.set_aside("", f"{len(self._row)} cells under {self._columns.width} headers")
            return False
        if any(len(cell.strip()) > 0 for cell in self._row[self._columns.width :]):
            self.set_aside("", f"{len(self._row)} cells under {self._columns.width} headers")
            return False
        return True

    def raw(self, field: str) -> str:
        """Return a cell as it stands; empty where the layout has no such column."""
        place = self._columns.index.get(field)
        return self._row[place] if place is not None and place < len(self._row) else ""

    def text(self, field: str) -> str:
        """Return a cell with its white space collapsed; NUL and broken UTF-8 become U+FFFD."""
        value = self.raw(field)
        if _UNREADABLE.search(value) is not None:
            self.report(field, "characters that cannot be read")
            value = value.replace("\x00", "\ufffd")
        return " ".join(value.split())

    def flag(self, field: str) -> bool | None:
        """Read a check box; None where it is empty or not one."""
        value = self.raw(field).strip().casefold()
        if value in {"true", "1"}:
            return True
        if value in {"false", "0"}:
            return False
        if len(value) > 0:
            self.report(field, "neither true nor false")
        return None

    def audit_date(self, field: str) -> date | None:
        """Read the date of an audit or document; None where it is empty or impossible."""
        return self._date(field, AUDIT_YEARS)

    def validity(self, field: str) -> date | None:
        """Read a date of a certificate, which may be 9999-12-31 (RFC 5280 4.1.2.5)."""
        return self._date(field, range(1950, 10_000))

    def listed(self, field: str) -> tuple[str, ...]:
        """Read a list separated by semicolons or line ends."""
        parts = (" ".join(part.split()) for part in _SEPARATOR.split(self.raw(field)))
        return tuple(part for part in parts if len(part) > 0)

    def urls(self, field: str) -> tuple[str, ...]:
        """Read a JSON array of addresses, or addresses separated in any other way.

        Words that stand where addresses should ("expired", "-") are no problem and no address.
        """
        value = self.raw(field).strip()
        if value.startswith("["):
            try:
                parsed: object = json.loads(value)
            except (ValueError, RecursionError):
                self.report(field, "not a JSON array")
            else:
                if isinstance(parsed, list) and all(isinstance(part, str) for part in parsed):
                    value = "\n".join(parsed)
                else:
                    self.report(field, "not a JSON array of text")
        return tuple(dict.fromkeys(_ADDRESS.findall(value)))

    def report(self, field: str, text: str) -> None:
        """Note that one cell could not be used."""
        self.problems.append(RowProblem(self._line, self._record_id(), field, text))

    def set_aside(self, field: str, text: str) -> None:
        """Note that the row is left out."""
        self.problems.append(RowProblem(self._line, self._record_id(), field, text, set_aside=True))

    def _record_id(self) -> str:
        return self.raw("record_id").strip()[:64]

    def _date(self, field: str, years: range) -> date | None:
        value = self.raw(field).strip()
        if len(value) == 0:
            return None
        try:
            day = parse_date(value[:_LONGEST_DATE])
        except ValueError:
            self.report(field, "not a date")
            return None
        if day.year not in years:
            self.report(field, "a date that cannot be right")
            return None
        return day
