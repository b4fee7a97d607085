"""Facts agree with cryptography where that can read, and are there where it cannot."""

from __future__ import annotations

import base64
import csv
import io
import json
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from subca_oversight.evidence import der, names
from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.scts import Sct, parse_embedded_scts, read_sct_list
from subca_oversight.evidence.structure import POISON, SCT_LIST, slice_certificate
from subca_oversight.evidence.x509 import parse_certificate
from subca_oversight.model.certificate import CertificateFacts, CertificateKind, KeyAlgorithm
from tests.real_data import REAL_DATA, needs_real_data

REFUSED = REAL_DATA / "ct" / "certs" / "unparseable_by_cryptography"
LOGGED = REAL_DATA / "ct" / "certs" / "by_issuer"
PEMS = REAL_DATA / "ccadb" / "pems-2026-08-21"
LINT = REAL_DATA / "lint" / "certs"
SAN = "2.5.29.17"
REFUSALS = (
    ValueError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


@cache
def logged(kind: str) -> tuple[bytes, ...]:
    """The real log entries' certificates; ``kind`` is ``pre`` or ``cert``."""
    return tuple(path.read_bytes() for path in sorted(LOGGED.rglob(f"*.{kind}.der")))


def lint_corpus(step: int) -> Iterator[bytes]:
    """Every ``step``-th file of the lint corpus; some are no certificates at all."""
    lines = (
        line for path in sorted(LINT.glob("*.jsonl")) for line in path.read_text().splitlines()
    )
    for number, line in enumerate(lines):
        if number % step == 0:
            yield base64.b64decode(json.loads(line)["der_b64"])


def ccadb_certificates(step: int) -> Iterator[bytes]:
    csv.field_size_limit(10_000_000)
    rows = (
        row[-1]
        for path in sorted(PEMS.glob("*.csv"))
        for row in csv.reader(io.StringIO(path.read_text(), newline=""))
        if "BEGIN CERTIFICATE" in row[-1]
    )
    for number, pem in enumerate(rows):
        if number % step == 0:
            yield base64.b64decode("".join(pem.split("-----")[2].split()))


def agrees(octets: bytes) -> bool:
    """Assert that the facts are cryptography's; False where that refuses the certificate."""
    facts = parse_certificate(octets)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            certificate = x509.load_der_x509_certificate(octets)
            extensions, subject = certificate.extensions, certificate.subject
        except REFUSALS:
            assert len(facts.field_errors) > 0
            return False
        assert facts.serial is not None
        assert int.from_bytes(facts.serial, "big", signed=True) == certificate.serial_number
        assert facts.not_before == certificate.not_valid_before_utc
        assert facts.not_after == certificate.not_valid_after_utc
    assert facts.common_names == tuple(
        names.storable(str(attribute.value))
        for attribute in subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    )
    assert facts.extension_oids == tuple(extension.oid.dotted_string for extension in extensions)
    assert_extensions_agree(facts, extensions)
    assert_key_agrees(facts, certificate)
    return True


def assert_extensions_agree(facts: CertificateFacts, extensions: x509.Extensions) -> None:
    values = [extension.value for extension in extensions]
    sans = [value for value in values if isinstance(value, x509.SubjectAlternativeName)]
    assert facts.has_san == (len(sans) == 1)
    if len(sans) == 1:
        dns = tuple(map(names.storable, sans[0].get_values_for_type(x509.DNSName)))
        assert facts.dns_names == dns
        if "ip_addresses" not in dict(facts.field_errors):
            addresses = sans[0].get_values_for_type(x509.IPAddress)
            assert facts.ip_addresses == tuple(map(str, addresses))
        email = tuple(map(names.storable, sans[0].get_values_for_type(x509.RFC822Name)))
        assert facts.email_addresses == email
    purposes = [value for value in values if isinstance(value, x509.ExtendedKeyUsage)]
    assert facts.eku_oids == (
        tuple(oid.dotted_string for oid in purposes[0]) if len(purposes) == 1 else None
    )
    assert facts.is_ca == any(v.ca for v in values if isinstance(v, x509.BasicConstraints))
    assert facts.policy_oids == tuple(
        policy.policy_identifier.dotted_string
        for value in values
        if isinstance(value, x509.CertificatePolicies)
        for policy in value
    )
    access = [d for v in values if isinstance(v, x509.AuthorityInformationAccess) for d in v]
    for method, urls in (
        (AuthorityInformationAccessOID.OCSP, facts.ocsp_urls),
        (AuthorityInformationAccessOID.CA_ISSUERS, facts.ca_issuer_urls),
    ):
        assert urls == _urls([d.access_location for d in access if d.access_method == method])
    points = [p for v in values if isinstance(v, x509.CRLDistributionPoints) for p in v]
    assert facts.crl_urls == _urls([n for p in points for n in p.full_name or ()])
    scts = [
        sct
        for value in values
        if isinstance(value, x509.PrecertificateSignedCertificateTimestamps)
        for sct in value
    ]
    assert [moment.replace(tzinfo=None) for moment in facts.sct_timestamps] == [
        sct.timestamp for sct in scts
    ]


def _urls(general_names: list[x509.GeneralName]) -> tuple[str, ...]:
    return tuple(
        names.storable(name.value)
        for name in general_names
        if isinstance(name, x509.UniformResourceIdentifier)
    )


def assert_key_agrees(facts: CertificateFacts, certificate: x509.Certificate) -> None:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        assert "key" in dict(facts.field_errors)
        return
    assert facts.key is not None
    if isinstance(key, rsa.RSAPublicKey):
        assert facts.key.algorithm is KeyAlgorithm.RSA
        numbers = key.public_numbers()
        assert (facts.key.bits, facts.key.rsa_modulus) == (key.key_size, numbers.n)
        assert facts.key.rsa_exponent == numbers.e
    elif isinstance(key, ec.EllipticCurvePublicKey):
        assert facts.key.algorithm is KeyAlgorithm.EC
        assert facts.key.bits == key.curve.key_size
        # a curve spelled out by its parameters, which RFC 5480 forbids, has no name for us
        assert facts.key.curve in {key.curve.name, None}


@needs_real_data
def test_facts_of_the_lint_corpus_agree_with_cryptography() -> None:
    verdicts = [agrees(octets) for octets in lint_corpus(step=4)]
    assert verdicts.count(True) > 900


@needs_real_data
def test_facts_of_ca_certificates_agree_with_cryptography() -> None:
    verdicts = [agrees(octets) for octets in ccadb_certificates(step=25)]
    assert verdicts.count(True) > 380


@needs_real_data
@pytest.mark.slow
def test_facts_of_every_real_certificate_agree_with_cryptography() -> None:
    started = time.process_time()
    lint = [agrees(octets) for octets in lint_corpus(step=1)]
    ccadb = [agrees(octets) for octets in ccadb_certificates(step=1)]
    assert (len(lint), len(ccadb)) == (4150, 10229)
    assert lint.count(True) > 3650
    assert ccadb.count(True) > 10_150
    assert time.process_time() - started < 60


@needs_real_data
def test_certificates_that_cryptography_refuses_keep_every_field_that_can_be_read() -> None:
    refused = sorted(REFUSED.glob("*.der"))
    assert len(refused) == 26
    for path in refused:
        facts = parse_certificate(path.read_bytes())
        assert facts.sha256 == path.stem
        assert not facts.is_parsed
        assert any(reason.startswith("cryptography ") for _, reason in facts.field_errors)
        assert facts.issuer_name is not None
        assert facts.subject_name is not None
        assert facts.serial is not None
        assert facts.not_before is not None
        assert facts.not_after is not None
        assert facts.spki is not None
        assert facts.key is not None
        assert facts.tbs_without_ct is not None


@needs_real_data
def test_real_precertificates_and_finals_are_told_apart_and_have_no_errors() -> None:
    for octets in logged("pre"):
        facts = parse_certificate(octets)
        assert facts.kind is CertificateKind.PRECERTIFICATE
        assert POISON in facts.extension_oids
        assert facts.field_errors == ()
    for octets in logged("cert"):
        facts = parse_certificate(octets)
        assert facts.kind is CertificateKind.FINAL
        assert len(facts.sct_timestamps) == len(parse_embedded_scts(octets))
        assert facts.issued.not_before == max(facts.sct_timestamps)
        assert facts.field_errors == ()


@needs_real_data
def test_all_embedded_scts_of_the_real_entries_are_read() -> None:
    scts = [sct for octets in logged("cert") for sct in parse_embedded_scts(octets)]
    assert len(scts) == 21
    for sct in scts:
        assert (sct.hash_algorithm, sct.signature_algorithm) == (4, 3)
        assert len(sct.log_id) == 32
    with_extension = REAL_DATA / "ct" / "sct" / "misc_real_certs"
    pem = (with_extension / "navigli_example_sct_with_leaf_index.pem").read_bytes()
    octets = base64.b64decode(b"".join(pem.split(b"-----")[2].split()))
    assert any(len(sct.extensions) == 8 for sct in parse_embedded_scts(octets))


def sct_list(*scts: bytes) -> bytes:
    body = b"".join(len(sct).to_bytes(2, "big") + sct for sct in scts)
    return der.encode(der.OCTET_STRING, len(body).to_bytes(2, "big") + body)


SCT = bytes(33) + (1_700_000_000_000).to_bytes(8, "big") + b"\0\0" + b"\4\3\0\2ab"


def test_an_sct_of_a_later_version_is_passed_over() -> None:
    found: list[Sct] = []
    read_sct_list(sct_list(b"\1whatever", SCT), found)
    assert [sct.timestamp_ms for sct in found] == [1_700_000_000_000]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\4\0",
        sct_list(),
        sct_list(b""),
        sct_list(SCT[:-1]),
        sct_list(SCT + b"x"),
        sct_list(SCT[:40]),
        sct_list(SCT) + b"x",
        b"\4\3\0\0x",
        sct_list(*[SCT] * 101),
    ],
)
def test_junk_in_an_sct_list_is_malformed(value: bytes) -> None:
    with pytest.raises(Malformed):
        read_sct_list(value, [])


@needs_real_data
def test_a_junk_sct_list_keeps_the_scts_before_the_junk_and_the_other_fields() -> None:
    facts = with_extension(logged("cert")[0], SCT_LIST, sct_list(SCT, b""))
    assert facts.sct_timestamps == (datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),)
    assert "sct_timestamps" in dict(facts.field_errors)
    assert len(facts.dns_names) > 0


@needs_real_data
def test_an_sct_beyond_the_calendar_is_an_error_of_that_field_alone() -> None:
    late = SCT[:33] + b"\xff" * 8 + SCT[41:]
    facts = with_extension(logged("cert")[0], SCT_LIST, sct_list(late, SCT))
    assert len(facts.sct_timestamps) == 1
    assert "9999" in dict(facts.field_errors)["sct_timestamps"]


def with_extension(octets: bytes, oid: str, value: bytes) -> CertificateFacts:
    """Facts of a certificate in which one extension has another value."""
    structure = slice_certificate(octets)
    (extension,) = (e for e in structure.extensions if e.oid == oid)
    start, _ = der.read_only(extension.der, der.SEQUENCE)
    head = extension.der[start : len(extension.der) - len(extension.value)]
    head = head[: head.rindex(b"\x04")]
    changed = der.encode(der.SEQUENCE, head + der.encode(der.OCTET_STRING, value))
    return parse_certificate(replaced(octets, extension.der, changed))


def replaced(octets: bytes, old: bytes, new: bytes) -> bytes:
    """The certificate with one part replaced and all lengths around it made right again."""
    offset = octets.index(old)

    def rebuild(start: int, end: int) -> bytes:
        parts = b""
        for at, tag, inner, stop in der.children(octets, start, end):
            if at == offset and stop == offset + len(old):
                parts += new
            elif inner <= offset < stop:
                parts += der.encode(tag, rebuild(inner, stop))
            else:
                parts += octets[at:stop]
        return parts

    return rebuild(0, len(octets))


@needs_real_data
@pytest.mark.parametrize(
    ("part", "new", "field"),
    [
        ("serial", b"\x02\x01\xff", None),
        ("serial", b"\x04\x01\x05", "serial"),
        (
            "validity",
            bytes.fromhex("300c170531323334 5a 1803303030".replace(" ", "")),
            "not_before",
        ),
        ("subject", b"\x05\x00", "subject"),
        ("spki", b"\x30\x00", "key"),
    ],
)
def test_one_broken_field_hides_no_other(part: str, new: bytes, field: str | None) -> None:
    octets = logged("cert")[0]
    structure = slice_certificate(octets)
    intact = parse_certificate(octets)
    old = {
        "serial": der.encode(der.INTEGER, structure.serial or b""),
        "validity": structure.validity or b"",
        "subject": structure.subject or b"",
        "spki": structure.spki or b"",
    }[part]
    facts = parse_certificate(replaced(octets, old, new))
    assert facts.dns_names == intact.dns_names
    assert facts.sct_timestamps == intact.sct_timestamps
    assert facts.tbs_without_ct is not None
    if part != "serial":
        assert facts.serial == intact.serial
    if part != "spki":
        assert facts.key == intact.key
    if field is None:
        assert facts.serial_hex == "ff"
    else:
        assert field in dict(facts.field_errors)


@needs_real_data
def test_a_repeated_extension_is_an_error_and_both_are_read() -> None:
    octets = logged("cert")[0]
    (san,) = (e.der for e in slice_certificate(octets).extensions if e.oid == SAN)
    facts = parse_certificate(replaced(octets, san, san + san))
    intact = parse_certificate(octets)
    assert facts.dns_names == intact.dns_names * 2
    assert facts.extension_oids.count(SAN) == 2
    assert any("more than once" in reason for _, reason in facts.field_errors)
    assert facts.key == intact.key


@needs_real_data
def test_an_extension_in_the_wrong_form_hides_no_other() -> None:
    octets = logged("cert")[0]
    (san,) = (e.der for e in slice_certificate(octets).extensions if e.oid == SAN)
    facts = parse_certificate(replaced(octets, san, b"\x05\x00"))
    intact = parse_certificate(octets)
    assert not facts.has_san
    assert facts.sct_timestamps == intact.sct_timestamps
    assert facts.policy_oids == intact.policy_oids
    assert facts.tbs_without_ct is not None


@needs_real_data
def test_names_in_a_certificate_are_storable_whatever_they_contain() -> None:
    hostile = (
        der.encode(0x82, b"good.example")
        + der.encode(0x82, b"nul\x00.example")
        + der.encode(0x82, b"caf\xc3\xa9.example")
        + der.encode(0x82, b"\xff\xfe")
        + der.encode(0x87, b"\x01\x02\x03")
        + der.encode(0x87, bytes([192, 0, 2, 1]))
        + der.encode(0x81, "a\u202eb@example".encode())
    )
    facts = with_extension(logged("cert")[0], SAN, der.encode(der.SEQUENCE, hostile))
    assert facts.dns_names == (
        "good.example",
        "nul\\x00.example",
        "caf\u00e9.example",
        "\\xff\\xfe",
    )
    assert facts.ip_addresses == ("010203", "192.0.2.1")
    assert facts.email_addresses == ("a\\u202eb@example",)
    assert {"dns_names", "ip_addresses", "email_addresses"} <= set(dict(facts.field_errors))


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=50))
def test_storable_text_is_printable_without_surrogates_and_keeps_texts_apart(text: str) -> None:
    stored = names.storable(text)
    assert stored.isprintable()
    stored.encode("utf-8")
    assert (stored == text) == (text.isprintable() and "\\" not in text)


@pytest.mark.parametrize(
    ("tag", "content", "text", "objects"),
    [
        (0x0C, "Zürich".encode(), "Zürich", False),
        (0x13, b"plain", "plain", False),
        (0x14, "Zürich".encode("latin-1"), "Zürich", False),
        (0x1E, "Zürich".encode("utf-16-be"), "Zürich", False),
        (0x1E, b"\0A\0", "A\ufffd", True),
        (0x1C, "Zürich".encode("utf-32-be"), "Zürich", False),
        (0x0C, b"Z\xfcrich", "Z\\xfcrich", True),
        (0x0C, b"a\\b\x00", "a\\\\b\\x00", False),
    ],
)
def test_attribute_strings_are_decoded_by_their_type(
    tag: int, content: bytes, text: str, *, objects: bool
) -> None:
    decoded, objection = names.decode_string(tag, content)
    assert decoded == text
    assert (objection is not None) == objects


@needs_real_data
@pytest.mark.parametrize(
    ("time_element", "expected", "objects"),
    [
        (b"\x17\x0d260520174812Z", datetime(2026, 5, 20, 17, 48, 12, tzinfo=UTC), False),
        (b"\x17\x0d500520174812Z", datetime(1950, 5, 20, 17, 48, 12, tzinfo=UTC), False),
        (b"\x17\x0b2605201748Z", datetime(2026, 5, 20, 17, 48, tzinfo=UTC), True),
        (b"\x17\x11260520174812+0200", datetime(2026, 5, 20, 15, 48, 12, tzinfo=UTC), True),
        (b"\x18\x0f00010101000000Z", datetime(1, 1, 1, tzinfo=UTC), True),
        (b"\x18\x1300010101000000+0100", None, True),
        (b"\x17\x0d260231174812Z", None, True),
        (b"\x17\x0d2605201748\xb2\xb3Z", None, True),
        (b"\x18\x0d260520174812Z", None, True),
    ],
)
def test_times_are_read_where_they_name_one_instant(
    time_element: bytes, expected: datetime | None, *, objects: bool
) -> None:
    octets = logged("pre")[0]
    validity = slice_certificate(octets).validity or b""
    later = b"\x18\x0f20990101000000Z"
    changed = der.encode(der.SEQUENCE, time_element + later)
    facts = parse_certificate(replaced(octets, validity, changed))
    assert facts.not_before == expected
    assert facts.not_after == datetime(2099, 1, 1, tzinfo=UTC)
    assert ("not_before" in dict(facts.field_errors)) == (
        objects and (expected is None or expected.year > 1)
    )
    if expected is not None and expected.year > 1:
        assert facts.issued.not_before == expected - timedelta(hours=48)


@given(st.binary(max_size=500))
def test_any_octets_have_facts(octets: bytes) -> None:
    facts = parse_certificate(octets)
    assert facts.der == octets
    assert len(facts.field_errors) > 0


@needs_real_data
@settings(deadline=None)
@given(st.data())
def test_damaged_certificates_have_facts_that_can_be_stored(data: st.DataObject) -> None:
    octets = bytearray(data.draw(st.sampled_from(logged("cert") + logged("pre"))))
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    assert_storable(parse_certificate(bytes(octets)))


@needs_real_data
def test_every_octet_of_a_real_certificate_can_be_damaged() -> None:
    octets = logged("cert")[0]
    for position in range(len(octets)):
        changed = bytearray(octets)
        changed[position] ^= 0x80 >> position % 8
        assert_storable(parse_certificate(bytes(changed)))


def assert_storable(facts: CertificateFacts) -> None:
    texts = (
        *facts.common_names,
        *facts.dns_names,
        *facts.ip_addresses,
        *facts.email_addresses,
        *facts.crl_urls,
        *facts.ocsp_urls,
        *facts.ca_issuer_urls,
        *(reason for _, reason in facts.field_errors),
    )
    for text in texts:
        assert text.isprintable()
        text.encode("utf-8")


def test_many_names_are_read_in_linear_time() -> None:
    def seconds(count: int) -> float:
        name = der.encode(0x82, b"a.example")
        value = der.encode(der.SEQUENCE, name * count)
        san = der.encode(der.OID, b"\x55\x1d\x11") + der.encode(der.OCTET_STRING, value)
        listed = der.encode(der.SEQUENCE, der.encode(der.SEQUENCE, san))
        fields = b"\x02\x01\x01" + b"\x30\x00" * 5 + der.encode(0xA3, listed)
        octets = der.encode(der.SEQUENCE, der.encode(der.SEQUENCE, fields) + b"\x30\0\x03\1\0")
        started = time.process_time()
        facts = parse_certificate(octets)
        assert len(facts.dns_names) == count
        return time.process_time() - started

    small = max(seconds(4_000), 0.001)
    assert seconds(40_000) < 60 * small
