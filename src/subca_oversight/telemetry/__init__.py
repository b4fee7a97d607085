"""What the program says about itself: log lines, metrics, health, and word to the init system."""

from __future__ import annotations

from subca_oversight.telemetry.health import Health, HealthServer
from subca_oversight.telemetry.logs import configure_logging
from subca_oversight.telemetry.metrics import LogPacing, LogProgress, Metrics
from subca_oversight.telemetry.systemd import find_watchdog_seconds, notify

__all__ = [
    "Health",
    "HealthServer",
    "LogPacing",
    "LogProgress",
    "Metrics",
    "configure_logging",
    "find_watchdog_seconds",
    "notify",
]
