"""Which certificates a rule governs, and whether it was in force when they were signed.

The TLS rules speak of certificates that can authenticate a TLS server, not of S/MIME certificates,
OCSP responders or CA certificates; and a dated rule is broken only where it is broken at every
instant at which the certificate can have been signed (DESIGN section 7; BR 7.1.2.7, MRSP 1.1).
"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

from subca_oversight.check.api import Breach, CannotJudge, known
from subca_oversight.model.certificate import CertificateFacts
from subca_oversight.model.finding import Revocation, Severity

SERVER_AUTHENTICATION = "1.3.6.1.5.5.7.3.1"
ANY_PURPOSE = "2.5.29.37.0"
RESERVED_TLS_POLICIES = {
    "2.23.140.1.1": "EV",
    "2.23.140.1.2.1": "DV",
    "2.23.140.1.2.2": "OV",
    "2.23.140.1.2.3": "IV",
}
"""Reserved certificate policy identifiers of subscriber certificates (BR 7.1.6.1)."""
ISSUANCE_DATE_UNCERTAIN = "issuance_date_uncertain"
"""Key of the notice that takes a breach's place where the rule may not have been in force."""

_ALLOWANCE = timedelta(hours=48)
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_END = datetime.max.replace(tzinfo=UTC)
SECOND_READER = "cryptography "
"""How a reason begins where only the second reader refuses a field that ours has read."""
_WHOLE = frozenset({"certificate", "extensions"})


def verify_readable(certificate: CertificateFacts, *fields: str) -> None:
    """Raise CannotJudge if one of these facts, or the list of extensions, could not be read."""
    for field, reason in certificate.field_errors:
        if (field in fields or field in _WHOLE) and not reason.startswith(SECOND_READER):
            raise CannotJudge(f"{field} could not be read: {reason}")


def is_tls_subscriber(certificate: CertificateFacts) -> bool:
    """Whether the certificate is a subscriber's and can authenticate a TLS server.

    With serverAuth it can; without any restriction on its purposes it can where it names a host or
    claims a TLS policy. Raises CannotJudge where that cannot be read.
    """
    verify_readable(certificate, "is_ca", "eku_oids")
    purposes = certificate.eku_oids
    if certificate.is_ca:
        return False
    if purposes is not None and SERVER_AUTHENTICATION in purposes:
        return True
    if purposes is not None and ANY_PURPOSE not in purposes:
        return False
    if len(certificate.dns_names) > 0 or len(certificate.ip_addresses) > 0:
        return True
    verify_readable(certificate, "dns_names", "ip_addresses", "policy_oids")
    return any(oid in RESERVED_TLS_POLICIES for oid in certificate.policy_oids)


def is_tls_authority(certificate: CertificateFacts) -> bool:
    """Whether the certificate is a CA's and lets it issue TLS server certificates."""
    verify_readable(certificate, "is_ca", "eku_oids")
    if not certificate.is_ca:
        return False
    purposes = certificate.eku_oids
    return purposes is None or SERVER_AUTHENTICATION in purposes or ANY_PURPOSE in purposes


def issuance_window(certificate: CertificateFacts) -> tuple[datetime, datetime]:
    """Give the first and the last instant at which the certificate can have been signed.

    Where no log entry bounds it from above, notBefore plus the 48 hours of BR 7.1.2.7 does. A
    certificate dated more than 48 hours after it was logged proves its notBefore false: nothing
    then bounds its signing from below. An SCT later than the unit's first log entry only says that
    the precertificate came first.
    """
    claimed = known(certificate.not_before, "notBefore")
    earliest = claimed - _ALLOWANCE if claimed - _BEGINNING > _ALLOWANCE else _BEGINNING
    latest_claim = claimed + _ALLOWANCE if _END - claimed > _ALLOWANCE else _END
    evidence = certificate.issued
    first = earliest if evidence.not_before is None else evidence.not_before
    last = max(first, latest_claim) if evidence.not_after is None else evidence.not_after
    if earliest > last:
        return _BEGINNING, last
    return min(first, last), max(first, last)


def revocation_class(certificate: CertificateFacts, subscriber: Revocation) -> Revocation:
    """Give the clock for this certificate: a CA certificate's is a person's decision, 7 days."""
    return Revocation.DAYS_7_DECISION if certificate.is_ca else subscriber


def dated(certificate: CertificateFacts, since: datetime, breach: Breach) -> tuple[Breach, ...]:
    """Give the breach of a rule in force since an instant, as far as it is proven.

    Nothing where the certificate was signed before; the notice ``issuance_date_uncertain`` where
    it may have been.
    """
    first, last = issuance_window(certificate)
    if last < since:
        return ()
    if first >= since:
        return (breach,)
    return (
        dataclasses.replace(
            breach,
            message=f"{breach.message}; it was signed between {instant(first)} and {instant(last)},"
            f" and the rule is in force since {instant(since)}",
            key=ISSUANCE_DATE_UNCERTAIN,
            severity=Severity.NOTICE,
            revocation=Revocation.NONE,
        ),
    )


def instant(value: datetime) -> str:
    """Give an instant as findings state it: RFC 3339 in UTC, to the second."""
    if value == _BEGINNING:
        return "an unknown time"
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
