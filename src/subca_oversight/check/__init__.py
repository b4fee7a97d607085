"""What a check file imports: the check API, the facts it looks at, and the words it answers in."""

from subca_oversight.check.api import (
    AuditFacts,
    AuthorityFacts,
    Breach,
    CannotJudge,
    Check,
    CheckOutcome,
    check,
)
from subca_oversight.model.audit import AuditFreshness, AuditState, AuditType
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
    "check",
]
