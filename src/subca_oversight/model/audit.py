"""What CCADB states about a CA certificate, and what follows for its audits.

A record is one row of the All Certificate Records report, parsed but not judged; freshness is the
judgment of one record at one date (DESIGN sections 7 and 8; CCADB Policy 5).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum


class AuditType(StrEnum):
    """The audit types that CCADB tells apart, in the order of its columns."""

    STANDARD = "standard"
    NETSEC = "netsec"
    TLS_BR = "tls_br"
    TLS_EVG = "tls_evg"
    CODE_SIGNING = "code_signing"
    SMIME_BR = "smime_br"
    VMC = "vmc"


class AuditState(StrEnum):
    """How fresh an audit is at a date."""

    CURRENT = "current"
    REPORT_DUE = "report_due"
    OVERDUE = "overdue"
    EXEMPT = "exempt"
    UNKNOWN = "unknown"


class ExemptReason(StrEnum):
    """Why a record needs no audit; the first that applies, in this order."""

    EXPIRED = "expired"
    REVOKED = "revoked"
    PARENT_REVOKED = "parent_revoked"
    TECHNICALLY_CONSTRAINED = "technically_constrained"


class RecordType(StrEnum):
    """Kind of record; the same certificate can have one of each."""

    ROOT = "root"
    INTERMEDIATE = "intermediate"


class RevocationStatus(StrEnum):
    """Revocation as stated; CCADB leaves it blank on roots."""

    NOT_STATED = "not_stated"
    NOT_REVOKED = "not_revoked"
    REVOKED = "revoked"
    PARENT_REVOKED = "parent_revoked"


class DocumentKind(StrEnum):
    """The policy documents that CCADB keeps apart."""

    CP = "cp"
    CPS = "cps"
    CP_CPS = "cp_cps"
    MARKUP = "md"
    """The Markdown or AsciiDoc form of a CP/CPS."""


@dataclass(frozen=True, slots=True)
class AuditStatement:
    """One audit statement as its row states it; a date that could not be read is None."""

    start: date | None
    end: date | None
    statement: date | None
    url: str = ""
    scheme: str = ""
    """The column "Audit Type", for example ``WebTrust`` or ``ETSI EN 319 411``."""

    @property
    def has_dates(self) -> bool:
        """Whether any of the three dates is known."""
        return self.start is not None or self.end is not None or self.statement is not None

    @property
    def is_reversed(self) -> bool:
        """Whether the period ends before it starts, so that neither date can be relied on."""
        return self.start is not None and self.end is not None and self.end < self.start


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """One policy document as its row states it."""

    kind: DocumentKind
    url: str
    updated: date | None
    same_as_parent: bool

    @property
    def is_stated(self) -> bool:
        """Whether the row itself gives an address or a date."""
        return len(self.url) > 0 or self.updated is not None


@dataclass(frozen=True, slots=True)
class CertificateRecord:
    """One row of the All Certificate Records report.

    Text has its white space collapsed; what a layout lacks is empty or None.
    """

    record_id: str
    """Case-sensitive: a CCADB unique id such as A004081, or an older 18-character id."""
    sha256: str
    """Lower-case hex."""
    certificate_name: str
    ca_owner: str
    type: RecordType
    revocation: RevocationStatus
    subordinate_ca_owner: str = ""
    parent_record_id: str = ""
    """On a root: the owner's record, which is not in the report."""
    parent_sha256: str = ""
    parent_name: str = ""
    valid_from: date | None = None
    valid_to: date | None = None
    technically_constrained: bool | None = None
    """CCADB's flag: stated, never relied on."""
    audits_same_as_parent: bool = False
    auditor: str = ""
    audits: tuple[tuple[AuditType, AuditStatement], ...] = ()
    """In column order; only types with a date, an address or a scheme."""
    documents: tuple[PolicyDocument, ...] = ()
    """Only documents that are stated or inherited."""
    crl_urls: tuple[str, ...] = ()
    partitioned_crl_urls: tuple[str, ...] = ()
    trust_bits: tuple[str, ...] = ()
    """Trust bits of the root certificate."""
    derived_trust_bits: tuple[str, ...] = ()
    ev_oids: tuple[str, ...] = ()
    status_of_root: str = ""
    apple_status: str = ""
    chrome_status: str = ""
    microsoft_status: str = ""
    mozilla_status: str = ""
    tls_capable: bool | None = None
    tls_ev_capable: bool | None = None
    code_signing_capable: bool | None = None
    smime_capable: bool | None = None
    authority_key_id: str = ""
    """Base64, as exported."""
    subject_key_id: str = ""
    policy_documentation: str = ""
    document_repository: str = ""
    country: str = ""

    def find_audit(self, audit_type: AuditType) -> AuditStatement | None:
        """Return the row's own statement of a type."""
        return next((statement for kind, statement in self.audits if kind is audit_type), None)

    @property
    def has_audit_dates(self) -> bool:
        """Whether the row itself dates any audit."""
        return any(statement.has_dates for _, statement in self.audits)

    @property
    def operator(self) -> str:
        """Who runs the CA by this row: the Subordinate CA Owner, else the CA Owner."""
        return self.subordinate_ca_owner if len(self.subordinate_ca_owner) > 0 else self.ca_owner


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to know about a record that does not change its state."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class AuditTypeFreshness:
    """The freshness of one audit type of a record."""

    type: AuditType
    start: date | None
    end: date | None
    statement: date | None
    lag_days: int | None
    """Statement date minus period end."""
    state: AuditState


@dataclass(frozen=True, slots=True)
class AuditFreshness:
    """The freshness of one record at one date; its state is that of the Standard audit.

    The fields are those of ``ccadb audits --json`` (DESIGN section 8), in its order.
    """

    sha256: str
    ca_owner: str
    subordinate_ca_owner: str
    certificate_name: str
    external: bool
    state: AuditState
    exempt_reason: ExemptReason | None
    inherited_from: str | None
    """SHA-256 of the ancestor whose audits count."""
    next_end: date | None
    due: date | None
    days_left: int | None
    """``due`` minus the as-of date; negative once overdue."""
    days_overdue: int | None
    """The as-of date minus ``due``; negative before that day."""
    audits: tuple[AuditTypeFreshness, ...] = ()
    notices: tuple[Notice, ...] = field(default=())
