"""What could not be seen: it stands before every result, because nothing found means nothing else.

Two kinds of rows feed it: those with an instant of their own (matches, malformed entries, evidence
against logs, alerts, job runs, imports) are counted as of the report's instant; what is overwritten
as work goes on comes from the last observation stored by then (``reports.observation``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlmodel import Session, col

from subca_oversight.evidence.disclosure import find_snapshot, load_disclosed
from subca_oversight.reports.observation import Observation, find_observation
from subca_oversight.reports.scope import Scope
from subca_oversight.reports.working import Work, load_work
from subca_oversight.store.tables import (
    AlertEventRow,
    LogEvidenceRow,
    MalformedEntryRow,
    UnconfirmedMatchRow,
)

_MAX_GROUPS = 50
_TROUBLE = (
    "source_failed",
    "source_refused",
    "log_misbehaved",
    "log_stale_head",
    "log_future_head",
    "log_unread",
    "canary_missing",
)
LIMITS = (
    (
        "Certificates that no monitored log holds are not seen. TLS certificates without timestamps"
        " of logs do not work in browsers, but can exist; S/MIME, client, code-signing and"
        " document-signing certificates need not be logged at all, so their number here is a lower"
        " bound."
    ),
    (
        "Revocation services (CRL, OCSP) and public incident reports are not read by this version:"
        " that a certificate was revoked, or an incident closed, is known here only where a person"
        " stated it."
    ),
    (
        "The texts of CP, CPS and audit statements are not read by this version: their dates are"
        " those that CCADB states."
    ),
    (
        "Validation of domains and identities, key ceremonies, premises and registration"
        " authorities cannot be observed from outside."
    ),
)


@dataclass(frozen=True, slots=True)
class EntryGroup:
    """Entries of one log with one fault."""

    log: str
    reason: str
    count: int
    blames_log: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    """An alert about a source or log within the period."""

    at: datetime
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Unseen:
    """Everything that limits what the results mean."""

    oversight_began: datetime
    began_late: bool
    """After the period began: what came before is known from backfill alone, if at all."""
    observation: Observation | None
    unconfirmed: tuple[EntryGroup, ...]
    unconfirmed_total: int
    malformed: tuple[EntryGroup, ...]
    malformed_total: int
    """Of all logs: whose certificate such an entry was meant to hold cannot be told."""
    misbehavior: tuple[EntryGroup, ...]
    troubles: tuple[Trouble, ...]
    troubles_total: int
    work: tuple[Work, ...]
    ccadb_imported_at: datetime | None
    ccadb_records: int
    undisclosed: tuple[str, ...]
    """SHA-256 of CA certificates that the export does not know; empty where there is no export."""
    limits: tuple[str, ...] = LIMITS

    @property
    def quarantined(self) -> int:
        """How many logs were in quarantine."""
        logs = () if self.observation is None else self.observation.logs
        return sum(log.quarantined_at is not None for log in logs)

    @property
    def incomplete_logs(self) -> int:
        """How many logs were not read in full since reading of them began, or not begun."""
        logs = () if self.observation is None else self.observation.logs
        return sum(log.start is None or log.unread_entries > 0 for log in logs)

    @property
    def not_looked_at(self) -> int:
        """Judgments that could not be made, and certificates and units not looked at yet."""
        seen = self.observation
        if seen is None:
            return 0
        counts = [one.count for one in (*seen.check_failures, *seen.lint_failures)]
        return sum(counts) + seen.not_yet_linted + seen.not_yet_checked


def load_unseen(
    session: Session, scope: Scope, start: datetime, end: datetime, *, as_of: datetime
) -> Unseen:
    """What could not be seen of a subordinate in [start, end), as known at ``as_of``."""
    keys = [key.spki_sha256 for key in scope.keys]
    snapshot = find_snapshot(session, as_of=as_of)
    disclosed = {record.sha256 for record in load_disclosed(session, as_of=as_of)}
    observation = find_observation(session, scope.anchor, as_of=as_of)
    # Lists rename logs; the names here are those that held when the observation was stored.
    logs = () if observation is None else observation.logs
    names = {log.log_id: log.description for log in logs}
    unconfirmed = _unconfirmed(session, keys, names, as_of)
    malformed = _malformed(session, names, as_of)
    troubles = _troubles(session, scope.anchor, start, as_of)
    began = min((key.watched_since for key in scope.keys), default=scope.registered_at)
    return Unseen(
        oversight_began=began,
        began_late=began > start,
        observation=observation,
        unconfirmed=unconfirmed[:_MAX_GROUPS],
        unconfirmed_total=sum(one.count for one in unconfirmed),
        malformed=malformed[:_MAX_GROUPS],
        malformed_total=sum(one.count for one in malformed),
        misbehavior=_misbehavior(session, names, start, as_of)[:_MAX_GROUPS],
        troubles=troubles[:_MAX_GROUPS],
        troubles_total=len(troubles),
        work=load_work(session, max(start, began), min(end, as_of), as_of=as_of),
        ccadb_imported_at=None if snapshot is None else snapshot.imported_at,
        ccadb_records=0 if snapshot is None else snapshot.rows,
        undisclosed=tuple(
            one.sha256
            for one in scope.authorities
            if snapshot is not None and one.sha256 not in disclosed
        ),
    )


def _unconfirmed(
    session: Session, keys: list[str], names: Mapping[str, str], as_of: datetime
) -> tuple[EntryGroup, ...]:
    row = UnconfirmedMatchRow
    rows = session.execute(
        select(col(row.log_id), col(row.reason), col(row.blames_log), func.count())
        .where(
            # The empty key: an entry that may be of any watched key.
            or_(col(row.issuer_key_sha256).in_(keys), col(row.issuer_key_sha256) == ""),
            col(row.first_seen) <= as_of,
        )
        .group_by(col(row.log_id), col(row.reason), col(row.blames_log))
    )
    return _ordered(
        EntryGroup(names.get(log_id, log_id), reason, count, blames)
        for log_id, reason, blames, count in rows
    )


def _malformed(
    session: Session, names: Mapping[str, str], as_of: datetime
) -> tuple[EntryGroup, ...]:
    row = MalformedEntryRow
    rows = session.execute(
        select(col(row.log_id), col(row.reason), func.count())
        .where(col(row.first_seen) <= as_of)
        .group_by(col(row.log_id), col(row.reason))
    )
    return _ordered(
        EntryGroup(names.get(log_id, log_id), reason, count, blames_log=True)
        for log_id, reason, count in rows
    )


def _misbehavior(
    session: Session, names: Mapping[str, str], start: datetime, as_of: datetime
) -> tuple[EntryGroup, ...]:
    row = LogEvidenceRow
    rows = session.execute(
        select(col(row.log_id), col(row.kind), func.count())
        .where(col(row.at) >= start, col(row.at) <= as_of)
        .group_by(col(row.log_id), col(row.kind))
    )
    return _ordered(
        EntryGroup(names.get(log_id, log_id), kind.replace("_", " "), count, blames_log=True)
        for log_id, kind, count in rows
    )


def _troubles(
    session: Session, anchor: str, start: datetime, as_of: datetime
) -> tuple[Trouble, ...]:
    """Alerts about sources and logs, the newest first; those of other subordinates stay theirs."""
    row = AlertEventRow
    rows = session.execute(
        select(col(row.at), col(row.kind), col(row.text))
        .where(
            col(row.kind).in_(_TROUBLE),
            or_(col(row.anchor).is_(None), col(row.anchor) == anchor),
            col(row.at) >= start,
            col(row.at) <= as_of,
        )
        .order_by(col(row.at).desc(), col(row.key))
    )
    return tuple(Trouble(*one) for one in rows)


def _ordered(groups: Iterable[EntryGroup]) -> tuple[EntryGroup, ...]:
    return tuple(sorted(groups, key=lambda one: (-one.count, one.log, one.reason)))
