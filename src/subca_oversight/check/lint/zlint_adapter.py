"""zlint as a linter adapter: what it says of a certificate, in the terms of the profile applied.

zlint decides by itself which lints concern a certificate, from its contents and notBefore. What a
profile rules out is left out here, as pkimetal does: requirements that the Baseline Requirements
supersede, and those of a standard that the certificate was not issued under.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from subca_oversight.check.lint.api import (
    LintFamily,
    LintOutcome,
    LintProfile,
    LintRequest,
    LintResult,
    ToolError,
)
from subca_oversight.check.lint.zlint_batches import (
    MAX_FILES,
    Answer,
    Refusal,
    ZlintBatches,
    open_batches,
)
from subca_oversight.check.lint.zlint_program import TOOL, Statement
from subca_oversight.model.finding import Severity

SEVERITIES = {
    "fatal": Severity.VIOLATION,
    "error": Severity.VIOLATION,
    "warn": Severity.SHOULD,
    "info": Severity.NOTICE,
}

_CABF = frozenset({"CABF_BR", "CABF_EV", "CABF_CS_BR", "CABF_SMIME_BR"})
# zlint takes a leaf without extendedKeyUsage for a TLS certificate; these programs' lints are all
# about TLS. Mozilla's are not.
_TLS_PROGRAMS = frozenset({"Apple", "Chrome"})
EXCLUDED_SOURCES = {
    LintFamily.SERVERAUTH: frozenset[str](),
    LintFamily.SMIME: (_CABF - {"CABF_SMIME_BR"}) | _TLS_PROGRAMS,
    LintFamily.PKIX: _CABF | _TLS_PROGRAMS,
}
# RFC 5280 4.2.1.2 wants the identifier in leaves, BR 7.1.2.7.6 recommends against it; RFC 5280
# 4.2.1.10 wants name constraints critical, BR 7.1.2.10.8 lets a CA leave that.
SUPERSEDED_FOR_LEAVES = "w_ext_subject_key_identifier_missing_sub_cert"
SUPERSEDED_FOR_AUTHORITIES = "e_ext_name_constraints_not_critical"

MAX_BATCH_BYTES = 16 * 2**20
MAX_MESSAGE_LENGTH = 500


class ZlintLinter:
    """An open zlint; made by :func:`open_zlint`."""

    def __init__(self, batches: ZlintBatches) -> None:
        self._batches = batches
        self._program = batches.program

    @property
    def versions(self) -> tuple[tuple[str, str], ...]:
        """(component, version): zlint, then the build, which holds its rules."""
        return self._program.versions

    def lint(self, requests: Iterable[LintRequest]) -> Iterator[LintOutcome]:
        """Yield one outcome per request, in batches.

        Raises CheckError when the program itself turns out to be broken.
        """
        lanes: dict[bool, list[LintRequest]] = {False: [], True: []}
        for request in requests:
            is_cross = _is_cross(request.profile)
            lane = lanes[is_cross]
            lane.append(request)
            size = sum(len(each.der) for each in lane) if len(request.der) > 2**15 else 0
            if len(lane) >= MAX_FILES or size >= MAX_BATCH_BYTES:
                lanes[is_cross] = []
                yield from self._lint_batch(lane, cross=is_cross)
        for is_cross, lane in lanes.items():
            yield from self._lint_batch(lane, cross=is_cross)

    def _lint_batch(self, requests: list[LintRequest], *, cross: bool) -> Iterator[LintOutcome]:
        answers = self._batches.lint([request.der for request in requests], cross=cross)
        for request, answer in zip(requests, answers, strict=True):
            yield self._outcome(request, answer)

    def _outcome(self, request: LintRequest, answer: Answer) -> LintOutcome:
        profile = str(request.profile)
        results: list[LintResult] = []
        reason = ""
        if isinstance(answer, Refusal):
            reason = answer.reason
        else:
            for statement in answer:
                # zlint's own failure is no statement about the CA.
                if statement.details.startswith(f"'{statement.lint}' panicked."):
                    reason = statement.details if len(reason) == 0 else reason
                elif not self._is_ruled_out(statement, request.profile):
                    results.append(self._result(statement, profile))
        error = None
        if len(reason) > 0:
            error = ToolError(TOOL, self._program.version, profile, _shorten(reason))
        return LintOutcome(
            request.sha256, request.profile, tuple(results), error, self._program.versions
        )

    def _result(self, statement: Statement, profile: str) -> LintResult:
        description = self._program.lints.get(statement.lint)
        message = statement.details
        if len(message) == 0 and description is not None:
            message = description.description
        if description is not None and len(description.citation) > 0:
            message = f"{_shorten(message)} ({description.citation})"
        return LintResult(
            tool=TOOL,
            tool_version=self._program.version,
            id=statement.lint,
            severity=SEVERITIES[statement.status],
            tool_severity=statement.status,
            profile=profile,
            message=_shorten(message),
            path="",
        )

    def _is_ruled_out(self, statement: Statement, profile: LintProfile) -> bool:
        description = self._program.lints.get(statement.lint)
        if description is not None and description.source in EXCLUDED_SOURCES[profile.family]:
            return True
        if profile.family is not LintFamily.SERVERAUTH:
            return False
        is_leaf = profile.type is not None and profile.type.endswith("-CERTIFICATE")
        superseded = SUPERSEDED_FOR_LEAVES if is_leaf else SUPERSEDED_FOR_AUTHORITIES
        return statement.lint == superseded


@contextmanager
def open_zlint(path: Path, seconds_per_certificate: float) -> Iterator[ZlintLinter]:
    """Make the program at ``path`` ready. Raises CheckError if it cannot be used."""
    with open_batches(path, seconds_per_certificate) as batches:
        yield ZlintLinter(batches)


def _is_cross(profile: LintProfile) -> bool:
    return profile.type is not None and profile.type.endswith("-CROSS-CA")


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE_LENGTH else f"{text[: MAX_MESSAGE_LENGTH - 1]}…"
