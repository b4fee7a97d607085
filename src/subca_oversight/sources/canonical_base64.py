"""Base64 (RFC 4648 section 4) with one accepted spelling for each value.

Heads, proofs and lists are evidence: were stray bits or line breaks let through, two different
answers would count as the same one, and a changed bit of a signed line could go unseen.
"""

from __future__ import annotations

import binascii


def decode(text: str | bytes) -> bytes:
    """Return the octets; raise ValueError unless ``text`` is exactly their canonical encoding."""
    try:
        octets = binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"not base64: {error}") from None
    encoded = binascii.b2a_base64(octets, newline=False)
    if encoded != (text.encode("ascii") if isinstance(text, str) else text):
        raise ValueError("not canonical base64")
    return octets
