"""What is overseen: a subordinate CA, its keys and its CA certificates.

One operator, one or more anchor keys, and the issuing CAs below them. A subordinate is known by its
anchor, the hash of the first key it was registered with, so a new name or a rolled key changes
nothing about its findings.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Relation(StrEnum):
    """How the subordinate CA stands to the signing CA."""

    EXTERNALLY_OPERATED = "externally-operated"
    CROSS_SIGNED = "cross-signed"
    ON_PREMISES = "on-premises"


class KeyProvenance(StrEnum):
    """Where a watched key was learned."""

    CONFIGURATION = "configuration"
    CCADB = "ccadb"
    CHAIN = "chain"


@dataclass(frozen=True, slots=True)
class WatchedKey:
    """An issuing key whose certificates belong to a subordinate."""

    spki_sha256: str
    """SHA-256 of the SubjectPublicKeyInfo, lower-case hex; RFC 6962's issuer_key_hash."""
    provenance: KeyProvenance
    confirmed: bool
    """Whether a CA certificate with this key is at hand, so that signatures can be verified."""


@dataclass(frozen=True, slots=True)
class Subordinate:
    """A subordinate CA under oversight."""

    anchor: str
    """SPKI SHA-256 of the first registered key: the identity that findings are kept under."""
    name: str
    operator: str
    relation: Relation
    keys: tuple[WatchedKey, ...]
    certificates: tuple[str, ...]
    """SHA-256 of the CA certificates of its keys."""
    contacts: tuple[str, ...] = ()
    retired: date | None = None
