"""Names in certificates as text that can be stored, shown and compared, whatever they contain.

A NUL, a control or bidi character or a byte that is no character must neither vanish nor break a
store or a page: it is written as an escape, and so is the backslash, to keep the text unambiguous.
RFC 5280 4.1.2.4 (attribute strings) and 4.2.1.6 (GeneralName).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from subca_oversight.evidence import der
from subca_oversight.evidence.der import Malformed

COMMON_NAME = b"\x55\x04\x03"
"""Content octets of 2.5.4.3."""
MAX_TEXT = 10_000
"""Characters kept of one name."""

_UTF8, _TELETEX, _BMP, _UNIVERSAL = 0x0C, 0x14, 0x1E, 0x1C
_STRING_TAGS = frozenset({0x0C, 0x12, 0x13, 0x14, 0x16, 0x1A, 0x1C, 0x1E})
_WIDE = {_BMP: "utf-16-be", _UNIVERSAL: "utf-32-be"}
_EMAIL, _DNS, _URI, _IP = 0x81, 0x82, 0x86, 0x87
_IPV4_OCTETS, _IPV6_OCTETS = 4, 16
_ESCAPED_BYTES = range(0xDC80, 0xDD00)
"""What surrogateescape makes of bytes that are no characters."""

Errors = list[tuple[str, str]]


def storable(text: str) -> str:
    """The text with everything unprintable, and the backslash, as an escape."""
    if text.isprintable() and "\\" not in text and len(text) <= MAX_TEXT:
        return text
    escaped = "".join(map(_escape, text[:MAX_TEXT]))
    return escaped if len(text) <= MAX_TEXT else f"{escaped}… ({len(text)} characters)"


def _escape(character: str) -> str:
    code = ord(character)
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    if code in _ESCAPED_BYTES:
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFF:  # noqa: PLR2004 - two hex digits
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - four


def decode_string(tag: int, content: bytes) -> tuple[str, str | None]:
    """(text, objection) of an attribute value or name of this string type."""
    if tag in _WIDE:
        try:
            return storable(content.decode(_WIDE[tag])), None
        except UnicodeDecodeError:
            return storable(content.decode(_WIDE[tag], "replace")), f"not {_WIDE[tag].upper()}"
    try:
        return storable(content.decode("utf-8")), None
    except UnicodeDecodeError:
        if tag == _TELETEX:  # in practice ISO 8859-1 (RFC 5280 appendix B of old)
            return storable(content.decode("latin-1")), None
        return storable(content.decode("utf-8", "surrogateescape")), "bytes that are no characters"


def common_names(name: bytes, errors: Errors) -> tuple[str, ...]:
    """Every commonName of a Name, in order. Objections go to ``errors`` as (field, reason)."""
    found: list[str] = []
    try:
        start, end = der.read_only(name, der.SEQUENCE)
        for _, tag, first, last in der.children(name, start, end):
            if tag != der.SET:
                raise Malformed(f"tag {tag:02x} instead of a SET")  # noqa: TRY301 - told below
            for _, _, inner, stop in der.children(name, first, last):
                _common_name(name, inner, stop, found, errors)
    except Malformed as malformed:
        errors.append(("common_names", str(malformed)))
    return tuple(found)


def _common_name(name: bytes, at: int, end: int, found: list[str], errors: Errors) -> None:
    start, stop = der.read_as(name, at, end, der.OID)
    if name[start:stop] != COMMON_NAME:
        return
    tag, first, last = der.read(name, stop, end)
    text, objection = decode_string(tag, name[first:last])
    found.append(text)
    if tag not in _STRING_TAGS:
        objection = f"tag {tag:02x} is no string"
    if objection is not None:
        errors.append(("common_names", objection))


@dataclass(slots=True)
class GeneralNames:
    """What a list of GeneralName holds; forms that no rule here asks for are left out."""

    dns: list[str] = field(default_factory=list)
    ip: list[str] = field(default_factory=list)
    email: list[str] = field(default_factory=list)
    uri: list[str] = field(default_factory=list)


def add_general_names(
    octets: bytes, start: int, end: int, into: GeneralNames, errors: Errors
) -> None:
    """Sort the GeneralName elements between two offsets into ``into``.

    Raises Malformed where their bounds are broken; what came before stays.
    """
    for _, tag, first, last in der.children(octets, start, end):
        if tag == _DNS:
            into.dns.append(_ia5(octets[first:last], "dns_names", errors))
        elif tag == _IP:
            into.ip.append(_address(octets[first:last], errors))
        elif tag == _EMAIL:
            into.email.append(_ia5(octets[first:last], "email_addresses", errors))
        elif tag == _URI:
            into.uri.append(_ia5(octets[first:last], "uri", errors))


def _ia5(content: bytes, name: str, errors: Errors) -> str:
    try:
        return storable(content.decode("ascii"))
    except UnicodeDecodeError:
        text, _ = decode_string(_UTF8, content)
        errors.append((name, f"not an IA5String: {text}"))
        return text


def _address(content: bytes, errors: Errors) -> str:
    if len(content) in {_IPV4_OCTETS, _IPV6_OCTETS}:
        return str(ipaddress.ip_address(content))
    errors.append(("ip_addresses", f"{len(content)} octets: {content[:64].hex()}"))
    return storable(content[:MAX_TEXT].hex())
