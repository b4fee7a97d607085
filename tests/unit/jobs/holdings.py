"""A subordinate with certificates in the store, as harvesting leaves them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from subca_oversight.evidence.registration import read_configured, register_subordinates
from subca_oversight.model.certificate import CertificateKind
from subca_oversight.model.subordinate import Relation
from subca_oversight.settings import SubordinateSettings
from subca_oversight.store.database import Database
from subca_oversight.store.tables import CertificateRow, SightingRow, UnitRow
from tests.unit.evidence.issuing import NOT_BEFORE, Issuer, make_leaf

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LIVE = NOW + timedelta(days=30)
LOG = "10" * 32


class Holdings:
    """What was harvested of one issuer."""

    def __init__(self, database: Database, issuer: Issuer, folder: Path) -> None:
        self.database = database
        self.issuer = issuer
        self.folder = folder

    def entry(self, name: str = "acme") -> SubordinateSettings:
        path = self.folder / "issuer.pem"
        path.write_bytes(self.issuer.pem)
        return SubordinateSettings(
            name=name, operator="Acme", relation=Relation.CROSS_SIGNED, certificates=(path,)
        )

    def register(self) -> None:
        with self.database.write() as session:
            register_subordinates(session, read_configured([self.entry()]), now=NOW)

    def add(
        self,
        serial: int,
        *,
        not_after: datetime = LIVE,
        precertificate: bool = False,
        confirmed: bool = True,
    ) -> str:
        """Add a certificate to the unit of ``serial``, which is made where it is new."""
        unit_id = f"{serial:064x}"
        der = make_leaf(self.issuer, serial, not_after=not_after, precertificate=precertificate)
        sha256 = hashlib.sha256(der).hexdigest()
        logged = int(NOT_BEFORE.timestamp() * 1000) + serial
        kind = CertificateKind.PRECERTIFICATE if precertificate else CertificateKind.FINAL
        with self.database.write() as session:
            unit = session.get(UnitRow, unit_id)
            if unit is None:
                unit = UnitRow(
                    unit_id=unit_id,
                    issuer_key_sha256=self.issuer.key_sha256,
                    serial_hex=f"{serial:04x}",
                    first_logged_ms=logged,
                    not_before=NOT_BEFORE,
                    not_after=not_after,
                    confirmed=confirmed,
                    added_at=NOW,
                )
            unit.checked_with = None
            session.add(unit)
            session.flush()
            session.add(
                CertificateRow(
                    sha256=sha256, unit_id=unit_id, kind=kind, der=der, confirmed=confirmed
                )
            )
            session.flush()
            session.add(
                SightingRow(
                    log_id=LOG,
                    index=serial * 2 + precertificate,
                    timestamp_ms=logged,
                    certificate_sha256=sha256,
                    unit_id=unit_id,
                    added_at=NOW,
                )
            )
        return unit_id
