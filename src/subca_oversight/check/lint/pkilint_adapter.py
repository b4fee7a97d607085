"""pkilint as a linter adapter: TLS BR, S/MIME BR and RFC 5280 certificate linting.

Called in worker processes (:mod:`.pool`), never in the process that holds the database: it decodes
hostile DER in Python. pkilint parses the public-suffix list five times per certificate type unless
given a cached one, and extends the validator lists that it is passed, so that lists are built fresh
for each container and containers are built once per type. Results depend on the public-suffix list:
its version is recorded beside pkilint's.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import logging
import types
import warnings
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

from subca_oversight.check.lint.api import (
    LintFamily,
    LintOutcome,
    LintProfile,
    LintRequest,
    LintResult,
    ToolError,
)
from subca_oversight.model.finding import Severity

TOOL = "pkilint"
SEVERITIES = {
    "FATAL": Severity.VIOLATION,
    "ERROR": Severity.VIOLATION,
    "WARNING": Severity.SHOULD,
    "NOTICE": Severity.NOTICE,
    "INFO": Severity.NOTICE,
    "DEBUG": Severity.NOTICE,
}

# An exception inside a validator is pkilint's failure, not the CA's: it becomes a tool error, and
# the other validators' results stand beside it. `itu.invalid_asn1_syntax` looks alike and is not:
# the certificate as a whole was decoded, and the decoder reports that the contents of one
# extension, attribute or key are not the DER that their object identifier promises. That is a
# statement about the CA's encoding (RFC 5280 4.1, MRSP 5.2), so it stays a result. A certificate
# that cannot be decoded at all is a tool error here, since nothing in it was linted; that it cannot
# be parsed is the finding of another check.
UNHANDLED_EXCEPTION = "base.unhandled_exception"

# A certificate with ten thousand names must not yield ten thousand rows of one lint.
MAX_RESULTS_PER_ID = 25
MAX_MESSAGE_LENGTH = 500


@functools.cache
def versions() -> tuple[tuple[str, str], ...]:
    """Give the version of pkilint, then of the public-suffix list that its results depend on."""
    return tuple((name, importlib.metadata.version(name)) for name in (TOOL, "publicsuffixlist"))


def load() -> Callable[[LintRequest], LintOutcome]:
    """Import pkilint and build the commonest validators, so that no certificate pays for it."""
    _import()
    for option in ("DV-FINAL-CERTIFICATE", "OV-FINAL-CERTIFICATE", "DV-PRE-CERTIFICATE"):
        _serverauth_linter(option)
    return lint


def lint(request: LintRequest) -> LintOutcome:
    """Lint one certificate. Failures of pkilint come back as the outcome's error.

    Sets the process's warning filters while it runs, so call it from one thread at a time.
    """
    with warnings.catch_warnings():
        # Under filters that raise, a deprecation inside pkilint would pass for a failed validator.
        warnings.simplefilter("ignore")
        return _lint(request)


@dataclasses.dataclass(frozen=True, slots=True)
class _Linter:
    """pkilint's parts for one certificate type."""

    container: Any
    filters: tuple[Any, ...]


def _lint(request: LintRequest) -> LintOutcome:
    _import()
    from pkilint import finding_filter, loader  # noqa: PLC0415

    profile = request.profile
    try:
        document = loader.load_der_certificate(request.der, request.sha256, "certificate")
        document.issued_at = request.issued_at
        profile = _resolve_type(document, profile)
        linter = _linter(profile)
        validated = linter.container.validate(document.root)
        validated, _ = finding_filter.filter_results(list(linter.filters), validated)
    except Exception as error:  # noqa: BLE001 - any failure is the tool's
        return _outcome(request, profile, (), f"{type(error).__name__}: {error}")
    return _read_results(request, profile, validated)


def _read_results(request: LintRequest, profile: LintProfile, validated: list[Any]) -> LintOutcome:
    results: list[LintResult] = []
    failures: list[str] = []
    seen: Counter[str] = Counter()
    for result in validated:
        for description in result.finding_descriptions:
            code = str(description.finding.code)
            message = description.message or ""
            if code == UNHANDLED_EXCEPTION:
                failures.append(f"{result.validator.name} at {result.node.path}: {message}")
                continue
            seen[code] += 1
            if seen[code] > MAX_RESULTS_PER_ID:
                continue
            word = description.finding.severity.name
            results.append(
                LintResult(
                    tool=TOOL,
                    tool_version=versions()[0][1],
                    id=code,
                    severity=SEVERITIES[word],
                    tool_severity=word,
                    profile=str(profile),
                    message=_shorten(message),
                    path=str(result.node.path),
                )
            )
    _state_omissions(results, seen)
    reason = None
    if len(failures) > 0:
        reason = f"unhandled exception in {len(failures)} validator(s): {failures[0]}"
    return _outcome(request, profile, tuple(results), reason)


def _state_omissions(results: list[LintResult], seen: Counter[str]) -> None:
    """Say on the last result kept of an id how many more there were."""
    last = {result.id: position for position, result in enumerate(results)}
    for code, count in seen.items():
        if count > MAX_RESULTS_PER_ID:
            kept = results[last[code]]
            more = f"{kept.message} (and {count - MAX_RESULTS_PER_ID} more of {code})"
            results[last[code]] = dataclasses.replace(kept, message=more)


def _outcome(
    request: LintRequest,
    profile: LintProfile,
    results: tuple[LintResult, ...],
    reason: str | None,
) -> LintOutcome:
    error = None
    if reason is not None:
        error = ToolError(TOOL, versions()[0][1], str(profile), _shorten(reason))
    return LintOutcome(request.sha256, profile, results, error, versions())


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE_LENGTH else f"{text[: MAX_MESSAGE_LENGTH - 1]}…"


@functools.cache
def _import() -> None:
    """Import pkilint's parts, with the public-suffix list parsed once per process."""
    import publicsuffixlist  # noqa: PLC0415
    from pkilint.common import alternative_name  # noqa: PLC0415

    # Only the name that pkilint looks up is replaced; the library itself stays as it is.
    alternative_name.publicsuffixlist = types.SimpleNamespace(
        PublicSuffixList=functools.cache(publicsuffixlist.PublicSuffixList)
    )
    # It logs a traceback for every certificate that it cannot decode.
    logging.getLogger("pkilint").setLevel(logging.CRITICAL + 1)


def _issued_at() -> Any:  # noqa: ANN401 - pkilint has no types
    """Make a retriever of the date that dated rules go by: the evidence, else notBefore."""
    from pkilint import document  # noqa: PLC0415

    class IssuanceEvidenceRetriever(document.ValidityPeriodStartRetriever):  # type: ignore[misc]  # untyped base
        def __call__(self, certificate: Any) -> datetime:  # noqa: ANN401
            issued_at = cast("datetime | None", getattr(certificate, "issued_at", None))
            return certificate.not_before if issued_at is None else issued_at

    return IssuanceEvidenceRetriever()


def _resolve_type(document: Any, profile: LintProfile) -> LintProfile:  # noqa: ANN401
    if profile.type is not None or profile.family is LintFamily.PKIX:
        return profile
    if profile.family is LintFamily.SERVERAUTH:
        from pkilint.cabf import serverauth  # noqa: PLC0415

        return LintProfile(
            profile.family, serverauth.determine_certificate_type(document).to_option_str
        )
    from pkilint.cabf import smime  # noqa: PLC0415

    level, generation = smime.guess_validation_level_and_generation(document)
    return LintProfile(profile.family, f"{level.name}-{generation.name}")


def _linter(profile: LintProfile) -> _Linter:
    if profile.family is LintFamily.PKIX:
        return _pkix_linter()
    if profile.type is None:
        raise ValueError(f"{profile.family} needs a certificate type")
    if profile.family is LintFamily.SERVERAUTH:
        return _serverauth_linter(profile.type)
    return _smime_linter(profile.type)


@functools.cache
def _serverauth_linter(option: str) -> _Linter:
    from pkilint.cabf import serverauth  # noqa: PLC0415
    from pkilint.cabf.serverauth.serverauth_constants import CertificateType  # noqa: PLC0415
    from pkilint.pkix import certificate  # noqa: PLC0415

    certificate_type = CertificateType.from_option_str(option)
    container = certificate.create_pkix_certificate_validator_container(
        serverauth.create_decoding_validators(),
        serverauth.create_validators(certificate_type, _issued_at()),
    )
    filters = serverauth.create_serverauth_finding_filters(certificate_type)
    return _Linter(container, tuple(filters))


@functools.cache
def _smime_linter(option: str) -> _Linter:
    from pkilint.cabf import smime  # noqa: PLC0415
    from pkilint.cabf.smime.smime_constants import Generation, ValidationLevel  # noqa: PLC0415
    from pkilint.pkix import certificate  # noqa: PLC0415

    level, _, generation = option.partition("-")
    container = certificate.create_pkix_certificate_validator_container(
        smime.create_decoding_validators(),
        smime.create_subscriber_validators(
            ValidationLevel[level], Generation[generation], _issued_at()
        ),
    )
    return _Linter(container, ())


@functools.cache
def _pkix_linter() -> _Linter:
    from pkilint.pkix import certificate, extension, name  # noqa: PLC0415

    container = certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(
            name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS
        ),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )
    return _Linter(container, ())
