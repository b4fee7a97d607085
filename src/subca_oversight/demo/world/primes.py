"""Primes from a seed, for RSA keys that come out the same every time.

No library makes an RSA key from given randomness, and two of the planted keys need primes of a
shape that no library would choose: close together (Fermat), or of the ROCA structure
(CVE-2017-15361).
"""

from __future__ import annotations

from functools import cache

from subca_oversight.demo.world.randomness import Seed

_SIEVE_LIMIT = 8000
_WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29)
_ROCA_GENERATOR = 65537
_ROCA_PRIMES = 126
"""How many primes the flawed library multiplied for 2048-bit keys."""


@cache
def _small_primes() -> tuple[int, ...]:
    sieve = bytearray([1]) * _SIEVE_LIMIT
    found = []
    for number in range(2, _SIEVE_LIMIT):
        if sieve[number] == 1:
            found.append(number)
            sieve[number * number :: number] = bytes(len(sieve[number * number :: number]))
    return tuple(found)


def is_probable_prime(number: int) -> bool:
    """Miller and Rabin's test with fixed witnesses; ``number`` is odd and above 100."""
    odd = number - 1
    twos = (odd & -odd).bit_length() - 1
    odd >>= twos
    for witness in _WITNESSES:
        value = pow(witness, odd, number)
        if value in (1, number - 1):
            continue
        for _ in range(twos - 1):
            value = value * value % number
            if value == number - 1:
                break
        else:
            return False
    return True


def next_prime(start: int, step: int = 2) -> int:
    """The first prime among start, start + step, start + 2 step and so on."""
    residues = [(start % small, step % small, small) for small in _small_primes()]
    offset = 0
    while True:
        candidate = start + offset * step
        is_coprime = all((first + offset * each) % small != 0 for first, each, small in residues)
        if is_coprime and is_probable_prime(candidate):
            return candidate
        offset += 1


def prime(seed: Seed, label: str, bits: int) -> int:
    """An odd prime of exactly ``bits`` bits whose two top bits are set."""
    start = int.from_bytes(seed.octets(label, bits // 8)) | 3 << (bits - 2) | 1
    return next_prime(start)


def roca_prime(seed: Seed, label: str, bits: int) -> int:
    """A prime k·M + (65537^a mod M), M the primorial of the first 126 primes."""
    primorial = 1
    for small in _small_primes()[:_ROCA_PRIMES]:
        primorial *= small
    residue = pow(_ROCA_GENERATOR, seed.below(f"{label}/a", 1 << 60), primorial)
    factor = ((3 << (bits - 2)) // primorial) + seed.below(f"{label}/k", 1 << 32)
    return next_prime(factor * primorial + residue, primorial)
