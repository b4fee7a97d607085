"""Tables: certificates, the units they form, where they were sighted, and what was said of them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from subca_oversight.model.certificate import CertificateKind
from subca_oversight.store.columns import AUTO_ID, BIG, BYTES, SafeText, enum_type


class UnitRow(SQLModel, table=True):
    """All precertificates and finals of one issuer key and serial."""

    __tablename__ = "unit"
    __table_args__ = (Index("ix_unit_issuer_first", "issuer_key_sha256", "first_logged_ms"),)

    unit_id: str = Field(primary_key=True, max_length=64)
    issuer_key_sha256: str = Field(max_length=64)
    serial_hex: str | None = Field(default=None, sa_type=SafeText)
    first_logged_ms: int | None = Field(default=None, sa_type=BIG)
    """Earliest log timestamp over all sightings."""
    not_before: datetime | None = None
    not_after: datetime | None = Field(default=None, index=True)
    confirmed: bool
    """Whether the issuer's signature was verified on at least one of its certificates."""
    baseline: bool = False
    """Issued before the subordinate was first watched: its findings are a quiet baseline."""
    added_at: datetime
    checked_with: str | None = Field(default=None, index=True, max_length=64)
    """Digest of the checks that looked at it as it now stands; None when it changed since."""


class CertificateRow(SQLModel, table=True):
    """A certificate or precertificate by its bytes."""

    __tablename__ = "certificate"

    sha256: str = Field(primary_key=True, max_length=64)
    unit_id: str = Field(foreign_key="unit.unit_id", index=True)
    kind: CertificateKind = Field(sa_type=enum_type(CertificateKind))
    der: bytes = Field(sa_type=BYTES)
    confirmed: bool
    problem: str | None = Field(default=None, sa_type=SafeText)
    """First part that could not be read."""
    linted_with: str | None = Field(default=None, index=True, max_length=160)
    """Tool and rule versions that looked at it; None until then."""


class SightingRow(SQLModel, table=True):
    """One appearance in a log."""

    __tablename__ = "sighting"

    log_id: str = Field(primary_key=True, max_length=64)
    index: int = Field(primary_key=True, sa_type=BIG)
    timestamp_ms: int = Field(sa_type=BIG)
    certificate_sha256: str = Field(foreign_key="certificate.sha256", index=True)
    unit_id: str = Field(index=True, max_length=64)
    added_at: datetime | None = None
    """When it was read: a report as of an earlier instant must not know it."""


class ChainCertificateRow(SQLModel, table=True):
    """An issuer certificate seen in a chain; each is kept once."""

    __tablename__ = "chain_certificate"

    sha256: str = Field(primary_key=True, max_length=64)
    spki_sha256: str | None = Field(default=None, index=True, max_length=64)
    der: bytes = Field(sa_type=BYTES)
    considered_with: str | None = Field(default=None, index=True, max_length=64)
    """Digest of the keys and CA certificates to which it was compared; None until then."""


class AuthoritySightingRow(SQLModel, table=True):
    """A CA certificate about a watched key, signed by a key that is not watched, in a log."""

    __tablename__ = "authority_sighting"

    log_id: str = Field(primary_key=True, max_length=64)
    index: int = Field(primary_key=True, sa_type=BIG)
    timestamp_ms: int = Field(sa_type=BIG)
    certificate_sha256: str = Field(index=True, max_length=64)
    added_at: datetime


class OperatorCertificateRow(SQLModel, table=True):
    """A certificate that the operator gave in a file: issued, but not therefore logged."""

    __tablename__ = "operator_certificate"

    certificate_sha256: str = Field(
        primary_key=True, max_length=64, foreign_key="certificate.sha256"
    )
    unit_id: str = Field(index=True, max_length=64)
    anchor: str = Field(foreign_key="subordinate.anchor", index=True)
    file: str = Field(sa_type=SafeText)
    """Name of the file as given, and of the member where it was an archive."""
    added_at: datetime


class LintRunRow(SQLModel, table=True):
    """One linter's look at one certificate."""

    __tablename__ = "lint_run"

    certificate_sha256: str = Field(primary_key=True, max_length=64)
    tool: str = Field(primary_key=True, max_length=32)
    profile: str = Field(sa_type=SafeText)
    versions: str = Field(sa_type=SafeText)
    """Tool version and rule-data version, for example ``0.13.3 psl 20261023``."""
    error: str | None = Field(default=None, sa_type=SafeText)
    """Why the tool could not judge; such a certificate is not linted, and never clean."""
    at: datetime


class LintResultRow(SQLModel, table=True):
    """One result of a linter."""

    __tablename__ = "lint_result"

    id: int | None = Field(default=None, primary_key=True, sa_type=AUTO_ID)
    certificate_sha256: str = Field(index=True, max_length=64)
    unit_id: str = Field(index=True, max_length=64)
    tool: str = Field(max_length=32)
    lint: str = Field(sa_type=SafeText)
    severity: str = Field(max_length=16)
    profile: str = Field(sa_type=SafeText)
    message: str = Field(sa_type=SafeText)


class CheckFailureRow(SQLModel, table=True):
    """A check that could not run on a subject: the subject was not looked at."""

    __tablename__ = "check_failure"

    check_id: str = Field(primary_key=True, max_length=64)
    subject: str = Field(primary_key=True, max_length=96)
    anchor: str = Field(index=True, max_length=64)
    reason: str = Field(sa_type=SafeText)
    at: datetime


class CheckCoverageRow(SQLModel, table=True):
    """How many subjects of a subordinate a check looked at in its last run."""

    __tablename__ = "check_coverage"

    check_id: str = Field(primary_key=True, max_length=64)
    anchor: str = Field(primary_key=True, max_length=64)
    rule_version: str = Field(max_length=64)
    clear: int = Field(sa_type=BIG)
    breach: int = Field(sa_type=BIG)
    could_not_run: int = Field(sa_type=BIG)
    at: datetime
