"""A TLS certificate is valid no longer than the limit in force when it was signed.

The longer a certificate lives, the longer a name that changed hands or a key that leaked stays
trusted. BR 6.3.2 lowers the limit step by step (SC-081; earlier steps: ballot 193, SC-31). Validity
counts the inclusive last second, and every second beyond a whole day of 86,400 s is another day.
The limit is that of the day of signing, by SCTs and log entries and not by notBefore, which may lie
48 hours before: where both a stricter and a laxer limit may have been in force, the notice
``issuance_date_uncertain`` says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from subca_oversight.check import (
    ISSUANCE_DATE_UNCERTAIN,
    Breach,
    CertificateFacts,
    Revocation,
    Severity,
    check,
    instant,
    is_tls_subscriber,
    issuance_window,
    known,
)

LIMITS = (
    (datetime(2018, 3, 2, tzinfo=UTC), 825),  # ballot 193: issued after 1 March 2018
    (datetime(2020, 9, 1, tzinfo=UTC), 398),  # BR 1.7.1 6.3.2
    (datetime(2026, 3, 15, tzinfo=UTC), 200),  # BR 6.3.2, SC-081
    (datetime(2027, 3, 15, tzinfo=UTC), 100),
    (datetime(2029, 3, 15, tzinfo=UTC), 47),
)
"""Signed at or after, limit in days."""
RECOMMENDED_SINCE = datetime(2020, 9, 1, tzinfo=UTC)
"""Since then BR 6.3.2 also says SHOULD NOT to the last permitted day."""
_DAY = timedelta(days=1)


@check(
    id="validity-limit",
    severity=Severity.VIOLATION,
    requirement="TLS BR 6.3.2",
    revocation=Revocation.DAYS_5,
    covers=("C03", "br-6.3.2-validity"),
)
def validity_limit(certificate: CertificateFacts) -> Iterator[Breach]:
    if not is_tls_subscriber(certificate):
        return
    not_before = known(certificate.not_before, "notBefore")
    not_after = known(certificate.not_after, "notAfter")
    days = -((not_before - not_after - timedelta(seconds=1)) // _DAY)
    first, last = issuance_window(certificate)
    laxest, strictest = limit_at(first), limit_at(last)
    span = f"valid for {days} days, from {instant(not_before)} to {instant(not_after)} inclusive"
    if laxest is not None and days > laxest:
        yield Breach(f"{span}; the limit when it was signed was {laxest} days")
    elif strictest is not None and days > strictest:
        yield Breach(
            f"{span}; it was signed between {instant(first)} and {instant(last)}, and the limit"
            f" fell to {strictest} days in between",
            key=ISSUANCE_DATE_UNCERTAIN,
            severity=Severity.NOTICE,
            revocation=Revocation.NONE,
        )
    elif days == laxest == strictest and first >= RECOMMENDED_SINCE:
        yield Breach(
            f"{span}; that is the last permitted day, which BR 6.3.2 advises against",
            key="recommended",
            severity=Severity.SHOULD,
            revocation=Revocation.NONE,
        )


def limit_at(moment: datetime) -> int | None:
    """Give the limit in force, in days, or None before the first that is kept here."""
    return next((days for since, days in reversed(LIMITS) if moment >= since), None)
