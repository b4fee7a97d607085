"""Tag, length and value of DER, read with strict bounds and without recursion.

Certificates out of logs may break any rule, and still have to be sliced: this reader tolerates what
leaves the bounds of an element in no doubt (a length in more octets than needed) and says with
offset and reason what does not. ``find_der_violation`` names the first rule of X.690 section 10
and 8.1 that a whole value breaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from subca_oversight.errors import EvidenceError

MAX_SIZE = 1 << 24
"""Octets of the largest value read: no longer one fits a log's 24-bit length (RFC 6962 3.4)."""
MAX_DEPTH = 64
MAX_CHILDREN = 50_000
"""Elements of one list; far above the longest list of names that a public CA has signed."""
MAX_OID_OCTETS = 128

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
OID = 0x06
SEQUENCE = 0x30
SET = 0x31

_HIGH_TAG = 0x1F
_CONSTRUCTED = 0x20
_LONG_FORM = 0x80
_MAX_LENGTH_OCTETS = 8
_ARC_LAST = 0x80

Span = tuple[int, int, int]
"""Tag octet, offset of the first content octet, offset behind the last one."""


class Malformed(EvidenceError):  # noqa: N818 - says of the bytes what it is
    """The bytes are not in the form that their place demands; the text says why and where."""


def read(octets: bytes, at: int, end: int) -> Span:
    """The element that starts at offset ``at`` and ends at or before ``end``.

    Raises Malformed on a tag of more than one octet, an indefinite length, or an element that
    reaches beyond ``end``.
    """
    if at + 2 > end:
        raise Malformed(f"element cut off at offset {at}")
    tag = octets[at]
    length = octets[at + 1]
    start = at + 2
    if tag & _HIGH_TAG == _HIGH_TAG:
        raise Malformed(f"tag of several octets at offset {at}")
    if length >= _LONG_FORM:
        count = length - _LONG_FORM
        if count == 0:
            raise Malformed(f"indefinite length at offset {at}")
        if count > _MAX_LENGTH_OCTETS or start + count > end:
            raise Malformed(f"length of {count} octets at offset {at}")
        length = int.from_bytes(octets[start : start + count], "big")
        start += count
    stop = start + length
    if stop > end:
        raise Malformed(f"element at offset {at} reaches {stop - end} octets too far")
    return tag, start, stop


def read_as(octets: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """Content bounds of the element at ``at``, which must bear ``tag``."""
    found, start, stop = read(octets, at, end)
    if found != tag:
        raise Malformed(f"tag {found:02x} instead of {tag:02x} at offset {at}")
    return start, stop


def read_only(octets: bytes, tag: int) -> tuple[int, int]:
    """Content bounds of the one element that fills all of ``octets``."""
    start, stop = read_as(octets, 0, len(octets), tag)
    if stop != len(octets):
        raise Malformed(f"{len(octets) - stop} octets follow the value")
    return start, stop


def children(octets: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(offset, tag, content start, content end) of each element between two offsets."""
    at = start
    count = 0
    while at < end:
        count += 1
        if count > MAX_CHILDREN:
            raise Malformed(f"more than {MAX_CHILDREN} elements in one list")
        tag, inner, stop = read(octets, at, end)
        yield at, tag, inner, stop
        at = stop


@lru_cache(maxsize=4096)
def oid_text(content: bytes) -> str:
    """Dotted form of an OBJECT IDENTIFIER's content octets (X.690 8.19)."""
    if len(content) == 0 or len(content) > MAX_OID_OCTETS:
        raise Malformed(f"object identifier of {len(content)} octets")
    if content[-1] & _ARC_LAST != 0:
        raise Malformed("object identifier ends inside an arc")
    arcs: list[int] = []
    value = 0
    for octet in content:
        value = value << 7 | octet & 0x7F
        if octet & _ARC_LAST == 0:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def read_oid(octets: bytes, at: int, end: int) -> str:
    """Dotted form of the OBJECT IDENTIFIER element at ``at``."""
    start, stop = read_as(octets, at, end, OID)
    return oid_text(octets[start:stop])


def encode(tag: int, content: bytes) -> bytes:
    """One element in DER."""
    length = len(content)
    if length < _LONG_FORM:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, _LONG_FORM | size)) + length.to_bytes(size, "big") + content


def find_der_violation(octets: bytes) -> str | None:
    """The first thing that makes ``octets`` no single DER value, or None.

    Looks at tags, lengths and nesting, and at the content of BOOLEAN and INTEGER; what is wrapped
    in strings is not looked into.
    """
    if len(octets) > MAX_SIZE:
        return f"{len(octets)} octets are more than the {MAX_SIZE} that are read"
    open_ends = [len(octets)]
    at = 0
    while at < len(octets):
        while at == open_ends[-1]:
            open_ends.pop()
        if len(open_ends) == 1 and at > 0:
            return f"{len(octets) - at} octets follow the value"
        try:
            tag, start, stop = read(octets, at, open_ends[-1])
        except Malformed as malformed:
            return str(malformed)
        reason = _violation(octets, at, tag, start, stop)
        if reason is not None:
            return reason
        if tag & _CONSTRUCTED != 0:
            if len(open_ends) > MAX_DEPTH:
                return f"nested deeper than {MAX_DEPTH} at offset {at}"
            open_ends.append(stop)
            at = start
        else:
            at = stop
    return None if len(octets) > 0 else "no octets"


def _violation(octets: bytes, at: int, tag: int, start: int, stop: int) -> str | None:
    length = stop - start
    needed = 0 if length < _LONG_FORM else (length.bit_length() + 7) // 8
    if start - at - 2 != needed:
        return f"length not in its shortest form at offset {at}"
    if tag == BOOLEAN and octets[start:stop] not in {b"\x00", b"\xff"}:
        return f"BOOLEAN that is neither 00 nor ff at offset {at}"
    if tag == INTEGER and not is_minimal_integer(octets[start:stop]):
        return f"INTEGER not in its shortest form at offset {at}"
    return None


def is_minimal_integer(content: bytes) -> bool:
    """Whether an INTEGER's content octets are the shortest for their value (X.690 8.3.2)."""
    if len(content) < 2:  # noqa: PLR2004 - two octets are needed for a superfluous one
        return len(content) == 1
    return not (
        (content[0] == 0x00 and content[1] < _LONG_FORM)
        or (content[0] == 0xFF and content[1] >= _LONG_FORM)  # noqa: PLR2004 - all sign bits
    )
