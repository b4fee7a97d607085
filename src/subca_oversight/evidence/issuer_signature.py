"""Whether a key signed a certificate: the signature alone, no path rules.

A signature is what makes a logged certificate an act of the CA, so "does not verify" and "cannot be
checked here" must never be mistaken for one another. RFC 5280 4.1.1.3, RFC 4055 (RSA and PSS),
RFC 5758 (ECDSA, DSA), RFC 8410 (EdDSA).
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key

from subca_oversight.errors import EvidenceError, VerificationError
from subca_oversight.evidence import der
from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.structure import CertificateStructure

_RSA_PREFIX = "1.2.840.113549.1.1."
_PSS = _RSA_PREFIX + "10"
_RSA_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    _RSA_PREFIX + "4": hashes.MD5,
    _RSA_PREFIX + "5": hashes.SHA1,
    "1.3.14.3.2.29": hashes.SHA1,
    _RSA_PREFIX + "11": hashes.SHA256,
    _RSA_PREFIX + "12": hashes.SHA384,
    _RSA_PREFIX + "13": hashes.SHA512,
    _RSA_PREFIX + "14": hashes.SHA224,
    "2.16.840.1.101.3.4.3.13": hashes.SHA3_224,
    "2.16.840.1.101.3.4.3.14": hashes.SHA3_256,
    "2.16.840.1.101.3.4.3.15": hashes.SHA3_384,
    "2.16.840.1.101.3.4.3.16": hashes.SHA3_512,
}
_ECDSA_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "1.2.840.10045.4.1": hashes.SHA1,
    "1.2.840.10045.4.3.1": hashes.SHA224,
    "1.2.840.10045.4.3.2": hashes.SHA256,
    "1.2.840.10045.4.3.3": hashes.SHA384,
    "1.2.840.10045.4.3.4": hashes.SHA512,
    "2.16.840.1.101.3.4.3.9": hashes.SHA3_224,
    "2.16.840.1.101.3.4.3.10": hashes.SHA3_256,
    "2.16.840.1.101.3.4.3.11": hashes.SHA3_384,
    "2.16.840.1.101.3.4.3.12": hashes.SHA3_512,
}
_DSA_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "1.2.840.10040.4.3": hashes.SHA1,
    "2.16.840.1.101.3.4.3.1": hashes.SHA224,
    "2.16.840.1.101.3.4.3.2": hashes.SHA256,
}
_ED25519, _ED448 = "1.3.101.112", "1.3.101.113"
_DIGESTS: dict[str, type[hashes.HashAlgorithm]] = {
    "1.3.14.3.2.26": hashes.SHA1,
    "2.16.840.1.101.3.4.2.1": hashes.SHA256,
    "2.16.840.1.101.3.4.2.2": hashes.SHA384,
    "2.16.840.1.101.3.4.2.3": hashes.SHA512,
    "2.16.840.1.101.3.4.2.4": hashes.SHA224,
}
_MGF1 = _RSA_PREFIX + "8"
_PSS_DEFAULT_SALT = 20


class Uncheckable(EvidenceError):  # noqa: N818 - says of the signature what it is
    """The algorithm or the key is one that no library at hand can work with."""


class InvalidKey(Uncheckable):
    """The key is none of its own kind, for example a point off its curve: it has signed nothing."""


def verify_issued(certificate: CertificateStructure, spki: bytes) -> None:
    """Raise VerificationError unless the key signed the certificate's TBSCertificate.

    Raises Uncheckable where neither can be said. The algorithm is the one inside the signed part;
    one outside that differs from it does not verify (RFC 5280 4.1.1.2).
    """
    if certificate.signature is None or certificate.inner_algorithm is None:
        raise VerificationError("no signature can be read")
    if certificate.inner_algorithm != certificate.outer_algorithm:
        raise VerificationError("the signed signature algorithm differs from the one outside")
    verify_signature(spki, certificate.inner_algorithm, certificate.signature, certificate.tbs)


def verify_signature(spki: bytes, algorithm: bytes, signature: bytes, signed: bytes) -> None:
    """Raise VerificationError unless ``signature`` over ``signed`` is the key's.

    ``spki`` and ``algorithm`` (an AlgorithmIdentifier) are DER. Raises Uncheckable where the
    algorithm or the key is not supported, or the two do not belong together.
    """
    try:
        start, end = der.read_only(algorithm, der.SEQUENCE)
        oid = der.read_oid(algorithm, start, end)
        key = _load(spki)
        _verify(key, oid, algorithm, signature, signed)
    except InvalidSignature:
        raise VerificationError("the signature does not verify") from None
    except (Malformed, UnsupportedAlgorithm, ValueError, TypeError) as error:
        raise Uncheckable(f"the signature cannot be checked: {error}") from None


@lru_cache(maxsize=256)
def _load(spki: bytes) -> PublicKeyTypes:
    try:
        return load_der_public_key(spki)
    except ValueError as error:
        raise InvalidKey(f"the key cannot be used: {error}") from None


def _verify(
    key: PublicKeyTypes, oid: str, algorithm: bytes, signature: bytes, signed: bytes
) -> None:
    if isinstance(key, rsa.RSAPublicKey) and oid in _RSA_HASHES:
        key.verify(signature, signed, padding.PKCS1v15(), _RSA_HASHES[oid]())
    elif isinstance(key, rsa.RSAPublicKey) and oid == _PSS:
        pss, digest = _pss(algorithm)
        key.verify(signature, signed, pss, digest)
    elif isinstance(key, ec.EllipticCurvePublicKey) and oid in _ECDSA_HASHES:
        key.verify(signature, signed, ec.ECDSA(_ECDSA_HASHES[oid]()))
    elif (isinstance(key, ed25519.Ed25519PublicKey) and oid == _ED25519) or (
        isinstance(key, ed448.Ed448PublicKey) and oid == _ED448
    ):
        key.verify(signature, signed)
    elif isinstance(key, dsa.DSAPublicKey) and oid in _DSA_HASHES:
        key.verify(signature, signed, _DSA_HASHES[oid]())
    else:
        raise UnsupportedAlgorithm(f"algorithm {oid} with a key of {type(key).__name__}")


def _pss(algorithm: bytes) -> tuple[padding.PSS, hashes.HashAlgorithm]:
    """RSASSA-PSS-params; each part has a default (RFC 4055 3.1)."""
    start, end = der.read_only(algorithm, der.SEQUENCE)
    at = der.read(algorithm, start, end)[2]
    digest: hashes.HashAlgorithm = hashes.SHA1()  # noqa: S303 - the default of the standard
    mask: hashes.HashAlgorithm = hashes.SHA1()  # noqa: S303 - the default of the standard
    salt = _PSS_DEFAULT_SALT
    if at < end:
        first, last = der.read_as(algorithm, at, end, der.SEQUENCE)
        for _, tag, inner, stop in der.children(algorithm, first, last):
            if tag == 0xA0:  # noqa: PLR2004 - [0] hashAlgorithm
                digest = _digest(algorithm, inner, stop)
            elif tag == 0xA1:  # noqa: PLR2004 - [1] maskGenAlgorithm
                mask = _mask(algorithm, inner, stop)
            elif tag == 0xA2:  # noqa: PLR2004 - [2] saltLength
                opening, closing = der.read_as(algorithm, inner, stop, der.INTEGER)
                salt = int.from_bytes(algorithm[opening:closing][:4], "big")
    return padding.PSS(padding.MGF1(mask), salt), digest


def _digest(octets: bytes, at: int, end: int) -> hashes.HashAlgorithm:
    start, stop = der.read_as(octets, at, end, der.SEQUENCE)
    oid = der.read_oid(octets, start, stop)
    if oid not in _DIGESTS:
        raise UnsupportedAlgorithm(f"digest {oid}")
    return _DIGESTS[oid]()


def _mask(octets: bytes, at: int, end: int) -> hashes.HashAlgorithm:
    start, stop = der.read_as(octets, at, end, der.SEQUENCE)
    if der.read_oid(octets, start, stop) != _MGF1:
        raise UnsupportedAlgorithm("a mask generation function that is not MGF1")
    return _digest(octets, der.read(octets, start, stop)[2], stop)
