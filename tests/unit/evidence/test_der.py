"""The TLV reader, the slicing of certificates and the rebuilt TBSCertificate."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.evidence import der
from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.precertificate import tbs_without
from subca_oversight.evidence.structure import POISON, SCT_LIST, slice_certificate
from tests.real_data import REAL_DATA, needs_real_data

NAVIGLI = REAL_DATA / "ct" / "tiles" / "navigli2025h2" / "tile" / "data"
ISSUERS = REAL_DATA / "ct" / "issuers"


@cache
def navigli_precertificates() -> tuple[tuple[bytes, bytes], ...]:
    """(hashed TBSCertificate, precertificate) of each leaf; all are precertificate entries."""
    tiles = sorted(path for path in NAVIGLI.iterdir() if path.is_file())
    return tuple(leaf for tile in tiles for leaf in _leaves(tile))


def _leaves(tile: Path) -> Iterator[tuple[bytes, bytes]]:
    octets = tile.read_bytes()
    if octets.startswith(b"\x1f\x8b"):
        octets = gzip.decompress(octets)
    at = 0
    while at < len(octets):
        assert octets[at + 8 : at + 10] == b"\x00\x01"
        tbs, at = _vector(octets, at + 42, 3)
        _, at = _vector(octets, at, 2)
        precertificate, at = _vector(octets, at, 3)
        _, at = _vector(octets, at, 2)
        yield tbs, precertificate


def _vector(octets: bytes, at: int, size: int) -> tuple[bytes, int]:
    start = at + size
    stop = start + int.from_bytes(octets[at:start], "big")
    return octets[start:stop], stop


@given(st.binary(max_size=300))
def test_whatever_the_octets_reading_ends_in_a_value_or_in_malformed(octets: bytes) -> None:
    try:
        tag, start, stop = der.read(octets, 0, len(octets))
    except Malformed:
        return
    assert tag == octets[0]
    assert 2 <= start <= stop <= len(octets)


@given(st.integers(0, 0xFF).filter(lambda tag: tag & 0x1F != 0x1F), st.binary(max_size=70_000))
def test_what_is_encoded_is_read_back(tag: int, content: bytes) -> None:
    octets = der.encode(tag, content)
    assert der.read(octets, 0, len(octets)) == (tag, len(octets) - len(content), len(octets))


@given(st.binary(max_size=400))
def test_looking_for_a_violation_never_raises(octets: bytes) -> None:
    violation = der.find_der_violation(octets)
    assert violation is None or len(violation) > 0


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        ("", "no octets"),
        ("30", "cut off"),
        ("3080", "indefinite"),
        ("308104", "too far"),
        ("30810100", "shortest form"),
        ("300205000500", "octets follow"),
        ("3003010101", "BOOLEAN"),
        ("300402020001", "INTEGER"),
        ("30040202ff80", "INTEGER"),
        ("1f8101", "several octets"),
        ("30" + "89" + "01" * 9, "length of 9 octets"),
        ("30 03 02 05 00", "too far"),
    ],
)
def test_each_departure_from_der_is_named(octets: str, reason: str) -> None:
    violation = der.find_der_violation(bytes.fromhex(octets))
    assert violation is not None
    assert reason in violation


@pytest.mark.parametrize("octets", ["3000", "30030101ff", "020100", "0202ff7f", "30023000"])
def test_der_has_no_violation(octets: str) -> None:
    assert der.find_der_violation(bytes.fromhex(octets)) is None


def test_deep_nesting_is_refused_without_recursion() -> None:
    octets = b""
    for _ in range(5_000):
        octets = der.encode(der.SEQUENCE, octets)
    violation = der.find_der_violation(octets)
    assert violation is not None
    assert "nested deeper" in violation


def test_an_endless_list_is_refused() -> None:
    octets = b"\x05\x00" * (der.MAX_CHILDREN + 1)
    with pytest.raises(Malformed, match="elements in one list"):
        for _ in der.children(octets, 0, len(octets)):
            pass


@pytest.mark.parametrize(
    ("content", "text"),
    [("550403", "2.5.4.3"), ("2a864886f70d010101", "1.2.840.113549.1.1.1"), ("883703", "2.999.3")],
)
def test_object_identifiers_are_dotted(content: str, text: str) -> None:
    assert der.oid_text(bytes.fromhex(content)) == text


@pytest.mark.parametrize("content", ["", "2a86", "80" * 200 + "01"])
def test_an_object_identifier_that_does_not_end_is_malformed(content: str) -> None:
    with pytest.raises(Malformed):
        der.oid_text(bytes.fromhex(content))


@needs_real_data
@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
def test_slices_are_those_that_cryptography_sees() -> None:
    for path in sorted(ISSUERS.glob("*.der")):
        octets = path.read_bytes()
        certificate = x509.load_der_x509_certificate(octets)
        structure = slice_certificate(octets)
        assert structure.problems == ()
        assert structure.tbs == certificate.tbs_certificate_bytes
        assert structure.signature == certificate.signature
        assert structure.issuer == certificate.issuer.public_bytes()
        assert structure.subject == certificate.subject.public_bytes()
        assert structure.serial is not None
        assert int.from_bytes(structure.serial, "big", signed=True) == certificate.serial_number
        assert [e.oid for e in structure.extensions] == [
            extension.oid.dotted_string for extension in certificate.extensions
        ]
        assert [e.critical for e in structure.extensions] == [
            extension.critical for extension in certificate.extensions
        ]


@needs_real_data
def test_a_precertificate_without_poison_is_the_hashed_tbs_for_all_navigli_leaves() -> None:
    leaves = navigli_precertificates()
    assert len(leaves) == 1024
    for tbs, precertificate in leaves:
        assert tbs_without(slice_certificate(precertificate), {POISON}) == tbs


@needs_real_data
def test_removing_the_sct_list_agrees_with_cryptography() -> None:
    pem = (REAL_DATA / "ct" / "sct" / "misc_real_certs" / "cloudflare.pem").read_bytes()
    certificate = x509.load_pem_x509_certificate(pem)
    octets = certificate.public_bytes(Encoding.DER)
    assert (
        tbs_without(slice_certificate(octets), {SCT_LIST}) == certificate.tbs_precertificate_bytes
    )


@needs_real_data
def test_no_changed_octet_of_a_real_certificate_raises_anything_but_malformed() -> None:
    _, octets = navigli_precertificates()[0]
    for position in range(len(octets)):
        for bit in (0x01, 0x20, 0x80):
            changed = bytearray(octets)
            changed[position] ^= bit
            _slice_or_malformed(bytes(changed))


@given(st.data())
@needs_real_data
def test_cut_and_spliced_certificates_are_sliced_or_malformed(data: st.DataObject) -> None:
    _, octets = navigli_precertificates()[1]
    start = data.draw(st.integers(0, len(octets)))
    stop = data.draw(st.integers(start, len(octets)))
    _slice_or_malformed(octets[:start] + data.draw(st.binary(max_size=20)) + octets[stop:])


def _slice_or_malformed(octets: bytes) -> None:
    try:
        structure = slice_certificate(octets)
        tbs_without(structure, {POISON})
    except Malformed:
        return
    assert structure.tbs in octets
