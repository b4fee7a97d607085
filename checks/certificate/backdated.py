"""notBefore lies no more than 48 hours before the certificate was signed.

A date in the past moves a certificate under rules that no longer hold. BR 7.1.2.7 allows 48 hours,
since 2023-09-15. A final certificate proves the breach by itself: it cannot have been signed before
the SCTs that it carries. A precertificate alone only raises the suspicion, as one that was logged
late looks the same; and log entries of final certificates prove nothing, since anyone may submit
them at any time. CA certificates and OCSP responders have other limits (BR 7.1.2.2.1, 7.1.2.8.1,
7.1.2.10.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from subca_oversight.check import (
    Breach,
    Revocation,
    Severity,
    UnitFacts,
    check,
    instant,
    is_tls_subscriber,
    known,
    verify_readable,
)

SINCE = datetime(2023, 9, 15, tzinfo=UTC)
ALLOWANCE = timedelta(hours=48)


@check(
    id="backdated",
    severity=Severity.VIOLATION,
    requirement="TLS BR 7.1.2.7",
    revocation=Revocation.DAYS_5,
    covers=("C01", "br-7.1.2.7-backdate"),
)
def backdated(unit: UnitFacts) -> Iterator[Breach]:
    proven = False
    for final in filter(is_tls_subscriber, unit.finals):
        verify_readable(final, "sct_timestamps")
        if len(final.sct_timestamps) == 0:
            continue
        proven = True
        not_before = known(final.not_before, "notBefore")
        signed_after = max(final.sct_timestamps)
        if signed_after >= SINCE and signed_after - not_before > ALLOWANCE:
            yield Breach(
                f"notBefore is {instant(not_before)}, {_hours(signed_after - not_before)} before"
                f" the certificate's own latest SCT of {instant(signed_after)}"
            )
    if proven or unit.first_logged is None or unit.first_logged < SINCE:
        return
    for precertificate in filter(is_tls_subscriber, unit.precertificates):
        not_before = known(precertificate.not_before, "notBefore")
        if unit.first_logged - not_before > ALLOWANCE:
            yield Breach(
                f"notBefore is {instant(not_before)}, {_hours(unit.first_logged - not_before)}"
                f" before the first log entry of {instant(unit.first_logged)}: backdated, or"
                " logged late",
                key="suspected",
                severity=Severity.NOTICE,
                revocation=Revocation.NONE,
            )


def _hours(span: timedelta) -> str:
    return f"{span / timedelta(hours=1):.1f} hours"
