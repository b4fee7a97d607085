"""Every embedded SCT is verified as its log signed it, and what is wrong with one is told."""

from __future__ import annotations

import base64
import dataclasses
import json
import ssl
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from functools import cache

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.errors import VerificationError
from subca_oversight.evidence.known_logs import know_logs
from subca_oversight.evidence.sct_audit import (
    KnownLogs,
    SctContext,
    audit_scts,
    verify_sct,
)
from subca_oversight.evidence.scts import Sct, parse_embedded_scts
from subca_oversight.evidence.x509 import parse_certificate
from subca_oversight.model.certificate import CertificateFacts
from subca_oversight.model.sct import SctAudit, SctDefect, SctStanding, SctVerdict
from tests.real_data import REAL_DATA, needs_real_data
from tests.real_logs import AS_OF, known_logs, log_of_key
from tests.unit.evidence.made_scts import (
    INDEX,
    ISSUED,
    ISSUER,
    OLD,
    STATIC,
    certificate,
    facts_of,
    issue_sct,
    leaf_index,
    sha256,
    vector,
)

SCTS = REAL_DATA / "ct" / "sct"
LOGS = know_logs((OLD, STATIC), (), as_of=AS_OF)


def only(audit: SctAudit) -> SctVerdict:
    (verdict,) = audit.verdicts
    assert audit.problem is None
    return verdict


def flips(octets: bytes) -> Iterator[bytes]:
    for bit in range(len(octets) * 8):
        changed = bytearray(octets)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def test_scts_of_both_kinds_of_log_verify() -> None:
    facts = facts_of(issue_sct(OLD), issue_sct(STATIC, extensions=leaf_index(INDEX)))
    audit = audit_scts(facts, LOGS)
    assert [one.standing for one in audit.verdicts] == [SctStanding.VALID] * 2
    assert [one.timestamp for one in audit.verdicts] == [ISSUED] * 2
    assert [one.log_name for one in audit.verdicts] == ["old", "static"]
    assert (audit.as_of, audit.existed_by, audit.other_versions) == (AS_OF, AS_OF, 0)


def test_a_stripped_leaf_index_is_told_by_the_entry_that_the_log_shows() -> None:
    sct = issue_sct(STATIC, extensions=leaf_index(INDEX), embedded=b"")
    context = SctContext(indexes={STATIC.log_id.hex(): [17, INDEX]})
    verdict = only(audit_scts(facts_of(sct), LOGS, context))
    assert verdict.standing is SctStanding.INVALID_SIGNATURE
    assert verdict.defect is SctDefect.EXTENSIONS
    assert f"leaf_index {INDEX}" in verdict.reason


def test_a_stripped_leaf_index_is_suspected_where_no_entry_is_at_hand() -> None:
    sct = issue_sct(STATIC, extensions=leaf_index(INDEX), embedded=b"")
    verdict = only(audit_scts(facts_of(sct), LOGS))
    assert verdict.standing is SctStanding.INVALID_SIGNATURE
    assert verdict.defect is None
    assert "lacks the leaf_index extension" in verdict.reason


def test_extensions_embedded_as_base64_are_told() -> None:
    signed = leaf_index(INDEX)
    sct = issue_sct(STATIC, extensions=signed, embedded=base64.b64encode(signed))
    verdict = only(audit_scts(facts_of(sct), LOGS))
    assert verdict.standing is SctStanding.INVALID_SIGNATURE
    assert verdict.defect is SctDefect.EXTENSIONS
    assert "decoded from Base64" in verdict.reason


def test_extensions_that_the_log_did_not_sign_are_told() -> None:
    sct = issue_sct(OLD, embedded=leaf_index(1))
    verdict = only(audit_scts(facts_of(sct), LOGS))
    assert verdict.standing is SctStanding.INVALID_SIGNATURE
    assert "without its extensions" in verdict.reason


def test_a_certificate_changed_after_its_precertificate_is_told() -> None:
    facts = facts_of(issue_sct(OLD), name="changed.example.com")
    alone = only(audit_scts(facts, LOGS))
    assert alone.standing is SctStanding.INVALID_SIGNATURE
    assert alone.defect is None
    promised = certificate(None).tbs_certificate_bytes
    beside = only(audit_scts(facts, LOGS, SctContext(promised=[promised])))
    assert beside.standing is SctStanding.INVALID_SIGNATURE
    assert beside.defect is SctDefect.PRECERTIFICATE


def test_an_sct_for_another_issuing_key_does_not_verify() -> None:
    sct = issue_sct(OLD, issuer=sha256(b"another key"))
    verdict = only(audit_scts(facts_of(sct), LOGS))
    assert verdict.standing is SctStanding.INVALID_SIGNATURE


def test_an_sct_of_an_unknown_log_is_neither_valid_nor_invalid() -> None:
    verdict = only(audit_scts(facts_of(issue_sct(OLD)), KnownLogs(AS_OF, {})))
    assert verdict.standing is SctStanding.UNKNOWN_LOG
    assert verdict.log is None


def test_a_placeholder_is_not_believed_whatever_it_signs() -> None:
    url = "https://ct.example.com/bogus/"
    bogus = dataclasses.replace(OLD, submission_url=url, monitoring_url=url)
    verdict = only(audit_scts(facts_of(issue_sct(OLD)), know_logs([bogus], (), as_of=AS_OF)))
    assert verdict.standing is SctStanding.PLACEHOLDER_LOG


def test_an_sct_is_never_of_another_log_than_it_says() -> None:
    facts = facts_of(issue_sct(OLD))
    assert facts.tbs_without_ct is not None
    (sct,) = parse_embedded_scts(facts.der)
    with pytest.raises(VerificationError, match="of another log"):
        verify_sct(STATIC, sct, issuer_key_hash=ISSUER, tbs=facts.tbs_without_ct)


def test_an_sct_of_another_version_is_counted_and_not_passed_over() -> None:
    audit = audit_scts(facts_of(issue_sct(OLD), b"\x01" + issue_sct(OLD)[1:]), LOGS)
    assert len(audit.verdicts) == 1
    assert audit.other_versions == 1


def test_the_first_entry_of_the_certificate_bounds_its_scts() -> None:
    facts = facts_of(issue_sct(OLD))
    logged = ISSUED + timedelta(hours=1)
    assert audit_scts(facts, LOGS, SctContext(logged=logged)).existed_by == logged
    ahead = AS_OF + timedelta(days=1)
    assert audit_scts(facts, LOGS, SctContext(logged=ahead)).existed_by == AS_OF


def test_a_certificate_without_scts_has_no_verdicts() -> None:
    facts = parse_certificate(certificate(None).public_bytes(Encoding.DER))
    audit = audit_scts(facts, LOGS)
    assert (audit.verdicts, audit.problem) == ((), None)


def test_without_the_issuing_key_nothing_can_be_verified() -> None:
    facts = dataclasses.replace(facts_of(issue_sct(OLD)), issuer_key_sha256=None)
    audit = audit_scts(facts, LOGS)
    assert (audit.verdicts, audit.problem) == ((), "the issuing key is not known")


def test_a_list_cut_off_is_a_problem_of_the_list() -> None:
    octets = certificate(vector(b"\x00\x09short")).public_bytes(Encoding.DER)
    audit = audit_scts(parse_certificate(octets, issuer_key_sha256=ISSUER.hex()), LOGS)
    assert audit.problem is not None
    assert audit.problem.startswith("the SCT list: SCT")


def test_every_one_bit_mutation_of_an_sct_fails() -> None:
    sct = issue_sct(STATIC, extensions=leaf_index(INDEX))
    facts = facts_of(sct)
    assert only(audit_scts(facts, LOGS)).standing is SctStanding.VALID
    assert facts.der.count(sct) == 1
    outcomes: Counter[str] = Counter()
    for changed in flips(sct):
        der = facts.der.replace(sct, changed)
        audit = audit_scts(dataclasses.replace(facts, der=der), LOGS)
        assert all(one.standing is not SctStanding.VALID for one in audit.verdicts), changed.hex()
        if audit.problem is None and len(audit.verdicts) == 0:
            assert audit.other_versions == 1
        outcomes.update(one.standing for one in audit.verdicts)
    assert outcomes[SctStanding.UNKNOWN_LOG] == 32 * 8
    assert outcomes[SctStanding.INVALID_SIGNATURE] > 600


@given(
    edits=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4),
    end=st.integers(0, 2000),
    promised=st.lists(st.binary(max_size=40), max_size=3),
    index=st.integers(0, 2**40 - 1),
)
def test_an_audit_never_raises(
    edits: list[tuple[int, int]], end: int, promised: list[bytes], index: int
) -> None:
    octets = bytearray(facts_of(issue_sct(OLD), issue_sct(STATIC)).der)
    for at, value in edits:
        octets[at % len(octets)] = value
    facts = parse_certificate(bytes(octets[:end]), issuer_key_sha256=ISSUER.hex())
    context = SctContext(promised=promised, indexes={STATIC.log_id.hex(): [index]})
    audit = audit_scts(facts, LOGS, context)
    assert len(audit.verdicts) + audit.other_versions <= 2


# Real certificates, with the keys of real lists.

GOOGLE_TEST_CA = "02adddca08b8bf9861f035940c940156d8350fdff899a6239c6bd77255b8f8fc"
GOOGLE_TEST_INTERMEDIATE = "6fa870e52e065a34243667409e8bfdf29ffa9e49c731525c167b30e8ad6a7516"
DIGICERT_EV = "451335746aa70c5b022570531e4cb5eaf8b5a1b3a50a01459ffc8e848ff2fa1a"
OK, BAD, UNKNOWN = SctStanding.VALID, SctStanding.INVALID_SIGNATURE, SctStanding.UNKNOWN_LOG
REAL = {
    "azul_static_ct_tests/cloudflare.pem": (
        "908769e8d34477cc2cba0632c88605b22d7294c0840f78596d247c645b1afc0e",
        [OK, OK],
    ),
    "ctutlz/test_sct_ee_cert/ev_cert.der": (
        "80cc563ab5f83cc41eb0af6a14d6d80718c17e352f9649ffbcdd67f8bf651391",
        [OK, OK],
    ),
    "ctutlz/test_sct_ee_cert/issued_by_letsencrypt_not.der": (DIGICERT_EV, [OK, OK, OK]),
    "google_ct_cpp_testdata/test-embedded-cert.pem": (GOOGLE_TEST_CA, [OK]),
    "google_ct_cpp_testdata/test-embedded-with-intermediate-cert.pem": (
        GOOGLE_TEST_INTERMEDIATE,
        [OK],
    ),
    # Precertificate Signing Certificates signed the precertificates of these two.
    "google_ct_cpp_testdata/test-embedded-with-intermediate-preca-cert.pem": (
        GOOGLE_TEST_INTERMEDIATE,
        [OK],
    ),
    "google_ct_cpp_testdata/test-embedded-with-preca-cert.pem": (GOOGLE_TEST_CA, [OK]),
    "google_ct_cpp_testdata/test-invalid-embedded-cert.pem": (GOOGLE_TEST_CA, [BAD]),
    "misc_real_certs/bloomberg.pem": (
        "450799901e36ce751fb0320815621189811c2a5ee71f0345c160ab9cc3096d57",
        [OK, OK, OK],
    ),
    "misc_real_certs/cloudflare.pem": (
        "908769e8d34477cc2cba0632c88605b22d7294c0840f78596d247c645b1afc0e",
        [OK, OK],
    ),
    # The second SCT is of a static log and has a leaf_index.
    "misc_real_certs/geomys-org.pem": (
        "cbbc559b44d524d6a132bdac672744da3407f12aae5d5f722c5f6c7913871c75",
        [OK, OK],
    ),
    "misc_real_certs/github-chain.pem": (DIGICERT_EV, [OK, OK, OK]),
    "misc_real_certs/google-cert.pem": (
        "60fb4769fb4bc3aff4be773606734a185e78c62080dbc58571c723900e32a423",
        [OK, OK],
    ),
    # The first is of a staging log that no list names.
    "misc_real_certs/navigli_example_sct_with_leaf_index.pem": (
        "046c797842c7c58b1dbd6db8911171a60fc6c9baf6165b49835b48266d953670",
        [UNKNOWN, OK],
    ),
}
WITHOUT = (
    "ctutlz/test_sct_ee_cert/issued_by_letsencrypt.der",
    "ctutlz/test_sct_ee_cert/issued_by_letsencrypt_2.der",
    "google_ct_cpp_testdata/test-cert.pem",
    "misc_real_certs/no-sct.badssl.com.pem",
)


@cache
def real_logs() -> KnownLogs:
    test_key = (SCTS / "google_ct_cpp_testdata" / "ct-server-key-public.pem").read_bytes()
    key = load_pem_public_key(test_key).public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return known_logs([log_of_key(key, "test")])


def first_certificate(name: str) -> bytes:
    octets = (SCTS / name).read_bytes()
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    if begin not in octets:
        return octets
    pem = octets[octets.index(begin) : octets.index(end) + len(end)]
    return ssl.PEM_cert_to_DER_cert(pem.decode())


def real_facts(name: str, issuer: str) -> CertificateFacts:
    return parse_certificate(first_certificate(name), issuer_key_sha256=issuer)


@needs_real_data
@pytest.mark.parametrize("name", REAL)
def test_the_scts_of_real_and_test_certificates_are_judged_as_they_are(name: str) -> None:
    issuer, expected = REAL[name]
    audit = audit_scts(real_facts(name, issuer), real_logs())
    assert [one.standing for one in audit.verdicts] == expected
    assert audit.problem is None
    elsewhere = audit_scts(real_facts(name, "ab" * 32), real_logs())
    assert [one.standing for one in elsewhere.verdicts] == [
        BAD if standing is OK else standing for standing in expected
    ]


@needs_real_data
@pytest.mark.parametrize("name", WITHOUT)
def test_real_certificates_without_scts_have_no_verdict(name: str) -> None:
    audit = audit_scts(real_facts(name, "ab" * 32), real_logs())
    assert (audit.verdicts, audit.problem) == ((), None)


@needs_real_data
def test_scts_kept_beside_their_certificates_verify_for_them() -> None:
    """The test data's proofs are the SCTs that were then embedded."""
    folder = SCTS / "google_ct_cpp_testdata"
    (log,) = (known.log for known in real_logs().by_id.values() if known.log.operator == "test")
    for proof in sorted(folder.glob("test-embedded-*-cert.proof")):
        name = proof.stem.replace("-pre-cert", "-cert")
        issuer, _ = REAL[f"google_ct_cpp_testdata/{name}.pem"]
        facts = real_facts(f"google_ct_cpp_testdata/{name}.pem", issuer)
        assert facts.tbs_without_ct is not None
        octets = proof.read_bytes()
        sct = Sct(
            log_id=octets[1:33],
            timestamp_ms=int.from_bytes(octets[33:41]),
            extensions=b"",
            hash_algorithm=octets[43],
            signature_algorithm=octets[44],
            signature=octets[47:],
        )
        verify_sct(log, sct, issuer_key_hash=bytes.fromhex(issuer), tbs=facts.tbs_without_ct)
    assert len(list(folder.glob("test-embedded-*-cert.proof"))) == 4


def entry_finals() -> Iterator[CertificateFacts]:
    """The final certificates of 20 consecutive entries of a real log."""
    for entry in json.loads((REAL_DATA / "ct" / "certs" / "index.json").read_text()):
        if entry["kind"] == "pre":
            continue
        (path,) = (REAL_DATA / "ct" / "certs" / "by_issuer").rglob(f"{entry['sha256']}*")
        (issuer,) = (REAL_DATA / "ct" / "issuers").glob(f"{entry['chain'][0]}*")
        key = parse_certificate(issuer.read_bytes()).spki
        assert key is not None
        yield parse_certificate(path.read_bytes(), issuer_key_sha256=sha256(key).hex())


@needs_real_data
def test_all_embedded_scts_of_the_real_entries_verify() -> None:
    standings = [
        verdict.standing
        for facts in entry_finals()
        for verdict in audit_scts(facts, real_logs()).verdicts
    ]
    assert standings == [SctStanding.VALID] * 21


@needs_real_data
def test_a_leaf_index_stripped_from_a_real_sct_is_caught() -> None:
    name = "misc_real_certs/geomys-org.pem"
    facts = real_facts(name, REAL[name][0])
    other, sct = parse_embedded_scts(facts.der)
    index = int.from_bytes(sct.extensions[3:])
    assert sct.extensions == leaf_index(index)
    stripped = with_scts(
        facts, serialized(other), serialized(dataclasses.replace(sct, extensions=b""))
    )
    context = SctContext(indexes={sct.log_id.hex(): [index]})
    kept, lost = audit_scts(stripped, real_logs(), context).verdicts
    assert kept.standing is SctStanding.VALID
    assert lost.standing is SctStanding.INVALID_SIGNATURE
    assert lost.defect is SctDefect.EXTENSIONS
    assert f"leaf_index {index}" in lost.reason


def with_scts(facts: CertificateFacts, *scts: bytes) -> CertificateFacts:
    """The certificate with another SCT list: what the SCTs are held against stays as it is."""
    sct_list = vector(b"".join(vector(sct) for sct in scts))
    return dataclasses.replace(facts, der=certificate(sct_list).public_bytes(Encoding.DER))


def serialized(sct: Sct) -> bytes:
    return (
        b"\x00"
        + sct.log_id
        + sct.timestamp_ms.to_bytes(8)
        + vector(sct.extensions)
        + bytes((sct.hash_algorithm, sct.signature_algorithm))
        + vector(sct.signature)
    )


@needs_real_data
def test_every_one_bit_mutation_of_a_real_sct_fails() -> None:
    name = "misc_real_certs/geomys-org.pem"
    facts = real_facts(name, REAL[name][0])
    for sct in parse_embedded_scts(facts.der):
        octets = serialized(sct)
        assert facts.der.count(octets) == 1
        for changed in flips(octets):
            der = facts.der.replace(octets, changed)
            audit = audit_scts(dataclasses.replace(facts, der=der), real_logs())
            valid = [one for one in audit.verdicts if one.standing is SctStanding.VALID]
            assert len(valid) < 2, changed.hex()
