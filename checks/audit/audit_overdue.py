"""Every audit of an externally operated CA is renewed in time.

Audits are the root programs' one proof that an operator keeps the rules. The next period may take a
year and its statement 92 days (BR 8.1, MRSP 3.1.3, CCADB Policy 5.2): what ended longer ago is
overdue, each type by itself. Expired, revoked and technically constrained CA certificates need no
audit (MRSP 5.3). Where no dates are known the check could not run, which is never a pass.
"""

from __future__ import annotations

from collections.abc import Iterator

from subca_oversight.check import (
    AuditFacts,
    AuditState,
    Breach,
    CannotJudge,
    Revocation,
    Severity,
    check,
    known,
)


@check(
    id="audit-overdue",
    severity=Severity.VIOLATION,
    requirement="TLS BR 8.1; MRSP 3.1.3; CCADB Policy 5.2",
    revocation=Revocation.DAYS_7_DECISION,
    covers=("mrsp-3.1.3-annual", "ccadb-5.2-upload-92d"),
)
def audit_overdue(subject: AuditFacts) -> Iterator[Breach]:
    freshness = subject.freshness
    if freshness.state is AuditState.EXEMPT:
        return
    for audit in freshness.audits:
        if audit.state is AuditState.OVERDUE:
            inherited = (
                "" if freshness.inherited_from is None else ", inherited from a parent certificate"
            )
            yield Breach(
                f"the last {audit.type.value} audit period ended on"
                f" {known(audit.end, 'the period end')}{inherited}; its successor's statement is"
                " overdue",
                key=audit.type.value,
            )
    undated = [audit.type.value for audit in freshness.audits if audit.state is AuditState.UNKNOWN]
    if len(undated) > 0:
        raise CannotJudge(f"CCADB gives no usable period for: {', '.join(undated)}")
    if freshness.state is AuditState.UNKNOWN:
        raise CannotJudge("CCADB dates no audit of this certificate or of one it refers to")
