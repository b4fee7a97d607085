"""Every embedded SCT is its log's signature over this very certificate.

An SCT is a log's promise to show a certificate to everyone. One that does not verify promises
nothing: it is of another certificate, of a precertificate that was changed before issuance, or was
damaged on its way from the log (the leaf_index extension of the static-ct-api is signed, and gets
lost where software knows RFC 6962 alone). BR 7.1.2.11.3 wants each SCT to be for a precertificate
that corresponds to the certificate, since 2023-09-15; RFC 6962 3.2 says what is signed, and names
the issuer by its key, hence the same for all its cross-certificates. A log that no list ever named
can be neither confirmed nor refuted, and a log that exists in a list alone is never believed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from subca_oversight.check import (
    Breach,
    CannotJudge,
    CertificateFacts,
    Revocation,
    SctDefect,
    SctStanding,
    SctVerdict,
    Severity,
    audited_scts,
    check,
    has_sct_list,
    instant,
    is_tls_subscriber,
    issuance_window,
)

SINCE = datetime(2023, 9, 15, tzinfo=UTC)
"""BR 2.0.0, with its certificate profiles."""


@check(
    id="sct-signature",
    severity=Severity.VIOLATION,
    requirement="TLS BR 7.1.2.11.3; RFC 6962 3.2",
    revocation=Revocation.DAYS_5,
    covers=("C06",),
)
def sct_signature(certificate: CertificateFacts) -> Iterator[Breach]:
    if not has_sct_list(certificate):
        return
    audit = audited_scts(certificate)
    refused = [one for one in audit.verdicts if one.standing is SctStanding.INVALID_SIGNATURE]
    changed = [one for one in refused if one.defect is SctDefect.PRECERTIFICATE]
    wrong = [one for one in refused if one.defect is not SctDefect.PRECERTIFICATE]
    if len(wrong) > 0:
        if is_tls_subscriber(certificate) and issuance_window(certificate)[0] >= SINCE:
            yield Breach(_listed(wrong))
        else:
            yield _notice(wrong, "unprofiled")
    if len(changed) > 0:
        # The change is a violation by itself, told by precertificate-mismatch.
        yield _notice(changed, "precertificate")
    invented = [one for one in audit.verdicts if one.standing is SctStanding.PLACEHOLDER_LOG]
    if len(invented) > 0:
        yield Breach(
            "an SCT is of a log that stands in lists as a placeholder and is run by nobody: "
            + ", ".join(one.log_name for one in invented),
            key="placeholder",
            severity=Severity.NOTICE,
            revocation=Revocation.NONE,
        )
    unknown = [one for one in audit.verdicts if one.standing is SctStanding.UNKNOWN_LOG]
    if len(unknown) > 0:
        logs = ", ".join(one.log_id for one in unknown)
        raise CannotJudge(f"no log list names the log of an SCT: {logs}")
    if audit.other_versions > 0:
        raise CannotJudge(f"{audit.other_versions} SCTs are of a version that RFC 6962 lacks")


def _notice(verdicts: list[SctVerdict], key: str) -> Breach:
    return Breach(
        _listed(verdicts),
        key=key,
        severity=Severity.NOTICE,
        requirement="RFC 6962 3.2",
        revocation=Revocation.NONE,
    )


def _listed(verdicts: list[SctVerdict]) -> str:
    return "; ".join(
        f"the SCT of {one.log_name} with the time {instant(one.timestamp)}: {one.reason}"
        for one in verdicts
    )
