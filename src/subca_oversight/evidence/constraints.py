"""Whether a CA certificate is technically constrained, by each of the two rules that ask.

Mozilla's rule (MRSP 5.3.1) decides who needs no audit; the Baseline Requirements' rule (BR 8.1 with
the profiles 7.1.2.3 and 7.1.2.5) decides whose certificates the signing CA must sample. CCADB's own
flag decides neither. Only what the rules ask for is read, straight from the DER, because general
parsers refuse some real CA certificates; what cannot be read is None, which is never a pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from subca_oversight.evidence import der
from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.structure import CertificateStructure, slice_certificate

ANY_EXTENDED_KEY_USAGE = "2.5.29.37.0"
SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4"

_EXTENDED_KEY_USAGE = "2.5.29.37"
_NAME_CONSTRAINTS = "2.5.29.30"
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_PERMITTED, _EXCLUDED = 0xA0, 0xA1
_RFC822_NAME, _DNS_NAME, _DIRECTORY_NAME, _IP_ADDRESS = 0x81, 0x82, 0xA4, 0x87
_ALL_IPV4, _ALL_IPV6 = bytes(8), bytes(32)
_EMPTY_NAME = bytes.fromhex("3000")
_HARMLESS = frozenset({"certificate", "signature", "version", "serial"})
"""Fields whose faults cast no doubt on validity, key and extensions."""


@dataclass(frozen=True, slots=True)
class CaConstraints:
    """What a CA certificate allows, as far as it could be read."""

    not_after: datetime | None
    spki: bytes | None
    """SubjectPublicKeyInfo DER."""
    eku_oids: tuple[str, ...] | None
    """None where there is no extendedKeyUsage extension or it cannot be read."""
    mrsp_constrained: bool | None
    """By MRSP 5.3.1; None where the certificate cannot be read."""
    br_constrained: bool | None
    """By BR 7.1.2.3 and 7.1.2.5; None where the certificate cannot be read."""


@dataclass(frozen=True, slots=True)
class _Subtrees:
    """Name forms and values of one list of general subtrees."""

    names: frozenset[tuple[int, bytes]]

    def limits(self, form: int) -> bool:
        """Whether some name of this form is permitted, and not simply every one."""
        values = [value for tag, value in self.names if tag == form]
        return len(values) > 0 and not any(_is_everything(form, value) for value in values)

    def excludes_every(self, form: int) -> bool:
        """Whether all names of this form are excluded."""
        values = [value for tag, value in self.names if tag == form]
        if form == _IP_ADDRESS:
            return _ALL_IPV4 in values and _ALL_IPV6 in values
        return any(_is_everything(form, value) for value in values)


def read_constraints(octets: bytes) -> CaConstraints:
    """Read a CA certificate's expiry, key, and constraints by either rule; never raises."""
    try:
        structure = slice_certificate(octets)
    except Malformed:
        return CaConstraints(None, None, None, mrsp_constrained=None, br_constrained=None)
    not_after = _read_not_after(structure.validity)
    spki = structure.spki
    try:
        ekus = _read_ekus(structure)
        permitted, excluded = _read_name_constraints(structure)
    except Malformed:
        return CaConstraints(not_after, spki, None, mrsp_constrained=None, br_constrained=None)
    if ekus is None or len(ekus) == 0 or ANY_EXTENDED_KEY_USAGE in ekus:
        return CaConstraints(not_after, spki, ekus, mrsp_constrained=False, br_constrained=False)
    br = SERVER_AUTH not in ekus or _is_tls_constrained(permitted, excluded)
    mrsp = br
    if EMAIL_PROTECTION in ekus:
        mrsp = SERVER_AUTH not in ekus and permitted.limits(_RFC822_NAME)
    return CaConstraints(not_after, spki, ekus, mrsp_constrained=mrsp, br_constrained=br)


def _is_tls_constrained(permitted: _Subtrees, excluded: _Subtrees) -> bool:
    """Apply BR 7.1.2.5.2: DNS and IP names listed or excluded outright, and a directory name."""
    return permitted.limits(_DIRECTORY_NAME) and all(
        permitted.limits(form) or excluded.excludes_every(form) for form in (_DNS_NAME, _IP_ADDRESS)
    )


def _is_everything(form: int, value: bytes) -> bool:
    if form == _IP_ADDRESS:
        return value in (_ALL_IPV4, _ALL_IPV6)
    if form == _DIRECTORY_NAME:
        return value == _EMPTY_NAME
    return value in (b"", b".")


def _read_not_after(validity: bytes | None) -> datetime | None:
    if validity is None:
        return None
    try:
        start, end = der.read_only(validity, der.SEQUENCE)
        times = list(der.children(validity, start, end))
    except Malformed:
        return None
    if len(times) != 2:  # noqa: PLR2004 - notBefore and notAfter
        return None
    _, tag, start, end = times[1]
    text = validity[start:end].decode("ascii", errors="replace")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        return None
    # DER knows only seconds and Z; a CA of 1999 wrote an offset, which is in no doubt either.
    for form in ("%Y%m%d%H%M%S%z", "%Y%m%d%H%M%z"):
        try:
            return datetime.strptime(text, form).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return None


def _find_extension(structure: CertificateStructure, oid: str) -> bytes | None:
    """Return an extension's value; raises Malformed where it is doubtful whether there is one."""
    for field, reason in structure.problems:
        if field not in _HARMLESS:
            raise Malformed(f"{field}: {reason}")
    values = [extension.value for extension in structure.extensions if extension.oid == oid]
    if len(values) > 1:
        raise Malformed(f"extension {oid} appears {len(values)} times")
    return values[0] if len(values) == 1 else None


def _read_ekus(structure: CertificateStructure) -> tuple[str, ...] | None:
    value = _find_extension(structure, _EXTENDED_KEY_USAGE)
    if value is None:
        return None
    start, end = der.read_only(value, der.SEQUENCE)
    return tuple(
        der.read_oid(value, at, stop) for at, _, _, stop in der.children(value, start, end)
    )


def _read_name_constraints(structure: CertificateStructure) -> tuple[_Subtrees, _Subtrees]:
    lists: dict[int, frozenset[tuple[int, bytes]]] = {}
    value = _find_extension(structure, _NAME_CONSTRAINTS)
    if value is not None:
        start, end = der.read_only(value, der.SEQUENCE)
        for _, tag, first, last in der.children(value, start, end):
            lists[tag] = frozenset(
                _read_name(value, inner, stop)
                for _, _, inner, stop in der.children(value, first, last)
            )
    empty: frozenset[tuple[int, bytes]] = frozenset()
    return _Subtrees(lists.get(_PERMITTED, empty)), _Subtrees(lists.get(_EXCLUDED, empty))


def _read_name(value: bytes, at: int, end: int) -> tuple[int, bytes]:
    tag, start, stop = der.read(value, at, end)
    return tag, value[start:stop]
