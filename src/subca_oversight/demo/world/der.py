"""DER, written by hand: enough of X.690 to encode certificates and revocation lists.

By hand, because a planted fault must be able to break any rule that a certificate library keeps.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
ENUMERATED = 0x0A
UTF8_STRING = 0x0C
SEQUENCE = 0x30
SET = 0x31
PRINTABLE_STRING = 0x13
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18

NULL = b"\x05\x00"
TRUE = b"\x01\x01\xff"
_SHORT_LENGTH = 0x80
_LAST_UTC_YEAR = 2049


def tlv(tag: int, *contents: bytes) -> bytes:
    """Tag, definite length and contents."""
    content = b"".join(contents)
    length = len(content)
    if length < _SHORT_LENGTH:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, _SHORT_LENGTH | len(octets))) + octets + content


def sequence(*items: bytes) -> bytes:
    """SEQUENCE of already encoded items."""
    return tlv(SEQUENCE, *items)


def integer_content(value: int) -> bytes:
    """Content octets of an INTEGER: the shortest two's complement."""
    return value.to_bytes(value.bit_length() // 8 + 1, signed=True)


def integer(value: int) -> bytes:
    """INTEGER."""
    return tlv(INTEGER, integer_content(value))


def octet_string(content: bytes) -> bytes:
    """OCTET STRING."""
    return tlv(OCTET_STRING, content)


def bit_string(content: bytes, unused: int = 0) -> bytes:
    """BIT STRING with ``unused`` bits at the end of its last octet."""
    return tlv(BIT_STRING, bytes((unused,)), content)


def named_bits(*positions: int) -> bytes:
    """BIT STRING of a named bit list, trailing zero bits removed (X.690 11.2.2)."""
    last = max(positions)
    octets = bytearray(last // 8 + 1)
    for position in positions:
        octets[position // 8] |= 0x80 >> (position % 8)
    return bit_string(bytes(octets), 7 - last % 8)


def oid(dotted: str) -> bytes:
    """OBJECT IDENTIFIER."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return tlv(OBJECT_IDENTIFIER, b"".join(_arc(arc) for arc in (first * 40 + second, *rest)))


def _arc(value: int) -> bytes:
    octets = [value & 0x7F]
    while (value := value >> 7) > 0:
        octets.append(0x80 | value & 0x7F)
    return bytes(reversed(octets))


def implicit(number: int, content: bytes) -> bytes:
    """Context-specific primitive tag."""
    return tlv(0x80 | number, content)


def explicit(number: int, *contents: bytes) -> bytes:
    """Context-specific constructed tag."""
    return tlv(0xA0 | number, *contents)


def time(instant: datetime) -> bytes:
    """Time of RFC 5280 4.1.2.5: UTCTime through 2049, GeneralizedTime after."""
    if instant.year <= _LAST_UTC_YEAR:
        return tlv(UTC_TIME, instant.strftime("%y%m%d%H%M%SZ").encode())
    return tlv(GENERALIZED_TIME, instant.strftime("%Y%m%d%H%M%SZ").encode())


def name(attributes: Iterable[tuple[str, str]]) -> bytes:
    """Name with one attribute to each relative distinguished name.

    countryName is a PrintableString (RFC 5280 appendix A.1), all else UTF8String.
    """
    country = "2.5.4.6"
    return sequence(
        *(
            tlv(
                SET,
                sequence(
                    oid(kind),
                    tlv(PRINTABLE_STRING if kind == country else UTF8_STRING, value.encode()),
                ),
            )
            for kind, value in attributes
        )
    )
