"""A TLS certificate that its operator gave is also in a log.

Since 15 June 2026 a precertificate has to be in a log before the certificate is issued (Chrome Root
Program 1.3.4.1), so for TLS the logs are a complete list. A certificate in the operator's files
that none shows is one that nobody could have monitored. It is a notice, since the absence of an
entry is proven only by what was read: it needs every log that takes certificates read for the
issuing key, since before the certificate can have been signed and until a merge delay after it was
given. A valid SCT in the certificate is a log's promise: then the entry is the log's to owe.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from subca_oversight.check import (
    Breach,
    CannotJudge,
    CertificateFacts,
    EvidenceItem,
    SctStanding,
    Severity,
    UnitFacts,
    audited_scts,
    check,
    has_sct_list,
    instant,
    is_tls_subscriber,
    issuance_window,
    known,
)

SINCE = datetime(2026, 6, 15, tzinfo=UTC)
MERGE_DELAY = timedelta(hours=25)
"""The 24 hours that logs allow themselves, and an hour for clocks."""


@check(
    id="not-logged",
    severity=Severity.NOTICE,
    requirement="Chrome Root Program Policy 1.3.4.1",
    covers=("crp-1.3.4.1-precert",),
)
def not_logged(unit: UnitFacts) -> Iterator[Breach]:
    if unit.first_logged is not None or len(unit.sightings) > 0 or unit.first_given is None:
        return
    for certificate in unit.finals:
        if not is_tls_subscriber(certificate):
            continue
        first, _ = issuance_window(certificate)
        if first < SINCE or _is_promised(certificate):
            continue
        reading = known(unit.reading, "what every log holds under this key")
        if first < reading.since:
            raise CannotJudge(
                f"some logs were read from {instant(reading.since)} on, and it may have been signed"
                f" at {instant(first)}"
            )
        if reading.until < unit.first_given + MERGE_DELAY:
            raise CannotJudge(
                f"the logs were read up to {instant(reading.until)}, less than a merge delay after"
                " it was given"
            )
        yield Breach(
            f"given by the operator at {instant(unit.first_given)}, and in none of the logs, which"
            f" were all read up to {instant(reading.until)}",
            evidence=(EvidenceItem("certificate", certificate.sha256, certificate.kind.value),),
        )


def _is_promised(certificate: CertificateFacts) -> bool:
    """Whether a log signed an SCT for it. Raises CannotJudge where one cannot be verified."""
    if not has_sct_list(certificate):
        return False
    standings = [verdict.standing for verdict in audited_scts(certificate).verdicts]
    if SctStanding.VALID in standings:
        return True
    if SctStanding.UNKNOWN_LOG in standings:
        raise CannotJudge("it bears an SCT of a log that no list names")
    return False
