"""What is printed: stable JSON for programs, text that a terminal cannot be tricked with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.cli.invocation import INSTANT
from subca_oversight.cli.output import format_instant, print_json, print_table, visible

NOW = datetime(2026, 11, 24, 12, 30, 15, 999999, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Value:
    at: datetime
    day: date
    key: bytes
    names: frozenset[str]


class _Word(StrEnum):
    A = "a word"


def test_json_has_the_documented_forms(capsys: pytest.CaptureFixture[str]) -> None:
    east = NOW.astimezone(timezone(timedelta(hours=9)))
    print_json([_Value(east, date(2026, 1, 2), b"\x00\xff", frozenset({"b", "a"})), _Word.A, None])
    assert json.loads(capsys.readouterr().out) == [
        {"at": "2026-11-24T12:30:15Z", "day": "2026-01-02", "key": "00ff", "names": ["a", "b"]},
        "a word",
        None,
    ]


def test_json_refuses_what_it_does_not_know() -> None:
    with pytest.raises(TypeError):
        print_json(object())


@given(st.text())
def test_no_control_or_bidi_character_reaches_a_terminal(text: str) -> None:
    shown = visible(text)
    forbidden = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))} - {"\t", "\n"}
    forbidden |= {"\u200b", "\u200e", "\u202e", "\u2028", "\u2066", "\ufeff"}
    assert not forbidden & set(shown)


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"])))
def test_ordinary_text_is_shown_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_a_table_shows_every_cell_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("title [bold]", ("a", "b"), [("[red]x[/red]", NOW), (None, "y" * 300)])
    out = capsys.readouterr().out
    assert "title [bold]" in out
    assert "[red]x[/red]" in out
    assert "2026-11-24T12:30:15Z" in out
    assert out.count("y") == 300


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-24", datetime(2026, 11, 24, tzinfo=UTC)),
        ("2026-11-24T12:00:00Z", datetime(2026, 11, 24, 12, tzinfo=UTC)),
        ("2026-11-24T12:00:00+02:00", datetime(2026, 11, 24, 10, tzinfo=UTC)),
    ],
)
def test_an_instant_is_read_in_utc(text: str, expected: datetime) -> None:
    assert INSTANT.convert(text, None, None) == expected
    assert format_instant(expected).endswith("Z")


@pytest.mark.parametrize("text", ["", "now", "2026-13-01", "2026-11-24T12:00:00", "24.11.2026"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        INSTANT.convert(text, None, None)
