"""Key pairs from a seed, and signatures that come out the same every time.

ECDSA signs deterministically (RFC 6979), RSA with PKCS #1 v1.5: a built world has the same bytes
wherever it is built.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from subca_oversight.demo.world import der
from subca_oversight.demo.world.primes import next_prime, prime, roca_prime
from subca_oversight.demo.world.randomness import Seed

EXPONENT = 65537
_RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
_SHA256_WITH_RSA = der.sequence(der.oid("1.2.840.113549.1.1.11"), der.NULL)
_ECDSA_WITH_SHA256 = der.sequence(der.oid("1.2.840.10045.4.3.2"))
_ECDSA_WITH_SHA384 = der.sequence(der.oid("1.2.840.10045.4.3.3"))


@dataclass(frozen=True)
class KeyPair:
    """A signing key with its public half."""

    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

    @cached_property
    def spki(self) -> bytes:
        """SubjectPublicKeyInfo DER."""
        return self.private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @cached_property
    def spki_sha256(self) -> bytes:
        """What RFC 6962 calls issuer_key_hash."""
        return hashlib.sha256(self.spki).digest()

    @cached_property
    def identifier(self) -> bytes:
        """Key identifier: the leftmost 160 bits of the key's SHA-256 (RFC 7093)."""
        return self.spki_sha256[:20]

    @property
    def public_pem(self) -> bytes:
        """The public key as a PEM file."""
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def algorithm(self) -> bytes:
        """AlgorithmIdentifier of its signatures (BR 7.1.3.2)."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            return _SHA256_WITH_RSA
        if isinstance(self.private.curve, ec.SECP384R1):
            return _ECDSA_WITH_SHA384
        return _ECDSA_WITH_SHA256

    def sign(self, octets: bytes) -> bytes:
        """Sign; the same octets always give the same signature."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(octets, padding.PKCS1v15(), hashes.SHA256())
        digest: hashes.HashAlgorithm = (
            hashes.SHA384() if isinstance(self.private.curve, ec.SECP384R1) else hashes.SHA256()
        )
        return self.private.sign(octets, ec.ECDSA(digest, deterministic_signing=True))


def ec_key(seed: Seed, label: str, curve: ec.EllipticCurve | None = None) -> KeyPair:
    """An elliptic-curve key, on P-256 where no curve is named."""
    curve = ec.SECP256R1() if curve is None else curve
    bits = curve.key_size - 1
    scalar = int.from_bytes(seed.octets(f"ec/{label}", 48)) % (1 << bits) | 1
    return KeyPair(ec.derive_private_key(scalar, curve))


def rsa_key(seed: Seed, label: str, bits: int = 2048) -> KeyPair:
    """An RSA key of two unrelated primes."""
    return _rsa_key_of(*_unrelated_primes(seed, label, bits))


def rsa_spki(seed: Seed, label: str, bits: int = 2048) -> bytes:
    """The public half alone of an RSA key: a subscriber's key signs nothing here."""
    first, second = _unrelated_primes(seed, label, bits)
    return encode_rsa_spki(first * second)


def fermat_spki(seed: Seed, label: str, bits: int = 2048) -> bytes:
    """An RSA key of two neighboring primes: Fermat's method factors it at once (BR 6.1.1.3)."""
    first = prime(seed, f"rsa/{label}/p", bits // 2)
    return encode_rsa_spki(first * next_prime(first + 2))


def roca_spki(seed: Seed, label: str, bits: int = 2048) -> bytes:
    """An RSA key of the ROCA structure (BR 6.1.1.3)."""
    first = roca_prime(seed, f"rsa/{label}/p", bits // 2)
    return encode_rsa_spki(first * roca_prime(seed, f"rsa/{label}/q", bits // 2))


def encode_rsa_spki(modulus: int) -> bytes:
    """SubjectPublicKeyInfo of an RSA key with exponent 65537."""
    key = der.sequence(der.integer(modulus), der.integer(EXPONENT))
    return der.sequence(der.sequence(der.oid(_RSA_ENCRYPTION), der.NULL), der.bit_string(key))


def _unrelated_primes(seed: Seed, label: str, bits: int) -> tuple[int, int]:
    return (
        prime(seed, f"rsa/{label}/p", bits // 2),
        prime(seed, f"rsa/{label}/q", bits // 2),
    )


def _rsa_key_of(first: int, second: int) -> KeyPair:
    private = pow(EXPONENT, -1, (first - 1) * (second - 1))
    numbers = rsa.RSAPrivateNumbers(
        p=first,
        q=second,
        d=private,
        dmp1=private % (first - 1),
        dmq1=private % (second - 1),
        iqmp=pow(second, -1, first),
        public_numbers=rsa.RSAPublicNumbers(EXPONENT, first * second),
    )
    return KeyPair(numbers.private_key())
