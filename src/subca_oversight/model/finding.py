"""Findings: breaches with a life, and the words for their severity, state and revocation class."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Severity(StrEnum):
    """Severity by the standards' own words (RFC 2119), most severe first."""

    VIOLATION = "violation"
    """A MUST or SHALL is broken."""
    SHOULD = "should"
    """A SHOULD is not followed."""
    NOTICE = "notice"
    """Worth knowing; nothing is broken."""


class Revocation(StrEnum):
    """Which revocation clock a confirmed finding starts (BR 4.9.1.1, 4.9.1.2)."""

    HOURS_24 = "24h"
    DAYS_5 = "5d"
    DAYS_7_DECISION = "7d?"
    """The subordinate's own certificate, by a person's decision (BR 4.9.1.2(5))."""
    NONE = "none"


class FindingState(StrEnum):
    """The life of a finding (DESIGN section 5)."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CONFIRMED = "confirmed"
    REMEDIATED = "remediated"
    CLOSED = "closed"
    DISPUTED = "disputed"
    NOT_A_VIOLATION = "not_a_violation"
    RISK_ACCEPTED = "risk_accepted"


class Outcome(StrEnum):
    """What a check said of a subject."""

    BREACH = "breach"
    CLEAR = "clear"
    COULD_NOT_RUN = "could_not_run"


class SubjectKind(StrEnum):
    """What a finding is about."""

    UNIT = "unit"
    """A certificate unit, by unit id."""
    AUTHORITY = "authority"
    """A CA certificate of the subordinate, by SHA-256."""
    ENTRY = "entry"
    """A log entry that could not be decoded, by log id, colon and index."""
    SUBORDINATE = "subordinate"
    """The subordinate as a whole, by anchor."""


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """A pointer to bytes that show the breach."""

    kind: str
    """``certificate``, ``log-entry``, ``ccadb-record``, ``document`` …"""
    reference: str
    """SHA-256, ``log-id:index``, or record id."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A breach with a life, as read from the store."""

    id: str
    """First 16 hex digits of the fingerprint: short enough to type."""
    fingerprint: str
    check: str
    anchor: str
    subordinate: str
    subject_kind: SubjectKind
    subject: str
    severity: Severity
    state: FindingState
    requirement: str
    revocation: Revocation
    message: str
    evidence: tuple[EvidenceItem, ...]
    first_seen: datetime
    last_seen: datetime
    deadline: datetime | None
    baseline: bool
    """Found by a quiet first run: no clock, no notice of its own."""
    reproduced: bool
    """False once a clear outcome contradicts a finding that only a person may close."""
    affected: int
    rule_version: str


def finding_fingerprint(check: str, anchor: str, subject: str) -> str:
    """Identity of a finding: check id, anchor key hash and subject, never text that can change."""
    joined = f"subca-oversight/finding/v1\x00{check}\x00{anchor}\x00{subject}"
    return hashlib.sha256(joined.encode()).hexdigest()
