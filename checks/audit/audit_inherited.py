"""An external operator is audited itself, not under its parent's audit.

"Audits Same as Parent" says that the parent's statement covers this CA. Where someone else operates
it, that is contradictory unless the parent's statement lists the certificate and names the operator
(CCADB Policy 5 with 3.2); the export cannot tell, so this asks for the statement to be read.
"""

from __future__ import annotations

from collections.abc import Iterator

from subca_oversight.check import AuditFacts, AuditState, Breach, EvidenceItem, Severity, check

FOREIGN = "inherits_foreign_audit"


@check(
    id="audit-inherited",
    severity=Severity.NOTICE,
    requirement="CCADB Policy 5, 3.2",
    covers=("ccadb-5-same-as-parent-owner",),
)
def audit_inherited(subject: AuditFacts) -> Iterator[Breach]:
    freshness = subject.freshness
    if freshness.state is AuditState.EXEMPT or freshness.inherited_from is None:
        return
    for notice in freshness.notices:
        if notice.id == FOREIGN:
            yield Breach(
                f"audits are said to be the same as the parent's: {notice.text}",
                evidence=(
                    EvidenceItem("ccadb-record", freshness.sha256, freshness.certificate_name),
                    EvidenceItem("ccadb-record", freshness.inherited_from, "audited ancestor"),
                ),
            )
