"""The overview: what is read, how far, how fresh, and what waits."""

from __future__ import annotations

from datetime import timedelta

from subca_oversight.jobs.overview import load_overview
from subca_oversight.jobs.sources import record_failure
from subca_oversight.model.finding import FindingState, Severity
from subca_oversight.store.database import Database
from subca_oversight.store.tables import (
    DeliveryRow,
    LogRow,
    WatchSetRow,
    WindowRow,
)
from subca_oversight.telemetry import LogProgress
from tests.unit.findings.judging import NOW, OTHER_UNIT, breach, judged, record, set_state


def _log(log_id: str, *, head: int | None, monitored: bool = True) -> LogRow:
    return LogRow(
        log_id=log_id,
        description=f"log {log_id}",
        operator="O",
        api="rfc6962",
        submission_url="",
        monitoring_url="",
        key=b"",
        mmd=86400,
        state="usable",
        monitored=monitored,
        first_seen=NOW,
        last_seen=NOW,
        head_size=head,
        last_success=NOW,
    )


def _window(log_id: str, kind: str, verified: int) -> WindowRow:
    return WindowRow(
        log_id=log_id,
        kind=kind,
        watch_digest="w",
        first=0,
        first_range=b"",
        position=verified + 5,
        position_range=b"",
        verified=verified,
        verified_range=b"",
        opened_at=NOW,
        updated_at=NOW,
    )


def test_an_empty_store_has_an_empty_overview(database: Database) -> None:
    overview = load_overview(database)
    assert (overview.log_status, overview.jobs, overview.sources) == ((), (), ())
    assert (overview.open_findings, overview.waiting, overview.dead) == ({}, 0, 0)


def test_progress_is_what_was_verified_and_not_what_was_downloaded(database: Database) -> None:
    with database.write() as session:
        session.add(WatchSetRow(digest="w", keys="[]"))
        for row in (_log("a", head=100), _log("b", head=None), _log("c", head=7, monitored=False)):
            session.add(row)
        session.flush()
        for window in (
            _window("a", "tail", 40),
            _window("a", "tail", 60),
            _window("a", "backfill", 90),
        ):
            session.add(window)
    overview = load_overview(database)
    shown = {one.log_id: (one.verified_size, one.backlog) for one in overview.log_status}
    assert shown == {"a": (60, 40), "b": (None, None), "c": (None, None)}
    assert overview.logs == [
        LogProgress("log a", 60, 100, quarantined=False, last_success=NOW),
        LogProgress("log b", 0, 0, quarantined=False, last_success=NOW),
    ]


def test_a_head_behind_what_was_verified_makes_no_negative_backlog(database: Database) -> None:
    with database.write() as session:
        session.add(WatchSetRow(digest="w", keys="[]"))
        session.add(_log("a", head=10))
        session.flush()
        session.add(_window("a", "tail", 60))
    assert load_overview(database).log_status[0].backlog == 0


def test_only_findings_that_need_somebody_are_counted_as_open(database: Database) -> None:
    record(database, judged(breach()), judged(breach(), unit=OTHER_UNIT))
    record(database, judged(breach(Severity.NOTICE, check="n"), scope="n"))
    assert load_overview(database).open_findings == {"violation": 2, "notice": 1}
    with database.write() as session:
        set_state(session, FindingState.NOT_A_VIOLATION)
    assert load_overview(database).open_findings == {}


def test_notices_and_sources_are_shown(database: Database) -> None:
    with database.write() as session:
        record_failure(session, "ccadb", "refused", now=NOW)
        for number, state in enumerate(("pending", "pending", "dead", "delivered")):
            session.add(
                DeliveryRow(
                    notice_id=f"{number}",
                    channel="smtp",
                    grouping="g",
                    sequence=number,
                    severity="notice",
                    subject="s",
                    payload="{}",
                    created_at=NOW,
                    state=state,
                    next_attempt_at=NOW + timedelta(hours=1),
                )
            )
    overview = load_overview(database)
    assert (overview.waiting, overview.dead) == (2, 1)
    assert [(one.source, one.last_error) for one in overview.sources] == [("ccadb", "refused")]
