"""Signed certificate timestamps embedded in a final certificate.

Their timestamps are the best evidence of when a certificate was signed: it cannot have been signed
before the latest of them. RFC 6962 3.2 and 3.3 define the encoding; their signatures are checked
elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from subca_oversight.evidence import der
from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.structure import SCT_LIST, slice_certificate

MAX_SCTS = 100
_HEAD = 1 + 32 + 8
"""Version, log id, timestamp."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant_of(milliseconds: int) -> datetime:
    """The instant of an RFC 6962 timestamp; years past 9999 are held at the last instant."""
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sct:
    """One version 1 SCT."""

    log_id: bytes
    timestamp_ms: int
    """Milliseconds since 1970-01-01 UTC, leap seconds ignored."""
    extensions: bytes
    """CtExtensions content: part of what the log signed."""
    hash_algorithm: int
    signature_algorithm: int
    """TLS 1.2 code points (RFC 5246 7.4.1.4.1)."""
    signature: bytes


def parse_embedded_scts(octets: bytes) -> tuple[Sct, ...]:
    """Every version 1 SCT of a certificate's SCT list extensions, in order; later versions are not.

    Raises Malformed where the certificate cannot be sliced or a list is not what RFC 6962 says.
    """
    return parse_sct_lists(octets)[0]


def parse_sct_lists(octets: bytes) -> tuple[tuple[Sct, ...], int]:
    """As ``parse_embedded_scts``, and the number of SCTs of other versions."""
    found: list[Sct] = []
    others = 0
    for extension in slice_certificate(octets).extensions:
        if extension.oid == SCT_LIST:
            others += _read_sct_list(extension.value, found)
    return tuple(found), others


def read_sct_list(value: bytes, found: list[Sct]) -> None:
    """Append to ``found`` the SCTs of an SCT list extension's value.

    Raises Malformed at the first thing out of place; what was read before stays in ``found``.
    """
    _read_sct_list(value, found)


def _read_sct_list(value: bytes, found: list[Sct]) -> int:
    """As above; returns the number of SCTs of other versions."""
    start, end = der.read_only(value, der.OCTET_STRING)
    at, stop = _vector(value, start, end, "SCT list")
    if stop != end:
        raise Malformed(f"{end - stop} octets follow the SCT list")
    if at == stop:
        raise Malformed("the SCT list is empty")
    count = others = 0
    while at < stop:
        count += 1
        if count > MAX_SCTS:
            raise Malformed(f"more than {MAX_SCTS} SCTs")
        first, last = _vector(value, at, stop, "SCT")
        if first == last:
            raise Malformed("an SCT is empty")
        if value[first] == 0:
            found.append(_sct(value, first, last))
        else:
            others += 1
        at = last
    return others


def _sct(value: bytes, at: int, end: int) -> Sct:
    if at + _HEAD > end:
        raise Malformed(f"SCT cut off at offset {at}")
    first, last = _vector(value, at + _HEAD, end, "SCT extensions")
    if last + 2 > end:
        raise Malformed(f"SCT without a signature at offset {at}")
    start, stop = _vector(value, last + 2, end, "SCT signature")
    if stop != end:
        raise Malformed(f"{end - stop} octets follow an SCT's signature")
    return Sct(
        log_id=value[at + 1 : at + 33],
        timestamp_ms=int.from_bytes(value[at + 33 : at + 41], "big"),
        extensions=value[first:last],
        hash_algorithm=value[last],
        signature_algorithm=value[last + 1],
        signature=value[start:stop],
    )


def _vector(value: bytes, at: int, end: int, what: str) -> tuple[int, int]:
    """Bounds of an opaque TLS vector with a length of two octets."""
    if at + 2 > end:
        raise Malformed(f"{what} cut off at offset {at}")
    start = at + 2
    stop = start + int.from_bytes(value[at:start], "big")
    if stop > end:
        raise Malformed(f"{what} at offset {at} reaches {stop - end} octets too far")
    return start, stop
