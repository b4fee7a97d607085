"""Embedded SCTs as facts: what each signature is worth, and what root programs say of its log.

A check needs no keys and no list: whether an SCT verifies was settled before, and the words of the
programs stand beside it. RFC 6962 3.2 and 3.3, log list v3.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from subca_oversight.model.log import LogState

CLOCK_SKEW = timedelta(minutes=5)
"""By how much the clocks of logs, and ours, may differ without that meaning anything."""


class RootProgram(StrEnum):
    """Those who enforce a policy on SCTs."""

    CHROME = "chrome"
    APPLE = "apple"
    MOZILLA = "mozilla"


class SctStanding(StrEnum):
    """What the signature of an SCT is worth."""

    VALID = "valid"
    INVALID_SIGNATURE = "invalid-signature"
    """The log is known, and did not sign this for this certificate."""
    UNKNOWN_LOG = "unknown-log"
    """No list ever named the log: neither valid nor invalid."""
    PLACEHOLDER_LOG = "placeholder-log"
    """The log stands in a list without existing: never trusted, whatever its signatures say."""


class SctDefect(StrEnum):
    """Why a signature does not verify, where another reading of it does."""

    EXTENSIONS = "extensions"
    """It verifies with other CtExtensions: stripped or encoded anew on the way."""
    PRECERTIFICATE = "precertificate"
    """It verifies for a precertificate of the unit, which the certificate differs from."""


@dataclass(frozen=True, slots=True)
class LogListing:
    """A root program's word on a log."""

    program: RootProgram
    operator: str
    """As this program names it; the programs' names differ."""
    state: LogState
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class LogFacts:
    """What the lists say of a log."""

    name: str
    is_rfc6962: bool
    """False for a log of the static-ct-api, whose SCTs carry a leaf_index extension."""
    listings: tuple[LogListing, ...] = ()
    """One for each program that names the log now."""
    interval: tuple[datetime, datetime] | None = None
    """Bounds of notAfter: start inclusive, end exclusive."""
    is_test: bool = False

    def find_listing(self, program: RootProgram) -> LogListing | None:
        """What this program says of the log; None where its list does not name it."""
        return next((one for one in self.listings if one.program is program), None)


@dataclass(frozen=True, slots=True)
class SctVerdict:
    """One embedded SCT."""

    log_id: str
    """Lower-case hex."""
    timestamp: datetime
    standing: SctStanding
    log: LogFacts | None = None
    """None for an unknown log."""
    reason: str = ""
    """Why it does not verify, and what would."""
    defect: SctDefect | None = None

    @property
    def log_name(self) -> str:
        """The log's name, or its id where nobody named it."""
        return f"log {self.log_id}" if self.log is None else self.log.name


@dataclass(frozen=True, slots=True)
class SctAudit:
    """Every embedded SCT of one certificate, as known at an instant."""

    as_of: datetime
    existed_by: datetime
    """The first log entry of this very certificate, else ``as_of``: no SCT in it is younger."""
    verdicts: tuple[SctVerdict, ...] = ()
    other_versions: int = 0
    """SCTs of a version that RFC 6962 does not define: not looked at."""
    problem: str | None = None
    """Why the SCTs could not be verified, where that lies in the certificate."""
