"""The daemon's metrics for Prometheus: when did each part last succeed, and what waits.

An oversight service fails by going quiet, so that every part shows the instant of its last success
and an alert can tell silence from peace (``deploy/prometheus/alerts.yaml``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Info
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from subca_oversight import __version__

EXPOSITION_TYPE = CONTENT_TYPE_LATEST
_SEVERITIES = ("violation", "should", "notice")


@dataclass(frozen=True, slots=True)
class LogProgress:
    """How far one log has been read."""

    log: str
    """The log's description or id; the value of the label."""
    verified_size: int
    head_size: int
    quarantined: bool
    last_success: datetime | None
    unread_history: int = 0
    """Entries before the tail that wait to be read back."""


@dataclass(frozen=True, slots=True)
class LogPacing:
    """How one log is being asked, as its answers taught."""

    log: str
    requests_per_second: float
    """Infinite while nothing speaks for a limit."""
    requests_at_once: int
    page_entries: int
    held_back_seconds: float
    """For which it is not asked; 0 when it may be asked at once."""
    keep_alive: bool


class Metrics:
    """The metrics of one process, in a registry of its own, so that tests do not share any."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"subca_oversight_{name}", text, labels, registry=self.registry)

        self._job_success = gauge(
            "job_last_success_timestamp_seconds", "When the job last ended well, Unix time", "job"
        )
        self._job_seconds = gauge("job_last_duration_seconds", "How long the last run took", "job")
        self._job_runs = Counter(
            "subca_oversight_job_runs",
            "Runs of the job by outcome",
            ("job", "outcome"),
            registry=self.registry,
        )
        self._verified = gauge(
            "log_verified_entries", "Entries folded to a root that the log signed", "log"
        )
        self._head = gauge("log_head_entries", "Size of the newest verified tree head", "log")
        self._backlog = gauge("log_backlog_entries", "Entries signed but not yet verified", "log")
        self._history = gauge(
            "log_unread_history_entries", "Entries before the tail that wait to be read", "log"
        )
        self._quarantined = gauge(
            "log_quarantined", "1 while the log contradicts what it signed", "log"
        )
        self._log_success = gauge(
            "log_last_success_timestamp_seconds", "When the log was last read, Unix time", "log"
        )
        self._rate = gauge(
            "log_requests_per_second_limit", "Rate that the log was found to bear", "log"
        )
        self._at_once = gauge("log_requests_at_once_limit", "Requests under way, at most", "log")
        self._page = gauge("log_page_entries", "Entries asked for in one request", "log")
        self._held_back = gauge(
            "log_held_back_seconds", "For how long the log is not asked, as it failed", "log"
        )
        self._waiting = gauge("notices_undelivered", "Notices waiting to be sent")
        self._dead = gauge("notices_dead", "Notices given up after the last attempt")
        self._findings = gauge("findings_open", "Open findings by severity", "severity")
        self._leader = gauge("lease_held", "1 while this process leads")
        self._epoch = gauge("lease_epoch", "Epoch of the lease; it grows at each change of leader")
        Info("subca_oversight_build", "The program's version", registry=self.registry).info(
            {"version": __version__}
        )
        Info("subca_oversight_sqlite", "The linked SQLite", registry=self.registry).info(
            {"version": sqlite3.sqlite_version}
        )
        self.show_findings({})

    def record_run(self, job: str, outcome: str, *, ended: datetime, seconds: float) -> None:
        """Count a run; ``outcome`` is ``done``, ``skipped`` or the kind of its failure."""
        self._job_runs.labels(job, outcome).inc()
        self._job_seconds.labels(job).set(seconds)
        if outcome == "done":
            self._job_success.labels(job).set(ended.timestamp())

    def show_job(self, job: str, last_success: datetime | None) -> None:
        """Restore a job's last success from the store, after a restart."""
        self._job_success.labels(job).set(0 if last_success is None else last_success.timestamp())

    def show_logs(self, progress: Iterable[LogProgress]) -> None:
        """Replace what is shown of logs: one that is no longer read disappears."""
        for gauge in (
            self._verified,
            self._head,
            self._backlog,
            self._history,
            self._quarantined,
            self._log_success,
        ):
            gauge.clear()
        for row in progress:
            self._verified.labels(row.log).set(row.verified_size)
            self._head.labels(row.log).set(row.head_size)
            self._backlog.labels(row.log).set(max(0, row.head_size - row.verified_size))
            self._history.labels(row.log).set(row.unread_history)
            self._quarantined.labels(row.log).set(int(row.quarantined))
            success = 0.0 if row.last_success is None else row.last_success.timestamp()
            self._log_success.labels(row.log).set(success)

    def show_pacing(self, pacing: Iterable[LogPacing]) -> None:
        """Replace what is shown of how logs are asked."""
        for gauge in (self._rate, self._at_once, self._page, self._held_back):
            gauge.clear()
        for one in pacing:
            self._rate.labels(one.log).set(one.requests_per_second)
            self._at_once.labels(one.log).set(one.requests_at_once)
            self._page.labels(one.log).set(one.page_entries)
            self._held_back.labels(one.log).set(one.held_back_seconds)

    def show_notices(self, *, waiting: int, dead: int) -> None:
        """Show the state of the outbox."""
        self._waiting.set(waiting)
        self._dead.set(dead)

    def show_findings(self, open_by_severity: Mapping[str, int]) -> None:
        """Show how many findings are open; a severity that is not named has none."""
        for severity in _SEVERITIES:
            self._findings.labels(severity).set(open_by_severity.get(severity, 0))

    def show_lease(self, *, held: bool, epoch: int) -> None:
        """Show whether this process leads."""
        self._leader.set(int(held))
        self._epoch.set(epoch)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format, of type EXPOSITION_TYPE."""
        return generate_latest(self.registry)
