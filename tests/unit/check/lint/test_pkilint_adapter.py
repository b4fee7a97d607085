"""The adapter says what pkilint says, and never takes its failures for statements about a CA."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from subca_oversight.check.lint import pkilint_adapter
from subca_oversight.check.lint.api import LintFamily, LintOutcome, LintProfile, LintRequest
from subca_oversight.check.lint.pool import LintPool
from subca_oversight.check.lint.profiles import SERVERAUTH_TYPES, SMIME_TYPES
from subca_oversight.model.finding import Severity
from tests.real_data import REAL_DATA, needs_real_data

SERVERAUTH = LintProfile(LintFamily.SERVERAUTH)
DV_FINAL = LintProfile(LintFamily.SERVERAUTH, "DV-FINAL-CERTIFICATE")
SMIME = LintProfile(LintFamily.SMIME)
PKIX = LintProfile(LintFamily.PKIX)
UNHANDLED = "base.unhandled_exception"
REVOCATION_ABSENT = "cabf.serverauth.subscriber.revocation_information_absent"
SEED = 2
Findings = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Measured:
    """One row of what was measured with pkilint alone."""

    sha256: str
    kind: str
    real: bool
    der: bytes
    findings: dict[LintProfile, Findings]
    """By profile with its type stated; empty where pkilint could not load the certificate."""


def corpus() -> Iterator[Measured]:
    certificates = {}
    for path in sorted((REAL_DATA / "lint" / "certs").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            certificates[row["sha256"]] = row
    for line in (REAL_DATA / "lint" / "measured_pkilint.jsonl").read_text().splitlines():
        row = json.loads(line)
        certificate = certificates[row["sha256"]]
        yield Measured(
            row["sha256"],
            row["kind"],
            certificate["real_ca"],
            base64.b64decode(certificate["der_b64"]),
            {
                LintProfile(family, stated.replace("_", "-") or None): frozenset(
                    (severity, code) for severity, code in row[family]
                )
                for family in LintFamily
                if family in row
                for stated in [row.get(f"{family}_type", "")]
            },
        )


def differences(rows: list[Measured]) -> list[str]:
    """Lint every row by the pool, in each profile measured, and list what differs."""
    expected: dict[tuple[str, LintProfile], Findings | None] = {}
    requests = []
    for row in rows:
        for profile in row.findings if len(row.findings) > 0 else (PKIX,):
            expected[row.sha256, profile] = row.findings.get(profile)
            requests.append(LintRequest(row.sha256, row.der, profile))
    with LintPool(2) as pool:
        differing = [
            f"{outcome.sha256} {outcome.profile}: {outcome.error}"
            for outcome in pool.lint(requests)
            if not agrees(outcome, expected.pop((outcome.sha256, outcome.profile)))
        ]
    assert len(expected) == 0
    return differing


def agrees(outcome: LintOutcome, measured: Findings | None) -> bool:
    found = frozenset((result.tool_severity, result.id) for result in outcome.results)
    if measured is None:
        return outcome.error is not None and len(found) == 0
    failed = any(code == UNHANDLED for _, code in measured)
    return (
        found == frozenset(pair for pair in measured if pair[1] != UNHANDLED)
        and (outcome.error is not None) == failed
    )


@needs_real_data
def test_a_seeded_choice_of_the_corpus_gives_exactly_what_pkilint_gives() -> None:
    rows = list(corpus())
    chosen = random.Random(SEED).sample([row for row in rows if row.real], 30)  # noqa: S311 - a choice of test cases
    chosen += random.Random(SEED).sample(  # noqa: S311 - likewise
        [row for row in rows if row.kind in {"tls_leaf", "precert"}], 30
    )
    assert differences(list({row.sha256: row for row in chosen}.values())) == []


@needs_real_data
@pytest.mark.slow
def test_the_whole_corpus_gives_exactly_what_pkilint_gives() -> None:
    rows = list(corpus())
    assert len(rows) == 4150
    assert sum(row.real for row in rows) > 300
    assert sum(row.kind in {"tls_leaf", "precert"} for row in rows) == 710
    assert differences(rows) == []


@needs_real_data
def test_a_crashed_validator_is_a_tool_error_beside_the_results_of_the_others() -> None:
    crashed = [
        (row, profile, findings)
        for row in corpus()
        for profile, findings in row.findings.items()
        if any(code == UNHANDLED for _, code in findings)
    ]
    assert len(crashed) == 5
    for row, profile, findings in crashed:
        outcome = pkilint_adapter.lint(LintRequest(row.sha256, row.der, profile))
        assert agrees(outcome, findings)
        assert outcome.error is not None
        assert outcome.error.reason.startswith("unhandled exception in 1 validator(s): ")
        assert not outcome.is_complete


@needs_real_data
def test_certificates_that_cryptography_refuses_end_in_results_or_a_tool_error() -> None:
    paths = sorted((REAL_DATA / "ct" / "certs" / "unparseable_by_cryptography").glob("*.der"))
    assert len(paths) == 26
    for path in paths:
        outcome = pkilint_adapter.lint(LintRequest(path.stem, path.read_bytes(), SERVERAUTH))
        assert len(outcome.results) > 0 or outcome.error is not None, path.name


def certificate(not_before: datetime, days: int, names: int = 1) -> bytes:
    key = ec.derive_private_key(7, ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Issuing CA")])
    dns_names = [x509.DNSName(f"host{number}.example.com") for number in range(names)]
    built = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(0x1234567890ABCDEF1234)
        .not_valid_before(not_before)
        .not_valid_after(not_before + timedelta(days=days, seconds=-1))
        .add_extension(x509.SubjectAlternativeName(dns_names), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.DER)


def lint(
    der: bytes, profile: LintProfile = SERVERAUTH, issued_at: datetime | None = None
) -> LintOutcome:
    return pkilint_adapter.lint(
        LintRequest(hashlib.sha256(der).hexdigest(), der, profile, issued_at)
    )


def test_dated_rules_go_by_the_evidence_of_issuance() -> None:
    der = certificate(datetime(2026, 3, 1, tzinfo=UTC), 365)
    by_not_before = {(result.id, result.path) for result in lint(der).results}
    by_evidence = {
        (result.id, result.path)
        for result in lint(der, issued_at=datetime(2026, 6, 1, tzinfo=UTC)).results
    }
    assert {code for code, _ in by_evidence - by_not_before} == {
        "cabf.serverauth.certificate_validity_period_exceeds_200_days"
    }
    assert by_not_before <= by_evidence


def test_evidence_equal_to_not_before_changes_nothing() -> None:
    not_before = datetime(2026, 3, 20, tzinfo=UTC)
    der = certificate(not_before, 365)
    assert lint(der, issued_at=not_before).results == lint(der).results
    assert "cabf.serverauth.certificate_validity_period_exceeds_200_days" in {
        result.id for result in lint(der).results
    }


def test_results_carry_tool_version_severity_profile_and_place() -> None:
    outcome = lint(certificate(datetime(2026, 3, 1, tzinfo=UTC), 365))
    assert outcome.is_complete
    assert outcome.profile == DV_FINAL
    assert dict(outcome.versions).keys() == {"pkilint", "publicsuffixlist"}
    result = next(r for r in outcome.results if r.id == REVOCATION_ABSENT)
    assert (result.tool, result.tool_version) == ("pkilint", dict(outcome.versions)["pkilint"])
    assert result.profile == "serverauth:DV-FINAL-CERTIFICATE"
    assert result.path == "certificate.tbsCertificate.extensions"
    severities = {(r.tool_severity, r.severity) for r in outcome.results}
    assert {("ERROR", Severity.VIOLATION), ("WARNING", Severity.SHOULD)} <= severities


def test_undecodable_contents_of_an_extension_are_a_violation_not_a_tool_error() -> None:
    der = certificate(datetime(2026, 3, 1, tzinfo=UTC), 90)
    # The SEQUENCE of the key purposes becomes a SET.
    purposes = bytes.fromhex("300a06082b06010505070301")
    assert der.count(purposes) == 1
    outcome = lint(der.replace(purposes, b"\x31" + purposes[1:]), DV_FINAL)
    assert outcome.is_complete
    assert [
        (r.tool_severity, r.severity) for r in outcome.results if r.id == "itu.invalid_asn1_syntax"
    ] == [("FATAL", Severity.VIOLATION)]


@pytest.mark.parametrize("der", [b"", b"\x30", b"hello", b"\x30\x80\x00\x00", b"\x30" * 5000])
def test_what_cannot_be_decoded_is_a_tool_error_without_results(der: bytes) -> None:
    outcome = lint(der)
    assert outcome.results == ()
    assert outcome.error is not None
    assert outcome.error.tool == "pkilint"
    assert outcome.error.profile == "serverauth"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_certificate_ends_in_results_or_a_tool_error(
    damage: list[tuple[int, int]],
) -> None:
    octets = bytearray(certificate(datetime(2026, 3, 1, tzinfo=UTC), 90))
    for position, value in damage:
        octets[position % len(octets)] = value
    for profile in (SERVERAUTH, SMIME, PKIX):
        outcome = lint(bytes(octets), profile)
        assert len(outcome.results) > 0 or outcome.error is not None


def test_a_type_that_pkilint_does_not_know_is_a_tool_error() -> None:
    der = certificate(datetime(2026, 3, 1, tzinfo=UTC), 90)
    outcome = lint(der, LintProfile(LintFamily.SERVERAUTH, "NO-SUCH-TYPE"))
    assert outcome.error is not None
    assert outcome.results == ()


def test_thousands_of_names_do_not_yield_thousands_of_results() -> None:
    outcome = lint(
        certificate(datetime(2026, 3, 1, tzinfo=UTC), 90, names=300).replace(
            b".example.com", b".example.c_m"
        )
    )
    ids = [result.id for result in outcome.results]
    assert max(ids.count(code) for code in ids) == pkilint_adapter.MAX_RESULTS_PER_ID
    assert any("275 more" in result.message for result in outcome.results)


def test_every_type_named_here_is_one_of_pkilint_and_builds() -> None:
    from pkilint.cabf.serverauth.serverauth_constants import CertificateType  # noqa: PLC0415
    from pkilint.cabf.smime.smime_constants import Generation, ValidationLevel  # noqa: PLC0415

    assert set(SERVERAUTH_TYPES) == {kind.to_option_str for kind in CertificateType}
    assert set(SMIME_TYPES) == {
        f"{level.name}-{generation.name}" for level in ValidationLevel for generation in Generation
    }
    der = certificate(datetime(2026, 3, 1, tzinfo=UTC), 90)
    profiles = [LintProfile(LintFamily.SERVERAUTH, kind) for kind in SERVERAUTH_TYPES]
    profiles += [LintProfile(LintFamily.SMIME, kind) for kind in SMIME_TYPES]
    for profile in profiles:
        outcome = lint(der, profile)
        assert (outcome.profile, outcome.is_complete) == (profile, True)
        assert len(outcome.results) > 0


def test_linting_again_gives_the_same() -> None:
    der = certificate(datetime(2026, 3, 1, tzinfo=UTC), 365)
    assert lint(der) == lint(der)
