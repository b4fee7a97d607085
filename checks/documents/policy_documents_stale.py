"""The CP and CPS have been updated within 366 days.

A CPS that nobody touched for a year no longer describes a CA under rules that change every few
months. BR 2.2 and 2.3 demand an update, or at least a new version with a dated changelog, every 366
days (MRSP 3.3(4)). The date is CCADB's: where the document itself is newer, the record is out of
date, which CCADB Policy 4 forbids after 14 days. For technically constrained CAs, whose documents
need not be disclosed, this is a notice; for expired and revoked ones nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from subca_oversight.check import (
    AuditFacts,
    AuditState,
    Breach,
    ExemptReason,
    Revocation,
    Severity,
    check,
)

STALE = "cps_stale"


@check(
    id="policy-documents-stale",
    severity=Severity.VIOLATION,
    requirement="TLS BR 2.2, 2.3; MRSP 3.3(4)",
    revocation=Revocation.DAYS_7_DECISION,
    covers=("br-2.2-cps-366d",),
)
def policy_documents_stale(subject: AuditFacts) -> Iterator[Breach]:
    freshness = subject.freshness
    is_constrained = freshness.exempt_reason is ExemptReason.TECHNICALLY_CONSTRAINED
    if freshness.state is AuditState.EXEMPT and not is_constrained:
        return
    stale = [notice.text for notice in freshness.notices if notice.id == STALE]
    if len(stale) > 0:
        yield Breach(
            "; ".join(stale),
            severity=Severity.NOTICE if is_constrained else None,
            revocation=Revocation.NONE if is_constrained else None,
        )
