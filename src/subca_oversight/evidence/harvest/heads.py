"""Tree heads: fetched, verified by signature, and held against every head seen before.

A split view shows only when what a log says today is compared with what it said before, so each
distinct head is kept with its signed bytes. A smaller head than one already verified is harmless,
for replicas lag, once it is proven to be on the verified chain. RFC 6962 3.5, 4.3 and 7.3.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.errors import SourceError, VerificationError
from subca_oversight.evidence.harvest.contradiction import Contradiction, record_contradiction
from subca_oversight.evidence.harvest.freshness import note_freshness
from subca_oversight.evidence.harvest.tile_proof import TileReader
from subca_oversight.evidence.log_proof import SplitProof
from subca_oversight.evidence.merkle import CompactRange, verify_consistency
from subca_oversight.evidence.signatures import (
    parse_tree_head,
    verify_checkpoint,
    verify_tree_head,
)
from subca_oversight.model.log import Log, LogApi, TreeHead
from subca_oversight.sources.rfc6962 import Rfc6962Log
from subca_oversight.sources.static_ct import StaticLog
from subca_oversight.store.database import upsert_ignoring
from subca_oversight.store.tables import LogEvidenceRow, LogRow, TreeHeadRow

LogClient = Rfc6962Log | StaticLog

_SIGNATURE_MARKS = {
    LogApi.RFC6962: (b"tree_head_signature", b"sha256_root_hash"),
    LogApi.STATIC: ("\n— ".encode(),),
}
"""What tells a head that is wrong from an answer that is no head at all."""


def load_head(log: Log, raw: bytes) -> TreeHead:
    """Read and verify a served head.

    Raises Contradiction where it is a head that the log did not sign so, and SourceError where it
    is none.
    """
    try:
        if log.api is LogApi.STATIC:
            return verify_checkpoint(log, raw)
        head = parse_tree_head(raw, log)
        verify_tree_head(log, head)
    except VerificationError as error:
        raise Contradiction(str(error), kind="bad_signature", head=raw) from None
    except SourceError as error:
        claims = log.origin.encode(), *_SIGNATURE_MARKS[log.api]
        if any(mark in raw for mark in claims):
            raise Contradiction(str(error), kind="bad_head", head=raw) from None
        raise
    return head


def record_head(session: Session, log: Log, head: TreeHead, now: datetime) -> Contradiction | None:
    """Keep a verified head; return what it contradicts among the heads seen before, if anything.

    Of two roots for one size, and of growth past a final head, the second run knows already: there
    the entries decide. A tree that stays shrunk is returned each time.
    """
    log_id = log.log_id.hex()
    contradiction = _find_contradiction(session, log, head)
    upsert_ignoring(
        session,
        TreeHeadRow,
        [
            {
                "log_id": log_id,
                "tree_size": head.tree_size,
                "timestamp_ms": head.timestamp_ms,
                "root_hash": head.root_hash,
                "raw": head.raw,
                "first_seen": now,
            }
        ],
    )
    note_freshness(session, log, head, now)
    row = session.get_one(LogRow, log_id)
    if row.head_size is None or head.tree_size >= row.head_size:
        row.head_size = head.tree_size
        row.head_timestamp_ms = head.timestamp_ms
        session.add(row)
        session.flush()
    if contradiction is None:
        return None
    if contradiction.kind != "rollback" and _is_known(session, log_id, contradiction):
        return None
    record_contradiction(session, log_id, contradiction, now)
    return contradiction


async def verify_smaller_head(
    client: LogClient, log: Log, head: TreeHead, verified: CompactRange
) -> None:
    """Raise Contradiction unless ``head`` is on the chain that was verified beyond it.

    Raises SourceError where the log does not let that be proven.
    """
    proof: tuple[bytes, ...] = ()
    try:
        if head.tree_size == 0:
            CompactRange().verify_root(head.root_hash)
            return
        if head.tree_size == verified.size:
            verified.verify_root(head.root_hash)
            return
        if isinstance(client, Rfc6962Log):
            proof = await client.fetch_consistency(head.tree_size, verified.size)
        else:
            proof = await TileReader(client, verified.size).consistency(head.tree_size)
        verify_consistency(head.tree_size, verified.size, proof, head.root_hash, verified.root())
    except VerificationError as error:
        raise Contradiction(
            f"{log.description}: its head of size {head.tree_size} is not of the tree that was"
            f" verified up to {verified.size}: {error}",
            kind="split_view",
            tree_size=head.tree_size,
            head=head.raw,
            computed_root=verified.root(),
            other=(verified.size, verified.root()),
            proof=SplitProof(head.tree_size, verified.size, proof).encode(),
        ) from None


def _find_contradiction(session: Session, log: Log, head: TreeHead) -> Contradiction | None:
    seen = select(TreeHeadRow).where(col(TreeHeadRow.log_id) == log.log_id.hex())
    other = session.scalars(
        seen.where(
            col(TreeHeadRow.tree_size) == head.tree_size,
            col(TreeHeadRow.root_hash) != head.root_hash,
        ).order_by(col(TreeHeadRow.id))
    ).first()
    if other is not None:
        return Contradiction(
            f"{log.description}: it signed two roots of size {head.tree_size}",
            kind="split_view",
            tree_size=head.tree_size,
            head=head.raw,
            computed_root=other.root_hash,
            other_head=other.raw,
        )
    larger = session.scalars(
        seen.where(
            col(TreeHeadRow.tree_size) > head.tree_size,
            col(TreeHeadRow.timestamp_ms) < head.timestamp_ms,
        ).order_by(col(TreeHeadRow.tree_size).desc())
    ).first()
    if larger is not None:
        return Contradiction(
            f"{log.description}: its tree shrank from {larger.tree_size} to {head.tree_size}"
            " entries",
            kind="rollback",
            tree_size=head.tree_size,
            head=head.raw,
            computed_root=larger.root_hash,
            other_head=larger.raw,
        )
    final = log.final_tree_head
    if final is not None and (
        head.tree_size > final.tree_size
        or (head.tree_size == final.tree_size and head.root_hash != final.root_hash)
    ):
        return Contradiction(
            f"{log.description}: a head of size {head.tree_size} does not fit its final head of"
            f" size {final.tree_size}",
            kind="past_final_head",
            tree_size=head.tree_size,
            head=head.raw,
            computed_root=final.root_hash,
        )
    return None


def _is_known(session: Session, log_id: str, contradiction: Contradiction) -> bool:
    """Whether evidence of this kind is held for the size and the root that it contradicts."""
    return (
        session.scalars(
            select(col(LogEvidenceRow.id)).where(
                col(LogEvidenceRow.log_id) == log_id,
                col(LogEvidenceRow.kind) == contradiction.kind,
                col(LogEvidenceRow.tree_size) == contradiction.tree_size,
            )
        ).first()
        is not None
    )
