"""The zlint binary: where it lies, which build it is, and what its output says.

zlint prints neither its lints' sources nor its version beside results, and a build by
``go install`` calls itself "dev-unknown". So a build is known by its digest too, and by a
certificate of ours that it must lint before it is given anyone else's.
(github.com/zmap/zlint v3, cmd/zlint.)
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from subca_oversight.check.lint.external_run import Ending, ExternalRun, RunLimits
from subca_oversight.errors import CheckError, ConfigurationError

TOOL = "zlint"
SILENT = frozenset({"NA", "NE", "pass"})
STATUSES = frozenset({"info", "warn", "error", "fatal"})
ENVIRONMENT = {
    "LC_ALL": "C",
    "GOTRACEBACK": "none",
    # Below the limit of address space, of which the runtime reserves about 600 MiB at its start.
    "GOMEMLIMIT": "768MiB",
    # It makes much garbage in little memory: collecting it less often saves a fifth of the time.
    "GOGC": "400",
}
MEMORY_BYTES = 2 * 2**30
MAX_LINE = 4 * 2**20
"""Octets of one certificate's line; about 20,000 are usual."""

_VERSION = re.compile(r"ZLint version ([!-~]{1,48})")
_MODULE_VERSION = re.compile(rb"mod\tgithub\.com/zmap/zlint/v3\t([!-~]{1,48})\t")
_UNKNOWN = "dev-unknown"
_IDENTITY_SECONDS = 60.0
_MAX_LINTS = 10_000
_MAX_NAME = 120
_MAX_DETAILS = 1000


@dataclass(frozen=True, slots=True)
class LintDescription:
    """What the program says of one of its lints."""

    source: str
    """Of the requirement, for example ``CABF_BR`` or ``RFC5280``."""
    description: str
    citation: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One lint's result on one certificate, neither passed nor out of scope."""

    lint: str
    status: str
    """One of ``STATUSES``."""
    details: str


@dataclass(frozen=True, slots=True)
class ZlintProgram:
    """One build of zlint."""

    path: Path
    version: str
    build: str
    """The first 12 hex digits of the binary's SHA-256: its rules are inside."""
    lints: Mapping[str, LintDescription]

    @property
    def versions(self) -> tuple[tuple[str, str], ...]:
        """(component, version): the program, then its build."""
        return ((TOOL, self.version), ("build", self.build))


def find_zlint(setting: str) -> Path | None:
    """Find the program of the setting ``lint.zlint``: a path, ``auto`` for PATH, or empty for none.

    Raises ConfigurationError where a path was set and no program lies there.
    """
    if len(setting) == 0:
        return None
    if setting == "auto":
        found = shutil.which(TOOL)
        return None if found is None else Path(found).resolve()
    path = Path(setting)
    if not path.is_file() or not os.access(path, os.X_OK):
        raise ConfigurationError(f"lint.zlint: {setting}: there is no program")
    return path.resolve()


def identify(path: Path, folder: Path) -> ZlintProgram:
    """Ask the program for its version and lints. Raises CheckError if it is not zlint."""
    printed = _VERSION.match("\n".join(_ask(path, folder, "-version")))
    if printed is None:
        raise CheckError(f"{path}: not zlint: it does not print a version")
    try:
        binary = path.read_bytes()
    except OSError as error:
        raise CheckError(f"{path}: cannot be read: {error.strerror}") from error
    version = printed.group(1)
    module = _MODULE_VERSION.search(binary)
    if version == _UNKNOWN and module is not None:
        version = module.group(1).decode()
    return ZlintProgram(
        path=path,
        version=version,
        build=hashlib.sha256(binary).hexdigest()[:12],
        lints=_read_lints(path, _ask(path, folder, "-list-lints-json")),
    )


def read_line(line: bytes) -> tuple[frozenset[str], tuple[Statement, ...]]:
    """Read what the program printed of one file: the lints that it ran, and what they object to.

    Sorted by lint. Raises ValueError on anything but the form that zlint prints.
    """
    found = orjson.loads(line)
    if not isinstance(found, dict) or len(found) == 0:
        raise ValueError("no object of results")
    statements = (_read_result(name, found[name]) for name in sorted(found))
    return frozenset(found), tuple(each for each in statements if each is not None)


def _read_result(name: str, result: object) -> Statement | None:
    if not isinstance(result, dict) or not result.keys() <= {"result", "details"}:
        raise ValueError(f"{name}: not in the form of a result")
    status, details = result.get("result"), result.get("details", "")
    if not isinstance(status, str) or not isinstance(details, str) or len(name) > _MAX_NAME:
        raise ValueError(f"{name[:_MAX_NAME]}: not in the form of a result")
    if status in SILENT:
        return None
    if status not in STATUSES:
        raise ValueError(f"{name}: unknown result {status[:40]!r}")
    return Statement(name, status, details[:_MAX_DETAILS])


def _read_lints(path: Path, lines: list[str]) -> dict[str, LintDescription]:
    lints: dict[str, LintDescription] = {}
    try:
        for line in lines:
            entry = orjson.loads(line)
            name, source = entry["name"], entry["source"]
            # Left out where they are empty.
            rest = entry.get("description", ""), entry.get("citation", "")
            if not all(isinstance(value, str) for value in (name, source, *rest)):
                raise ValueError("a lint is not described in text")  # noqa: TRY301 - one kind of failure for all
            lints[name] = LintDescription(source, *rest)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckError(f"{path}: its list of lints cannot be read: {error}") from error
    if len(lints) == 0:
        raise CheckError(f"{path}: it lists no lints")
    return lints


def _ask(path: Path, folder: Path, option: str) -> list[str]:
    limits = RunLimits(_IDENTITY_SECONDS, _IDENTITY_SECONDS, MEMORY_BYTES, MAX_LINE)
    lines: list[str] = []
    with ExternalRun(
        [str(path), option], limits, folder=folder, environment=ENVIRONMENT
    ) as running:
        for line in running.lines():
            lines.append(line.decode("utf-8", "replace"))
            if len(lines) > _MAX_LINTS:
                break
    if running.ending is not Ending.EXITED or running.exit_code != 0:
        raise CheckError(
            f"{path}: {option} failed: {running.ending.value}, exit code {running.exit_code}"
        )
    return lines
