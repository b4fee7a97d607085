"""Weak keys are found by their numbers, and only they."""

from __future__ import annotations

import base64
import json
import math
import random
from collections import Counter

import gmpy2  # type: ignore[import-untyped]  # it ships none
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.check.lint import keys
from subca_oversight.check.lint.keys import Weakness, find_weaknesses
from subca_oversight.errors import CheckError
from subca_oversight.evidence import der
from subca_oversight.evidence.x509 import parse_certificate
from tests.real_data import REAL_DATA, needs_real_data

RSA_ALGORITHM = bytes.fromhex("300d06092a864886f70d0101010500")
RANDOM = random.Random(6)  # noqa: S311 - test keys must be the same each time


def next_prime(number: int) -> int:
    return int(gmpy2.next_prime(number))


def random_prime(bits: int) -> int:
    return next_prime(RANDOM.getrandbits(bits) | (3 << (bits - 2)))


def spki(modulus: int, exponent: int = 65537) -> bytes:
    numbers = b"".join(
        der.encode(der.INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))
        for number in (modulus, exponent)
    )
    key = der.encode(der.SEQUENCE, numbers)
    return der.encode(der.SEQUENCE, RSA_ALGORITHM + der.encode(der.BIT_STRING, b"\x00" + key))


def roca_prime() -> int:
    """A prime of the form that Infineon's library made: k·M + (65537^a mod M)."""
    product = math.prod(number for number in range(2, 168) if gmpy2.is_prime(number))
    while True:
        candidate = RANDOM.getrandbits(290) * product + pow(65537, RANDOM.getrandbits(60), product)
        if gmpy2.is_prime(candidate):
            return candidate


def test_close_primes_are_found() -> None:
    prime = random_prime(1024)
    assert find_weaknesses(spki(prime * next_prime(prime + 2))) == (Weakness("fermat", ""),)


def test_a_squared_prime_is_told_from_close_primes() -> None:
    assert find_weaknesses(spki(random_prime(1024) ** 2)) == (Weakness("fermat", "square"),)


def test_roca_keys_are_found() -> None:
    assert find_weaknesses(spki(roca_prime() * roca_prime())) == (Weakness("roca", ""),)


def test_small_factors_are_found() -> None:
    modulus = 1009 * random_prime(2038)
    assert find_weaknesses(spki(modulus)) == (Weakness("smallfactors", "valid"),)


def test_exponents_that_are_none_are_found() -> None:
    modulus = random_prime(1024) * random_prime(1024)
    assert find_weaknesses(spki(modulus, 1)) == (Weakness("rsainvalid", "invalid_e"),)
    assert Weakness("rsainvalid", "e_too_large") in find_weaknesses(spki(modulus, modulus + 2))


def test_a_small_private_exponent_is_found() -> None:
    p, q = random_prime(1024), random_prime(1024)
    private = next_prime(RANDOM.getrandbits(200))
    exponent = pow(private, -1, (p - 1) * (q - 1))
    assert find_weaknesses(spki(p * q, exponent)) == (Weakness("smalld", ""),)


def test_sound_keys_have_no_weakness() -> None:
    assert find_weaknesses(spki(random_prime(1024) * random_prime(1024))) == ()
    public = rsa.generate_private_key(65537, 2048).public_key()
    assert find_weaknesses(_der(public)) == ()


def test_other_keys_are_not_applicable_rather_than_an_error() -> None:
    assert find_weaknesses(_der(ec.generate_private_key(ec.SECP256R1()).public_key())) == ()
    assert find_weaknesses(_der(ed25519.Ed25519PrivateKey.generate().public_key())) == ()


def _der(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def test_the_blocklist_that_would_end_the_process_is_not_asked() -> None:
    assert "blocklist" not in keys.RSA_CHECKS
    from badkeys.checks import defaultchecks  # noqa: PLC0415

    rsa_checks = {name for name, check in defaultchecks.items() if check["type"] == "rsa"}
    assert set(keys.RSA_CHECKS) == rsa_checks


def test_a_key_too_large_to_look_at_is_said_to_be() -> None:
    with pytest.raises(CheckError, match="more than 16384 bits"):
        find_weaknesses(spki((1 << 16385) + 1))


@given(st.binary(max_size=300))
def test_bytes_that_are_no_key_raise_the_one_error(noise: bytes) -> None:
    for octets in (noise, spki(35)[: len(noise)], RSA_ALGORITHM + noise):
        with pytest.raises(CheckError, match="cannot be read"):
            find_weaknesses(octets)


def test_the_version_is_recorded() -> None:
    assert keys.badkeys_version().count(".") >= 1


@needs_real_data
def test_the_corpus_has_exactly_its_planted_weak_keys() -> None:
    found: Counter[tuple[str, str]] = Counter()
    real_ca_with_weak_key = []
    looked_at = set()
    for path in sorted((REAL_DATA / "lint" / "certs").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            key = parse_certificate(base64.b64decode(row["der_b64"])).spki
            if key is None or key in looked_at:
                continue
            try:
                weaknesses = find_weaknesses(key)
            except CheckError:
                continue
            looked_at.add(key)
            found.update((weakness.name, weakness.subtest) for weakness in weaknesses)
            if row["real_ca"] and len(weaknesses) > 0:
                real_ca_with_weak_key.append(row["sha256"])
    assert len(looked_at) > 3000
    assert found == {
        ("fermat", ""): 1,
        ("smallfactors", "corrupt"): 2,
        ("rsainvalid", "invalid_e"): 2,
        ("rsainvalid", "e_too_large"): 2,
    }
    assert real_ca_with_weak_key == []
