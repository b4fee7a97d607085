"""``lint`` says of each certificate what was found and what could not be looked at."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from subca_oversight.check.api import AuthorityFacts
from subca_oversight.check.lint.api import LintFamily
from subca_oversight.cli.certificate_files import load_certificate_file
from subca_oversight.cli.lint_context import is_signed_by, load_context
from subca_oversight.cli.root import main
from subca_oversight.errors import ConfigurationError
from subca_oversight.evidence.x509 import parse_certificate
from subca_oversight.model.certificate import UnitFacts
from tests.unit.check.lint.made_zlint import write_zlint

CA_KEY = ec.derive_private_key(11, ec.SECP256R1())
OTHER_KEY = ec.derive_private_key(12, ec.SECP256R1())
CA_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Issuing CA")])
ROOT_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root CA")])
ISSUED = datetime(2026, 4, 1, tzinfo=UTC)
LOGGED = datetime(2026, 4, 2, tzinfo=UTC)


def certificate(
    *purposes: x509.ObjectIdentifier,
    ca_key: ec.EllipticCurvePrivateKey | None = None,
    signer: ec.EllipticCurvePrivateKey = CA_KEY,
) -> x509.Certificate:
    """A leaf, or with ``ca_key`` the CA certificate of that key."""
    key = ec.derive_private_key(13, ec.SECP256R1()) if ca_key is None else ca_key
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]) if ca_key is None else CA_NAME)
        .issuer_name(CA_NAME if ca_key is None else ROOT_NAME)
        .public_key(key.public_key())
        .serial_number(0x1234567890ABCDEF1234)
        .not_valid_before(ISSUED)
        .not_valid_after(ISSUED + timedelta(days=90, seconds=-1))
        .add_extension(x509.ExtendedKeyUsage(list(purposes)), critical=False)
    )
    if ca_key is None:
        names = x509.SubjectAlternativeName([x509.DNSName("www.example.com")])
        return builder.add_extension(names, critical=True).sign(signer, hashes.SHA256())
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    return builder.add_extension(constraints, critical=True).sign(signer, hashes.SHA256())


LEAF = certificate(ExtendedKeyUsageOID.SERVER_AUTH)
CLIENT = certificate(ExtendedKeyUsageOID.CLIENT_AUTH)
AUTHORITY = certificate(ExtendedKeyUsageOID.SERVER_AUTH, ca_key=CA_KEY, signer=OTHER_KEY)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    write(tmp_path, "acme.pem", pem(AUTHORITY))
    text = f"""
[agent]
contact = "oversight@ca.example"
state_directory = "{tmp_path}"
[[subordinate]]
name = "acme-tls-1"
operator = "Acme Trust Services"
relation = "externally-operated"
certificates = ["acme.pem"]
"""
    return write(tmp_path, "oversight.toml", text.encode())


def run(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict[str, Any]]:
    assert main([str(word) for word in words]) == 0
    parsed: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return parsed


def test_every_certificate_of_every_file_is_judged_by_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [
        write(tmp_path, "leaf.pem", pem(LEAF)),
        write(tmp_path, "leaf.der", der(LEAF)),
        write(tmp_path, "bundle.pem", pem(CLIENT) + b"\n# a comment\n" + pem(AUTHORITY)),
        write(tmp_path, "garbage.der", b"\x30\x82\x01\x00garbage"),
    ]
    shown = run(capsys, "lint", *files, "--json")
    assert [Path(entry["file"]).name for entry in shown] == [
        "leaf.pem",
        "leaf.der",
        "bundle.pem",
        "bundle.pem",
        "garbage.der",
    ]
    from_pem, from_der, client, authority, garbage = shown
    assert all(list(entry) == ["file", "sha256", "results", "errors"] for entry in shown)
    assert {**from_pem, "file": ""} == {**from_der, "file": ""}
    assert from_pem["sha256"] == hashlib.sha256(der(LEAF)).hexdigest()
    assert linted_as(from_pem) == {"serverauth:DV-FINAL-CERTIFICATE"}
    assert linted_as(client) == {"pkix"}
    assert linted_as(authority) == {"serverauth:INTERNAL-UNCONSTRAINED-TLS-CA"}
    for result in from_pem["results"]:
        assert list(result) == ["tool", "version", "id", "severity", "profile", "message"]
    severities = [result["severity"] for result in from_pem["results"]]
    assert severities == sorted(severities, key=["violation", "should", "notice"].index)
    assert linted_as(garbage) == set()
    assert "pkilint" in {error["tool"] for error in garbage["errors"]}
    assert all(
        list(error) == ["tool", "version", "profile", "reason"] for error in garbage["errors"]
    )


def linted_as(entry: dict[str, Any]) -> set[str]:
    return {result["profile"] for result in entry["results"] if result["tool"] == "pkilint"}


def test_a_subordinates_own_certificate_is_linted_as_external(
    configuration: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "acme.pem"
    (entry,) = run(
        capsys, "--config", configuration, "lint", path, "--subordinate", "acme-tls-1", "--json"
    )
    assert linted_as(entry) == {"serverauth:EXTERNAL-UNCONSTRAINED-TLS-CA"}


def test_zlint_speaks_beside_pkilint_where_it_is_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_zlint(tmp_path, fault="e_rfc")
    monkeypatch.setenv("PATH", str(tmp_path))
    (entry,) = run(capsys, "lint", write(tmp_path, "leaf.pem", pem(LEAF)), "--json")
    (result,) = [result for result in entry["results"] if result["tool"] == "zlint"]
    assert result == {
        "tool": "zlint",
        "version": "v9.9.9",
        "id": "e_rfc",
        "severity": "violation",
        "profile": "serverauth:DV-FINAL-CERTIFICATE",
        "message": "about e_rfc (section 1)",
    }
    assert linted_as(entry) == {"serverauth:DV-FINAL-CERTIFICATE"}


def test_a_zlint_that_cannot_be_used_is_said_and_pkilint_still_speaks(
    configuration: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = configuration.read_text() + '[lint]\nzlint = "tools/zlint"\n'
    configuration.write_text(text)
    (entry,) = run(
        capsys,
        *("--config", configuration, "lint", tmp_path / "acme.pem"),
        *("--subordinate", "acme-tls-1", "--json"),
    )
    assert linted_as(entry) == {"serverauth:EXTERNAL-UNCONSTRAINED-TLS-CA"}
    named = f"{tmp_path / 'tools/zlint'}: there is no program"
    assert len([one for one in entry["errors"] if named in one["reason"]]) == 1


def test_the_profile_can_be_stated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "leaf.pem", pem(LEAF))
    (entry,) = run(capsys, "lint", path, "--profile", "serverauth:ev-final-certificate", "--json")
    assert linted_as(entry) == {"serverauth:EV-FINAL-CERTIFICATE"}


def test_a_table_is_printed_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "leaf.pem", pem(LEAF))
    assert main(["lint", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "leaf.pem" in printed
    assert "violation" in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["missing.pem"], "missing.pem: No such file or directory"),
        (["."], ".: Is a directory"),
        (["notes.txt"], "notes.txt: no certificate in it, neither PEM nor DER"),
        (["broken.pem"], "broken.pem: certificate 1: "),
        (["leaf.pem", "--profile", "tls"], "--profile: unknown profile 'tls'"),
        (["leaf.pem", "--issuer", "missing.pem"], "missing.pem: No such file or directory"),
        (["leaf.pem", "--subordinate", "nobody"], "no subordinate is named 'nobody'"),
        ([], "Missing argument"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_exit_code_2(
    words: list[str],
    said: str,
    configuration: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "leaf.pem", pem(LEAF))
    write(tmp_path, "notes.txt", b"nothing here")
    write(
        tmp_path,
        "broken.pem",
        b"-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n",
    )
    assert main(["--config", str(configuration), "lint", *words]) == 2
    assert said in capsys.readouterr().err


def test_an_issuer_counts_only_if_its_key_signed(tmp_path: Path) -> None:
    write(tmp_path, "issuer.pem", pem(AUTHORITY))
    context = load_context(
        [tmp_path / "issuer.pem"],
        settings=None,
        subordinate=None,
        logged_at=LOGGED,
        as_of=LOGGED,
    )
    key_hash = hashlib.sha256(parse_certificate(der(AUTHORITY)).spki or b"").hexdigest()
    placed = context.place(der(LEAF))
    assert placed.notes == ()
    assert placed.facts.issuer_key_sha256 == key_hash
    assert isinstance(placed.subject, UnitFacts)
    assert placed.subject.first_logged == LOGGED
    assert [span.sha256 for span in placed.subject.issuer_validity] == [
        hashlib.sha256(der(AUTHORITY)).hexdigest()
    ]
    forged = certificate(ExtendedKeyUsageOID.SERVER_AUTH, signer=OTHER_KEY)
    placed = context.place(der(forged))
    assert placed.notes == ("none of the issuers given signed it: judged without an issuer",)
    assert placed.facts.issuer_key_sha256 is None


def test_the_log_timestamp_bounds_the_issuance(tmp_path: Path) -> None:
    context = load_context([], settings=None, subordinate=None, logged_at=LOGGED, as_of=LOGGED)
    placed = context.place(der(LEAF))
    assert placed.facts.issued.not_after == LOGGED
    assert placed.profile.family is LintFamily.SERVERAUTH
    assert placed.notes == ()


def test_a_subordinates_own_certificate_is_judged_as_an_authority(
    configuration: Path,
) -> None:
    from subca_oversight.settings import load_settings  # noqa: PLC0415

    context = load_context(
        [],
        settings=load_settings(configuration),
        subordinate="acme-tls-1",
        logged_at=None,
        as_of=LOGGED,
    )
    own, leaf = context.place(der(AUTHORITY)), context.place(der(LEAF))
    assert isinstance(own.subject, AuthorityFacts)
    assert own.notes == ()
    assert isinstance(leaf.subject, UnitFacts)
    assert leaf.facts.issuer_key_sha256 == own.subject.anchor


def test_a_signature_that_cannot_be_read_verifies_nothing() -> None:
    issuer = parse_certificate(der(AUTHORITY))
    assert is_signed_by(der(LEAF), issuer)
    assert not is_signed_by(der(AUTHORITY), issuer)
    assert not is_signed_by(b"\x30\x00", issuer)


def test_a_file_too_large_to_be_certificates_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subca_oversight.cli.certificate_files.MAX_FILE_BYTES", 10)
    with pytest.raises(ConfigurationError, match="larger than"):
        load_certificate_file(write(tmp_path, "leaf.der", der(LEAF)))
