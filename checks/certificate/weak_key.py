"""No public key gives its private key away.

Anyone can compute the private key of such a key from the certificate alone: close primes (Fermat),
the ROCA generator, small or shared factors, a small private exponent, patterns in the modulus. BR
6.1.1.3(5) makes the CA refuse them, and BR 4.9.1.1 revoke within 24 hours, however old they are.
The keys of the CA certificates are looked at too: theirs cost signing CAs their root. Lists of
compromised keys, Debian's among them, need a download and are not consulted here.
"""

from __future__ import annotations

from collections.abc import Iterator

from subca_oversight.check import (
    Breach,
    CertificateFacts,
    Revocation,
    Severity,
    check,
    find_weaknesses,
    known,
    revocation_class,
)

NAMES = {
    "fermat": "its primes lie close together (Fermat factorization)",
    "roca": "it comes from the ROCA generator (CVE-2017-15361)",
    "rsainvalid": "modulus or exponent is no RSA key's",
    "rsapoly": "zero bytes in the modulus allow polynomial factoring",
    "sharedprimes": "it shares a prime with a known key",
    "smalld": "its private exponent is small (Wiener's attack)",
    "smallfactors": "its modulus has small factors",
}


@check(
    id="weak-key",
    severity=Severity.VIOLATION,
    requirement="TLS BR 6.1.1.3(5), 4.9.1.1",
    revocation=Revocation.HOURS_24,
    covers=("C17", "br-6.1.1.3-weak"),
)
def weak_key(certificate: CertificateFacts) -> Iterator[Breach]:
    for weakness in find_weaknesses(known(certificate.spki, "the public key")):
        detail = f" [{weakness.subtest}]" if len(weakness.subtest) > 0 else ""
        yield Breach(
            f"the public key is weak: {NAMES.get(weakness.name, weakness.name)}{detail}",
            key=weakness.name,
            revocation=revocation_class(certificate, Revocation.HOURS_24),
        )
