"""A final certificate is what its precertificate promised, octet for octet.

The precertificate is what the logs, and everyone who watches them, were shown; a final certificate
that differs was hidden from them. RFC 6962 3.1 allows a difference in the poison and the SCT list
alone: the order of extensions counts, and MRSP 5.4 calls a mismatch misissuance. Where a
Precertificate Signing Certificate signed, issuer and authority key identifier differ by design
(RFC 6962 3.2); such are prohibited since 2026-03-15 (BR 7.1.2.4), which is then a notice. A
precertificate without a final certificate, or the reverse, says nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from subca_oversight.check import (
    Breach,
    CertificateFacts,
    EvidenceItem,
    Revocation,
    Severity,
    UnitFacts,
    check,
    differing_parts,
    is_equal_but_for_issuer,
    issuance_window,
    known,
)

NO_SIGNING_CERTIFICATES_SINCE = datetime(2026, 3, 15, tzinfo=UTC)


@check(
    id="precertificate-mismatch",
    severity=Severity.VIOLATION,
    requirement="MRSP 5.4; RFC 6962 3.1; TLS BR 7.1.2.9.1",
    revocation=Revocation.DAYS_5,
    covers=("C09", "mrsp-5.4-precert-match"),
)
def precertificate_mismatch(unit: UnitFacts) -> Iterator[Breach]:
    if len(unit.precertificates) == 0:
        return
    promised = {
        known(precertificate.tbs_without_ct, "the precertificate's TBSCertificate"): precertificate
        for precertificate in unit.precertificates
    }
    for final in unit.finals:
        if known(final.tbs_without_ct, "the final certificate's TBSCertificate") in promised:
            continue
        signed_otherwise = [
            precertificate
            for precertificate in unit.precertificates
            if precertificate.issuer_name != final.issuer_name
            and is_equal_but_for_issuer(precertificate, final)
        ]
        if len(signed_otherwise) == 0:
            nearest = min(
                unit.precertificates, key=lambda other: len(differing_parts(other, final))
            )
            yield Breach(
                "the final certificate differs from its precertificate in "
                + ", ".join(differing_parts(nearest, final)),
                key=final.sha256,
                evidence=_evidence(nearest, final),
            )
        elif issuance_window(final)[0] >= NO_SIGNING_CERTIFICATES_SINCE:
            yield Breach(
                "precertificate and final certificate differ in issuer and authority key"
                " identifier alone, as where a Precertificate Signing Certificate signed: these are"
                " prohibited since 2026-03-15 (BR 7.1.2.4)",
                key="signing-certificate",
                severity=Severity.NOTICE,
                requirement="TLS BR 7.1.2.4",
                revocation=Revocation.NONE,
                evidence=_evidence(signed_otherwise[0], final),
            )


def _evidence(
    precertificate: CertificateFacts, final: CertificateFacts
) -> tuple[EvidenceItem, ...]:
    return tuple(
        EvidenceItem("certificate", certificate.sha256, certificate.kind.value)
        for certificate in (precertificate, final)
    )
