"""Nobody else certifies a subordinate's key without it being known.

A cross-certificate gives the subordinate's certificates a second path, under other rules and with
other constraints, and revoking the first no longer stops them. Whoever signs one must disclose it
within 7 calendar days in the hierarchy of the issuer (CCADB Policy 3.2, MRSP 5.3.2), which is only
certain where the export names that issuer: elsewhere an undisclosed cross-certificate is a notice.
One that is disclosed is a notice for 90 days, since the signing CA should hear of it. The key's own
self-signed certificate is none, and what a watched key signs is judged as a CA of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from subca_oversight.check import (
    AuthorityFacts,
    Breach,
    CrossCertificate,
    EvidenceItem,
    Revocation,
    Severity,
    check,
    disclosure_deadline,
    instant,
    is_capable_authority,
    known,
)

NEW_FOR = timedelta(days=90)


@check(
    id="new-cross-certificate",
    severity=Severity.VIOLATION,
    requirement="CCADB Policy 3.2; MRSP 5.3.2",
    revocation=Revocation.NONE,
    covers=("ccadb-3.2-cross-cert",),
)
def new_cross_certificate(authority: AuthorityFacts) -> Iterator[Breach]:
    for cross in known(authority.cross_certificates, "what others certified"):
        if is_capable_authority(cross.certificate, authority.as_of):
            yield from _judge(cross, authority)


def _judge(cross: CrossCertificate, authority: AuthorityFacts) -> Iterator[Breach]:
    record = cross.record
    seen = record.first_seen if record.first_logged is None else record.first_logged
    message = f"another CA certified the subordinate's key; first seen at {instant(seen)}"
    if known(record.is_disclosed, "the CCADB export"):
        if record.first_logged is not None and authority.as_of < record.first_logged + NEW_FOR:
            yield _breach(cross, f"{message}; disclosed in CCADB", Severity.NOTICE)
        return
    export_of = known(record.export_of, "the date of the CCADB export")
    message += f", not in the CCADB export of {instant(export_of)}"
    deadline = disclosure_deadline(record)
    if record.is_issuer_disclosed is not True:
        message += "; whether its issuer must disclose it is not known"
        yield _breach(cross, message, Severity.NOTICE)
    elif export_of < deadline:
        message += f"; it is due there by {instant(deadline)}"
        yield _breach(cross, message, Severity.NOTICE)
    else:
        message += f"; it was due there by {instant(deadline)}"
        yield _breach(cross, message, Severity.VIOLATION)


def _breach(cross: CrossCertificate, message: str, severity: Severity) -> Breach:
    sha256 = cross.certificate.sha256
    return Breach(
        message,
        key=sha256,
        severity=severity,
        evidence=(EvidenceItem("certificate", sha256, "cross-certificate"),),
    )
