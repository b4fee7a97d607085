"""Freshness: an outage is told once, and its end makes the next one news again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlmodel import col, select

from subca_oversight.jobs.sources import record_failure, record_success, write_event
from subca_oversight.store.database import Database
from subca_oversight.store.tables import AlertEventRow, SourceRow

NOW = datetime(2026, 11, 24, tzinfo=UTC)
HOUR = timedelta(hours=1)


def _events(database: Database) -> list[str]:
    with database.read() as session:
        rows = session.exec(select(AlertEventRow).order_by(col(AlertEventRow.id))).all()
    return [f"{row.kind} {row.text}" for row in rows]


def test_an_outage_is_told_once_until_it_ends(database: Database) -> None:
    with database.write() as session:
        for hours in range(3):
            record_failure(session, "list", f"refused {hours}", now=NOW + hours * HOUR)
    assert _events(database) == ["source_failed list: refused 0"]
    with database.write() as session:
        record_success(session, "list", now=NOW + 3 * HOUR, detail="good")
        record_failure(session, "list", "again", now=NOW + 4 * HOUR)
    assert _events(database) == ["source_failed list: refused 0", "source_failed list: again"]
    with database.read() as session:
        row = session.get_one(SourceRow, "list")
    assert (row.last_attempt, row.last_success) == (NOW + 4 * HOUR, NOW + 3 * HOUR)
    assert (row.last_error, row.detail) == ("again", "good")


def test_success_clears_the_error(database: Database) -> None:
    with database.write() as session:
        record_failure(session, "list", "refused", now=NOW)
        record_success(session, "list", now=NOW)
    with database.read() as session:
        assert session.get_one(SourceRow, "list").last_error is None


def test_one_occasion_is_one_event(database: Database) -> None:
    with database.write() as session:
        for occasion in ("a", "a", "b"):
            write_event(
                session, kind="k", occasion=occasion, severity="notice", text=occasion, now=NOW
            )
    assert _events(database) == ["k a", "k b"]
