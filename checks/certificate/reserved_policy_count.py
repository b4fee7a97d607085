"""A TLS certificate claims exactly one reserved policy: DV, OV, IV or EV.

The reserved identifier tells relying parties and auditors how the subscriber was validated; none or
two of them tell nothing. BR 7.1.2.7.9 and 7.1.6.1, since 2023-09-15 (SC-62). Policies of the CA's
own may stand beside it, and CA certificates have other rules (BR 7.1.2.10.5).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from subca_oversight.check import (
    RESERVED_TLS_POLICIES,
    Breach,
    CertificateFacts,
    Revocation,
    Severity,
    check,
    dated,
    is_tls_subscriber,
    verify_readable,
)

SINCE = datetime(2023, 9, 15, tzinfo=UTC)


@check(
    id="reserved-policy-count",
    severity=Severity.VIOLATION,
    requirement="TLS BR 7.1.2.7.9",
    revocation=Revocation.DAYS_5,
    covers=("C24", "br-7.1.6.1-one-oid"),
)
def reserved_policy_count(certificate: CertificateFacts) -> Iterator[Breach]:
    if not is_tls_subscriber(certificate):
        return
    verify_readable(certificate, "policy_oids")
    claimed = [oid for oid in certificate.policy_oids if oid in RESERVED_TLS_POLICIES]
    if len(claimed) == 1:
        return
    named = ", ".join(f"{oid} ({RESERVED_TLS_POLICIES[oid]})" for oid in claimed)
    found = (
        f"{len(claimed)} reserved policies, {named}" if len(claimed) > 0 else "no reserved policy"
    )
    breach = Breach(f"{found}, instead of exactly one")
    yield from dated(certificate, SINCE, breach)
