"""How many entries a log gives at once, learned from full, short and refused pages.

Asking for too many is harmless where the log answers with fewer, and an error where it refuses; a
short page may also mean nothing but that the log aligns its pages. So a size is taken for the log's
own only when its place or its repetition confirms it, a refused one is made smaller at once, and
either is tried again after some good pages (``reference/ct.md`` 2.7, points 1 and 2).
"""

from __future__ import annotations

SMALLEST = 16
"""Entries; a page is not made smaller than this because one was refused."""
_GOOD_PAGES = 16
_MOST_GOOD_PAGES = 1024
_SHORT_PAGES = 4


class PageSize:
    """The page size for one log; never more than ``most`` entries."""

    def __init__(self, most: int) -> None:
        self.size = most
        self._most = most
        self._good = 0
        self._patience = _GOOD_PAGES
        self._is_trial = False
        self._last_short = 0
        self._shorts: list[int] = []

    def next_end(self, first: int, end: int) -> int:
        """Where a page that starts at ``first`` stops, so that later ones are aligned."""
        return min(end, first - first % self.size + self.size)

    def served(self, first: int, asked: int, served: int) -> None:
        """Learn from a page that was given."""
        if served < asked:
            self._learn_short(first, served)
        elif asked == self.size:
            self._good += 1
            if self._is_trial:
                self._is_trial = False
                self._patience = _GOOD_PAGES
            if self._good >= self._patience and self.size < self._most:
                self._good = 0
                self._is_trial = True
                self.size = min(self._most, self.size * 2)

    def refuse(self, asked: int) -> bool:
        """Learn from a page that was refused; whether a smaller one is worth trying.

        Sizes go down by powers of two, which fit whatever power of two a log aligns its pages to.
        """
        if asked <= SMALLEST:
            return False
        if asked >= self.size and self._is_trial:
            # A log that refuses this size for good must not be asked for it every few pages.
            self._patience = min(_MOST_GOOD_PAGES, self._patience * 2)
        if asked >= self.size:
            self._is_trial = False
            self._good = 0
        self.size = min(self.size, max(SMALLEST, 1 << (asked - 1).bit_length() - 1))
        return True

    def _learn_short(self, first: int, served: int) -> None:
        """Take the most entries of the last short pages that began at a multiple of their length.

        Twice the same length in a row is the log's own; otherwise the log goes by octets.
        """
        is_repeated = served == self._last_short
        self._last_short = served
        if not is_repeated and first % served != 0:
            return
        self._shorts.append(served)
        if is_repeated or len(self._shorts) == _SHORT_PAGES:
            self.size = min(self.size, max(SMALLEST, *self._shorts))
            self._good = 0
            self._is_trial = False
            self._shorts.clear()
