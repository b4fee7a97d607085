"""A certificate is DER of the structure that RFC 5280 gives it.

What readers understand differently, they trust differently; MRSP 5.2 forbids DER errors, and BR
7.1.2 any structure that is not RFC 5280's. Two readers look at every certificate: our own walk over
the encoding, whose objections are violations, and the cryptography library, which also refuses what
is merely unusual to it: its refusal alone is a notice, as is a limit that our own reader sets.
"""

from __future__ import annotations

from collections.abc import Iterator

from subca_oversight.check import (
    SECOND_READER,
    Breach,
    CertificateFacts,
    Revocation,
    Severity,
    check,
    revocation_class,
)

UNSUPPORTED = "Unsupported"
"""Begins the name of an exception: an algorithm that the library does not know breaks no rule."""
OUR_LIMITS = (
    "octets are more than",
    "elements in one list",
    "nested deeper than",
    "object identifier of",
    "tag of several octets",
    "is beyond the year 9999",
)
EMPTY_SCT_LIST = ("sct_timestamps", "the SCT list is empty")
"""Told by sct-list."""
SHOWN = 5


@check(
    id="certificate-unparseable",
    severity=Severity.VIOLATION,
    requirement="RFC 5280 4.1; MRSP 5.2",
    revocation=Revocation.DAYS_5,
    covers=("C37", "mrsp-5.2-forbidden"),
    version=2,
)
def certificate_unparseable(certificate: CertificateFacts) -> Iterator[Breach]:
    objections: list[str] = []
    refusals: list[str] = []
    for field, reason in certificate.field_errors:
        if (field, reason) == EMPTY_SCT_LIST:
            continue
        if not (reason.startswith(SECOND_READER) and UNSUPPORTED in reason):
            (objections if _is_proof(reason) else refusals).append(f"{field}: {reason}")
    if len(objections) > 0:
        yield Breach(
            f"broken encoding: {_listed(objections)}",
            revocation=revocation_class(certificate, Revocation.DAYS_5),
        )
    elif len(refusals) > 0:
        yield Breach(
            f"not read in full, which proves nothing yet: {_listed(refusals)}",
            key="refused",
            severity=Severity.NOTICE,
            revocation=Revocation.NONE,
        )


def _is_proof(reason: str) -> bool:
    return not reason.startswith(SECOND_READER) and not any(limit in reason for limit in OUR_LIMITS)


def _listed(reasons: list[str]) -> str:
    more = len(reasons) - SHOWN
    return "; ".join(reasons[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
