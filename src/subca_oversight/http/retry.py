"""How long to wait before asking again.

Retry-After of RFC 9110, 10.2.3, in both its forms, else exponential backoff with full jitter, so
that many clients turned away at once do not come back at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# Outside these a server's wish is taken for a mistake, in seconds.
SHORTEST_WAIT = 0.25
LONGEST_WAIT = 600.0
# A wait longer than this is not slept through inside a request: the caller learns of it instead.
PATIENCE = 60.0
_FIRST_BACKOFF = 1.0
_LONGEST_BACKOFF = 30.0
_SECONDS = re.compile(r"[0-9]{1,9}")


def find_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for, clamped; None when absent or unreadable."""
    if value is None:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value) is not None:
        seconds = float(value)
    else:
        try:
            instant = parsedate_to_datetime(value)
        except ValueError:
            return None
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=UTC)
        seconds = (instant - now).total_seconds()
    return min(max(seconds, SHORTEST_WAIT), LONGEST_WAIT)


def backoff(attempt: int, random: Callable[[], float]) -> float:
    """Seconds to wait after the failed ``attempt`` (from 0); ``random`` yields [0, 1)."""
    ceiling = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0 ** min(attempt, 10))
    return max(SHORTEST_WAIT, random() * ceiling)
