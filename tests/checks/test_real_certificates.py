"""Every own check over real, publicly trusted certificates: no false alarm.

What is found is listed one by one with the reason why it is true.
"""

from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from subca_oversight.check import AuthorityFacts, CertificateFacts, Outcome, Relation, Severity
from subca_oversight.check.registry import load_registry
from subca_oversight.check.runner import run_subject
from subca_oversight.evidence.issuance import issuance_evidence
from subca_oversight.evidence.sct_audit import SctContext, audit_scts
from subca_oversight.evidence.x509 import parse_certificate
from tests.real_data import REAL_DATA, needs_real_data
from tests.real_logs import known_logs

pytestmark = needs_real_data
registry = cache(load_registry)
LOGGED_BY = datetime(2026, 5, 21, tzinfo=UTC)
PEMS_AS_OF = datetime(2026, 8, 21, tzinfo=UTC)

CONTEXT_MISSING = {
    "no CA certificate of the issuing key is known",
    "what others certified is not known",
    "where the CA certificate was seen is not known",
    "no log entry and no SCT shows by when it was signed",
    "the embedded SCTs were not verified: the logs' keys are not at hand",
}
TRUE_OF_LEAVES = {
    # An origin certificate of a CA that no root store holds; its subject names no host.
    ("9f21be1c2ea3", "common-name-not-in-sans"),
    # A root of 1999 whose validity has a time zone (RFC 5280 4.1.2.5.1: Zulu time).
    ("b3c962d34019", "certificate-unparseable"),
}
BROKEN_AUTHORITIES = {
    "b3c962d34019": "990630000000+1000 is not in the form",
    "1bc400808ab0": "1001010100Z is not in the form",  # UTCTime without seconds
    "7bda50131ea7": "1202010159Z is not in the form",
    # Twins whose unsigned outer algorithm is not the signed one (RFC 5280 4.1.1.2).
    "5578748ac979": "the signed one differs",
    "7532cd02809d": "the signed one differs",
    "37154708e510": "the signed one differs",
    "7857e2ddb361": "the signed one differs",
    "c286e1f74b1f": "the signed one differs",
}


def real_leaves() -> Iterator[CertificateFacts]:
    kinds = {"sub_ca", "root_or_self_issued_ca"}
    for path in sorted((REAL_DATA / "lint" / "certs").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if entry["real_ca"] and entry["kind"] not in kinds:
                yield parse_certificate(base64.b64decode(entry["der_b64"]))


def logged() -> Iterator[CertificateFacts]:
    """The 20 consecutive entries of a real log, with their timestamps and verified SCTs."""
    logs = known_logs(as_of=LOGGED_BY)
    for entry in json.loads((REAL_DATA / "ct" / "certs" / "index.json").read_text()):
        (path,) = (REAL_DATA / "ct" / "certs" / "by_issuer").rglob(f"{entry['sha256']}*")
        (issuer,) = (REAL_DATA / "ct" / "issuers").glob(f"{entry['chain'][0]}*")
        spki = parse_certificate(issuer.read_bytes()).spki
        assert spki is not None
        facts = parse_certificate(
            path.read_bytes(), issuer_key_sha256=hashlib.sha256(spki).hexdigest()
        )
        at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=entry["timestamp_ms"])
        audit = audit_scts(facts, logs, SctContext(logged=at))
        yield dataclasses.replace(facts, issued=issuance_evidence(facts, at), sct_audit=audit)


def authorities() -> Iterator[CertificateFacts]:
    csv.field_size_limit(1 << 30)
    for path in sorted((REAL_DATA / "ccadb" / "pems-2026-08-21").glob("*.csv")):
        with path.open(newline="") as stream:
            for row in csv.reader(stream):
                if "BEGIN CERTIFICATE" in row[1]:
                    pem = row[1].strip().strip("'").strip()
                    yield parse_certificate(ssl.PEM_cert_to_DER_cert(pem + "\n"))


def test_leaves_of_real_cas_give_no_false_alarm() -> None:
    count = 0
    violations: set[tuple[str, str]] = set()
    not_run: set[str] = set()
    for facts in real_leaves():
        count += 1
        for outcome in run_subject(registry(), facts):
            severity = registry().checks[outcome.check].severity
            if any(
                (breach.severity or severity) is Severity.VIOLATION for breach in outcome.breaches
            ):
                violations.add((facts.sha256[:12], outcome.check))
            if outcome.outcome is Outcome.COULD_NOT_RUN:
                not_run.add(outcome.reason)
    assert count == 75
    assert violations == TRUE_OF_LEAVES
    assert not_run <= CONTEXT_MISSING


def test_entries_of_a_real_log_are_clear_of_everything_that_could_be_judged() -> None:
    found = [
        (facts.sha256, outcome.check, outcome.breaches, outcome.reason)
        for facts in logged()
        for outcome in run_subject(registry(), facts)
        if outcome.outcome is not Outcome.CLEAR
    ]
    assert {reason for _, _, _, reason in found} == {
        "no CA certificate of the issuing key is known"
    }
    assert {check for _, check, _, _ in found} == {"issued-after-expiry"}
    assert len(found) == 20


def test_ca_certificates_of_every_root_program_give_no_false_alarm() -> None:
    count = 0
    broken: dict[str, str] = {}
    for facts in authorities():
        count += 1
        subject = AuthorityFacts("0" * 64, "any", Relation.CROSS_SIGNED, facts, PEMS_AS_OF)
        for outcome in run_subject(registry(), subject):
            if outcome.outcome is Outcome.COULD_NOT_RUN:
                assert outcome.reason in CONTEXT_MISSING
            for breach in outcome.breaches:
                if outcome.check == "key-size":
                    assert _is_short_beyond_2013(facts.der)
                elif outcome.check == "certificate-unparseable" and breach.severity is None:
                    broken[facts.sha256[:12]] = breach.message
                elif outcome.check == "subordinate-expiring":
                    assert facts.not_after is not None
                    assert timedelta(0) <= facts.not_after - PEMS_AS_OF < timedelta(days=181)
                else:
                    assert breach.severity is Severity.NOTICE, (facts.sha256, breach)
    assert count == 10_229
    assert broken.keys() == BROKEN_AUTHORITIES.keys()
    for sha256, reason in BROKEN_AUTHORITIES.items():
        assert reason in broken[sha256]


def _is_short_beyond_2013(der: bytes) -> bool:
    """What key-size claims, by another reader."""
    certificate = x509.load_der_x509_certificate(der)
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    is_late = certificate.not_valid_after_utc >= datetime(2014, 1, 1, tzinfo=UTC)
    return key.key_size < 2048 and is_late and certificate.issuer != certificate.subject
