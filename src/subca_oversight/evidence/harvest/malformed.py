"""Verified entries that no one can decode, and whose they seem to be.

A malformed entry is evidence; one whose bytes carry a watched issuer key hash is a matter of that
subordinate, for the check ``certificate-unparseable`` to raise. RFC 6962 3.4.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.store.tables import MalformedEntryRow


@dataclass(frozen=True, slots=True)
class MalformedEntry:
    """A malformed entry that names a watched key."""

    log_id: str
    index: int
    reason: str
    issuer_key_sha256: str
    leaf: bytes


def malformed_entries_naming(session: Session, keys: Collection[str]) -> list[MalformedEntry]:
    """The malformed entries whose hashed bytes carry one of these SPKI hashes (hex)."""
    wanted = [(key, bytes.fromhex(key)) for key in sorted(keys)]
    rows = session.scalars(
        select(MalformedEntryRow).order_by(
            col(MalformedEntryRow.log_id), col(MalformedEntryRow.index)
        )
    )
    return [
        MalformedEntry(row.log_id, row.index, row.reason, key, row.leaf)
        for row in rows
        for key, octets in wanted
        if octets in row.leaf
    ]
