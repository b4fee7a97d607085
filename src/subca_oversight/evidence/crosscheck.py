"""Serials that crt.sh lists for a subordinate's CA, compared with those in the store.

A second reader of the same logs shows what ours may have missed. It is never a source: nothing is
stored, and only counts and the differing serials are told (crt.sh, ``output=json``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson
from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.errors import SourceError
from subca_oversight.store.tables import UnitRow, WatchedKeyRow

MAX_FILE_OCTETS = 1 << 30
_HEX = re.compile(r"(?:[0-9a-f]{2})+")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class ListedSerials:
    """What a crt.sh answer lists."""

    serials: frozenset[str]
    """Hex without leading zero octets."""
    authorities: tuple[str, ...]
    """crt.sh's numbers of the issuing CAs."""
    first_day: str
    last_day: str
    """Of notBefore; empty where none was stated."""
    unusable: int
    """Objects without a serial that can be read."""


@dataclass(frozen=True, slots=True)
class Crosscheck:
    """The comparison."""

    in_both: int
    only_there: tuple[str, ...]
    only_here: tuple[str, ...]
    """Of the issuing keys that the two have in common, within the listed span of notBefore."""
    not_compared: int
    """Units here of other keys, or outside of that span."""
    authorities: tuple[str, ...]
    first_day: str
    last_day: str
    unusable: int


def load_listed(path: Path) -> ListedSerials:
    """Read a crt.sh answer. Raises SourceError where it is none."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_OCTETS + 1)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}", retry=False) from error
    if len(content) > MAX_FILE_OCTETS:
        raise SourceError(f"{path}: larger than {MAX_FILE_OCTETS >> 20} MiB", retry=False)
    try:
        listed = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise SourceError(f"{path}: not JSON: {error}", retry=False) from error
    if not isinstance(listed, list):
        raise SourceError(f"{path}: not a list of objects, as crt.sh gives it", retry=False)
    serials: set[str] = set()
    authorities: set[str] = set()
    days: set[str] = set()
    unusable = 0
    for one in listed:
        serial = _serial_of(one)
        if serial is None:
            unusable += 1
            continue
        serials.add(serial)
        number = one.get("issuer_ca_id")
        if isinstance(number, int):
            authorities.add(str(number))
        day = one.get("not_before")
        if isinstance(day, str) and _DAY.match(day) is not None:
            days.add(day[:10])
    return ListedSerials(
        serials=frozenset(serials),
        authorities=tuple(sorted(authorities)),
        first_day=min(days, default=""),
        last_day=max(days, default=""),
        unusable=unusable,
    )


def crosscheck(session: Session, anchor: str, listed: ListedSerials) -> Crosscheck:
    """Compare with the confirmed units of a subordinate that a log showed."""
    here: dict[str, list[tuple[str, str]]] = {}
    for key, serial, day in _stored(session, anchor):
        here.setdefault(key, []).append((serial, day))
    both: set[str] = set()
    only_here: set[str] = set()
    not_compared = 0
    for units in here.values():
        shared = {serial for serial, _ in units} & listed.serials
        both |= shared
        for serial, day in units:
            if serial in shared:
                continue
            if len(shared) > 0 and listed.first_day <= day <= listed.last_day:
                only_here.add(serial)
            else:
                not_compared += 1
    return Crosscheck(
        in_both=len(both),
        only_there=tuple(sorted(listed.serials - both)),
        only_here=tuple(sorted(only_here)),
        not_compared=not_compared,
        authorities=listed.authorities,
        first_day=listed.first_day,
        last_day=listed.last_day,
        unusable=listed.unusable,
    )


def _stored(session: Session, anchor: str) -> Iterable[tuple[str, str, str]]:
    """Issuing key, serial and day of notBefore of each unit."""
    keys = session.scalars(
        select(col(WatchedKeyRow.spki_sha256)).where(col(WatchedKeyRow.anchor) == anchor)
    ).all()
    rows = session.execute(
        select(
            col(UnitRow.issuer_key_sha256), col(UnitRow.serial_hex), col(UnitRow.not_before)
        ).where(
            col(UnitRow.issuer_key_sha256).in_(keys),
            col(UnitRow.confirmed).is_(True),
            col(UnitRow.first_logged_ms).is_not(None),
        ),
        execution_options={"yield_per": _BATCH},
    )
    for key, serial, not_before in rows:
        if serial is not None:
            day = "" if not_before is None else not_before.strftime("%Y-%m-%d")
            yield key, _normal(serial), day


def _serial_of(one: object) -> str | None:
    if not isinstance(one, dict):
        return None
    serial = one.get("serial_number")
    if not isinstance(serial, str):
        return None
    text = serial.strip().replace(":", "").lower()
    return _normal(text) if _HEX.fullmatch(text) is not None else None


def _normal(serial: str) -> str:
    """Without the zero octets in front that one writes and the other does not."""
    short = serial.lstrip("0")
    return "0" * (len(short) % 2) + short
