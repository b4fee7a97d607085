"""A certificate cut into its fields, byte for byte, whatever is wrong inside a field.

Confirming a log entry needs exact slices, and facts need each field that can be reached beside a
broken one. Neither is to be had from a parser that refuses a certificate as a whole. RFC 5280 4.1
names the fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from subca_oversight.evidence import der
from subca_oversight.evidence.der import Malformed

POISON = "1.3.6.1.4.1.11129.2.4.3"
SCT_LIST = "1.3.6.1.4.1.11129.2.4.2"

_VERSION_TAG = 0xA0
EXTENSIONS_TAG = 0xA3
_UNIQUE_IDENTIFIER_TAGS = frozenset({0x81, 0x82, 0xA1, 0xA2})


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension that could be read."""

    oid: str
    critical: bool
    value: bytes
    """Content of the extnValue OCTET STRING."""
    der: bytes


@dataclass(frozen=True, slots=True)
class CertificateStructure:
    """The slices of a certificate. None where the field was not reached or has another tag."""

    tbs: bytes
    version: int | None
    """0 for v1, 2 for v3, as encoded."""
    serial: bytes | None
    """Content octets."""
    inner_algorithm: bytes | None
    """AlgorithmIdentifier DER inside the TBSCertificate, the signed one."""
    issuer: bytes | None
    validity: bytes | None
    subject: bytes | None
    spki: bytes | None
    extensions: tuple[Extension, ...]
    extension_parts: tuple[tuple[str, bytes], ...]
    """(OID, DER) of every element of the list; the OID of one that cannot be read is empty."""
    outer_algorithm: bytes | None
    signature: bytes | None
    """Octets of the signatureValue, the count of unused bits (which must be 0) taken off."""
    problems: tuple[tuple[str, str], ...]
    """(field, reason) of everything that could not be sliced."""
    issuer_at: int
    """Offset of the issuer in ``tbs``; 0 where it was not reached."""
    extensions_at: tuple[int, int] | None
    """Bounds in ``tbs`` of the element [3] that lists the extensions; where there is none, the end
    of ``tbs`` twice; None where it was not reached or its elements cannot be told apart."""


@dataclass(slots=True)
class _Fields:
    version: int | None = None
    serial: bytes | None = None
    inner_algorithm: bytes | None = None
    issuer: bytes | None = None
    validity: bytes | None = None
    subject: bytes | None = None
    spki: bytes | None = None
    issuer_at: int = 0
    extensions: list[Extension] = field(default_factory=list)
    extension_parts: list[tuple[str, bytes]] = field(default_factory=list)
    extensions_at: tuple[int, int] | None = None


def slice_certificate(octets: bytes) -> CertificateStructure:
    """Cut a Certificate into its fields.

    Raises Malformed where not even the TBSCertificate can be found.
    """
    if len(octets) > der.MAX_SIZE:
        raise Malformed(f"{len(octets)} octets are more than the {der.MAX_SIZE} that are read")
    start, end = der.read_as(octets, 0, len(octets), der.SEQUENCE)
    _, tbs_end = der.read_as(octets, start, end, der.SEQUENCE)
    problems: list[tuple[str, str]] = []
    if end != len(octets):
        problems.append(("certificate", f"{len(octets) - end} octets follow the certificate"))
    outer_algorithm, signature = _slice_signature(octets, tbs_end, end, problems)
    tbs = octets[start:tbs_end]
    fields = _slice_tbs(tbs, problems)
    return CertificateStructure(
        tbs=tbs,
        version=fields.version,
        serial=fields.serial,
        inner_algorithm=fields.inner_algorithm,
        issuer=fields.issuer,
        validity=fields.validity,
        subject=fields.subject,
        spki=fields.spki,
        extensions=tuple(fields.extensions),
        extension_parts=tuple(fields.extension_parts),
        outer_algorithm=outer_algorithm,
        signature=signature,
        problems=tuple(problems),
        issuer_at=fields.issuer_at,
        extensions_at=fields.extensions_at,
    )


def _slice_signature(
    octets: bytes, at: int, end: int, problems: list[tuple[str, str]]
) -> tuple[bytes | None, bytes | None]:
    algorithm: bytes | None = None
    try:
        _, stop = der.read_as(octets, at, end, der.SEQUENCE)
        algorithm = octets[at:stop]
        start, last = der.read_as(octets, stop, end, der.BIT_STRING)
    except Malformed as malformed:
        problems.append(("signature", str(malformed)))
        return algorithm, None
    if last != end or start == last or octets[start] != 0:
        problems.append(("signature", "not the last element, or not a whole number of octets"))
        return algorithm, None
    return algorithm, octets[start + 1 : last]


def _slice_tbs(tbs: bytes, problems: list[tuple[str, str]]) -> _Fields:
    fields = _Fields()
    name = "version"
    try:
        at, end = der.read_only(tbs, der.SEQUENCE)
        fields.version = 0
        if at < end and tbs[at] == _VERSION_TAG:
            start, stop = der.read_as(tbs, at, end, _VERSION_TAG)
            fields.version = _version(tbs, start, stop, problems)
            at = stop
        name = "serial"
        tag, start, stop = der.read(tbs, at, end)
        if tag == der.INTEGER and stop > start:
            fields.serial = tbs[start:stop]
        else:
            problems.append((name, f"tag {tag:02x} with {stop - start} octets, not an INTEGER"))
        at = stop
        for name in ("inner_algorithm", "issuer", "validity", "subject", "spki"):
            tag, _, stop = der.read(tbs, at, end)
            if tag == der.SEQUENCE:
                setattr(fields, name, tbs[at:stop])
            else:
                problems.append((name, f"tag {tag:02x} instead of a SEQUENCE"))
            if name == "issuer":
                fields.issuer_at = at
            at = stop
        name = "extensions"
        _slice_rest(tbs, at, end, fields, problems)
    except Malformed as malformed:
        problems.append((name, str(malformed)))
    return fields


def _slice_rest(
    tbs: bytes, at: int, end: int, fields: _Fields, problems: list[tuple[str, str]]
) -> None:
    """What follows the SubjectPublicKeyInfo: unique identifiers and extensions."""
    lists: list[tuple[int, int]] = []
    for place, tag, start, stop in der.children(tbs, at, end):
        if tag == EXTENSIONS_TAG:
            lists.append((place, stop))
            first, last = der.read_as(tbs, start, stop, der.SEQUENCE)
            if last != stop:
                raise Malformed(f"{stop - last} octets follow the list")
            _slice_extensions(tbs, first, last, fields, problems)
        elif tag not in _UNIQUE_IDENTIFIER_TAGS:
            problems.append(("extensions", f"unexpected tag {tag:02x} at offset {place}"))
    if len(lists) > 1:
        raise Malformed("more than one list")
    fields.extensions_at = lists[0] if len(lists) == 1 else (end, end)


def _version(tbs: bytes, start: int, stop: int, problems: list[tuple[str, str]]) -> int | None:
    try:
        first, last = der.read_as(tbs, start, stop, der.INTEGER)
    except Malformed as malformed:
        problems.append(("version", str(malformed)))
        return None
    if last != stop or last - first != 1:
        problems.append(("version", "not an INTEGER of one octet"))
        return None
    return tbs[first]


def _slice_extensions(
    tbs: bytes, start: int, end: int, fields: _Fields, problems: list[tuple[str, str]]
) -> None:
    for at, tag, inner, last in der.children(tbs, start, end):
        try:
            extension = _extension(tbs, at, tag, inner, last)
        except Malformed as malformed:
            problems.append(("extensions", str(malformed)))
            fields.extension_parts.append(("", tbs[at:last]))
        else:
            fields.extensions.append(extension)
            fields.extension_parts.append((extension.oid, extension.der))


def _extension(tbs: bytes, at: int, tag: int, start: int, end: int) -> Extension:
    if tag != der.SEQUENCE:
        raise Malformed(f"tag {tag:02x} instead of an extension at offset {at}")
    name_start, name_end = der.read_as(tbs, start, end, der.OID)
    oid = der.oid_text(tbs[name_start:name_end])
    tag, value_start, value_end = der.read(tbs, name_end, end)
    critical = False
    if tag == der.BOOLEAN:
        critical = tbs[value_start:value_end] != b"\x00"
        tag, value_start, value_end = der.read(tbs, value_end, end)
    if tag != der.OCTET_STRING:
        raise Malformed(f"extension {oid} has tag {tag:02x} instead of an OCTET STRING")
    if value_end != end:
        raise Malformed(f"{end - value_end} octets follow the value of extension {oid}")
    return Extension(oid, critical, tbs[value_start:value_end], tbs[at:end])
