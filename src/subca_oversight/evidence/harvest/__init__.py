"""Where a log entry becomes a certificate: from signed heads and served bytes to evidence."""

from __future__ import annotations

from subca_oversight.evidence.harvest.coverage import KeyCoverage, coverage
from subca_oversight.evidence.harvest.harvest import HarvestResult, HarvestState, harvest_log
from subca_oversight.evidence.harvest.malformed import MalformedEntry, malformed_entries_naming
from subca_oversight.evidence.harvest.reader import ProgressSink
from subca_oversight.evidence.harvest.registry import log_of, logs_to_read, sync_logs

__all__ = [
    "HarvestResult",
    "HarvestState",
    "KeyCoverage",
    "MalformedEntry",
    "ProgressSink",
    "coverage",
    "harvest_log",
    "log_of",
    "logs_to_read",
    "malformed_entries_naming",
    "sync_logs",
]
