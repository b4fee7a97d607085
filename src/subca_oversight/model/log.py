"""Certificate Transparency logs and their tree heads, as values.

One type serves both log APIs, so that what is harvested, audited and reported does not depend on
which of them a log speaks: RFC 6962 section 3 and 4, C2SP static-ct-api v1.1.0, log list v3.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

HASH_LENGTH = 32
"""Octets of a SHA-256 digest: log ids, leaf hashes, roots."""

_RESERVED_HOSTS = ("example.com", "example.net", "example.org", "example", "invalid")
"""RFC 2606: nobody's. Lists use them for placeholder logs and for mimics of real ones."""


class LogApi(StrEnum):
    """How a log is read."""

    RFC6962 = "rfc6962"
    STATIC = "static"


class LogState(StrEnum):
    """A root program's word on a log (log list v3); UNKNOWN where the list says nothing."""

    PENDING = "pending"
    QUALIFIED = "qualified"
    USABLE = "usable"
    READONLY = "readonly"
    RETIRED = "retired"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class FinalTreeHead:
    """The head at which a read-only log stopped, as the list states it: growth past it is news."""

    tree_size: int
    root_hash: bytes


@dataclass(frozen=True, slots=True)
class Log:
    """One log of a log list; identity is ``log_id``, the SHA-256 of its key.

    Both URLs end with ``/`` and are the same for an RFC 6962 log. ``mmd`` is in seconds.
    ``interval`` bounds notAfter: start inclusive, end exclusive. ``log_type`` is the list's
    ``test`` or ``monitoring_only``, None for a log like any other.
    """

    log_id: bytes
    key: bytes
    """SubjectPublicKeyInfo, DER."""
    description: str
    operator: str
    api: LogApi
    submission_url: str
    monitoring_url: str
    mmd: int
    state: LogState = LogState.UNKNOWN
    state_since: datetime | None = None
    interval: tuple[datetime, datetime] | None = None
    final_tree_head: FinalTreeHead | None = None
    log_type: str | None = None
    serves_tiles: bool | None = None
    """Whether an RFC 6962 log was found to serve its full tiles too; None where nobody looked."""

    def __post_init__(self) -> None:
        if len(self.log_id) != HASH_LENGTH:
            raise ValueError(f"a log id is {HASH_LENGTH} bytes, not {len(self.log_id)}")
        for url in (self.submission_url, self.monitoring_url):
            if not url.endswith("/"):
                raise ValueError(f"the URL of a log must end with '/': {url}")

    @property
    def origin(self) -> str:
        """The first line of the log's checkpoints (static-ct-api, "Checkpoints")."""
        _scheme, _separator, rest = self.submission_url.partition("://")
        return rest.removesuffix("/")

    @property
    def is_placeholder(self) -> bool:
        """Whether the log stands in a list without existing: never polled, its SCTs never trusted.

        Placeholders (``ct.example.com/bogus/``) keep old clients from choking on an operator
        without RFC 6962 logs; mimics imitate real logs to catch clients that trust a stale list.
        Both live under names that RFC 2606 reserves.
        """
        for url in (self.submission_url, self.monitoring_url):
            host = (urlsplit(url).hostname or "").rstrip(".")
            if any(host == name or host.endswith(f".{name}") for name in _RESERVED_HOSTS):
                return True
        return False

    @property
    def is_monitored(self) -> bool:
        """Whether the log is polled for heads and entries.

        Not: placeholders, logs that owe nobody an answer any more (retired, rejected), and test
        logs, which hold staging certificates. A log without a state is polled, because a list of a
        monitor's own (crt.sh's, a site's) states none and silence would be a gap in coverage.
        """
        return (
            not self.is_placeholder
            and self.state not in {LogState.RETIRED, LogState.REJECTED}
            and self.log_type != "test"
        )


@dataclass(frozen=True, slots=True)
class TreeHead:
    """A head of a log: what an RFC 6962 get-sth answer and a static-ct checkpoint both sign.

    The value alone proves nothing: ``evidence.signatures`` verifies it. ``timestamp_ms`` is in
    milliseconds since 1970 (for a checkpoint, the one inside the signature).
    """

    log_id: bytes
    tree_size: int
    timestamp_ms: int
    root_hash: bytes
    signature: bytes
    """The TLS DigitallySigned structure."""
    raw: bytes
    """The answer as served: the evidence."""
