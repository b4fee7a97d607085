"""An SCT list holds SCTs: of different logs, of the past, and of logs for that notAfter.

BR 7.1.2.11.3 and RFC 6962 3.3 know no empty list. The rest breaks no rule of the BR and is worth
knowing: a log's second SCT counts for nothing; a log that is sharded by expiry should have refused
a notAfter outside of its temporal interval, so its SCT was got by mistake or for another
certificate; and an SCT younger than the certificate's own log entry, or than today, is dated in the
future, which clients refuse. How well the list is encoded, and that there is one, is for
certificate-unparseable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from subca_oversight.check import (
    CLOCK_SKEW,
    Breach,
    CertificateFacts,
    Revocation,
    SctAudit,
    Severity,
    audited_scts,
    check,
    has_sct_list,
    instant,
    known,
)

EMPTY = ("sct_timestamps", "the SCT list is empty")
"""As the parser says it."""


@check(
    id="sct-list",
    severity=Severity.VIOLATION,
    requirement="TLS BR 7.1.2.11.3; RFC 6962 3.3",
    revocation=Revocation.DAYS_5,
    covers=("C07",),
)
def sct_list(certificate: CertificateFacts) -> Iterator[Breach]:
    if EMPTY in certificate.field_errors:
        yield Breach("the SCT list extension holds no SCT")
        return
    if not has_sct_list(certificate):
        return
    audit = audited_scts(certificate)
    yield from _repeated(audit)
    yield from _future(audit)
    not_after = known(certificate.not_after, "notAfter")
    outside = [
        f"{verdict.log_name} takes {instant(start)} to {instant(end)}"
        for verdict in audit.verdicts
        if verdict.log is not None and verdict.log.interval is not None
        for start, end in (verdict.log.interval,)
        if not start <= not_after < end
    ]
    if len(outside) > 0:
        message = f"notAfter {instant(not_after)} is outside of the log's interval: "
        yield _notice("interval", message + "; ".join(outside))


def _repeated(audit: SctAudit) -> Iterator[Breach]:
    counts = Counter(verdict.log_id for verdict in audit.verdicts)
    names = {verdict.log_id: verdict.log_name for verdict in audit.verdicts}
    repeated = [f"{count} of {names[log]}" for log, count in counts.items() if count > 1]
    if len(repeated) > 0:
        yield _notice("repeated", f"several SCTs of one log: {', '.join(repeated)}")


def _future(audit: SctAudit) -> Iterator[Breach]:
    future = [
        f"the SCT of {verdict.log_name} has the time {instant(verdict.timestamp)}"
        for verdict in audit.verdicts
        if verdict.timestamp - audit.existed_by > CLOCK_SKEW
    ]
    if len(future) > 0:
        message = f"the certificate existed by {instant(audit.existed_by)}: {'; '.join(future)}"
        yield _notice("future", message)


def _notice(key: str, message: str) -> Breach:
    return Breach(message, key=key, severity=Severity.NOTICE, revocation=Revocation.NONE)
