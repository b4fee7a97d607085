"""How often a log may be asked, as its own answers teach: rate, concurrency, silence, breaker.

No log says what it can bear, and those that throttle punish whoever finds out by trying hard
(``reference/ct.md`` 2.7). So a log that answers well is asked as fast as it answers, and the first
refusal makes it slower at once: additive increase, multiplicative decrease, as in TCP congestion
control (RFC 5681). Everything here is pure: instants are arguments, in seconds of one clock.
"""

from __future__ import annotations

from collections import deque
from math import inf

MOST_AT_ONCE = 8.0
"""Requests under way to one log, at most."""
SLOWEST = 1 / 50
"""Requests a second below which a log is never slowed: a request every 50 seconds."""
UNHINDERED = 100.0
"""Requests a second from which on a limit is none any more."""
TRIP = 5
"""Failures, each good answer making up for one, that open the breaker."""
FIRST_REST = 60.0
LONGEST_REST = 600.0
"""Seconds for which an open breaker keeps a log from being asked; doubled at each failed probe."""

_AT_ONCE = 4.0
"""Requests under way to a log that nothing is known of."""
_STEPS = 64
"""Good answers that bring the rate from nothing back to where it last failed. So a log that refuses
all beyond some rate refuses one request in 32, and is asked at three quarters of that rate."""
_MEMORY_SECONDS = 10.0
_SHORTEST_SPAN = 2.0
"""Seconds over which even a burst is measured, for four requests at once are not 4,000 a second."""


class Bucket:
    """A token bucket: so many requests a second, and one second's worth of them at once."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = max(1.0, rate)
        self._tokens = self._most
        self._at = -inf

    def wait(self, now: float) -> float:
        """Seconds until a request may be sent; 0 for at once."""
        self._fill(now)
        return max(0.0, (1.0 - self._tokens) / self._rate)

    def take(self, now: float) -> None:
        """Count a request that is sent now."""
        self._fill(now)
        self._tokens -= 1.0

    def _fill(self, now: float) -> None:
        if now > self._at:
            self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
            self._at = now


class Pace:
    """What one log has taught so far."""

    def __init__(self) -> None:
        self.rate: float | None = None
        """Requests a second; None while nothing speaks for a limit."""
        self.window = _AT_ONCE
        """Requests that may be under way, in whole numbers."""
        self.failures = 0
        """Those that no good answer has made up for, one for one: a log whose head is served and
        whose entries are not would otherwise be well again each time that its head is asked for."""
        self._step = 0.0
        self._is_failing = False
        self._next_start = -inf
        self._silent_until = -inf
        self._rests_until = -inf
        self._rests = 0
        self._started: deque[float] = deque(maxlen=256)
        self._ticket = 0
        self._slowed_at = 0
        self._tripped_at = 0

    def rest(self, now: float) -> float:
        """Seconds for which the breaker stays open; 0 where it is closed, or a probe may pass."""
        return max(0.0, self._rests_until - now)

    def wait(self, now: float) -> float:
        """Seconds until the next request may be sent; 0 for at once."""
        return max(0.0, self._next_start - now, self._silent_until - now, self._rests_until - now)

    def begin(self, now: float) -> int:
        """Count a request that is sent now; the number tells its end from those of others."""
        if self.rate is not None:
            self._next_start = max(self._next_start, now) + 1 / self.rate
        self._started.append(now)
        self._ticket += 1
        return self._ticket

    def succeed(self) -> None:
        """A request was answered well: a little more may be asked."""
        self.answer()
        self.window = min(MOST_AT_ONCE, self.window + 1 / self.window)
        if self.rate is not None:
            self.rate += self._step
            if self.rate >= UNHINDERED:
                self.rate = None

    def answer(self) -> None:
        """A request was answered with "no such thing", which says nothing of the rate."""
        self._is_failing = False
        self.failures = max(0, self.failures - 1)
        if self.failures == 0:
            self._rests = 0

    def fail(self, ticket: int, now: float, *, silence: float) -> None:
        """A request was refused, or failed; the log is left alone for ``silence`` seconds.

        Of the requests that were under way together, only the first failure slows the log down: the
        others were sent before anything was known.
        """
        self.failures += 1
        self._silent_until = max(self._silent_until, now + silence)
        if ticket > self._slowed_at:
            self._slowed_at = self._ticket
            failed_at = self._seen(now) if self.rate is None else self.rate
            self.rate = max(SLOWEST, failed_at / 2)
            if not self._is_failing:
                # Of a row of failures, the first tells best what the log bore until then.
                self._step = failed_at / _STEPS
            self._next_start = max(self._next_start, now + 1 / self.rate)
            self.window = max(1.0, self.window / 2)
        self._is_failing = True
        if self.failures >= TRIP and ticket > self._tripped_at:
            self._tripped_at = self._ticket
            self._rests_until = now + min(LONGEST_REST, FIRST_REST * 2**self._rests)
            self._rests += 1
            self.window = 1.0  # whatever comes after the rest goes alone: the probe

    def _seen(self, now: float) -> float:
        """Requests a second of late."""
        while len(self._started) > 0 and now - self._started[0] > _MEMORY_SECONDS:
            self._started.popleft()
        span = now - self._started[0] if len(self._started) > 0 else 0.0
        return max(1, len(self._started)) / max(span, _SHORTEST_SPAN)
