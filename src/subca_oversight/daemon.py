"""The long-running process: jobs on a schedule, one leader, a graceful end.

APScheduler only says when; what was last run is our own table, so that a job missed while the
process was down runs at once, and once. On SIGTERM nothing new starts, what runs may end until the
drain deadline, and batches are cut short in between (APScheduler's own shutdown would cancel them).
What is still at work then is abandoned with the process: it is in the store, or is done again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from subca_oversight.errors import OversightError, StoreError
from subca_oversight.http import Origin
from subca_oversight.jobs.catalogue import JOBS, Job, verify_intervals
from subca_oversight.jobs.context import JobContext, JobState
from subca_oversight.jobs.overview import load_overview
from subca_oversight.jobs.runs import find_last_runs, run_job
from subca_oversight.jobs.surroundings import open_surroundings
from subca_oversight.model.progress import Silence
from subca_oversight.settings import Settings
from subca_oversight.telemetry import Health, HealthServer, Metrics, find_watchdog_seconds, notify
from subca_oversight.telemetry.systemd import READY, STOPPING, WATCHDOG

_JITTER = 0.1
"""Share of a job's interval by which its start is spread, so that fleets do not march in step."""
_PING_SECONDS = 60.0
_log = structlog.get_logger()


class _Daemon:
    """State of one run of the daemon. Everything here lives on the event loop."""

    def __init__(self, context: JobContext, stopping: asyncio.Event) -> None:
        self.context = context
        self.stopping = stopping
        self.metrics = Metrics()
        self.running: set[asyncio.Task[None]] = set()
        self.failures: dict[str, str] = {}
        self.store_error: StoreError | None = None

    def health(self) -> Health:
        reasons = [f"{job}: {reason}" for job, reason in sorted(self.failures.items())]
        if self.stopping.is_set():
            reasons.insert(0, "stopping")
        return Health(ready=len(reasons) == 0, reasons=tuple(reasons))

    async def run(self, job: Job) -> None:
        """One run of a job, as a task that the drain can wait for."""
        if self.stopping.is_set():
            return
        task = asyncio.current_task()
        if task is not None:
            self.running.add(task)
        started = time.monotonic()
        try:
            outcome = await run_job(job, self.context)
            self.metrics.record_run(
                job.name,
                outcome.state.value,
                ended=datetime.now(UTC),
                seconds=time.monotonic() - started,
            )
            if outcome.state is JobState.FAILED or len(outcome.problems) > 0:
                words = outcome.problems[:3] if len(outcome.problems) > 0 else (outcome.detail,)
                self.failures[job.name] = "; ".join(words)
            else:
                self.failures.pop(job.name, None)
            await self.show_state()
        except StoreError as error:
            self.store_error = error
            self.failures["store"] = str(error)
            self.stopping.set()
        except Exception as error:  # noqa: BLE001 - said on /healthz, where silence would not be
            _log.exception("daemon_defect", job=job.name)
            self.failures[job.name] = f"{type(error).__name__}: {error}"
        finally:
            if task is not None:
                self.running.discard(task)

    async def show_state(self) -> None:
        """Bring the metrics in line with the store."""
        overview = await asyncio.to_thread(load_overview, self.context.database)
        self.metrics.show_logs(overview.logs)
        self.metrics.show_pacing(self.context.pacer.pacing())
        self.metrics.show_findings(overview.open_findings)
        self.metrics.show_notices(waiting=overview.waiting, dead=overview.dead)
        self.metrics.show_lease(held=True, epoch=self.context.epoch)

    async def ping(self) -> None:
        """Tell the dead man's switch that all is well; silence is what raises its alarm."""
        url = self.context.settings.daemon.ping_url
        if len(url) == 0 or not self.health().ready:
            return
        try:
            await self.context.client.get(
                url, origin=Origin.OPERATOR, accept_status=frozenset(range(200, 300))
            )
        except OversightError as error:
            _log.warning("ping_failed", reason=str(error))


async def run_daemon(settings: Settings, *, now: Callable[[], datetime]) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code.

    Raises ConfigurationError, StoreError, or LeaseHeld where another process leads. Does not return
    where a job outlasts the drain: a thread cannot be cancelled, so the process ends under it.
    """
    verify_intervals(settings.daemon.intervals)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopping.set)
    lost: list[StoreError] = []

    def lease_lost(error: StoreError) -> None:
        lost.append(error)
        stopping.set()

    async with open_surroundings(
        settings, now=now, progress=Silence(), should_stop=stopping.is_set, lease_lost=lease_lost
    ) as context:
        daemon = _Daemon(context, stopping)
        async with HealthServer(
            settings.daemon.listen, metrics=daemon.metrics.exposition, health=daemon.health
        ) as server:
            scheduler = await _schedule(daemon)
            await daemon.show_state()
            host, port = server.address
            _log.info("daemon_started", listen=f"{host}:{port}", jobs=len(JOBS))
            watchdog = asyncio.create_task(_feed_watchdog())
            notify(READY)
            await stopping.wait()
            notify(STOPPING)
            _log.info("daemon_stopping", running=len(daemon.running))
            scheduler.pause()
            late = await _drain(daemon, settings.daemon.drain_seconds)
            scheduler.shutdown(wait=False)
            watchdog.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watchdog
    errors = [*lost] if daemon.store_error is None else [*lost, daemon.store_error]
    _log.info("daemon_stopped", abandoned=late)
    if late > 0:
        _leave(0 if len(errors) == 0 else errors[0].exit_code)
    if len(errors) > 0:
        raise errors[0]
    return 0


async def _schedule(daemon: _Daemon) -> AsyncIOScheduler:
    scheduler = AsyncIOScheduler(timezone=UTC)
    now = datetime.now(UTC)

    def load_last() -> dict[str, datetime]:
        with daemon.context.database.read() as session:
            return {job: row.started_at for job, row in find_last_runs(session).items()}

    last = await asyncio.to_thread(load_last)
    for name in JOBS:
        daemon.metrics.show_job(name, last.get(name))
    for order, job in enumerate(JOBS.values()):
        seconds = daemon.context.settings.daemon.intervals.get(job.name, job.interval_seconds)
        due = now + timedelta(seconds=order)
        if job.name in last:
            # A last run in the future is a clock that was wrong: never wait beyond one interval.
            next_due = min(last[job.name], now) + timedelta(seconds=seconds)
            due = max(due, next_due)
        scheduler.add_job(
            daemon.run,
            IntervalTrigger(seconds=seconds, jitter=seconds * _JITTER, timezone=UTC),
            args=(job,),
            id=job.name,
            next_run_time=due,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )
    scheduler.add_job(
        daemon.ping, IntervalTrigger(seconds=_PING_SECONDS, timezone=UTC), id="ping", coalesce=True
    )
    scheduler.start()
    return scheduler


async def _drain(daemon: _Daemon, seconds: float) -> int:
    """Let running jobs end; cancel what is left at the deadline, and tell how many that were."""
    running = set(daemon.running)
    if len(running) == 0:
        return 0
    _, late = await asyncio.wait(running, timeout=seconds)
    for task in late:
        task.cancel()
    if len(late) > 0:
        _log.warning("jobs_cancelled", count=len(late))
        await asyncio.wait(late, timeout=5.0)
    return len(late)


def _leave(code: int) -> None:
    """End the process under threads that are still at work."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def _feed_watchdog() -> None:
    """Feed systemd's watchdog from the event loop: a loop that stands still is restarted."""
    seconds = find_watchdog_seconds()
    while seconds is not None:
        with contextlib.suppress(OSError):  # the manager restarts; the next message reaches it
            notify(WATCHDOG)
        await asyncio.sleep(seconds)
