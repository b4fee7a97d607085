"""Weaknesses of an RSA public key that its numbers show, found by badkeys.

BR 6.1.1.3(5) makes a CA refuse keys of known weak generation: it names ROCA and close primes
(Fermat, 100 rounds), and no linter looks for them all. badkeys' default set includes a blocklist
that it expects to have downloaded, and without it calls ``sys.exit``: the checks are therefore
named one by one. The Debian keys of that blocklist are not looked for here.
"""

from __future__ import annotations

import functools
import importlib.metadata
from dataclasses import dataclass

from subca_oversight.errors import CheckError
from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.keys import read_public_key
from subca_oversight.model.certificate import KeyAlgorithm

RSA_CHECKS = (
    "fermat",
    "roca",
    "rsainvalid",
    "rsapoly",
    "sharedprimes",
    "smalld",
    "smallfactors",
)
# Beyond, the arithmetic takes seconds; no CA in a root store certifies larger keys.
MAX_BITS = 16384


@dataclass(frozen=True, slots=True)
class Weakness:
    """One weakness of a key."""

    name: str
    """badkeys' check, for example ``fermat``."""
    subtest: str
    """badkeys' closer description, often empty."""


@functools.cache
def badkeys_version() -> str:
    """Give the installed version of badkeys."""
    return importlib.metadata.version("badkeys")


@functools.lru_cache(maxsize=8192)
def find_weaknesses(spki: bytes) -> tuple[Weakness, ...]:
    """Find the weaknesses of a SubjectPublicKeyInfo; none are known of keys other than RSA.

    Raises CheckError where an RSA key cannot be read or is too large to be looked at.
    """
    # Not loaded by `cryptography`, which refuses some of the very keys that are to be found, such
    # as those with exponent 1.
    try:
        key = read_public_key(spki)
    except Malformed as malformed:
        raise CheckError(f"the public key cannot be read: {malformed}") from malformed
    if key.algorithm is not KeyAlgorithm.RSA:
        return ()
    modulus, exponent = key.rsa_modulus, key.rsa_exponent
    if modulus is None or exponent is None or max(modulus, exponent).bit_length() > MAX_BITS:
        raise CheckError(f"an RSA key of more than {MAX_BITS} bits is not looked at")
    from badkeys.checks import checkrsa  # noqa: PLC0415 - 0.15 s that most commands need not pay

    found = checkrsa(modulus, e=exponent, checks=RSA_CHECKS)
    return tuple(Weakness(name, str(found[name].get("subtest", ""))) for name in sorted(found))
