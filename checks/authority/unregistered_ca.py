"""A CA below a subordinate is named in the configuration or disclosed in CCADB.

Every certificate of such a CA must be disclosed within 7 calendar days of its issuance, and before
it issues anything, name-constrained and revoked ones too (CCADB Policy 3.2, MRSP 5.3.2). A CA that
was met with only in a log or a chain, and that neither the signing CA's configuration nor the
export names, is a CA that somebody may have forgotten, or kept quiet about. Issuance is proven by
the first log entry or the first time it was seen here, never by notBefore; until the seventh day
after it, or as long as no newer export was imported, this is a notice.
"""

from __future__ import annotations

from collections.abc import Iterator

from subca_oversight.check import (
    AuthorityFacts,
    Breach,
    Revocation,
    Severity,
    check,
    disclosure_deadline,
    instant,
    is_capable_authority,
    known,
)


@check(
    id="unregistered-ca",
    severity=Severity.VIOLATION,
    requirement="CCADB Policy 3.2; MRSP 5.3.2",
    revocation=Revocation.DAYS_7_DECISION,
    covers=("ccadb-3.2-subca-7d",),
)
def unregistered_ca(authority: AuthorityFacts) -> Iterator[Breach]:
    record = known(authority.record, "where the CA certificate was seen")
    if record.is_configured or not is_capable_authority(authority.certificate, authority.as_of):
        return
    if known(record.is_disclosed, "the CCADB export"):
        return
    export_of = known(record.export_of, "the date of the CCADB export")
    deadline = disclosure_deadline(record)
    seen = record.first_seen if record.first_logged is None else record.first_logged
    message = (
        f"a CA certificate below the subordinate, first seen at {instant(seen)}, is neither"
        f" configured nor in the CCADB export of {instant(export_of)}"
    )
    if export_of < deadline:
        yield Breach(
            f"{message}; it is due there by {instant(deadline)}",
            severity=Severity.NOTICE,
            revocation=Revocation.NONE,
        )
    else:
        yield Breach(f"{message}; it was due there by {instant(deadline)}")
