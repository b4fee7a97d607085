"""Transcripts as JSON files: written so that bytes repeat, read as from an adversary.

A transcript comes from the other party, so an unknown key, a key given twice, a hash in another
spelling or a basis that does not follow is refused by name (DESIGN sections 7 and 10; RFC 8259).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NoReturn

from subca_oversight.errors import EvidenceError
from subca_oversight.evidence.sampling import (
    LATE,
    METHOD,
    DrawnUnit,
    PopulationUnit,
    Profile,
    StratumSize,
)
from subca_oversight.evidence.transcript import (
    AuthorityCertificate,
    SampleTranscript,
    is_encodable,
)

MAX_BYTES = 256 * 1024 * 1024
"""Room for more than a million units."""
_INSTANT = "%Y-%m-%dT%H:%M:%SZ"
_HASH = re.compile(r"[0-9a-f]{64}")
_SHOWN = 80
_KEYS = (
    "version",
    "subordinate",
    "authority_certificates",
    "basis",
    "previous_end",
    "population_end",
    "drawn_at",
    "ev_percent",
    "population",
    "units",
    "commitment",
    "public_value",
    "seed",
    "sizes",
    "sample",
)


def encode_transcript(transcript: SampleTranscript) -> bytes:
    """The transcript as JSON, ASCII only; the same transcript gives the same bytes."""
    fields = {
        "version": METHOD,
        "subordinate": {"anchor": transcript.anchor, "name": transcript.subordinate},
        "authority_certificates": [
            {"sha256": one.sha256, "br_constrained": one.br_constrained}
            for one in transcript.authorities
        ],
        "basis": transcript.basis,
        "previous_end": None
        if transcript.previous_end is None
        else _format(transcript.previous_end),
        "population_end": _format(transcript.population_end),
        "drawn_at": _format(transcript.drawn_at),
        "ev_percent": transcript.ev_percent,
        "population": len(transcript.units),
        "units": [
            {"unit_id": unit.unit_id, "profile": unit.profile, "stratum": unit.stratum}
            for unit in transcript.units
        ],
        "commitment": transcript.commitment,
        "public_value": transcript.public_value,
        "seed": transcript.seed,
        "sizes": [
            {
                "stratum": size.stratum,
                "profile": size.profile,
                "population": size.population,
                "drawn": size.drawn,
                "rule": size.rule,
            }
            for size in transcript.sizes
        ],
        "sample": [
            {"stratum": unit.stratum, "unit_id": unit.unit_id, "rank": unit.rank}
            for unit in transcript.sample
        ],
    }
    return json.dumps(fields, indent=1).encode("ascii") + b"\n"


def load_transcript(content: bytes) -> SampleTranscript:
    """Read a transcript. Raises EvidenceError on anything that is not exactly one."""
    if len(content) > MAX_BYTES:
        raise EvidenceError(f"the transcript has {len(content)} bytes; at most {MAX_BYTES} fit")
    try:
        parsed: object = json.loads(
            content.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"the transcript is not JSON: {str(error)[:_SHOWN]}") from error
    top = _Fields("transcript", parsed, _KEYS)
    if top.text("version") != METHOD:
        raise EvidenceError(f"version: {top.text('version')[:_SHOWN]!a} is not {METHOD}")
    owner = _Fields("subordinate", top["subordinate"], ("anchor", "name"))
    transcript = SampleTranscript(
        anchor=owner.hash("anchor"),
        subordinate=owner.text("name"),
        authorities=tuple(
            AuthorityCertificate(one.hash("sha256"), one.flag("br_constrained"))
            for one in top.objects("authority_certificates", ("sha256", "br_constrained"))
        ),
        previous_end=None if top["previous_end"] is None else top.instant("previous_end"),
        population_end=top.instant("population_end"),
        drawn_at=top.instant("drawn_at"),
        ev_percent=top.number("ev_percent"),
        units=tuple(_unit(one) for one in top.objects("units", ("unit_id", "profile", "stratum"))),
        commitment=top.hash("commitment"),
        public_value=top.text("public_value"),
        seed=top.hash("seed"),
        sizes=tuple(
            StratumSize(
                one.text("stratum"),
                one.profile("profile"),
                one.number("population"),
                one.number("drawn"),
                one.text("rule"),
            )
            for one in top.objects("sizes", ("stratum", "profile", "population", "drawn", "rule"))
        ),
        sample=tuple(
            DrawnUnit(one.text("stratum"), one.hash("unit_id"), one.hash("rank"))
            for one in top.objects("sample", ("stratum", "unit_id", "rank"))
        ),
    )
    if top.number("population") != len(transcript.units):
        raise EvidenceError(
            f"population: says {top.number('population')}, lists {len(transcript.units)} units"
        )
    if top.text("basis") != transcript.basis:
        raise EvidenceError(
            f"basis: {top.text('basis')[:_SHOWN]!a} does not follow from authority_certificates"
        )
    return transcript


def _unit(fields: _Fields) -> PopulationUnit:
    profile, stratum = fields.profile("profile"), fields.text("stratum")
    if stratum not in (LATE, profile.value):
        fields.fail("stratum", f'is neither its profile nor "{LATE}"')
    return PopulationUnit(fields.hash("unit_id"), profile, is_late=stratum == LATE)


class _Fields:
    """One JSON object with exactly the keys that belong there."""

    def __init__(self, place: str, value: object, keys: Sequence[str]) -> None:
        self._place = place
        if not isinstance(value, dict):
            raise EvidenceError(f"{place}: not an object")
        self._values: dict[str, object] = value
        for key in keys:
            if key not in value:
                raise EvidenceError(f"{place}: lacks {key}")
        if len(value) != len(keys):
            extra = min(str(key) for key in value if key not in keys)
            raise EvidenceError(f"{place}: has an unknown key {extra[:_SHOWN]!a}")

    def __getitem__(self, key: str) -> object:
        return self._values[key]

    def fail(self, key: str, reason: str) -> NoReturn:
        raise EvidenceError(f"{self._place}: {key} {reason}")

    def text(self, key: str) -> str:
        value = self._values[key]
        if not isinstance(value, str) or not is_encodable(value):
            self.fail(key, "is no text")
        return value

    def hash(self, key: str) -> str:
        value = self.text(key)
        if _HASH.fullmatch(value) is None:
            self.fail(key, "is not 64 lower-case hex digits")
        return value

    def number(self, key: str) -> int:
        value = self._values[key]
        if not isinstance(value, int) or isinstance(value, bool):
            self.fail(key, "is no whole number")
        return value

    def flag(self, key: str) -> bool | None:
        value = self._values[key]
        if value is not None and not isinstance(value, bool):
            self.fail(key, "is not true, false or null")
        return value

    def profile(self, key: str) -> Profile:
        try:
            return Profile(self.text(key))
        except ValueError:
            self.fail(key, "is no known profile")

    def instant(self, key: str) -> datetime:
        text = self.text(key)
        try:
            instant = datetime.strptime(text, _INSTANT).replace(tzinfo=UTC)
        except ValueError:
            self.fail(key, "is no instant in whole seconds of UTC")
        if _format(instant) != text:
            self.fail(key, "is no instant in whole seconds of UTC")
        return instant

    def objects(self, key: str, keys: Sequence[str]) -> list[_Fields]:
        value = self._values[key]
        if not isinstance(value, list):
            self.fail(key, "is no list")
        return [_Fields(f"{key}[{number}]", one, keys) for number, one in enumerate(value)]


def _format(instant: datetime) -> str:
    """RFC 3339 in UTC; the year always has four digits, which strftime does not promise."""
    return instant.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
