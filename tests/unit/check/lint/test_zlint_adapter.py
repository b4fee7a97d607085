"""What zlint says counts in the terms of the profile, and its failures are its own."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from subca_oversight.check.lint.api import LintFamily, LintOutcome, LintProfile, LintRequest
from subca_oversight.check.lint.linters import open_linters
from subca_oversight.check.lint.zlint_adapter import (
    SUPERSEDED_FOR_AUTHORITIES,
    SUPERSEDED_FOR_LEAVES,
    ZlintLinter,
    open_zlint,
)
from subca_oversight.check.lint.zlint_batches import MAX_FILES, Refusal, open_batches
from subca_oversight.model.finding import Severity
from subca_oversight.settings import LintSettings
from tests.real_data import REAL_DATA, needs_real_data
from tests.unit.check.lint.made_zlint import LINTS, runs_of, write_zlint

# Read before the fixtures take the environment away.
REAL_ZLINT = os.environ.get("SUBCA_TEST_ZLINT") or shutil.which("zlint")
needs_zlint = pytest.mark.skipif(
    REAL_ZLINT is None, reason="zlint is not on PATH, and SUBCA_TEST_ZLINT names none"
)

LEAF = LintProfile(LintFamily.SERVERAUTH, "DV-FINAL-CERTIFICATE")
AUTHORITY = LintProfile(LintFamily.SERVERAUTH, "EXTERNAL-CONSTRAINED-TLS-CA")
CROSS = LintProfile(LintFamily.SERVERAUTH, "EXTERNAL-CROSS-CA")
SMIME = LintProfile(LintFamily.SMIME)
PKIX = LintProfile(LintFamily.PKIX)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return write_zlint(tmp_path)


@pytest.fixture
def zlint(program: Path) -> Iterator[ZlintLinter]:
    with open_zlint(program, 20) as linter:
        yield linter


def request(order: str, profile: LintProfile = LEAF) -> LintRequest:
    der = order.encode()
    return LintRequest(hashlib.sha256(der).hexdigest(), der, profile)


def lint(zlint: ZlintLinter, order: str, profile: LintProfile = LEAF) -> LintOutcome:
    (outcome,) = zlint.lint([request(order, profile)])
    return outcome


def test_statuses_become_severities_and_silence_nothing(zlint: ZlintLinter) -> None:
    outcome = lint(zlint, "every e_rfc")
    assert outcome.is_complete
    assert [(result.id, result.severity, result.tool_severity) for result in outcome.results] == [
        ("e_rfc", Severity.VIOLATION, "fatal"),
        ("n_rfc", Severity.NOTICE, "info"),
        ("w_rfc", Severity.SHOULD, "warn"),
    ]
    fatal, notice, _ = outcome.results
    assert fatal.message == "it says why (section 1)"
    assert notice.message == "about n_rfc (section 1)"
    assert {result.profile for result in outcome.results} == {"serverauth:DV-FINAL-CERTIFICATE"}
    assert {result.tool_version for result in outcome.results} == {"v9.9.9"}
    assert [name for name, _ in outcome.versions] == ["zlint", "build"]


def test_a_panicked_lint_is_the_tools_error_beside_the_results(zlint: ZlintLinter) -> None:
    outcome = lint(zlint, "panic")
    assert [result.id for result in outcome.results] == ["w_rfc"]
    assert outcome.error is not None
    assert "panicked" in outcome.error.reason


def test_an_unparsable_certificate_is_neither_clean_nor_a_breach(zlint: ZlintLinter) -> None:
    outcome = lint(zlint, "parse")
    assert outcome.results == ()
    assert outcome.error is not None
    assert outcome.error.reason.startswith("parse error")
    assert not outcome.is_complete


@pytest.mark.parametrize(
    ("profile", "ruled_out"),
    [
        (LEAF, {SUPERSEDED_FOR_LEAVES}),
        (AUTHORITY, {SUPERSEDED_FOR_AUTHORITIES}),
        (LintProfile(LintFamily.SERVERAUTH), {SUPERSEDED_FOR_AUTHORITIES}),
        (SMIME, {"e_br", "e_ev", "e_apple"}),
        (PKIX, {"e_br", "e_ev", "e_smime", "e_apple"}),
    ],
)
def test_a_profile_rules_out_what_it_was_not_issued_under(
    zlint: ZlintLinter, profile: LintProfile, ruled_out: set[str]
) -> None:
    outcomes = zlint.lint([request(f"error {lint}", profile) for lint in sorted(LINTS)])
    assert {result.id for outcome in outcomes for result in outcome.results} == (
        LINTS.keys() - ruled_out
    )


def test_cross_certificates_alone_are_configured_as_such(zlint: ZlintLinter) -> None:
    said = {
        profile: lint(zlint, "arguments", profile).results[0].message
        for profile in (LEAF, AUTHORITY, CROSS)
    }
    assert "CrossSignedCa = true" in said[CROSS]
    assert said[CROSS].count("CrossCert = true") == 2
    assert "Cross" not in said[LEAF] + said[AUTHORITY]


def test_a_stream_is_cut_into_batches_of_one_configuration(
    program: Path, zlint: ZlintLinter
) -> None:
    stream = [
        request(f"error e_rfc {number}", CROSS if number % 5 == 0 else LEAF)
        for number in range(MAX_FILES + 20)
    ]
    outcomes = list(zlint.lint(stream))
    assert {outcome.sha256 for outcome in outcomes} == {each.sha256 for each in stream}
    assert sorted(runs_of(program)[1:]) == [104, 416]


def test_without_zlint_pkilint_lints_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with open_linters(LintSettings()) as linters:
        assert [linter.tool for linter in linters.ready] == ["pkilint"]
        assert linters.problems == ()


def test_zlint_that_was_named_and_is_missing_is_a_problem_and_no_hindrance(tmp_path: Path) -> None:
    with open_linters(LintSettings(zlint=str(tmp_path / "zlint"))) as linters:
        assert [linter.tool for linter in linters.ready] == ["pkilint"]
        (problem,) = linters.problems
        assert "zlint" in problem


def test_zlint_stands_beside_pkilint_where_it_is(program: Path) -> None:
    with open_linters(LintSettings(zlint=str(program))) as linters:
        assert [linter.scope for linter in linters.ready] == ["pkilint:", "zlint:"]
        assert linters.ready[1].version.startswith("zlint v9.9.9 build ")


# The measurement is of the commit 1007b1d5, 20 commits after v3.7.1, which cannot be had as a
# module; these are the lints that differ in the releases since.
REWRITTEN = {"e_org_validated_invalid_cn"}  # since v3.7.2 only where there is a common name


@dataclass(frozen=True, slots=True)
class Measured:
    der: bytes
    findings: dict[str, str] | None
    """None where it could not be parsed."""


def measured() -> list[Measured]:
    certificates = {}
    for path in sorted((REAL_DATA / "lint" / "certs").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            certificates[row["sha256"]] = base64.b64decode(row["der_b64"])
    rows = (REAL_DATA / "lint" / "measured_zlint.jsonl").read_text().splitlines()
    return [
        Measured(certificates[row["sha256"]], row.get("findings")) for row in map(json.loads, rows)
    ]


def registered() -> set[str]:
    rows = (REAL_DATA / "lint" / "zlint_registry.jsonl").read_text().splitlines()
    return {json.loads(row)["name"] for row in rows}


def compare(rows: list[Measured]) -> set[str]:
    """Lint the rows with the real program, and name the lints that differ in any."""
    assert REAL_ZLINT is not None
    different: set[str] = set()
    with open_batches(Path(REAL_ZLINT), 30) as batches:
        for start in range(0, len(rows), MAX_FILES):
            part = rows[start : start + MAX_FILES]
            answers = batches.lint([row.der for row in part])
            for row, answer in zip(part, answers, strict=True):
                if row.findings is None:
                    assert isinstance(answer, Refusal)
                    assert answer.reason.startswith("parse error")
                    continue
                assert not isinstance(answer, Refusal)
                found = {statement.lint: statement.status for statement in answer}
                different |= {lint for lint, _ in found.items() ^ row.findings.items()}
        known = registered()
        # Lints that came and went since: they cannot agree.
        return {lint for lint in different if lint in known and lint in batches.program.lints}


@needs_real_data
@needs_zlint
def test_a_sample_of_real_certificates_is_judged_as_measured() -> None:
    rows = random.Random(2).sample(measured(), 60)  # noqa: S311 - a seeded choice of cases
    assert compare(rows) <= REWRITTEN


@pytest.mark.slow
@needs_real_data
@needs_zlint
def test_every_certificate_is_judged_as_measured() -> None:
    assert compare(measured()) <= REWRITTEN
