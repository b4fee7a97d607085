"""When a certificate was signed, as far as that can be proven, and which unit it belongs to.

Dated rules apply by the time of signing, of which notBefore is only a claim: embedded SCTs bound it
from below, log timestamps from above (DESIGN section 7; BR 7.1.2.7 for the 48 hours).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from subca_oversight.model.certificate import CertificateFacts, CertificateKind, IssuanceEvidence

NOT_BEFORE_ALLOWANCE = timedelta(hours=48)
_EARLIEST = datetime.min.replace(tzinfo=UTC)


def issuance_evidence(facts: CertificateFacts, first_logged: datetime | None) -> IssuanceEvidence:
    """The interval in which the certificate must have been signed.

    ``first_logged`` is the earliest timestamp of a log entry of this very certificate, or of its
    unit. Where that proof contradicts the claimed notBefore (a certificate dated more than 48 hours
    ahead) the proof wins, and the interval is that one instant.
    """
    not_before = lower_bound(facts.kind, facts.not_before, facts.sct_timestamps)
    if not_before is not None and first_logged is not None:
        not_before = min(not_before, first_logged)
    return IssuanceEvidence(not_before=not_before, not_after=first_logged)


def lower_bound(
    kind: CertificateKind, claimed: datetime | None, sct_timestamps: Iterable[datetime]
) -> datetime | None:
    """The instant before which it was not signed; ``claimed`` is notBefore."""
    bounds: list[datetime] = []
    if claimed is not None:
        near_the_beginning = claimed - _EARLIEST < NOT_BEFORE_ALLOWANCE
        bounds.append(_EARLIEST if near_the_beginning else claimed - NOT_BEFORE_ALLOWANCE)
    if kind is CertificateKind.FINAL:
        bounds.extend(sct_timestamps)
    return max(bounds, default=None)


def unit_id(issuer_spki_sha256: bytes, serial: bytes) -> str:
    """SHA-256 over the issuer's SPKI hash (32 octets) and the serial's content octets, in hex."""
    if len(issuer_spki_sha256) != hashlib.sha256().digest_size:
        raise ValueError("the issuer's SPKI hash has 32 octets")
    return hashlib.sha256(issuer_spki_sha256 + serial).hexdigest()


def unit_id_without_serial(octets: bytes) -> str:
    """The unit of a certificate whose serial cannot be read: the SHA-256 of its DER."""
    return hashlib.sha256(octets).hexdigest()
