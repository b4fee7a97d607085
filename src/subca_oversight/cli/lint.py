"""The ``lint`` command: what the linters and our own checks say of certificate files.

Nothing is stored, so that an analyst can try a certificate before it is logged, or show an operator
what a rule objects to (DESIGN section 8).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from subca_oversight import __version__
from subca_oversight.cli.invocation import INSTANT, invocation_of
from subca_oversight.errors import CheckError, ConfigurationError

if TYPE_CHECKING:
    from subca_oversight.check.api import Breach, Check
    from subca_oversight.check.lint.api import LintOutcome, LintProfile
    from subca_oversight.check.registry import Registry
    from subca_oversight.cli.lint_context import PlacedCertificate
    from subca_oversight.settings import Settings

OWN_TOOL = "subca-oversight"
_MAX_WORKERS = 2
_SEVERITIES = ("violation", "should", "notice")


@dataclass(frozen=True, slots=True)
class ShownResult:
    """One line of the listing: a linter's result or a breach of our own."""

    tool: str
    version: str
    id: str
    severity: str
    profile: str
    message: str


@dataclass(frozen=True, slots=True)
class ShownError:
    """What could not be looked at, by which tool and why."""

    tool: str
    version: str
    profile: str
    reason: str


@dataclass(frozen=True, slots=True)
class ShownFile:
    """Everything said of one certificate of a file."""

    file: str
    sha256: str
    results: tuple[ShownResult, ...]
    errors: tuple[ShownError, ...]


@dataclass(frozen=True, slots=True)
class Linted:
    """What the linters made of the certificates."""

    outcomes: Mapping[str, Sequence[LintOutcome]]
    """By SHA-256, one of each linter that is there."""
    problems: tuple[str, ...]
    """Why a linter of the settings said nothing."""


@click.command()
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--profile",
    "profile_text",
    default="auto",
    show_default=True,
    help="auto, pkix, serverauth or smime; serverauth:TYPE or smime:TYPE states the type.",
)
@click.option(
    "--issuer",
    "issuer_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="The issuing CA's certificate. May be repeated.",
)
@click.option("--logged-at", type=INSTANT, help="The earliest log timestamp of the certificate.")
@click.option("--subordinate", help="Judge in the context of this configured subordinate CA.")
@click.option("--json", "as_json", is_flag=True, help="Write a JSON array.")
@click.pass_context
def lint(
    context: click.Context,
    *,
    files: tuple[Path, ...],
    profile_text: str,
    issuer_files: tuple[Path, ...],
    logged_at: datetime | None,
    subordinate: str | None,
    as_json: bool,
) -> None:
    """Lint and check certificate files, PEM or DER, each certificate of a file by itself."""
    from subca_oversight.check.registry import load_registry
    from subca_oversight.cli.certificate_files import load_certificate_file
    from subca_oversight.cli.lint_context import load_context

    invocation = invocation_of(context)
    settings = invocation.load_settings() if subordinate is not None else None
    profile = _read_profile(profile_text)
    surroundings = load_context(
        issuer_files,
        settings=settings,
        subordinate=subordinate,
        logged_at=logged_at,
        as_of=invocation.now(),
    )
    placed = [
        (path, surroundings.place(der)) for path in files for der in load_certificate_file(path)
    ]
    registry = load_registry(None if settings is None else settings.checks.directory)
    linted = _lint([certificate for _, certificate in placed], profile, settings)
    shown = [_show(path, certificate, linted, registry) for path, certificate in placed]
    if as_json:
        from subca_oversight.cli.output import print_json

        print_json(shown)
    else:
        _print(shown)


def _read_profile(text: str) -> LintProfile | None:
    from subca_oversight.check.lint.profiles import parse_profile

    if text == "auto":
        return None
    try:
        return parse_profile(text)
    except ValueError as error:
        raise ConfigurationError(f"--profile: {error}") from error


def _lint(
    placed: Sequence[PlacedCertificate], profile: LintProfile | None, settings: Settings | None
) -> Linted:
    """Lint each certificate once with every linter, in processes that hostile DER may kill."""
    from subca_oversight.check.lint.linters import open_linters
    from subca_oversight.check.lint.profiles import lint_request
    from subca_oversight.settings import LintSettings

    requests = {
        certificate.facts.sha256: lint_request(
            certificate.facts, certificate.profile if profile is None else profile
        )
        for certificate in placed
    }
    outcomes: dict[str, list[LintOutcome]] = {sha256: [] for sha256 in requests}
    with open_linters(
        LintSettings() if settings is None else settings.lint,
        workers=min(_MAX_WORKERS, len(requests)),
    ) as linters:
        problems = list(linters.problems)
        for linter in linters.ready:
            try:
                for outcome in linter.lint(requests.values()):
                    outcomes[outcome.sha256].append(outcome)
            except CheckError as error:
                problems.append(str(error))
    return Linted(outcomes, tuple(problems))


def _show(
    path: Path, certificate: PlacedCertificate, linted: Linted, registry: Registry
) -> ShownFile:
    from subca_oversight.check.runner import run_subject

    outcomes = linted.outcomes[certificate.facts.sha256]
    results = [
        ShownResult(
            result.tool,
            result.tool_version,
            result.id,
            result.severity.value,
            result.profile,
            result.message,
        )
        for outcome in outcomes
        for result in outcome.results
    ]
    notes = (*certificate.notes, *linted.problems)
    errors = [ShownError(OWN_TOOL, __version__, "", note) for note in notes]
    errors += [
        ShownError(error.tool, error.tool_version, error.profile, error.reason)
        for outcome in outcomes
        if (error := outcome.error) is not None
    ]
    for outcome in run_subject(registry, certificate.subject):
        check = registry.checks[outcome.check]
        results.extend(_own_result(check, breach) for breach in outcome.breaches)
        if len(outcome.reason) > 0:
            reason = f"{check.id}: {outcome.reason}"
            errors.append(ShownError(OWN_TOOL, __version__, check.family, reason))
    results.sort(key=lambda result: _SEVERITIES.index(result.severity))
    return ShownFile(str(path), certificate.facts.sha256, tuple(results), tuple(errors))


def _own_result(check: Check, breach: Breach) -> ShownResult:
    severity = check.severity if breach.severity is None else breach.severity
    return ShownResult(
        OWN_TOOL, __version__, check.id, severity.value, check.family, breach.message
    )


def _print(shown: Sequence[ShownFile]) -> None:
    from subca_oversight.cli.output import print_table

    for certificate in shown:
        rows = [
            (result.severity, result.tool, result.id, result.message)
            for result in certificate.results
        ]
        rows += [
            ("not judged", error.tool, error.profile, error.reason) for error in certificate.errors
        ]
        print_table(
            f"{certificate.file}  {certificate.sha256}",
            ("severity", "tool", "id", "message"),
            rows,
            caption="nothing to say" if len(rows) == 0 else "",
        )
