"""Public keys are of a permitted kind and size.

Whoever can factor a short modulus acts as the subscriber, or as the CA. BR 6.1.5: RSA moduli of at
least 2048 bits whose length is divisible by 8, or the curves P-256, P-384 and P-521, nothing else.
Certificates that had expired by the end of 2013 were allowed 1024 bits, and roots signed until 2010
may stay (BR 6.1.5 of that time); lengths not divisible by 8 were forbidden from 2017-02-28 (MRSP
5.1), DSA from 2020-08-20 (BR 1.7.1). The rules for RSA and the curves are the same for S/MIME (SBR
6.1.5), where other kinds of keys are permitted; certificates for other purposes get a notice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from subca_oversight.check import (
    Breach,
    CertificateFacts,
    KeyAlgorithm,
    PublicKeyFacts,
    Revocation,
    Severity,
    check,
    dated,
    is_tls_authority,
    is_tls_subscriber,
    known,
    revocation_class,
    verify_readable,
)

MINIMUM_BITS = 2048
CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})
SHORT_KEYS_UNTIL = datetime(2013, 12, 31, 23, 59, 59, tzinfo=UTC)
OLD_ROOTS_UNTIL = datetime(2010, 12, 31, 23, 59, 59, tzinfo=UTC)
WHOLE_OCTETS_SINCE = datetime(2017, 2, 28, tzinfo=UTC)
NO_OTHER_KIND_SINCE = datetime(2020, 8, 20, tzinfo=UTC)
GOVERNED = frozenset(
    {
        "1.3.6.1.5.5.7.3.1",  # serverAuth
        "1.3.6.1.5.5.7.3.4",  # emailProtection
        "1.3.6.1.5.5.7.3.9",  # OCSPSigning
        "2.5.29.37.0",  # any
    }
)


@check(
    id="key-size",
    severity=Severity.VIOLATION,
    requirement="TLS BR 6.1.5; S/MIME BR 6.1.5",
    revocation=Revocation.DAYS_5,
    covers=("br-6.1.5-keys",),
)
def key_size(certificate: CertificateFacts) -> Iterator[Breach]:
    key = known(certificate.key, "the public key")
    if key.algorithm is KeyAlgorithm.RSA:
        breaches = _rsa(certificate, known(key.bits, "the modulus length"))
    elif key.algorithm is KeyAlgorithm.EC:
        breaches = _ec(known(key.curve, "the curve"))
    else:
        breaches = _other(certificate, key)
    is_governed = _is_governed(certificate)
    for breach in breaches:
        if not is_governed:
            yield replace(breach, severity=Severity.NOTICE, revocation=Revocation.NONE)
        elif breach.revocation is None:
            yield replace(breach, revocation=revocation_class(certificate, Revocation.DAYS_5))
        else:
            yield breach


def _is_governed(certificate: CertificateFacts) -> bool:
    """Whether the certificate's purposes are those of the TLS or S/MIME Baseline Requirements."""
    if certificate.is_ca:
        return True
    verify_readable(certificate, "is_ca", "eku_oids")
    return certificate.eku_oids is None or not GOVERNED.isdisjoint(certificate.eku_oids)


def _rsa(certificate: CertificateFacts, bits: int) -> Iterator[Breach]:
    if bits < MINIMUM_BITS:
        if not _may_be_short(certificate):
            yield Breach(f"RSA modulus of {bits} bits; at least {MINIMUM_BITS} are required")
    elif bits % 8 != 0:
        breach = Breach(f"RSA modulus of {bits} bits; the length has to be divisible by 8")
        yield from dated(certificate, WHOLE_OCTETS_SINCE, breach)


def _may_be_short(certificate: CertificateFacts) -> bool:
    if known(certificate.not_after, "notAfter") <= SHORT_KEYS_UNTIL:
        return True
    is_root = certificate.is_self_issued and (
        certificate.is_ca or len(certificate.extension_oids) == 0  # X.509 v1 knows no extensions
    )
    return is_root and known(certificate.not_before, "notBefore") <= OLD_ROOTS_UNTIL


def _ec(curve: str) -> Iterator[Breach]:
    if curve not in CURVES:
        yield Breach(f"EC key on {curve}; P-256, P-384 and P-521 are permitted")


def _other(certificate: CertificateFacts, key: PublicKeyFacts) -> Iterator[Breach]:
    if not (is_tls_subscriber(certificate) or is_tls_authority(certificate)):
        return
    kind = key.algorithm.value if key.curve is None else f"{key.algorithm.value} ({key.curve})"
    breach = Breach(f"the key is of kind {kind}; RSA and EC keys are permitted")
    yield from dated(certificate, NO_OTHER_KIND_SINCE, breach)
