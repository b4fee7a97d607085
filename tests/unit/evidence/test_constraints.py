"""Constraints against certificates made for each case, and against every CA certificate known."""

import ipaddress
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.evidence import der
from subca_oversight.evidence.constraints import _read_not_after, read_constraints
from subca_oversight.sources.ccadb.certificates import load_certificates
from tests.real_data import REAL_DATA, needs_real_data

KEY = ec.derive_private_key(7, ec.SECP256R1())
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Issuing CA")])
SPKI = KEY.public_key().public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)
TLS, EMAIL, CLIENT = Purpose.SERVER_AUTH, Purpose.EMAIL_PROTECTION, Purpose.CLIENT_AUTH
ANY, CODE, TIME = Purpose.ANY_EXTENDED_KEY_USAGE, Purpose.CODE_SIGNING, Purpose.TIME_STAMPING
DNS = x509.DNSName("example.com")
NO_DNS = x509.DNSName("")
IP = x509.IPAddress(ipaddress.ip_network("192.0.2.0/24"))
NO_IP4 = x509.IPAddress(ipaddress.ip_network("0.0.0.0/0"))
NO_IP6 = x509.IPAddress(ipaddress.ip_network("::/0"))
DIRECTORY = x509.DirectoryName(NAME)
MAIL = x509.RFC822Name("example.com")
NO_MAIL = x509.RFC822Name._init_without_validation("")


def certificate(
    purposes: Sequence[x509.ObjectIdentifier] | None,
    permitted: Sequence[x509.GeneralName] = (),
    excluded: Sequence[x509.GeneralName] = (),
    *,
    not_after: datetime = datetime(2035, 6, 30, 23, 59, 59, tzinfo=UTC),
) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(NAME)
        .issuer_name(NAME)
        .serial_number(1)
        .public_key(KEY.public_key())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    )
    if purposes is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if len(permitted) + len(excluded) > 0:
        constraints = x509.NameConstraints(list(permitted) or None, list(excluded) or None)
        builder = builder.add_extension(constraints, critical=True)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    ("purposes", "permitted", "excluded", "mrsp", "br"),
    [
        # No EKU, or any purpose: constrained by neither rule, whatever the names.
        (None, [], [], False, False),
        (None, [DNS, IP, DIRECTORY, MAIL], [], False, False),
        ([ANY], [DNS, IP, DIRECTORY], [], False, False),
        ([CLIENT, ANY], [], [], False, False),
        # Neither TLS nor e-mail.
        ([CLIENT], [], [], True, True),
        ([CODE], [], [], True, True),
        ([TIME], [], [], True, True),
        # TLS: DNS and IP names each listed or excluded outright, and a directory name.
        ([TLS], [], [], False, False),
        ([TLS, CLIENT], [DNS, IP, DIRECTORY], [], True, True),
        ([TLS], [DNS, DIRECTORY], [NO_IP4, NO_IP6], True, True),
        ([TLS], [IP, DIRECTORY], [NO_DNS], True, True),
        ([TLS], [DNS, DIRECTORY], [NO_IP4], False, False),
        ([TLS], [DNS, DIRECTORY], [], False, False),
        ([TLS], [DNS, IP], [], False, False),
        ([TLS], [DNS], [NO_IP4, NO_IP6], False, False),
        ([TLS], [DIRECTORY], [DNS, NO_IP4, NO_IP6], False, False),
        # A permitted name that permits everything permits too much.
        ([TLS], [NO_DNS, IP, DIRECTORY], [], False, False),
        ([TLS], [DNS, NO_IP4, DIRECTORY], [], False, False),
        # E-mail: the two rules part.
        ([EMAIL], [], [], False, True),
        ([EMAIL, CLIENT], [MAIL], [], True, True),
        ([EMAIL], [NO_MAIL], [], False, True),
        ([EMAIL], [], [MAIL], False, True),
        ([EMAIL], [DNS], [], False, True),
        ([EMAIL, TLS], [DNS, IP, DIRECTORY, MAIL], [], False, True),
        ([EMAIL, TLS], [MAIL], [], False, False),
    ],
)
def test_each_rule_has_its_own_answer(
    purposes: list[x509.ObjectIdentifier] | None,
    permitted: list[x509.GeneralName],
    excluded: list[x509.GeneralName],
    *,
    mrsp: bool,
    br: bool,
) -> None:
    found = read_constraints(certificate(purposes, permitted, excluded))
    assert (found.mrsp_constrained, found.br_constrained) == (mrsp, br)
    oids = None if purposes is None else tuple(oid.dotted_string for oid in purposes)
    assert found.eku_oids == oids


@pytest.mark.parametrize("year", [2025, 2049, 2050, 9999])
def test_expiry_and_key_are_read_in_both_time_forms(year: int) -> None:
    not_after = datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)
    found = read_constraints(certificate([CLIENT], not_after=not_after))
    assert found.not_after == not_after
    assert found.spki == SPKI


def test_a_time_with_an_offset_is_read_and_an_impossible_one_is_not() -> None:
    plain = certificate([CLIENT])
    assert plain.count(b"350630235959Z") == 1
    impossible = read_constraints(plain.replace(b"350630235959Z", b"351330235959Z"))
    assert impossible.not_after is None
    assert impossible.mrsp_constrained is True
    for content, expected in (
        (b"990630000000+1000", datetime(1999, 6, 29, 14, tzinfo=UTC)),
        (b"9906300000Z", datetime(1999, 6, 30, tzinfo=UTC)),
        (b"991330000000Z", None),
    ):
        validity = der.encode(0x30, der.encode(0x17, content) * 2)
        assert _read_not_after(validity) == expected


CONSTRAINED = certificate([EMAIL], [MAIL])


def test_what_cannot_be_read_is_never_a_pass() -> None:
    for length in range(len(CONSTRAINED)):
        found = read_constraints(CONSTRAINED[:length])
        assert found.mrsp_constrained is None
        assert found.br_constrained is None


def test_an_extension_that_appears_twice_is_not_read() -> None:
    oid = bytes.fromhex("0603551d13")  # basicConstraints becomes a second extendedKeyUsage
    assert CONSTRAINED.count(oid) == 1
    found = read_constraints(CONSTRAINED.replace(oid, bytes.fromhex("0603551d25")))
    assert found.mrsp_constrained is None
    assert found.not_after is not None


def test_broken_constraints_are_unknown_and_expiry_is_still_read() -> None:
    start = CONSTRAINED.index(bytes.fromhex("0603551d1e"))
    broken = bytearray(CONSTRAINED)
    broken[start + 12] ^= 0x7F
    found = read_constraints(bytes(broken))
    assert found.mrsp_constrained is None
    assert found.not_after == datetime(2035, 6, 30, 23, 59, 59, tzinfo=UTC)


@given(st.integers(0, len(CONSTRAINED) - 1), st.integers(1, 255))
def test_no_changed_octet_raises(position: int, mask: int) -> None:
    changed = bytearray(CONSTRAINED)
    changed[position] ^= mask
    assert read_constraints(bytes(changed)).mrsp_constrained in {True, False, None}


@given(st.binary(max_size=300))
def test_no_bytes_raise_or_pass(octets: bytes) -> None:
    assert read_constraints(octets).mrsp_constrained is None


@needs_real_data
def test_every_known_ca_certificate_is_read_as_cryptography_reads_it() -> None:
    found = load_certificates(REAL_DATA / "ccadb" / "pems-2026-08-21")
    compared = unreadable = beyond = 0
    for octets in found.values():
        ours = read_constraints(octets)
        assert ours.not_after is not None
        unreadable += ours.mrsp_constrained is None
        try:
            with warnings.catch_warnings(action="ignore"):
                theirs = x509.load_der_x509_certificate(octets)
                not_after = theirs.not_valid_after_utc
                ekus = _purposes(theirs)
        except ValueError:
            beyond += ours.mrsp_constrained is not None
            continue
        compared += 1
        assert (ours.not_after, ours.eku_oids) == (not_after, ekus)
    assert compared > 10_000
    assert beyond > 20  # what cryptography refuses is read here
    assert unreadable == 0


def _purposes(certificate: x509.Certificate) -> tuple[str, ...] | None:
    extensions: Any = certificate.extensions
    try:
        value = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return None
    return tuple(oid.dotted_string for oid in value)
