"""Since and until when nothing under a watched key can have been missed in the logs.

"It is in no log" is only true where every log that takes certificates was read for the key, from
before the certificate can have been signed to after it must have been merged (DESIGN section 2,
principle 2). Where reading began in the middle, the span begins when it was begun.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import func, select, update
from sqlmodel import Session, col

from subca_oversight.evidence.harvest import coverage
from subca_oversight.evidence.scts import instant_of
from subca_oversight.model.certificate import LogReading
from subca_oversight.model.log import LogState
from subca_oversight.store.tables import CheckFailureRow, LogRow, UnitRow, WindowRow

NOT_LOGGED = "not-logged"
"""The check whose answer changes with what was read, not with the unit."""
_TAKING = (LogState.PENDING.value, LogState.QUALIFIED.value, LogState.USABLE.value)
_BEGINNING = datetime.min.replace(tzinfo=UTC)


def load_log_readings(session: Session) -> dict[str, LogReading]:
    """The span of each watched key (hex) that was read completely; others are absent."""
    logs = {row.log_id: row for row in session.scalars(select(LogRow))}
    taking = [row for row in logs.values() if row.state in _TAKING]
    heads = [row.head_timestamp_ms for row in taking]
    if len(taking) == 0 or not all(row.monitored for row in taking) or None in heads:
        return {}
    until = instant_of(min(head for head in heads if head is not None))
    windows = session.execute(
        select(col(WindowRow.log_id), func.min(col(WindowRow.opened_at))).group_by(
            col(WindowRow.log_id)
        )
    ).all()
    opened = {log_id: at for log_id, at in windows}  # noqa: C416 - rows are not tuples to mypy
    since: dict[str, datetime] = {}
    incomplete: set[str] = set()
    for one in coverage(session):
        if not one.is_complete or logs[one.log_id].quarantined_at is not None:
            incomplete.add(one.spki_sha256)
            continue
        begun = _BEGINNING if one.start == 0 else opened[one.log_id]
        since[one.spki_sha256] = max(begun, since.get(one.spki_sha256, _BEGINNING))
    return {key: LogReading(begun, until) for key, begun in since.items() if key not in incomplete}


def reopen_unlogged(session: Session, keys: Sequence[str]) -> None:
    """Have those units judged again of which completely read ``keys`` may tell more by now."""
    waiting = select(col(CheckFailureRow.subject)).where(
        col(CheckFailureRow.check_id) == NOT_LOGGED
    )
    session.execute(
        update(UnitRow)
        .where(
            col(UnitRow.issuer_key_sha256).in_(keys),
            col(UnitRow.first_logged_ms).is_(None),
            col(UnitRow.unit_id).in_(waiting),
        )
        .values(checked_with=None)
    )
