"""notBefore lies no more than 48 hours after the certificate was signed.

A date in the future hides when a certificate was made and stretches its life beyond the limit. What
a log has seen was signed by then, so that the earliest log entry, or the earliest SCT that the
certificate carries of its precertificate, proves it. BR 7.1.2.7, since 2023-09-15.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from subca_oversight.check import (
    Breach,
    CannotJudge,
    CertificateFacts,
    Revocation,
    Severity,
    check,
    instant,
    is_tls_subscriber,
    known,
)

SINCE = datetime(2023, 9, 15, tzinfo=UTC)
ALLOWANCE = timedelta(hours=48)


@check(
    id="postdated",
    severity=Severity.VIOLATION,
    requirement="TLS BR 7.1.2.7",
    revocation=Revocation.DAYS_5,
    covers=("C02",),
)
def postdated(certificate: CertificateFacts) -> Iterator[Breach]:
    if not is_tls_subscriber(certificate):
        return
    not_before = known(certificate.not_before, "notBefore")
    seen = list(certificate.sct_timestamps)
    if certificate.issued.not_after is not None:
        seen.append(certificate.issued.not_after)
    if len(seen) == 0:
        raise CannotJudge("no log entry and no SCT shows by when it was signed")
    signed_by = min(seen)
    if signed_by >= SINCE and not_before - signed_by > ALLOWANCE:
        hours = (not_before - signed_by) / timedelta(hours=1)
        yield Breach(
            f"notBefore is {instant(not_before)}, {hours:.1f} hours after a log had already seen it"
            f" at {instant(signed_by)}"
        )
