"""The embedded SCTs satisfy the Certificate Transparency policies of the root programs.

A certificate that falls short fails in the clients of that program, and its subscriber learns it
from a site that does not load; no program calls it misissuance, and it breaks no BR. Chrome, Apple
and Mozilla want SCTs of two logs up to 180 days of lifetime and of three beyond (a certificate of
181 to 200 days is a long one), of two operators, one of a log approved now; Apple also one of a
log of the RFC 6962 API, which Mozilla asked until 2026-02-10 and Chrome until 2026-04-15. They
judge when a client meets the certificate: log states and rules are those of the day of the check,
and an expired certificate is not judged. A certificate without embedded SCTs may bring them in the
handshake. Where it depends on a log that no list tells anything of, it cannot be judged.
"""

from __future__ import annotations

from collections.abc import Iterator

from subca_oversight.check import (
    Breach,
    CannotJudge,
    CertificateFacts,
    Revocation,
    Severity,
    audited_scts,
    check,
    has_sct_list,
    is_tls_subscriber,
    judge_scts,
    known,
    lifetime_days,
)


@check(
    id="sct-policy",
    severity=Severity.SHOULD,
    requirement="CT policies of Chrome, Apple and Mozilla",
    revocation=Revocation.NONE,
    covers=("C05",),
)
def sct_policy(certificate: CertificateFacts) -> Iterator[Breach]:
    if not has_sct_list(certificate) or not is_tls_subscriber(certificate):
        return
    audit = audited_scts(certificate)
    not_after = known(certificate.not_after, "notAfter")
    if not_after < audit.as_of:
        return
    days = lifetime_days(known(certificate.not_before, "notBefore"), not_after)
    unknown: dict[str, None] = {}
    for judgment in judge_scts(audit, days=days):
        policy = judgment.policy
        where = f"valid for {days} days; by {policy.citation}:"
        if len(judgment.shortfalls) > 0:
            yield Breach(
                f"{where} {'; '.join(judgment.shortfalls)}",
                key=policy.program.value,
                requirement=policy.citation,
            )
        elif judgment.rests_on_qualified:
            yield Breach(
                f"{where} satisfied only with a log that is qualified and not usable yet, which"
                " older clients do not know",
                key=f"{policy.program.value}-qualified",
                severity=Severity.NOTICE,
                requirement=policy.citation,
            )
        unknown.update(dict.fromkeys(judgment.unknown))
    if len(unknown) > 0:
        raise CannotJudge(f"no log list tells what these logs are worth: {', '.join(unknown)}")
