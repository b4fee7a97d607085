"""Audits: the freshness of each CA certificate's audits, with the days that follow from them.

The judgment is ``evidence.audits`` (DESIGN section 7); here the certificates known at the report's
instant are chosen, and each audit type gets the days on which its next period and statement end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlmodel import Session

from subca_oversight.clocks.calendar import next_period_end, report_due
from subca_oversight.evidence.disclosure import load_audits
from subca_oversight.evidence.registration import load_subordinates
from subca_oversight.model.audit import AuditFreshness, AuditState, AuditTypeFreshness
from subca_oversight.reports.scope import Scope

AUDIT_NAMES = {
    "standard": "Standard",
    "netsec": "Network security",
    "tls_br": "TLS BR",
    "tls_evg": "TLS EVG",
    "code_signing": "Code signing",
    "smime_br": "S/MIME BR",
    "vmc": "Mark certificates",
}


@dataclass(frozen=True, slots=True)
class AuditPeriod:
    """One audit type of one CA certificate."""

    type: str
    start: date | None
    end: date | None
    statement: date | None
    lag_days: int | None
    next_end: date | None
    due: date | None
    state: AuditState


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """The audits of one CA certificate."""

    freshness: AuditFreshness
    periods: tuple[AuditPeriod, ...]


@dataclass(frozen=True, slots=True)
class AuditSection:
    """The audits of all disclosed CA certificates."""

    entries: tuple[AuditEntry, ...]

    def count(self, state: AuditState) -> int:
        """How many CA certificates are in ``state``."""
        return sum(one.freshness.state is state for one in self.entries)

    @property
    def overdue_types(self) -> int:
        """Overdue audits of CA certificates that need them, each type by itself."""
        return sum(
            period.state is AuditState.OVERDUE
            for one in self.entries
            if one.freshness.state is not AuditState.EXEMPT
            for period in one.periods
        )


def load_audit_section(session: Session, scope: Scope, *, as_of: datetime) -> AuditSection:
    """The audits of the CA certificates in scope, as the last export by then states them."""
    own = {one.sha256 for one in scope.authorities}
    subordinate = next(
        one for one in load_subordinates(session, retired=True) if one.anchor == scope.anchor
    )
    return AuditSection(
        tuple(
            AuditEntry(freshness, tuple(map(_period, freshness.audits)))
            for freshness in load_audits(session, subordinate, as_of=as_of)
            if freshness.sha256 in own
        )
    )


def _period(audit: AuditTypeFreshness) -> AuditPeriod:
    next_end = due = None
    if audit.end is not None and audit.state is not AuditState.UNKNOWN:
        try:
            next_end, due = next_period_end(audit.end), report_due(audit.end)
        except OverflowError:
            next_end = due = None
    return AuditPeriod(
        type=AUDIT_NAMES.get(audit.type.value, audit.type.value),
        start=audit.start,
        end=audit.end,
        statement=audit.statement,
        lag_days=audit.lag_days,
        next_end=next_end,
        due=due,
        state=audit.state,
    )
