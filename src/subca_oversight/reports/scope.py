"""Scope: who and what a report is about, as far as it was known at its instant.

Name, operator and relation are those of the configuration at the making: the store keeps no history
of them. CA certificates and keys count from the instant at which they became known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.evidence.constraints import read_constraints
from subca_oversight.evidence.x509 import parse_certificate
from subca_oversight.reports.population import first_name
from subca_oversight.store.tables import AuthorityCertificateRow, SubordinateRow, WatchedKeyRow

_PURPOSES = {
    "1.3.6.1.5.5.7.3.1": "TLS server",
    "1.3.6.1.5.5.7.3.2": "TLS client",
    "1.3.6.1.5.5.7.3.3": "code signing",
    "1.3.6.1.5.5.7.3.4": "e-mail",
    "1.3.6.1.5.5.7.3.8": "time stamping",
    "1.3.6.1.5.5.7.3.9": "OCSP signing",
    "2.5.29.37.0": "any purpose",
}


@dataclass(frozen=True, slots=True)
class AuthorityScope:
    """A CA certificate of the subordinate."""

    sha256: str
    spki_sha256: str
    name: str
    not_before: datetime | None
    not_after: datetime | None
    days_left: int | None
    """Whole days from the report's instant to notAfter; negative once expired."""
    purposes: tuple[str, ...]
    """Of its extended key usages; empty where it has none, which allows every purpose."""
    br_constrained: bool | None
    """In the BR's sense (7.1.2.3, 7.1.2.5): its signer then owes quarterly samples (BR 8.7)."""
    mrsp_constrained: bool | None
    """In Mozilla's sense (MRSP 5.3.1): no audit is owed."""
    provenance: str
    first_seen: datetime


@dataclass(frozen=True, slots=True)
class KeyScope:
    """An issuing key that is watched."""

    spki_sha256: str
    provenance: str
    confirmed: bool
    """Whether a CA certificate of the key was at hand, so that signatures could be verified."""
    watched_since: datetime
    unwatched_at: datetime | None


@dataclass(frozen=True, slots=True)
class Scope:
    """The subordinate."""

    anchor: str
    name: str
    operator: str
    relation: str
    organization: str
    """The signing CA; empty where the configuration does not name it."""
    registered_at: datetime
    authorities: tuple[AuthorityScope, ...]
    keys: tuple[KeyScope, ...]

    @property
    def has_sampling_duty(self) -> bool:
        """Whether BR 8.7 makes the signing CA sample this subordinate."""
        return any(one.br_constrained is True for one in self.authorities)


def load_scope(session: Session, anchor: str, *, organization: str, as_of: datetime) -> Scope:
    """The scope of the subordinate with this anchor, which must exist."""
    row = session.get_one(SubordinateRow, anchor)
    authorities = tuple(
        _authority(one, as_of)
        for one in session.scalars(
            select(AuthorityCertificateRow)
            .where(
                col(AuthorityCertificateRow.anchor) == anchor,
                col(AuthorityCertificateRow.first_seen) <= as_of,
            )
            .order_by(col(AuthorityCertificateRow.sha256))
        )
    )
    confirmed = {one.spki_sha256 for one in authorities}
    keys = session.scalars(
        select(WatchedKeyRow)
        .where(col(WatchedKeyRow.anchor) == anchor, col(WatchedKeyRow.watched_since) <= as_of)
        .order_by(col(WatchedKeyRow.watched_since), col(WatchedKeyRow.spki_sha256))
    )
    return Scope(
        anchor=anchor,
        name=row.name,
        operator=row.operator,
        relation=row.relation.value,
        organization=organization,
        registered_at=row.registered_at,
        authorities=authorities,
        keys=tuple(
            KeyScope(
                spki_sha256=key.spki_sha256,
                provenance=key.provenance.value,
                confirmed=key.spki_sha256 in confirmed,
                watched_since=key.watched_since,
                unwatched_at=_until(key.unwatched_at, as_of),
            )
            for key in keys
        ),
    )


def _authority(row: AuthorityCertificateRow, as_of: datetime) -> AuthorityScope:
    facts = parse_certificate(row.der, issuer_key_sha256=row.spki_sha256)
    constraints = read_constraints(row.der)
    ekus = () if facts.eku_oids is None else facts.eku_oids
    return AuthorityScope(
        sha256=row.sha256,
        spki_sha256=row.spki_sha256,
        name=facts.common_names[0] if len(facts.common_names) > 0 else first_name(facts),
        not_before=facts.not_before,
        not_after=facts.not_after,
        days_left=None if facts.not_after is None else (facts.not_after - as_of).days,
        purposes=tuple(_PURPOSES.get(oid, oid) for oid in ekus),
        br_constrained=constraints.br_constrained,
        mrsp_constrained=constraints.mrsp_constrained,
        provenance=row.provenance.value,
        first_seen=row.first_seen,
    )


def _until(instant: datetime | None, as_of: datetime) -> datetime | None:
    return None if instant is None or instant > as_of else instant
