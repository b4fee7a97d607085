"""No Precertificate Signing CA is certified or used since 15 March 2026.

Ballot SC-092 ended the profile of BR 7.1.2.4: a CA certificate whose only purpose is to sign
precertificates in the name of its issuer (RFC 6962 3.1). One that was signed before is a notice
where it outlives that day, since nothing may be signed with it any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from subca_oversight.check import (
    Breach,
    CertificateFacts,
    Revocation,
    Severity,
    check,
    dated,
    instant,
    issuance_window,
    known,
    verify_readable,
)

PRECERTIFICATE_SIGNING = "1.3.6.1.4.1.11129.2.4.4"
SINCE = datetime(2026, 3, 15, tzinfo=UTC)


@check(
    id="precertificate-signing-ca",
    severity=Severity.VIOLATION,
    requirement="TLS BR 7.1.2.4 (SC-092)",
    revocation=Revocation.DAYS_7_DECISION,
    covers=("sc092-precert-ca",),
)
def precertificate_signing_ca(certificate: CertificateFacts) -> Iterator[Breach]:
    verify_readable(certificate, "eku_oids")
    if certificate.eku_oids is None or PRECERTIFICATE_SIGNING not in certificate.eku_oids:
        return
    _, last = issuance_window(certificate)
    if last >= SINCE:
        yield from dated(certificate, SINCE, Breach("it is a Precertificate Signing CA's"))
    elif known(certificate.not_after, "notAfter") >= SINCE:
        yield Breach(
            f"a Precertificate Signing CA's certificate is valid until"
            f" {instant(known(certificate.not_after, 'notAfter'))}; nothing may be signed with it"
            f" since {instant(SINCE)}",
            key="outlives",
            severity=Severity.NOTICE,
            revocation=Revocation.NONE,
        )
