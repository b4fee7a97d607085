"""A subordinate CA signs nothing after its own CA certificates have expired.

With the CA certificate ends the right to issue under it; BR 4.9.1.1 has certificates revoked where
that right has ended, and no path through it validates any longer (RFC 5280 6.1.3). Any CA
certificate of the same key that was still valid, a cross-certificate for example, clears; so does
any instant at which the certificate can have been signed before. A certificate that merely outlives
its CA is another matter.
"""

from __future__ import annotations

from collections.abc import Iterator

from subca_oversight.check import (
    ISSUANCE_DATE_UNCERTAIN,
    Breach,
    CannotJudge,
    CertificateFacts,
    CertificateKind,
    EvidenceItem,
    Revocation,
    Severity,
    UnitFacts,
    check,
    instant,
    issuance_window,
)


@check(
    id="issued-after-expiry",
    severity=Severity.VIOLATION,
    requirement="TLS BR 4.9.1.1; RFC 5280 6.1.3",
    revocation=Revocation.DAYS_5,
    covers=("C32",),
)
def issued_after_expiry(unit: UnitFacts) -> Iterator[Breach]:
    if len(unit.issuer_validity) == 0:
        raise CannotJudge("no CA certificate of the issuing key is known")
    last_span = max(unit.issuer_validity, key=lambda span: span.not_after)
    for certificate in unit.certificates:
        first, last = issuance_window(certificate)
        evidence = (_evidence(certificate), EvidenceItem("certificate", last_span.sha256, "issuer"))
        if first > last_span.not_after:
            yield Breach(
                f"signed at {instant(first)} or later; the last of the issuer's CA certificates"
                f" expired at {instant(last_span.not_after)}",
                evidence=evidence,
            )
        elif certificate.kind is CertificateKind.PRECERTIFICATE and last > last_span.not_after:
            yield Breach(
                f"signed between {instant(first)} and {instant(last)}; the last of the issuer's CA"
                f" certificates expired in between, at {instant(last_span.not_after)}",
                key=ISSUANCE_DATE_UNCERTAIN,
                severity=Severity.NOTICE,
                revocation=Revocation.NONE,
                evidence=evidence,
            )


def _evidence(certificate: CertificateFacts) -> EvidenceItem:
    return EvidenceItem("certificate", certificate.sha256, certificate.kind.value)
