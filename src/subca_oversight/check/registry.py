"""The register of checks: the presence of a file registers it.

A check is added, withdrawn or read by its file alone, ``checks/<family>/<id with _ for ->.py``, so
nothing else can fall out of step with it (DESIGN section 6). The shipped folder lies inside the
package in a wheel and at the root of a checkout; site-local checks come from a configured folder
that nobody else may write, since its files run with the agent's rights.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType

import subca_oversight
from subca_oversight.check.api import SUBJECT_TYPES, Check, Subject
from subca_oversight.errors import CheckError, ConfigurationError, OversightError

FAMILIES = (
    "certificate",
    "issuance",
    "authority",
    "disclosure",
    "audit",
    "documents",
    "revocation",
    "incident",
    "attestation",
)
TRUSTED_OWNERS = frozenset({0})
"""Users, beside the one that runs, whose files are run: root."""
_SHARED_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Registry:
    """The checks of one process, by id, in alphabetical order."""

    checks: Mapping[str, Check]
    digest: str
    """SHA-256 over every id and version and the product's version: the rule version."""
    site_directory: Path | None
    by_subject: Mapping[type[Subject], tuple[Check, ...]]

    def for_subject(self, subject: type[Subject]) -> tuple[Check, ...]:
        """Give the checks that look at one kind of subject, by id."""
        return self.by_subject[subject]


def load_registry(site_directory: Path | None = None) -> Registry:
    """Load every shipped check and those of the site.

    Raises CheckError for a shipped file and ConfigurationError for a site's file that is not
    exactly one check of the name that its file bears, or whose id is taken.
    """
    checks: dict[str, Check] = {}
    for path in _check_files(shipped_folder(), CheckError):
        _register(checks, path, CheckError)
    if site_directory is not None:
        verify_writable_by_owner_only(site_directory)
        for path in _check_files(site_directory, ConfigurationError):
            verify_writable_by_owner_only(path.parent)
            verify_writable_by_owner_only(path)
            _register(checks, path, ConfigurationError)
    return make_registry(checks.values(), site_directory)


def make_registry(checks: Iterable[Check], site_directory: Path | None = None) -> Registry:
    """Make a register of these checks, whose ids must differ."""
    ordered = sorted(checks, key=lambda check: check.id)
    lines = [subca_oversight.__version__, *(f"{check.id} {check.version}" for check in ordered)]
    return Registry(
        checks=MappingProxyType({check.id: check for check in ordered}),
        digest=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        site_directory=site_directory,
        by_subject=MappingProxyType(
            {
                kind: tuple(check for check in ordered if check.subject is kind)
                for kind in SUBJECT_TYPES
            }
        ),
    )


def shipped_folder() -> Path:
    """Find the shipped checks: inside the installed package, else beside a checkout's ``src``."""
    package = Path(subca_oversight.__file__).parent
    for folder in (package / "_shipped" / "checks", package.parents[1] / "checks"):
        if folder.is_dir():
            return folder
    raise CheckError(f"no folder of checks beside the package in {package}: install it again")


def verify_writable_by_owner_only(path: Path) -> None:
    """Raise ConfigurationError unless only this process's user, or root, can write ``path``."""
    try:
        status = path.stat()
    except OSError as error:
        raise ConfigurationError(f"site checks: {path}: {error.strerror}") from error
    if status.st_uid not in {*TRUSTED_OWNERS, os.geteuid()}:
        raise ConfigurationError(
            f"site checks: {path} belongs to user {status.st_uid}: its files would run as this one"
        )
    if status.st_mode & _SHARED_WRITE != 0:
        raise ConfigurationError(
            f"site checks: {path} can be written by others than its owner: chmod go-w it"
        )


def _check_files(folder: Path, error: type[OversightError]) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as failure:
        raise error(f"checks: {folder}: {failure.strerror}") from failure
    for entry in entries:
        if entry.name.startswith((".", "_")):
            continue
        if entry.is_dir() and entry.name not in FAMILIES:
            raise error(f"{entry}: not a family of checks ({', '.join(FAMILIES)})")
        if entry.suffix == ".py":
            raise error(f"{entry}: a check lies in the folder of its family")
        if entry.is_dir():
            yield from sorted(
                path
                for path in entry.iterdir()
                if path.suffix == ".py" and not path.name.startswith((".", "_"))
            )


def _register(checks: dict[str, Check], path: Path, error: type[OversightError]) -> None:
    found = [
        value for value in vars(_load_module(path, error)).values() if isinstance(value, Check)
    ]
    if len(found) != 1:
        raise error(f"{path}: declares {len(found)} checks instead of one")
    check = found[0]
    if path.stem != check.id.replace("-", "_"):
        raise error(f"{path}: the check {check.id!r} belongs in {check.id.replace('-', '_')}.py")
    if check.id in checks:
        raise error(f"{path}: there is another check {check.id!r}")
    checks[check.id] = dataclasses.replace(check, family=path.parent.name)


def _load_module(path: Path, error: type[OversightError]) -> ModuleType:
    name = f"checks.{path.parent.name}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise error(f"{path}: cannot be loaded as a Python file")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses look their module up by name
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as failure:
        raise error(f"{path}: {type(failure).__name__}: {failure}") from failure
    finally:
        if before is not None:
            sys.modules[name] = before
    return module
