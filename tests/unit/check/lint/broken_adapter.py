"""A linter adapter that cannot be loaded: for the pool's tests."""

from __future__ import annotations

import os
from collections.abc import Callable

from subca_oversight.check.lint.api import LintOutcome, LintRequest

TOOL = "broken"


def versions() -> tuple[tuple[str, str], ...]:
    return ((TOOL, "1"),)


def load() -> Callable[[LintRequest], LintOutcome]:
    os._exit(7)
