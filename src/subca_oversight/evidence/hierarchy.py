"""The hierarchy that the CCADB records state, climbed with care.

Parents are named by record id and, beside it, by fingerprint; either can be wrong or absent, the
same certificate can have two records, and a hostile or broken export can hold a cycle. Every climb
ends, and says how it ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from subca_oversight.model.audit import CertificateRecord, RecordType, RevocationStatus

MAX_DEPTH = 16
"""Three levels of inheritance is the most that has been seen."""


class LineageEnd(StrEnum):
    """How a climb ended."""

    ROOT = "root"
    MISSING = "missing"
    CYCLE = "cycle"
    TOO_DEEP = "too_deep"


@dataclass(frozen=True, slots=True)
class Lineage:
    """The ancestors of a record, nearest first, and how the climb ended."""

    ancestors: tuple[CertificateRecord, ...]
    end: LineageEnd

    @property
    def is_revoked(self) -> bool:
        """Whether some ancestor is revoked, or stands below a revoked one."""
        return any(
            ancestor.revocation in (RevocationStatus.REVOKED, RevocationStatus.PARENT_REVOKED)
            for ancestor in self.ancestors
        )


class Hierarchy:
    """Records by record id and by fingerprint."""

    __slots__ = ("_by_id", "_by_sha256")

    def __init__(self, records: Sequence[CertificateRecord]) -> None:
        self._by_id: dict[str, CertificateRecord] = {}
        self._by_sha256: dict[str, list[CertificateRecord]] = {}
        for record in records:
            self._by_id.setdefault(record.record_id, record)
            self._by_sha256.setdefault(record.sha256, []).append(record)

    def find_parent(self, record: CertificateRecord) -> CertificateRecord | None:
        """Return the parent's record: by record id, else by fingerprint, a root record first."""
        if record.type is RecordType.ROOT:
            return None
        by_id = self._by_id.get(record.parent_record_id)
        if by_id is not None:
            return by_id
        named = self._by_sha256.get(record.parent_sha256, [])
        roots = (candidate for candidate in named if candidate.type is RecordType.ROOT)
        return next(roots, named[0] if len(named) > 0 else None)

    def climb(self, record: CertificateRecord) -> Lineage:
        """Return all ancestors up to a root, a gap, a cycle or the depth limit."""
        ancestors: list[CertificateRecord] = []
        seen = {record.record_id}
        below = record
        while below.type is not RecordType.ROOT:
            parent = self.find_parent(below)
            if parent is None:
                return Lineage(tuple(ancestors), LineageEnd.MISSING)
            if parent.record_id in seen:
                return Lineage(tuple(ancestors), LineageEnd.CYCLE)
            if len(ancestors) == MAX_DEPTH:
                return Lineage(tuple(ancestors), LineageEnd.TOO_DEEP)
            seen.add(parent.record_id)
            ancestors.append(parent)
            below = parent
        return Lineage(tuple(ancestors), LineageEnd.ROOT)

    def find_twins(self, record: CertificateRecord) -> tuple[CertificateRecord, ...]:
        """Return the other records of the same certificate."""
        same = self._by_sha256.get(record.sha256, [])
        return tuple(twin for twin in same if twin is not record)
