"""A CA certificate of a subordinate expires within 180, 90 or 30 days.

Replacing one takes approval, ceremony, disclosure within 7 days and before first use (CCADB Policy
3.2), and sometimes three weeks' notice (CRP 1.6.1): nobody should learn of it from failing sites.
Each threshold is a notice of its own; what is signed after the expiry is another check's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC

from subca_oversight.check import AuthorityFacts, Breach, Severity, check, instant, known

THRESHOLDS = (30, 90, 180)
"""Days before expiry, nearest first."""


@check(
    id="subordinate-expiring",
    severity=Severity.NOTICE,
    requirement="CCADB Policy 3.2 (lead time)",
)
def subordinate_expiring(authority: AuthorityFacts) -> Iterator[Breach]:
    not_after = known(authority.certificate.not_after, "notAfter")
    if not_after < authority.as_of:
        return
    days = (not_after.astimezone(UTC).date() - authority.as_of.astimezone(UTC).date()).days
    for threshold in THRESHOLDS:
        if days <= threshold:
            yield Breach(
                f"the CA certificate expires at {instant(not_after)}, in {days} days",
                key=str(threshold),
            )
            return
