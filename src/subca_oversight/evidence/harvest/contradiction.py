"""Evidence against a log: what it signed, what it served, and that the two do not agree.

A log that contradicts itself may be hiding certificates, so nothing of the window counts, the proof
is kept before anything else happens, the log is quarantined until it is right again, and someone is
told. RFC 6962 section 7.3 (misbehaving logs).
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

from sqlalchemy import func, select
from sqlmodel import Session, col

from subca_oversight.errors import LogMisbehaved
from subca_oversight.store.database import upsert_ignoring
from subca_oversight.store.tables import AlertEventRow, LogEvidenceRow, LogRow, TreeHeadRow

MAX_BODY = 1024 * 1024
"""Octets of served bytes kept with one piece of evidence."""
_MAX_ROWS = 20
"""Pieces of evidence of one kind kept in one quarantine: a broken log is polled for weeks."""


class Contradiction(LogMisbehaved):
    """A log's answers contradict what it signed; carries what proves it."""

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        tree_size: int | None = None,
        head: bytes | None = None,
        computed_root: bytes | None = None,
        body: bytes | None = None,
        other_head: bytes | None = None,
        other: tuple[int, bytes] | None = None,
        proof: bytes | None = None,
        detail: str = "",
        url: str | None = None,
    ) -> None:
        """``other`` is size and root of another head, where its bytes are not at hand here."""
        super().__init__(message, url=url)
        self.kind = kind
        self.tree_size = tree_size
        self.head = head
        self.computed_root = computed_root
        self.body = None if body is None else body[:MAX_BODY]
        self.other_head = other_head
        self.other = other
        self.proof = proof
        self.detail = message if len(detail) == 0 else f"{message}\n{detail}"


def record_contradiction(
    session: Session, log_id: str, contradiction: Contradiction, now: datetime
) -> None:
    """Keep the evidence, quarantine the log, and enqueue the alert."""
    log = session.get_one(LogRow, log_id)
    if log.quarantined_at is None:
        log.quarantined_at = now
    log.quarantine_reason = str(contradiction)
    log.last_error = str(contradiction)
    session.add(log)
    session.flush()
    kept = session.scalar(
        select(func.count())
        .select_from(LogEvidenceRow)
        .where(
            col(LogEvidenceRow.log_id) == log_id,
            col(LogEvidenceRow.kind) == contradiction.kind,
            col(LogEvidenceRow.at) >= log.quarantined_at,
        )
    )
    if (kept or 0) < _MAX_ROWS and not _is_kept(session, log_id, contradiction):
        session.add(
            LogEvidenceRow(
                log_id=log_id,
                kind=contradiction.kind,
                at=now,
                tree_size=contradiction.tree_size,
                head=contradiction.head,
                other_head=_other_head(session, log_id, contradiction),
                proof=contradiction.proof,
                computed_root=contradiction.computed_root,
                body=contradiction.body,
                detail=contradiction.detail,
            )
        )
    enqueue_alert(
        session,
        kind="log_misbehaved",
        identity=f"{log_id} {contradiction.kind} {log.quarantined_at.isoformat()}",
        text=f"{log.description}: {contradiction}",
        now=now,
    )


def record_blame(
    session: Session, log_id: str, kind: str, identity: str, text: str, body: bytes, now: datetime
) -> None:
    """Keep evidence of a fault that spoils single entries, and enqueue the alert."""
    log = session.get_one(LogRow, log_id)
    known = session.scalars(
        select(col(LogEvidenceRow.id)).where(
            col(LogEvidenceRow.log_id) == log_id,
            col(LogEvidenceRow.kind) == kind,
            col(LogEvidenceRow.detail) == text,
        )
    ).first()
    if known is None:
        session.add(
            LogEvidenceRow(log_id=log_id, kind=kind, at=now, body=body[:MAX_BODY], detail=text)
        )
    enqueue_alert(
        session,
        kind="log_misbehaved",
        identity=f"{log_id} {kind} {identity}",
        text=f"{log.description}: {text}",
        now=now,
    )


def enqueue_alert(
    session: Session,
    *,
    kind: str,
    identity: str,
    text: str,
    now: datetime,
    severity: str = "violation",
) -> None:
    """Write an alert event about a log; the same ``identity`` is never written twice."""
    row = {
        "key": sha256(f"{kind} {identity}".encode()).hexdigest(),
        "kind": kind,
        "anchor": None,
        "check_id": "",
        "fingerprint": None,
        "severity": severity,
        "text": text,
        "at": now,
        "notice_id": None,
    }
    upsert_ignoring(session, AlertEventRow, [row])


def clear_quarantine(session: Session, log_id: str, now: datetime) -> None:
    """Note a success: the log is right (again). Evidence stays."""
    log = session.get_one(LogRow, log_id)
    log.last_success = now
    log.last_error = None
    log.quarantined_at = None
    log.quarantine_reason = None
    session.add(log)


def _other_head(session: Session, log_id: str, contradiction: Contradiction) -> bytes | None:
    if contradiction.other is None:
        return contradiction.other_head
    size, root = contradiction.other
    return session.scalars(
        select(col(TreeHeadRow.raw))
        .where(
            col(TreeHeadRow.log_id) == log_id,
            col(TreeHeadRow.tree_size) == size,
            col(TreeHeadRow.root_hash) == root,
        )
        .order_by(col(TreeHeadRow.id))
    ).first()


def _is_kept(session: Session, log_id: str, contradiction: Contradiction) -> bool:
    rows = session.scalars(
        select(LogEvidenceRow).where(
            col(LogEvidenceRow.log_id) == log_id,
            col(LogEvidenceRow.kind) == contradiction.kind,
            col(LogEvidenceRow.tree_size) == contradiction.tree_size,
        )
    )
    return any(
        row.head == contradiction.head
        and row.computed_root == contradiction.computed_root
        and row.proof == contradiction.proof
        and row.body == contradiction.body
        for row in rows
    )
