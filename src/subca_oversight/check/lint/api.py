"""What every linter adapter takes and gives.

Three outcomes must stay apart: a result is a statement about the certificate, a tool error is a
statement about the tool, and only an outcome with neither is clean. A certificate whose linter
failed was not looked at: it counts neither as clean nor as a breach.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from subca_oversight.model.finding import Severity


class LintFamily(StrEnum):
    """The requirements that a certificate is linted against."""

    SERVERAUTH = "serverauth"
    """TLS Baseline Requirements and EV Guidelines."""
    SMIME = "smime"
    """S/MIME Baseline Requirements."""
    PKIX = "pkix"
    """RFC 5280 alone."""


@dataclass(frozen=True, slots=True)
class LintProfile:
    """A family, and the certificate type within it."""

    family: LintFamily
    type: str | None = None
    """pkilint's option word, for example ``DV-FINAL-CERTIFICATE``; None lets pkilint detect it."""

    def __str__(self) -> str:
        """``family`` or ``family:TYPE``: the form that findings and listings carry."""
        return self.family.value if self.type is None else f"{self.family.value}:{self.type}"


@dataclass(frozen=True, slots=True)
class LintRequest:
    """One certificate to lint."""

    sha256: str
    """Of the DER, lower-case hex."""
    der: bytes
    profile: LintProfile
    issued_at: datetime | None = None
    """What dated rules go by: max(notBefore, latest embedded SCT); None leaves them notBefore."""


@dataclass(frozen=True, slots=True)
class LintResult:
    """One statement of a linter about a certificate."""

    tool: str
    tool_version: str
    id: str
    severity: Severity
    tool_severity: str
    """The tool's own word."""
    profile: str
    """The profile applied, its type resolved; part of the finding's identity."""
    message: str
    path: str
    """Where in the certificate, in the tool's notation."""


@dataclass(frozen=True, slots=True)
class ToolError:
    """The tool could not look at the certificate, or not at all of it."""

    tool: str
    tool_version: str
    profile: str
    reason: str


@dataclass(frozen=True, slots=True)
class LintOutcome:
    """What a linter made of one request.

    With an error, the results are what it could say before or beside the failure.
    """

    sha256: str
    profile: LintProfile
    """As applied: its type is resolved wherever the certificate could be loaded."""
    results: tuple[LintResult, ...]
    error: ToolError | None
    versions: tuple[tuple[str, str], ...]
    """(component, version): the tool, then the rule data whose change may change results."""

    @property
    def is_complete(self) -> bool:
        """Whether the whole certificate was looked at, so that silence means clean."""
        return self.error is None
