"""When a CA certificate must be disclosed in CCADB, and which ones must.

CCADB Policy 3.2 and MRSP 5.3.2: within 7 calendar days of issuance, of which the first trace is the
latest possible proof. A certificate without a purpose but Certificate Transparency's builds no path
that anybody validates.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from subca_oversight.check.api import AuthorityRecord
from subca_oversight.check.scope import verify_readable
from subca_oversight.model.certificate import CertificateFacts

_DAYS = 7
_PRECERTIFICATE_SIGNING = ("1.3.6.1.4.1.11129.2.4.4",)


def disclosure_deadline(record: AuthorityRecord) -> datetime:
    """The instant at which disclosure is late for certain: the end of the seventh day."""
    proven = record.first_seen
    if record.first_logged is not None:
        proven = min(proven, record.first_logged)
    day = proven.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day + timedelta(days=_DAYS + 1)


def is_capable_authority(certificate: CertificateFacts, as_of: datetime) -> bool:
    """Whether it is an unexpired CA certificate with which certificates can be validated.

    Raises CannotJudge where that cannot be read.
    """
    verify_readable(certificate, "is_ca", "eku_oids", "not_after")
    if not certificate.is_ca or certificate.eku_oids == _PRECERTIFICATE_SIGNING:
        return False
    return certificate.not_after is None or certificate.not_after >= as_of
