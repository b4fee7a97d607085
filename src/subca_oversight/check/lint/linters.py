"""The linters of this installation, each with what its results depend on.

pkilint is always there; zlint where its program is. Another version of a linter looks at every
certificate again, so a version names everything whose change may change results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from subca_oversight.check.lint import pkilint_adapter
from subca_oversight.check.lint.api import LintOutcome, LintRequest
from subca_oversight.check.lint.pool import LintPool
from subca_oversight.check.lint.zlint_adapter import open_zlint
from subca_oversight.check.lint.zlint_program import TOOL as ZLINT
from subca_oversight.check.lint.zlint_program import find_zlint
from subca_oversight.errors import OversightError
from subca_oversight.settings import LintSettings


@dataclass(frozen=True, slots=True)
class Linter:
    """A linter that is ready."""

    tool: str
    version: str
    """Tool and rule data with their versions, for example ``zlint v3.7.3 build 3f1c20a9b6d4``."""
    lint: Callable[[Iterable[LintRequest]], Iterator[LintOutcome]]
    """Yields one outcome per request, in any order; raises CheckError if the tool is broken."""

    @property
    def scope(self) -> str:
        """Prefix of the check ids of its findings."""
        return f"{self.tool}:"


@dataclass(frozen=True, slots=True)
class Linters:
    """Those that are ready, and why others are not."""

    ready: tuple[Linter, ...]
    problems: tuple[str, ...]


@contextmanager
def open_linters(settings: LintSettings, *, workers: int | None = None) -> Iterator[Linters]:
    """Make every linter of the settings ready, and end them all in the end."""
    seconds = settings.seconds_per_certificate
    problems: list[str] = []
    with ExitStack() as stack:
        pool = stack.enter_context(
            LintPool(settings.workers if workers is None else workers, seconds)
        )
        ready = [Linter(pkilint_adapter.TOOL, _join(pkilint_adapter.versions()), pool.lint)]
        try:
            path = find_zlint(settings.zlint)
            if path is not None:
                zlint = stack.enter_context(open_zlint(path, seconds))
                ready.append(Linter(ZLINT, _join(zlint.versions), zlint.lint))
        except OversightError as error:
            problems.append(str(error))
        yield Linters(tuple(ready), tuple(problems))


def _join(versions: tuple[tuple[str, str], ...]) -> str:
    return " ".join(f"{component} {version}" for component, version in versions)
