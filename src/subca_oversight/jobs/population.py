"""The population of a draw, from the store: which units, which strata, and on whose duty.

Log time decides, never notBefore, so a certificate logged late falls into the next draw and none is
counted twice or never (DESIGN section 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.evidence.constraints import read_constraints
from subca_oversight.evidence.sampling import PopulationUnit, profile_of
from subca_oversight.evidence.transcript import AuthorityCertificate
from subca_oversight.evidence.x509 import parse_certificate
from subca_oversight.store.tables import (
    AuthorityCertificateRow,
    CertificateRow,
    DrawMemberRow,
    UnitRow,
    WatchedKeyRow,
)

_CHUNK = 500
"""Units whose certificates are read in one statement."""


def load_population(
    session: Session, anchor: str, *, end: datetime, previous_end: datetime | None
) -> list[PopulationUnit]:
    """Units first logged before ``end`` and in no population yet; late where before the last end.

    Units whose issuer's signature was never verified do not count: a log could invent them.
    """
    keys = select(WatchedKeyRow.spki_sha256).where(col(WatchedKeyRow.anchor) == anchor)  # type: ignore[call-overload]  # a column, to SQLAlchemy
    drawn_before = select(DrawMemberRow.unit_id).where(  # type: ignore[call-overload]
        col(DrawMemberRow.unit_id) == col(UnitRow.unit_id)
    )
    rows = session.execute(
        select(UnitRow.unit_id, UnitRow.first_logged_ms)  # type: ignore[call-overload]
        .where(
            col(UnitRow.issuer_key_sha256).in_(keys),
            col(UnitRow.confirmed).is_(True),
            col(UnitRow.first_logged_ms) < _milliseconds(end),
            ~drawn_before.exists(),
        )
        .order_by(col(UnitRow.unit_id))
    ).all()
    border = None if previous_end is None else _milliseconds(previous_end)
    population: list[PopulationUnit] = []
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        certificates = _certificates(session, [unit_id for unit_id, _ in chunk])
        population += [
            PopulationUnit(
                unit_id,
                profile_of(
                    parse_certificate(row.der, kind=row.kind)
                    for row in certificates.get(unit_id, ())
                ),
                is_late=border is not None and first_logged_ms < border,
            )
            for unit_id, first_logged_ms in chunk
        ]
    return population


def _certificates(session: Session, unit_ids: Sequence[str]) -> dict[str, list[CertificateRow]]:
    found: dict[str, list[CertificateRow]] = {}
    for row in session.scalars(
        select(CertificateRow).where(
            col(CertificateRow.unit_id).in_(unit_ids), col(CertificateRow.confirmed).is_(True)
        )
    ):
        found.setdefault(row.unit_id, []).append(row)
    session.expunge_all()
    return found


def load_authorities(session: Session, anchor: str) -> list[AuthorityCertificate]:
    """The subordinate's CA certificates, by SHA-256, each with whether BR 8.7 binds its signer."""
    rows = session.scalars(
        select(AuthorityCertificateRow)
        .where(col(AuthorityCertificateRow.anchor) == anchor)
        .order_by(col(AuthorityCertificateRow.sha256))
    )
    return [
        AuthorityCertificate(row.sha256, read_constraints(row.der).br_constrained) for row in rows
    ]


def _milliseconds(instant: datetime) -> int:
    return int(instant.timestamp()) * 1000
