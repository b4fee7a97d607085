"""What a log can falsify without changing its root, and what confirms a match all the same."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from subca_oversight.errors import VerificationError
from subca_oversight.evidence import der
from subca_oversight.evidence.chain import find_chain_objection
from subca_oversight.evidence.confirmation import (
    Confirmation,
    Confirmed,
    Foreign,
    LoggedEntry,
    Unconfirmed,
    confirm_entry,
)
from subca_oversight.evidence.issuer_signature import InvalidKey, Uncheckable, verify_issued
from subca_oversight.evidence.precertificate import tbs_without
from subca_oversight.evidence.structure import SCT_LIST, slice_certificate
from subca_oversight.model.certificate import CertificateKind
from tests.real_data import REAL_DATA, needs_real_data

CT = REAL_DATA / "ct"
CPP = CT / "sct" / "google_ct_cpp_testdata"
REFUSED = CT / "certs" / "unparseable_by_cryptography"


@cache
def argon() -> tuple[LoggedEntry, ...]:
    """The 20 real entries, decoded by hand."""
    (path,) = (CT / "entries").glob("*.json")
    return tuple(_decode(entry) for entry in json.loads(path.read_bytes())["entries"])


def _decode(entry: dict[str, str]) -> LoggedEntry:
    leaf, extra = (base64.b64decode(entry[name]) for name in ("leaf_input", "extra_data"))
    timestamp = int.from_bytes(leaf[2:10], "big")
    if leaf[10:12] == b"\0\0":
        certificate, _ = _vector(leaf, 12)
        chain, _ = _vector(extra, 0)
        return LoggedEntry(
            CertificateKind.FINAL, timestamp, None, certificate, None, tuple(_vectors(chain))
        )
    tbs, _ = _vector(leaf, 44)
    precertificate, at = _vector(extra, 0)
    chain, _ = _vector(extra, at)
    return LoggedEntry(
        CertificateKind.PRECERTIFICATE,
        timestamp,
        leaf[12:44],
        tbs,
        precertificate,
        tuple(_vectors(chain)),
    )


def _vector(octets: bytes, at: int) -> tuple[bytes, int]:
    stop = at + 3 + int.from_bytes(octets[at : at + 3], "big")
    return octets[at + 3 : stop], stop


def _vectors(octets: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(octets):
        vector, at = _vector(octets, at)
        yield vector


def spki_of(octets: bytes) -> bytes:
    spki = slice_certificate(octets).spki
    assert spki is not None
    return spki


def key_of(octets: bytes) -> str:
    return sha256(spki_of(octets)).hexdigest()


def entry_of(kind: CertificateKind, chain_length: int) -> LoggedEntry:
    return next(e for e in argon() if e.kind is kind and len(e.chain) == chain_length)


def assert_blames_the_log(confirmation: Confirmation, key: str) -> None:
    assert isinstance(confirmation, Unconfirmed)
    assert confirmation.blames_log, confirmation.reason
    assert confirmation.issuer_key_sha256 in {key, ""}


def flipped(octets: bytes, position: int) -> bytes:
    changed = bytearray(octets)
    changed[position] ^= 1 << position % 8
    return bytes(changed)


def with_chain(entry: LoggedEntry, position: int, octets: bytes) -> LoggedEntry:
    chain = (*entry.chain[:position], octets, *entry.chain[position + 1 :])
    return replace(entry, chain=chain)


@needs_real_data
@pytest.mark.parametrize("by_hash_only", [True, False])
@pytest.mark.parametrize("static", [True, False])
def test_the_real_entries_are_confirmed_with_their_issuers(
    *, by_hash_only: bool, static: bool
) -> None:
    assert len(argon()) == 20
    for entry in argon():
        issuer = entry.chain[0]
        served = entry
        if static:
            served = replace(entry, fingerprints=tuple(sha256(c).digest() for c in entry.chain))
        watched = {"00" * 32: None, key_of(issuer): None if by_hash_only else spki_of(issuer)}
        certificate = entry.precertificate or entry.tbs_or_certificate
        assert confirm_entry(served, watched) == Confirmed(key_of(issuer), certificate, issuer)


@needs_real_data
def test_entries_of_keys_that_are_not_watched_are_no_matches() -> None:
    root = argon()[0].chain[-1]
    for entry in argon():
        watched = {key_of(root): spki_of(root)} if root not in entry.chain[:1] else {}
        assert confirm_entry(entry, watched) == Foreign(key_of(entry.chain[0]))


@needs_real_data
@pytest.mark.parametrize("chain_length", [2, 3])
def test_every_flipped_octet_of_a_precertificate_blames_the_log(chain_length: int) -> None:
    entry = entry_of(CertificateKind.PRECERTIFICATE, chain_length)
    key = key_of(entry.chain[0])
    octets = entry.precertificate or b""
    for position in range(len(octets)):
        falsified = replace(entry, precertificate=flipped(octets, position))
        for spki in (None, spki_of(entry.chain[0])):
            assert_blames_the_log(confirm_entry(falsified, {key: spki}), key)


@needs_real_data
@pytest.mark.parametrize("kind", list(CertificateKind))
@pytest.mark.parametrize("chain_length", [2, 3])
def test_every_flipped_octet_of_a_chain_below_its_end_blames_the_log(
    kind: CertificateKind, chain_length: int
) -> None:
    entry = entry_of(kind, chain_length)
    key = key_of(entry.chain[0])
    watched = {key: spki_of(entry.chain[0])}
    for place, octets in enumerate(entry.chain[:-1]):
        for position in range(len(octets)):
            falsified = with_chain(entry, place, flipped(octets, position))
            assert_blames_the_log(confirm_entry(falsified, watched), key)


@needs_real_data
def test_a_flipped_octet_of_a_root_blames_the_log_but_in_the_algorithm_of_its_key() -> None:
    entry = entry_of(CertificateKind.PRECERTIFICATE, 3)
    key = key_of(entry.chain[0])
    root = entry.chain[-1]
    algorithm = root.index(spki_of(root))
    for position in range(len(root)):
        falsified = with_chain(entry, 2, flipped(root, position))
        confirmation = confirm_entry(falsified, {key: None})
        if algorithm <= position < algorithm + 23:
            assert not isinstance(confirmation, Foreign)
        else:
            assert_blames_the_log(confirmation, key)


@needs_real_data
def test_a_chain_of_another_entry_blames_the_log() -> None:
    for entry in argon():
        key = key_of(entry.chain[0])
        other = next(e for e in argon() if e.chain[0] != entry.chain[0])
        falsified = replace(entry, chain=other.chain)
        assert_blames_the_log(confirm_entry(falsified, {key: spki_of(entry.chain[0])}), key)


@needs_real_data
def test_a_chain_that_does_not_match_its_fingerprints_blames_the_log() -> None:
    for entry in argon():
        key = key_of(entry.chain[0])
        prints = tuple(sha256(c).digest() for c in entry.chain)
        for falsified in (
            (prints[1], *prints[1:]),
            (*prints[:-1], bytes(32)),
            prints[:-1],
            prints[::-1],
        ):
            confirmation = confirm_entry(replace(entry, fingerprints=falsified), {key: None})
            assert_blames_the_log(confirmation, key)


@needs_real_data
def test_without_issuer_or_key_a_match_is_unconfirmed_and_nobody_is_blamed() -> None:
    for entry in argon():
        key = key_of(entry.chain[0])
        for prints in ((), (sha256(entry.chain[0]).digest(),)):
            bare = replace(entry, chain=(), fingerprints=prints)
            confirmation = confirm_entry(bare, {key: None})
            assert isinstance(confirmation, Unconfirmed)
            assert not confirmation.blames_log


@needs_real_data
def test_a_configured_key_confirms_where_a_log_leaves_the_chain_out() -> None:
    for entry in argon():
        key = key_of(entry.chain[0])
        watched = {"00" * 32: None, key: spki_of(entry.chain[0])}
        confirmation = confirm_entry(replace(entry, chain=()), watched)
        assert isinstance(confirmation, Confirmed)
        assert (confirmation.issuer_key_sha256, confirmation.issuer_certificate) == (key, None)


@needs_real_data
def test_an_issuer_that_a_static_log_names_and_does_not_serve_blames_the_log() -> None:
    for entry in argon():
        key = key_of(entry.chain[0])
        named = replace(entry, chain=(), fingerprints=(bytes(32),))
        confirmation = confirm_entry(named, {key: spki_of(entry.chain[0])})
        assert_blames_the_log(confirmation, key)


@needs_real_data
def test_a_missing_or_foreign_precertificate_blames_the_log() -> None:
    first, second = [e for e in argon() if e.kind is CertificateKind.PRECERTIFICATE][:2]
    key = key_of(first.chain[0])
    for octets in (None, b"", second.precertificate, first.chain[0], first.tbs_or_certificate):
        falsified = replace(first, precertificate=octets)
        assert_blames_the_log(confirm_entry(falsified, {key: None}), key)


@needs_real_data
def test_a_hashed_final_that_is_no_certificate_is_unconfirmed() -> None:
    entry = entry_of(CertificateKind.FINAL, 2)
    key = key_of(entry.chain[0])
    for octets in (b"", b"junk", entry.tbs_or_certificate[:-1]):
        confirmation = confirm_entry(replace(entry, tbs_or_certificate=octets), {key: None})
        assert_blames_the_log(confirmation, key)


@needs_real_data
def test_refused_certificates_as_log_entries_are_confirmed_or_kept_as_unconfirmed() -> None:
    issuer = argon()[0].chain[0]
    watched = {key_of(issuer): spki_of(issuer)}
    for path in sorted(REFUSED.glob("*.der")):
        octets = path.read_bytes()
        own = {key_of(octets): spki_of(octets)}
        entry = LoggedEntry(CertificateKind.FINAL, 0, None, octets, None, (octets,))
        assert isinstance(confirm_entry(entry, own), Confirmed | Unconfirmed)
        assert isinstance(confirm_entry(replace(entry, chain=(issuer,)), watched), Unconfirmed)


def pem(name: str) -> bytes:
    parts = (CPP / name).read_bytes().split(b"-----")
    return base64.b64decode(b"".join(parts[2].split()))


SIGNED_BY_SIGNING_CERTIFICATES = [
    ("test-embedded-with-preca", "ca-pre-cert", "ca-cert"),
    ("test-embedded-with-intermediate-preca", "intermediate-pre-cert", "intermediate-cert"),
]


def preca_entry(name: str, signing: str, issuer: str) -> LoggedEntry:
    tbs = tbs_without(slice_certificate(pem(f"{name}-cert.pem")), {SCT_LIST})
    authority = pem(f"{issuer}.pem")
    return LoggedEntry(
        CertificateKind.PRECERTIFICATE,
        0,
        sha256(spki_of(authority)).digest(),
        tbs,
        pem(f"{name}-pre-cert.pem"),
        (pem(f"{signing}.pem"), authority),
    )


@needs_real_data
@pytest.mark.parametrize("names", SIGNED_BY_SIGNING_CERTIFICATES)
def test_a_precertificate_signing_certificate_is_confirmed_through_the_issuer(
    names: tuple[str, str, str],
) -> None:
    entry = preca_entry(*names)
    key = key_of(entry.chain[1])
    assert isinstance(confirm_entry(entry, {key: None}), Confirmed)
    short = replace(entry, chain=entry.chain[:1])
    assert isinstance(confirm_entry(short, {key: spki_of(entry.chain[1])}), Confirmed)
    unchecked = confirm_entry(short, {key: None})
    assert isinstance(unchecked, Unconfirmed)
    assert not unchecked.blames_log


@needs_real_data
@pytest.mark.parametrize("names", SIGNED_BY_SIGNING_CERTIFICATES)
def test_every_flipped_octet_under_a_signing_certificate_blames_the_log(
    names: tuple[str, str, str],
) -> None:
    entry = preca_entry(*names)
    key = key_of(entry.chain[1])
    for place, octets in ((None, entry.precertificate or b""), (0, entry.chain[0])):
        for position in range(len(octets)):
            changed = flipped(octets, position)
            falsified = (
                replace(entry, precertificate=changed)
                if place is None
                else with_chain(entry, place, changed)
            )
            confirmation = confirm_entry(falsified, {key: spki_of(entry.chain[1])})
            assert_blames_the_log(confirmation, key)


PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | dsa.DSAPrivateKey
)


def self_signed(
    key: PrivateKey,
    algorithm: hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None,
    rsa_padding: padding.PSS | padding.PKCS1v15 | None = None,
) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test CA")])
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().issuer_name(name).subject_name(name).serial_number(1)
    builder = builder.not_valid_before(moment).not_valid_after(moment + timedelta(days=1))
    builder = builder.public_key(key.public_key())
    return builder.sign(key, algorithm, rsa_padding=rsa_padding).public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def test_signatures_of_every_family_verify_and_a_changed_one_does_not(
    rsa_key: rsa.RSAPrivateKey,
) -> None:
    sha256_pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    certificates = [
        self_signed(rsa_key, hashes.SHA256()),
        self_signed(rsa_key, hashes.SHA512(), padding.PKCS1v15()),
        self_signed(rsa_key, hashes.SHA256(), sha256_pss),
        self_signed(rsa_key, hashes.SHA384(), padding.PSS(padding.MGF1(hashes.SHA384()), 48)),
        self_signed(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()),
        self_signed(ec.generate_private_key(ec.SECP521R1()), hashes.SHA512()),
        self_signed(ed25519.Ed25519PrivateKey.generate(), None),
        self_signed(ed448.Ed448PrivateKey.generate(), None),
        self_signed(dsa.generate_private_key(2048), hashes.SHA256()),
    ]
    for octets in certificates:
        structure = slice_certificate(octets)
        assert structure.spki is not None
        verify_issued(structure, structure.spki)
        assert find_chain_objection((octets,), ()) is None
        damaged = replace(structure, tbs=structure.tbs[:-1] + bytes([structure.tbs[-1] ^ 1]))
        with pytest.raises(VerificationError):
            verify_issued(damaged, structure.spki)


def test_a_signature_algorithm_that_differs_outside_does_not_verify(
    rsa_key: rsa.RSAPrivateKey,
) -> None:
    structure = slice_certificate(self_signed(rsa_key, hashes.SHA256()))
    assert structure.spki is not None
    with pytest.raises(VerificationError, match="differs"):
        verify_issued(replace(structure, outer_algorithm=b"\x30\x00"), structure.spki)


def test_what_no_library_here_can_check_is_uncheckable_not_wrong(
    rsa_key: rsa.RSAPrivateKey,
) -> None:
    structure = slice_certificate(self_signed(rsa_key, hashes.SHA256()))
    spki = structure.spki or b""
    unknown = der.encode(der.SEQUENCE, der.encode(der.OID, b"\x2a\x03"))
    strange = replace(structure, inner_algorithm=unknown, outer_algorithm=unknown)
    with pytest.raises(Uncheckable):
        verify_issued(strange, spki)
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    ec_spki = point.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(Uncheckable):
        verify_issued(structure, ec_spki)
    unknown_curve = ec_spki.replace(
        bytes.fromhex("2a8648ce3d030107"), b"\x2a\x86\x48\xce\x3d\3\1\5"
    )
    with pytest.raises(Uncheckable) as raised:
        verify_issued(structure, unknown_curve)
    assert not isinstance(raised.value, InvalidKey)
    with pytest.raises(InvalidKey):
        verify_issued(structure, ec_spki[:-64] + bytes(63) + b"\1")


def test_an_entry_of_an_issuer_on_an_unknown_curve_blames_nobody(
    rsa_key: rsa.RSAPrivateKey,
) -> None:
    octets = self_signed(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    known, unknown = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d030105")
    issuer = octets.replace(known, unknown)
    entry = LoggedEntry(CertificateKind.FINAL, 0, None, octets, None, (issuer,))
    confirmation = confirm_entry(entry, {key_of(issuer): None})
    assert isinstance(confirmation, Unconfirmed)
    assert not confirmation.blames_log
    assert confirmation.issuer_key_sha256 == key_of(issuer)


def test_a_precertificate_entry_without_key_hash_is_our_own_mistake() -> None:
    entry = LoggedEntry(CertificateKind.PRECERTIFICATE, 0, None, b"", None, ())
    with pytest.raises(ValueError, match="issuer key hash"):
        confirm_entry(entry, {})
