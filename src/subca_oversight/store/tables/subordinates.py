"""Tables: subordinate CAs, their watched keys and their CA certificates."""

from __future__ import annotations

from datetime import date, datetime

from sqlmodel import Field, SQLModel

from subca_oversight.model.subordinate import KeyProvenance, Relation
from subca_oversight.store.columns import BYTES, SafeText, enum_type


class SubordinateRow(SQLModel, table=True):
    """A subordinate CA, known by the first key it was registered with."""

    __tablename__ = "subordinate"

    anchor: str = Field(primary_key=True, max_length=64)
    name: str = Field(unique=True, sa_type=SafeText)
    operator: str = Field(sa_type=SafeText)
    relation: Relation = Field(sa_type=enum_type(Relation))
    contacts: str = Field(default="[]", sa_type=SafeText)
    """JSON array of mail addresses."""
    contract_end: date | None = None
    registered_at: datetime
    retired_at: datetime | None = None


class WatchedKeyRow(SQLModel, table=True):
    """An issuing key of a subordinate."""

    __tablename__ = "watched_key"

    spki_sha256: str = Field(primary_key=True, max_length=64)
    anchor: str = Field(foreign_key="subordinate.anchor", index=True)
    provenance: KeyProvenance = Field(sa_type=enum_type(KeyProvenance))
    spki: bytes | None = Field(default=None, sa_type=BYTES)
    """SubjectPublicKeyInfo, where a CA certificate is at hand: the key is then confirmed."""
    watched_since: datetime
    unwatched_at: datetime | None = None


class AuthorityCertificateRow(SQLModel, table=True):
    """A CA certificate of a subordinate's key."""

    __tablename__ = "authority_certificate"

    sha256: str = Field(primary_key=True, max_length=64)
    spki_sha256: str = Field(index=True, max_length=64)
    anchor: str = Field(foreign_key="subordinate.anchor", index=True)
    der: bytes = Field(sa_type=BYTES)
    provenance: KeyProvenance = Field(sa_type=enum_type(KeyProvenance))
    first_seen: datetime
    issuer_key_sha256: str | None = Field(default=None, max_length=64)
    """SPKI hash of the key that was seen to have signed it; None where none was at hand."""
