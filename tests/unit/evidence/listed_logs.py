"""Logs and lists made for tests: each log has a key of its own, and says what it is told to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from subca_oversight.model.log import Log, LogApi, LogState
from subca_oversight.sources.log_list import LogList

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
YEAR_2027 = (datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC))
YEAR_2025 = (datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))


def made_log(number: int, state: LogState = LogState.USABLE, **changes: object) -> Log:
    """A log of which ``number`` decides key and URL; ``changes`` are fields of Log."""
    key = (
        ec.derive_private_key(number, ec.SECP256R1())
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    url = f"https://ct.operator.test/{number}/"
    log = Log(
        log_id=sha256(key).digest(),
        key=key,
        description=f"Log {number}",
        operator="Operator",
        api=LogApi.RFC6962,
        submission_url=url,
        monitoring_url=url,
        mmd=86_400,
        state=state,
        state_since=None if state is LogState.UNKNOWN else datetime(2026, 1, 1, tzinfo=UTC),
        interval=YEAR_2027,
    )
    return replace(log, **changes)  # type: ignore[arg-type]  # fields of Log, by name


def listed(*logs: Log, version: str = "1", at: datetime | None = NOW) -> LogList:
    """A list of these logs."""
    return LogList(version=version, timestamp=at, logs=logs, problems=())
