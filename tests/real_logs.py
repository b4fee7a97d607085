"""The logs of every real list at hand, and what the newest lists of the programs say of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache

from subca_oversight.errors import SourceError
from subca_oversight.evidence.known_logs import know_logs
from subca_oversight.evidence.sct_audit import KnownLogs
from subca_oversight.model.log import Log, LogApi
from subca_oversight.sources.log_list import LogList, parse_log_list
from tests.real_data import REAL_DATA

LISTS = REAL_DATA / "ct" / "loglists"
GOOGLE = "google_v3_all_logs_list_2026-08-20_v89.25.json"
APPLE = "apple_current_log_list_v511_assetv2-1013.json"
AS_OF = datetime(2026, 8, 21, tzinfo=UTC)


@cache
def real_list(name: str) -> LogList:
    return parse_log_list((LISTS / name).read_bytes())


@cache
def every_log() -> tuple[Log, ...]:
    """Each log that any list ever named, as the newest list that has it describes it."""
    logs = {log.log_id: log for name in (GOOGLE, APPLE) for log in real_list(name).logs}
    for path in sorted(LISTS.rglob("*.json"), reverse=True):
        try:
            listed = parse_log_list(path.read_bytes())
        except SourceError:  # the v1 list, and those made to be refused
            continue
        for log in listed.logs:
            logs.setdefault(log.log_id, log)
    return tuple(logs.values())


def known_logs(more: Iterable[Log] = (), as_of: datetime = AS_OF) -> KnownLogs:
    return know_logs((*every_log(), *more), [real_list(GOOGLE), real_list(APPLE)], as_of=as_of)


def log_of_key(key: bytes, name: str, api: LogApi = LogApi.RFC6962) -> Log:
    """A log of which only the key is at hand."""
    url = f"https://{name}.ct.internal/"
    return Log(hashlib.sha256(key).digest(), key, name, name, api, url, url, 86_400)
