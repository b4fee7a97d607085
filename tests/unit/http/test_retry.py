"""How long the client waits before it asks again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.http.retry import backoff, find_retry_after

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5.0),
        (" 5 ", 5.0),
        ("0", 0.25),
        ("999999999", 600.0),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 13:00:30 +0100", 30.0),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.25),
        ("Wed, 25 Nov 2026 12:00:00 GMT", 600.0),
        ("Tue, 24 Nov 2026 12:00:30 -0000", 30.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1e3", None),
        ("9" * 400, None),
    ],
)
def test_both_forms_of_retry_after_are_read_and_clamped(
    value: str | None, seconds: float | None
) -> None:
    assert find_retry_after(value, NOW) == seconds


@given(st.text(max_size=80))
def test_any_retry_after_is_absent_or_within_its_bounds(value: str) -> None:
    seconds = find_retry_after(value, NOW)
    assert seconds is None or 0.25 <= seconds <= 600.0


def test_backoff_is_jittered_over_the_whole_interval_and_bounded() -> None:
    assert [backoff(n, lambda: 0.999) for n in (0, 1, 2)] == [0.999, 1.998, 3.996]
    assert backoff(0, lambda: 0.0) == 0.25
    assert backoff(10_000, lambda: 0.999) < 30.0
