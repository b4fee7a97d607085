"""Whether a log's heads are of the present: neither older than it promised nor signed for later.

A log merges what it accepted within its maximum merge delay and signs a head at least that often; a
head that is older may hide entries that a certificate's timestamps promise. RFC 6962 3 and 3.5.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import Session, col

from subca_oversight.evidence.harvest.contradiction import enqueue_alert
from subca_oversight.evidence.log_verdict import FUTURE_TOLERANCE
from subca_oversight.model.log import Log, LogState, TreeHead
from subca_oversight.store.tables import LogEvidenceRow, TreeHeadRow

STALE_SLACK = timedelta(hours=1)
"""Beyond the maximum merge delay: logs with a delay of a minute pause for a restart."""


def note_freshness(session: Session, log: Log, head: TreeHead, now: datetime) -> None:
    """Keep evidence of a head of the future, and of a newest head that is too old; tell once.

    What a log that is no longer written to has signed last is as old as it may be.
    """
    now_ms = int(now.timestamp() * 1000)
    if head.timestamp_ms > now_ms + FUTURE_TOLERANCE // timedelta(milliseconds=1):
        text = f"a head of size {head.tree_size} is signed for the future, {_instant(head)}"
        _keep(session, log, head, "future_head", text, f"{now:%Y-%m-%d}", now)
    if log.state is LogState.READONLY or log.final_tree_head is not None:
        return
    limit_ms = now_ms - (timedelta(seconds=log.mmd) + STALE_SLACK) // timedelta(milliseconds=1)
    if head.timestamp_ms >= limit_ms:
        return
    newest_ms = session.scalar(
        select(func.max(col(TreeHeadRow.timestamp_ms))).where(
            col(TreeHeadRow.log_id) == log.log_id.hex()
        )
    )
    if newest_ms == head.timestamp_ms:
        text = (
            f"its newest head, of size {head.tree_size}, was signed {_instant(head)}, longer ago"
            f" than its maximum merge delay of {log.mmd} s allows"
        )
        _keep(session, log, head, "stale_head", text, str(newest_ms), now)


def _keep(
    session: Session, log: Log, head: TreeHead, kind: str, text: str, occasion: str, now: datetime
) -> None:
    log_id = log.log_id.hex()
    known = session.scalars(
        select(col(LogEvidenceRow.id)).where(
            col(LogEvidenceRow.log_id) == log_id,
            col(LogEvidenceRow.kind) == kind,
            col(LogEvidenceRow.head) == head.raw,
        )
    ).first()
    if known is None:
        session.add(
            LogEvidenceRow(
                log_id=log_id,
                kind=kind,
                at=now,
                tree_size=head.tree_size,
                head=head.raw,
                detail=text,
            )
        )
    enqueue_alert(
        session,
        kind=f"log_{kind}",
        identity=f"{log_id} {occasion}",
        text=f"{log.description}: {text}",
        now=now,
        severity="should",
    )


def _instant(head: TreeHead) -> str:
    try:
        at = datetime.fromtimestamp(head.timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{head.timestamp_ms} ms after 1970"
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
