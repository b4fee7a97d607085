"""What a check file imports: the check API, the facts it looks at, and the words it answers in."""

from subca_oversight.check.api import (
    AuditFacts,
    AuthorityFacts,
    Breach,
    CannotJudge,
    Check,
    CheckOutcome,
    check,
    known,
)
from subca_oversight.check.lint.keys import Weakness, find_weaknesses
from subca_oversight.check.scope import (
    ISSUANCE_DATE_UNCERTAIN,
    RESERVED_TLS_POLICIES,
    SECOND_READER,
    dated,
    instant,
    is_tls_authority,
    is_tls_subscriber,
    issuance_window,
    revocation_class,
    verify_readable,
)
from subca_oversight.check.tbs import differing_parts, is_equal_but_for_issuer, signed_octets
from subca_oversight.model.audit import AuditFreshness, AuditState, AuditType, ExemptReason
from subca_oversight.model.certificate import (
    AuthoritySpan,
    CertificateFacts,
    CertificateKind,
    IssuanceEvidence,
    KeyAlgorithm,
    PublicKeyFacts,
    Sighting,
    UnitFacts,
)
from subca_oversight.model.finding import EvidenceItem, Outcome, Revocation, Severity, SubjectKind
from subca_oversight.model.subordinate import Relation

__all__ = [
    "ISSUANCE_DATE_UNCERTAIN",
    "RESERVED_TLS_POLICIES",
    "SECOND_READER",
    "AuditFacts",
    "AuditFreshness",
    "AuditState",
    "AuditType",
    "AuthorityFacts",
    "AuthoritySpan",
    "Breach",
    "CannotJudge",
    "CertificateFacts",
    "CertificateKind",
    "Check",
    "CheckOutcome",
    "EvidenceItem",
    "ExemptReason",
    "IssuanceEvidence",
    "KeyAlgorithm",
    "Outcome",
    "PublicKeyFacts",
    "Relation",
    "Revocation",
    "Severity",
    "Sighting",
    "SubjectKind",
    "UnitFacts",
    "Weakness",
    "check",
    "dated",
    "differing_parts",
    "find_weaknesses",
    "instant",
    "is_equal_but_for_issuer",
    "is_tls_authority",
    "is_tls_subscriber",
    "issuance_window",
    "known",
    "revocation_class",
    "signed_octets",
    "verify_readable",
]
