"""What Prometheus reads."""

from __future__ import annotations

import math
import sqlite3
from datetime import UTC, datetime

from subca_oversight import __version__
from subca_oversight.telemetry import LogPacing, LogProgress, Metrics

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def _value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"subca_oversight_{name}", labels)


def test_only_a_run_that_ended_well_moves_the_last_success() -> None:
    metrics = Metrics()
    metrics.record_run("harvest", "done", ended=NOON, seconds=3.5)
    metrics.record_run("harvest", "source_failed", ended=NOON.replace(hour=13), seconds=1.0)
    stamp = _value(metrics, "job_last_success_timestamp_seconds", job="harvest")
    assert stamp == NOON.timestamp()
    assert _value(metrics, "job_last_duration_seconds", job="harvest") == 1.0
    assert _value(metrics, "job_runs_total", job="harvest", outcome="source_failed") == 1


def test_a_job_that_never_succeeded_shows_zero_rather_than_nothing() -> None:
    metrics = Metrics()
    metrics.show_job("ccadb", None)
    assert _value(metrics, "job_last_success_timestamp_seconds", job="ccadb") == 0


def test_a_log_that_is_no_longer_read_disappears() -> None:
    metrics = Metrics()
    argon = LogProgress("argon", 90, 100, quarantined=True, last_success=NOON)
    xenon = LogProgress("xenon", 5, 4, quarantined=False, last_success=None)
    metrics.show_logs([argon, xenon])
    assert _value(metrics, "log_backlog_entries", log="argon") == 10
    assert _value(metrics, "log_quarantined", log="argon") == 1
    assert _value(metrics, "log_backlog_entries", log="xenon") == 0
    assert _value(metrics, "log_last_success_timestamp_seconds", log="xenon") == 0
    metrics.show_logs([xenon])
    assert _value(metrics, "log_backlog_entries", log="argon") is None


def test_how_a_log_is_asked_is_shown_and_no_limit_is_infinite() -> None:
    metrics = Metrics()
    slow = LogPacing("argon", 0.25, 1, 256, 47.5, keep_alive=False)
    free = LogPacing("xenon", math.inf, 8, 1000, 0.0, keep_alive=True)
    metrics.show_pacing([slow, free])
    assert _value(metrics, "log_requests_per_second_limit", log="argon") == 0.25
    assert _value(metrics, "log_requests_per_second_limit", log="xenon") == math.inf
    assert _value(metrics, "log_requests_at_once_limit", log="argon") == 1
    assert _value(metrics, "log_page_entries", log="argon") == 256
    assert _value(metrics, "log_held_back_seconds", log="argon") == 47.5
    metrics.show_pacing([free])
    assert _value(metrics, "log_held_back_seconds", log="argon") is None


def test_a_severity_without_open_findings_shows_zero() -> None:
    metrics = Metrics()
    metrics.show_findings({"violation": 3})
    assert _value(metrics, "findings_open", severity="violation") == 3
    assert _value(metrics, "findings_open", severity="notice") == 0
    metrics.show_findings({})
    assert _value(metrics, "findings_open", severity="violation") == 0


def test_the_exposition_names_program_and_sqlite_and_the_rest() -> None:
    metrics = Metrics()
    metrics.show_notices(waiting=2, dead=1)
    metrics.show_lease(held=True, epoch=7)
    text = metrics.exposition().decode()
    assert f'subca_oversight_build_info{{version="{__version__}"}} 1.0' in text
    assert f'subca_oversight_sqlite_info{{version="{sqlite3.sqlite_version}"}} 1.0' in text
    assert "subca_oversight_notices_undelivered 2.0" in text
    assert "subca_oversight_notices_dead 1.0" in text
    assert "subca_oversight_lease_epoch 7.0" in text


def test_two_processes_worth_of_metrics_do_not_share_a_registry() -> None:
    first, second = Metrics(), Metrics()
    first.show_notices(waiting=9, dead=0)
    assert _value(second, "notices_undelivered") == 0
