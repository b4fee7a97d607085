"""Tables: logs, what lists say of them, their heads, the windows read, and evidence.

A window is one reading of a log from ``first`` on, filtered with one watch set. Its ``position``
is what was downloaded and folded, its ``verified`` what a signed root has confirmed; coverage is
the verified part of all windows (DESIGN section 5).
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from subca_oversight.store.columns import AUTO_ID, BIG, BYTES, SafeText


class LogRow(SQLModel, table=True):
    """A log ever seen in a list; never deleted, so that its key stays at hand."""

    __tablename__ = "log"

    log_id: str = Field(primary_key=True, max_length=64)
    """SHA-256 of the key, lower-case hex."""
    description: str = Field(sa_type=SafeText)
    operator: str = Field(sa_type=SafeText)
    api: str = Field(max_length=16)
    submission_url: str = Field(sa_type=SafeText)
    monitoring_url: str = Field(sa_type=SafeText)
    key: bytes = Field(sa_type=BYTES)
    mmd: int = Field(sa_type=BIG)
    """Maximum merge delay in seconds."""
    state: str = Field(max_length=16)
    state_since: datetime | None = None
    interval_start: datetime | None = None
    interval_end: datetime | None = None
    final_size: int | None = Field(default=None, sa_type=BIG)
    final_root: bytes | None = Field(default=None, sa_type=BYTES)
    log_type: str | None = Field(default=None, sa_type=SafeText)
    monitored: bool
    """Whether some list has it in a state in which its heads are followed."""
    unmonitored_since: datetime | None = None
    """When it stopped being followed; what was begun of it is finished if it still answers."""
    polled_at: datetime | None = None
    """The latest attempt to read it, whatever came of it."""
    first_seen: datetime
    last_seen: datetime
    """The latest time at which a list named it."""
    serves_tiles: bool | None = None
    """Whether an RFC 6962 log was found to serve its full tiles too; None before it was probed."""
    begun_with: str | None = Field(default=None, max_length=32)
    """The setting ``ct.start`` that was acted on last; another one may ask for what lies before."""
    head_size: int | None = Field(default=None, sa_type=BIG)
    head_timestamp_ms: int | None = Field(default=None, sa_type=BIG)
    last_success: datetime | None = None
    last_error: str | None = Field(default=None, sa_type=SafeText)
    quarantined_at: datetime | None = None
    quarantine_reason: str | None = Field(default=None, sa_type=SafeText)


class LogListRow(SQLModel, table=True):
    """The last good version of each log list."""

    __tablename__ = "log_list"

    source: str = Field(primary_key=True, sa_type=SafeText)
    version: str = Field(sa_type=SafeText)
    published_at: datetime | None = None
    sha256: str = Field(max_length=64)
    body: bytes = Field(sa_type=BYTES)
    """The list as served, zlib-compressed."""
    fetched_at: datetime
    """The latest time at which the source served this, or said that it still does."""
    verified_with: str | None = Field(default=None, max_length=64)
    """SHA-256 of the key file that its signature was verified with; None for an unsigned list."""
    etag: str | None = Field(default=None, max_length=512)
    last_modified: str | None = Field(default=None, max_length=512)


class LogListingRow(SQLModel, table=True):
    """What one list says of one log; kept with its last word when the list drops the log."""

    __tablename__ = "log_listing"

    log_id: str = Field(primary_key=True, foreign_key="log.log_id", max_length=64)
    source: str = Field(primary_key=True, sa_type=SafeText)
    description: str = Field(sa_type=SafeText)
    operator: str = Field(sa_type=SafeText)
    api: str = Field(max_length=16)
    submission_url: str = Field(sa_type=SafeText)
    monitoring_url: str = Field(sa_type=SafeText)
    mmd: int = Field(sa_type=BIG)
    state: str = Field(max_length=16)
    state_since: datetime | None = None
    interval_start: datetime | None = None
    interval_end: datetime | None = None
    final_size: int | None = Field(default=None, sa_type=BIG)
    final_root: bytes | None = Field(default=None, sa_type=BYTES)
    log_type: str | None = Field(default=None, sa_type=SafeText)
    first_listed: datetime
    vanished_at: datetime | None = None


class LogEventRow(SQLModel, table=True):
    """A change in what a list says of a log; rows are only ever added."""

    __tablename__ = "log_event"
    __table_args__ = (Index("ix_log_event_log_id_source", "log_id", "source"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=AUTO_ID)
    log_id: str = Field(foreign_key="log.log_id", max_length=64)
    at: datetime
    """When it was noticed here."""
    source: str = Field(sa_type=SafeText)
    version: str = Field(default="", sa_type=SafeText)
    """Of the list that brought the change."""
    published_at: datetime | None = None
    """The timestamp of that list, where it states one."""
    kind: str = Field(max_length=32)
    """``appeared``, ``vanished``, ``state_changed``, ``url_changed`` …"""
    before: str | None = Field(default=None, sa_type=SafeText)
    after: str | None = Field(default=None, sa_type=SafeText)
    state: str = Field(max_length=16)
    """What the list says of the log's state once this has happened."""
    state_since: datetime | None = None


class TreeHeadRow(SQLModel, table=True):
    """Every distinct verified tree head ever seen, with its signed bytes."""

    __tablename__ = "tree_head"
    __table_args__ = (UniqueConstraint("log_id", "tree_size", "timestamp_ms", "root_hash"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=AUTO_ID)
    log_id: str = Field(foreign_key="log.log_id", index=True)
    tree_size: int = Field(sa_type=BIG)
    timestamp_ms: int = Field(sa_type=BIG)
    root_hash: bytes = Field(sa_type=BYTES)
    raw: bytes = Field(sa_type=BYTES)
    """The answer as served: get-sth JSON or the checkpoint note."""
    first_seen: datetime


class WatchSetRow(SQLModel, table=True):
    """The keys that a window was filtered with."""

    __tablename__ = "watch_set"

    digest: str = Field(primary_key=True, max_length=64)
    keys: str = Field(sa_type=SafeText)
    """JSON array of SPKI SHA-256, sorted."""


class WindowRow(SQLModel, table=True):
    """One reading of a log with one watch set."""

    __tablename__ = "log_window"

    id: int | None = Field(default=None, primary_key=True, sa_type=AUTO_ID)
    log_id: str = Field(foreign_key="log.log_id", index=True)
    kind: str = Field(max_length=16)
    """``tail`` follows the head; ``backfill`` reads again for keys added later."""
    watch_digest: str = Field(foreign_key="watch_set.digest")
    first: int = Field(sa_type=BIG)
    first_range: bytes = Field(sa_type=BYTES)
    """Compact range of the ``first`` leaves before the window."""
    position: int = Field(sa_type=BIG)
    position_range: bytes = Field(sa_type=BYTES)
    verified: int = Field(sa_type=BIG)
    verified_range: bytes = Field(sa_type=BYTES)
    target_size: int | None = Field(default=None, sa_type=BIG)
    """The head that the downloaded part is being read towards; the end of a backfill."""
    target_root: bytes | None = Field(default=None, sa_type=BYTES)
    closed: bool = False
    opened_at: datetime
    updated_at: datetime


class PendingEntryRow(SQLModel, table=True):
    """An entry of interest that was downloaded but is not yet under a verified root."""

    __tablename__ = "pending_entry"

    window_id: int = Field(primary_key=True, foreign_key="log_window.id", sa_type=BIG)
    index: int = Field(primary_key=True, sa_type=BIG)
    malformed: str | None = Field(default=None, sa_type=SafeText)
    """Why it could not be decoded; None for a match."""
    leaf: bytes = Field(sa_type=BYTES)
    """MerkleTreeLeaf as hashed."""
    extra: bytes = Field(sa_type=BYTES)
    """RFC 6962 extra_data, or the unhashed rest of a TileLeaf."""


class UnconfirmedMatchRow(SQLModel, table=True):
    """A match whose unhashed parts or signature could not be confirmed, with its bytes."""

    __tablename__ = "unconfirmed_match"

    log_id: str = Field(primary_key=True, max_length=64)
    index: int = Field(primary_key=True, sa_type=BIG)
    issuer_key_sha256: str = Field(index=True, max_length=64)
    unit_id: str | None = Field(default=None, max_length=64, index=True)
    timestamp_ms: int = Field(sa_type=BIG)
    reason: str = Field(sa_type=SafeText)
    blames_log: bool
    leaf: bytes = Field(sa_type=BYTES)
    extra: bytes = Field(sa_type=BYTES)
    first_seen: datetime


class MalformedEntryRow(SQLModel, table=True):
    """A verified entry that could not be decoded as RFC 6962 3.4 has it."""

    __tablename__ = "malformed_entry"

    log_id: str = Field(primary_key=True, max_length=64)
    index: int = Field(primary_key=True, sa_type=BIG)
    reason: str = Field(sa_type=SafeText)
    leaf: bytes = Field(sa_type=BYTES)
    extra: bytes = Field(sa_type=BYTES)
    first_seen: datetime


class LogEvidenceRow(SQLModel, table=True):
    """Evidence that a log contradicted what it signed."""

    __tablename__ = "log_evidence"
    __table_args__ = (Index("ix_log_evidence_log_id_kind", "log_id", "kind"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=AUTO_ID)
    log_id: str = Field(foreign_key="log.log_id")
    kind: str = Field(max_length=32)
    """``split_view``, ``rollback``, ``corruption``, ``bad_signature``, ``unconfirmed`` …"""
    at: datetime
    tree_size: int | None = Field(default=None, sa_type=BIG)
    head: bytes | None = Field(default=None, sa_type=BYTES)
    """The signed head as served."""
    other_head: bytes | None = Field(default=None, sa_type=BYTES)
    """Another signed head, as served, that the first contradicts."""
    proof: bytes | None = Field(default=None, sa_type=BYTES)
    """JSON: positions and consistency proofs that tie ``body`` or the heads together."""
    computed_root: bytes | None = Field(default=None, sa_type=BYTES)
    body: bytes | None = Field(default=None, sa_type=BYTES)
    """Served bytes that show it, as far as they were kept."""
    detail: str = Field(sa_type=SafeText)
