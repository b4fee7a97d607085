"""The subject's public key: family, size, curve and RSA numbers.

Read from the SubjectPublicKeyInfo itself, so that a key our library cannot load (an unusual curve,
an even exponent) still has the facts that rules on keys judge. RFC 3279 2.3, RFC 5480, RFC 8410.
"""

from __future__ import annotations

from subca_oversight.evidence import der
from subca_oversight.evidence.der import Malformed
from subca_oversight.model.certificate import KeyAlgorithm, PublicKeyFacts

MAX_RSA_OCTETS = 4096
"""Moduli above 32,768 bits are reported by size only."""

_RSA = frozenset({"1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10", "2.5.8.1.1"})
_EC = "1.2.840.10045.2.1"
_DSA = "1.2.840.10040.4.1"
_EDDSA = {"1.3.101.112": ("ed25519", 256), "1.3.101.113": ("ed448", 456)}
_CURVES = {
    "1.2.840.10045.3.1.1": ("secp192r1", 192),
    "1.3.132.0.33": ("secp224r1", 224),
    "1.2.840.10045.3.1.7": ("secp256r1", 256),
    "1.3.132.0.34": ("secp384r1", 384),
    "1.3.132.0.35": ("secp521r1", 521),
    "1.3.132.0.10": ("secp256k1", 256),
    "1.3.36.3.3.2.8.1.1.7": ("brainpoolP256r1", 256),
    "1.3.36.3.3.2.8.1.1.11": ("brainpoolP384r1", 384),
    "1.3.36.3.3.2.8.1.1.13": ("brainpoolP512r1", 512),
}


def read_public_key(spki: bytes) -> PublicKeyFacts:
    """Facts of a SubjectPublicKeyInfo. Raises Malformed where they cannot be read."""
    start, end = der.read_only(spki, der.SEQUENCE)
    first, last = der.read_as(spki, start, end, der.SEQUENCE)
    oid = der.read_oid(spki, first, last)
    parameters = der.read(spki, first, last)[2]
    opening, closing = der.read_as(spki, last, end, der.BIT_STRING)
    key = spki[opening + 1 : closing]
    if oid in _RSA:
        return _rsa(key)
    if oid == _EC:
        return _ec(spki, parameters, last, key)
    if oid == _DSA:
        return PublicKeyFacts(KeyAlgorithm.DSA, _dsa_bits(spki, parameters, last))
    if oid in _EDDSA:
        curve, bits = _EDDSA[oid]
        return PublicKeyFacts(KeyAlgorithm.EDDSA, bits, curve)
    return PublicKeyFacts(KeyAlgorithm.OTHER, None, oid)


def _rsa(key: bytes) -> PublicKeyFacts:
    start, end = der.read_only(key, der.SEQUENCE)
    first, last = der.read_as(key, start, end, der.INTEGER)
    opening, closing = der.read_as(key, last, end, der.INTEGER)
    if last - first > MAX_RSA_OCTETS:
        return PublicKeyFacts(KeyAlgorithm.RSA, (last - first) * 8)
    modulus = int.from_bytes(key[first:last], "big", signed=True)
    if modulus <= 0:
        raise Malformed("the RSA modulus is not positive")
    exponent = int.from_bytes(key[opening : min(closing, opening + MAX_RSA_OCTETS)], "big")
    return PublicKeyFacts(
        KeyAlgorithm.RSA, modulus.bit_length(), rsa_modulus=modulus, rsa_exponent=exponent
    )


def _ec(spki: bytes, at: int, end: int, point: bytes) -> PublicKeyFacts:
    tag = spki[at] if at < end else None
    if tag == der.OID:
        oid = der.read_oid(spki, at, end)
        curve, bits = _CURVES.get(oid, (oid, _field_bits(point)))
        return PublicKeyFacts(KeyAlgorithm.EC, bits, curve)
    return PublicKeyFacts(KeyAlgorithm.EC, _field_bits(point), None)


def _field_bits(point: bytes) -> int | None:
    """Field size as the length of an uncompressed point tells it, in whole octets."""
    return (len(point) - 1) * 4 if len(point) > 0 and point[0] == 4 else None  # noqa: PLR2004


def _dsa_bits(spki: bytes, at: int, end: int) -> int | None:
    if at >= end or spki[at] != der.SEQUENCE:
        return None
    start, stop = der.read_as(spki, at, end, der.SEQUENCE)
    first, last = der.read_as(spki, start, stop, der.INTEGER)
    return int.from_bytes(spki[first:last], "big").bit_length()
