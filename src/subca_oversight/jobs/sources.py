"""How fresh each source is: written on every attempt, and told of when it refuses."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from subca_oversight.findings.trail import write_event
from subca_oversight.store.tables import SourceRow

__all__ = ["record_failure", "record_success", "record_unowed", "source_of", "write_event"]


def source_of(log_id: str) -> str:
    """The name under which a log stands among the sources; ``log_id`` in hex."""
    return f"log {log_id[:16]}"


def record_unowed(session: Session, source: str, reason: str) -> None:
    """Note that nothing is expected of ``source`` any more, so that its last failure is over."""
    row = session.get(SourceRow, source)
    if row is not None and row.last_error is not None:
        row.last_error = None
        row.detail = reason
        session.add(row)


def record_success(session: Session, source: str, *, now: datetime, detail: str = "") -> None:
    """Note that ``source`` was read at ``now``."""
    row = session.get(SourceRow, source)
    if row is None:
        row = SourceRow(source=source, last_attempt=now)
    row.last_attempt = now
    row.last_success = now
    row.last_error = None
    row.detail = detail
    session.add(row)


def record_failure(session: Session, source: str, error: str, *, now: datetime) -> None:
    """Note that ``source`` failed at ``now``; an alert is written once until it succeeds again."""
    row = session.get(SourceRow, source)
    if row is None:
        row = SourceRow(source=source, last_attempt=now)
    is_first = row.last_error is None
    row.last_attempt = now
    row.last_error = error
    session.add(row)
    if is_first:
        occasion = row.last_success.isoformat() if row.last_success is not None else "never"
        write_event(
            session,
            kind="source_failed",
            occasion=f"{source}\x00{occasion}",
            severity="should",
            text=f"{source}: {error}",
            now=now,
        )
