"""The layouts of the All Certificate Records report, found by header name.

CCADB has renamed and reordered columns in every version, so a column is known by any of its names
and never by its place; a report that lacks what judgments rest on is refused as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from subca_oversight.errors import SourceError
from subca_oversight.model.audit import AuditType


class Layout(StrEnum):
    """The layouts that can be read."""

    V5 = "v5"
    V4 = "v4"
    V2 = "v2"
    REPORT_2021 = "2021"


AUDIT_PARTS = ("url", "type", "statement", "start", "end")
_AUDIT_SUFFIXES = {
    "url": "audit url",
    "type": "audit type",
    "statement": "audit statement date",
    "start": "audit period start date",
    "end": "audit period end date",
}
_AUDIT_PREFIXES: Mapping[AuditType, tuple[str, ...]] = {
    AuditType.STANDARD: ("standard",),
    AuditType.NETSEC: ("netsec",),
    AuditType.TLS_BR: ("tls br", "br"),
    AuditType.TLS_EVG: ("tls evg", "ev ssl"),
    AuditType.CODE_SIGNING: ("code signing", "ev code signing"),
    AuditType.SMIME_BR: ("s/mime br",),
    AuditType.VMC: ("vmc",),
}

_NAMES: Mapping[str, tuple[str, ...]] = {
    "ca_owner": ("ca owner",),
    "record_id": ("salesforce record id", "ccadb unique id"),
    "certificate_name": ("certificate name",),
    "parent_record_id": ("parent salesforce record id", "parent ccadb unique id"),
    "parent_name": ("parent certificate name",),
    "record_type": ("certificate record type",),
    "subordinate_ca_owner": ("subordinate ca owner",),
    "apple_status": ("apple status",),
    "chrome_status": ("chrome status", "google chrome status"),
    "microsoft_status": ("microsoft status",),
    "mozilla_status": ("mozilla status",),
    "status_of_root": ("status of root cert",),
    "revocation": ("revocation status",),
    "sha256": ("sha-256 fingerprint",),
    "parent_sha256": ("parent sha-256 fingerprint",),
    "valid_from": ("valid from (gmt)",),
    "valid_to": ("valid to (gmt)",),
    "authority_key_id": ("authority key identifier",),
    "subject_key_id": ("subject key identifier",),
    "technically_constrained": ("technically constrained",),
    "trust_bits": ("trust bits for root cert",),
    "ev_oids": ("ev oids for root cert",),
    "derived_trust_bits": ("derived trust bits",),
    "crl_urls": ("json array of all full crl urls", "full crl issued by this ca"),
    "partitioned_crl_urls": ("json array of partitioned crls",),
    "auditor": ("audit firm", "auditor"),
    "audits_same_as_parent": ("audits same as parent",),
    "policy_documentation": ("policy documentation",),
    "document_repository": ("ca document repository",),
    "cp.same": ("cp same as parent",),
    "cp.url": ("certificate policy (cp) url",),
    "cp.date": ("cp effective date", "cp last update date", "cp last updated date"),
    "cps.same": ("cps same as parent",),
    "cps.url": ("certificate practice statement (cps) url",),
    "cps.date": ("cps effective date", "cps last update date", "cps last updated date"),
    "cp_cps.same": ("cp/cps same as parent",),
    "cp_cps.url": ("certificate practice & policy statement",),
    "cp_cps.date": ("cp/cps effective date", "cp/cps last updated date", "cp/cps last update date"),
    "md.same": ("md/asciidoc cp/cps same as parent",),
    "md.url": ("md/asciidoc cp/cps url",),
    "md.date": ("md/asciidoc cp/cps effective date",),
    "tls_capable": ("tls capable",),
    "tls_ev_capable": ("tls ev capable",),
    "code_signing_capable": ("code signing capable",),
    "smime_capable": ("s/mime capable",),
    "country": ("country",),
} | {
    f"{audit}.{part}": tuple(f"{prefix} {_AUDIT_SUFFIXES[part]}" for prefix in prefixes)
    for audit, prefixes in _AUDIT_PREFIXES.items()
    for part in AUDIT_PARTS
}

_UNUSED = frozenset(
    {
        "audit firm location",
        "dv acme directory url(s)",
        "ov acme directory url(s)",
        "ev acme directory url(s)",
        "iv acme directory url(s)",
        "test website url - valid",
        "test website url - expired",
        "test website url - revoked",
    }
)
"""Known columns that nothing here needs yet."""


def _dates_of(*audits: AuditType) -> frozenset[str]:
    return frozenset(
        f"{audit}.{part}" for audit in audits for part in ("statement", "start", "end")
    )


_MANDATORY = frozenset(
    {
        "ca_owner",
        "record_id",
        "certificate_name",
        "parent_record_id",
        "record_type",
        "subordinate_ca_owner",
        "revocation",
        "sha256",
        "parent_sha256",
        "audits_same_as_parent",
        "cp_cps.same",
        "cp_cps.date",
        "cp.url",
        "cps.url",
    }
) | _dates_of(AuditType.STANDARD, AuditType.TLS_BR, AuditType.TLS_EVG, AuditType.CODE_SIGNING)
_MANDATORY_SINCE_V2 = (
    _MANDATORY
    | {"valid_to", "cp.same", "cp.date", "cps.same", "cps.date", "cp_cps.url"}
    | _dates_of(AuditType.NETSEC, AuditType.SMIME_BR)
)
_ABSENT_IN_V2 = frozenset({"trust_bits", "ev_oids", "md.same", "md.url", "md.date"})
_EXPECTED: Mapping[Layout, frozenset[str]] = {
    Layout.V5: frozenset(_NAMES),
    Layout.V4: frozenset(_NAMES),
    Layout.V2: frozenset(_NAMES) - _ABSENT_IN_V2,
    Layout.REPORT_2021: _MANDATORY,
}


@dataclass(frozen=True, slots=True)
class Columns:
    """Where each field stands in one file."""

    layout: Layout
    width: int
    index: Mapping[str, int]
    unknown: tuple[str, ...]
    """Headers that no known layout has."""
    missing: tuple[str, ...]
    """Optional columns that this layout should have and this file lacks."""


def read_columns(header: Sequence[str]) -> Columns:
    """Find every known column; raises SourceError where a needed one is missing or ambiguous."""
    places: dict[str, int] = {}
    for place, text in enumerate(header):
        name = _normalized(text)
        if len(name) == 0:
            continue
        if name in places:
            raise SourceError(f"CCADB report refused: two columns are named {text.strip()[:80]!r}")
        places[name] = place
    index: dict[str, int] = {}
    for field, names in _NAMES.items():
        found = [name for name in names if name in places]
        if len(found) > 1:
            raise SourceError(
                f"CCADB report refused: {found[0]!r} and {found[1]!r} are names of one column"
            )
        if len(found) == 1:
            index[field] = places[found[0]]
    layout = _find_layout(places)
    mandatory = _MANDATORY if layout is Layout.REPORT_2021 else _MANDATORY_SINCE_V2
    lacking = sorted(mandatory - index.keys())
    if len(lacking) > 0:
        raise SourceError(_refusal(lacking))
    known = {name for names in _NAMES.values() for name in names} | _UNUSED
    return Columns(
        layout=layout,
        width=len(header),
        index=index,
        unknown=tuple(header[place].strip() for name, place in places.items() if name not in known),
        missing=tuple(
            _NAMES[field][0]
            for field in _NAMES
            if field in _EXPECTED[layout] and field not in index
        ),
    )


def _find_layout(places: Mapping[str, int]) -> Layout:
    if "json array of all full crl urls" in places:
        return Layout.V5
    if "md/asciidoc cp/cps url" in places:
        return Layout.V4
    if "netsec audit url" in places or "valid to (gmt)" in places:
        return Layout.V2
    return Layout.REPORT_2021


def _refusal(lacking: Sequence[str]) -> str:
    names = ", ".join(repr(_NAMES[field][0]) for field in lacking[:5])
    more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""  # noqa: PLR2004 - as shown
    return (
        "CCADB report refused: not the All Certificate Records report,"
        f" columns missing: {names}{more}"
    )


def _normalized(header: str) -> str:
    return " ".join(header.casefold().split()).removesuffix("?").rstrip()
