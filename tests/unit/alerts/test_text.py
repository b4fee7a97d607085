"""No character of another's acts on the reader's screen or in a header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.alerts.text import visible


@given(st.text(st.characters(categories=None)), st.integers(1, 60))
def test_the_result_is_one_printable_line_within_the_limit(text: str, limit: int) -> None:
    result = visible(text, limit)
    assert result.isprintable()
    assert len(result) <= limit
    assert len(result.encode()) <= 4 * limit


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=50))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert visible(text, 50) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\nBcc: x", "a\\x0d\\x0aBcc: x"),
        ("\u202eevil", "\\u202eevil"),
        ("exam\u00adple", "exam\\xadple"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("a\u2028b", "a\\u2028b"),
        ("a\u3000b", "a b"),
        ("x" * 41, "x" * 39 + "…"),
        ("x" * 40, "x" * 40),
    ],
)
def test_what_cannot_be_seen_is_shown(text: str, shown: str) -> None:
    assert visible(text, 40) == shown
