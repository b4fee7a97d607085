"""A shortlist: the first few of many items by a key, without keeping the many."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


@dataclass(slots=True)
class Shortlist(Generic[Item]):
    """The ``limit`` items with the smallest keys of all that were added; keys must differ."""

    limit: int
    total: int = 0
    _kept: list[tuple[tuple[Any, ...], Item]] = field(default_factory=list)

    def add(self, key: tuple[Any, ...], item: Item) -> None:
        """Count ``item``, and keep it while it is among the first."""
        self.total += 1
        self._kept.append((key, item))
        if len(self._kept) > 4 * self.limit:
            self._trim()

    def items(self) -> tuple[Item, ...]:
        """The first items, in the order of their keys."""
        self._trim()
        return tuple(item for _, item in self._kept)

    def _trim(self) -> None:
        self._kept.sort(key=lambda pair: pair[0])
        del self._kept[self.limit :]
