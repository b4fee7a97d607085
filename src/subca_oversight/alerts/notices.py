"""Notices: what happened, gathered so that a thousand equal breaches are one notice.

Events are written with their causes; here those of one subordinate, check and kind become one
notice, enqueued in the same transaction that marks them, so none is told twice or never.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson
from sqlalchemy import select, update
from sqlmodel import Session, col

from subca_oversight.alerts.message import EXAMPLES, Example, Message, encode_message
from subca_oversight.alerts.routing import DELIVERY_DEAD, route, worst
from subca_oversight.settings import AlertsSettings
from subca_oversight.store.outbox import Notice, enqueue, find_last_enqueued
from subca_oversight.store.tables import AlertEventRow, FindingRow, SubordinateRow

QUIET = timedelta(hours=1)
"""After a notice about a check, further ones of the same kind wait and are gathered."""
_BATCH = 1000
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class NoticeTally:
    """What grouping did."""

    notices: int = 0
    events: int = 0
    """Events gathered into the notices."""
    waiting: int = 0
    """Events left for a later notice, because one of their kind went out within the hour."""
    unrouted: int = 0
    """Notices that no channel takes; ``alerts list`` shows them all the same."""


@dataclass(frozen=True, slots=True)
class _Grouping:
    anchor: str | None
    check: str
    kind: str

    @property
    def digest(self) -> str:
        name = "\x00".join(("" if self.anchor is None else self.anchor, self.check, self.kind))
        return hashlib.sha256(f"subca-oversight/grouping/v1\x00{name}".encode()).hexdigest()


@dataclass(slots=True)
class _Gathered:
    """The events of one grouping, as far as they were read."""

    first_at: datetime
    last_at: datetime
    keys: list[str] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    severities: set[str] = field(default_factory=set)
    requirement: str = ""
    deadline: datetime | None = None
    examples: list[Example] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Addressee:
    name: str
    has_contacts: bool


def group_events(session: Session, alerts: AlertsSettings, *, now: datetime) -> NoticeTally:
    """Turn every event that was not told yet into notices, within the caller's transaction."""
    addressees = {
        row.anchor: _Addressee(row.name, len(orjson.loads(row.contacts)) > 0)
        for row in session.scalars(select(SubordinateRow))
    }
    notices = events = waiting = unrouted = 0
    for grouping, gathered in _gather(session).items():
        if _is_quiet(session, grouping, now):
            waiting += len(gathered.keys)
            continue
        message = _message(grouping, gathered, addressees)
        addressee = addressees.get(message.anchor)
        channels = route(
            alerts,
            kind=grouping.kind,
            severity=message.severity,
            has_contacts=addressee is not None and addressee.has_contacts,
            failed=grouping.check if grouping.kind == DELIVERY_DEAD else "",
        )
        enqueue(
            session,
            Notice(
                notice_id=message.notice_id,
                severity=message.severity,
                anchor=grouping.anchor,
                subject=message.subject,
                payload=encode_message(message),
                grouping=grouping.digest,
                sequence=gathered.ids[-1],
                created_at=now,
            ),
            channels,
        )
        _mark(session, gathered, message.notice_id)
        notices += 1
        events += len(gathered.keys)
        unrouted += len(channels) == 0
    return NoticeTally(notices, events, waiting, unrouted)


def notice_id_of(keys: list[str]) -> str:
    """SHA-256 over the events' keys in ascending order: the same events make the same notice."""
    digest = hashlib.sha256(b"subca-oversight/notice/v1")
    for key in sorted(keys):
        digest.update(b"\x00" + key.encode())
    return digest.hexdigest()


def _gather(session: Session) -> dict[_Grouping, _Gathered]:
    """Read the untold events in the order in which they were written."""
    rows = session.execute(
        select(  # type: ignore[call-overload]  # columns, to SQLAlchemy
            AlertEventRow.id,
            AlertEventRow.key,
            AlertEventRow.kind,
            AlertEventRow.anchor,
            AlertEventRow.check_id,
            AlertEventRow.severity,
            AlertEventRow.text,
            AlertEventRow.at,
            AlertEventRow.fingerprint,
            FindingRow.subject,
            FindingRow.requirement,
            FindingRow.deadline,
        )
        .outerjoin(FindingRow, col(FindingRow.fingerprint) == col(AlertEventRow.fingerprint))
        .where(col(AlertEventRow.notice_id).is_(None))
        .order_by(col(AlertEventRow.id))
        .execution_options(yield_per=_BATCH)
    )
    groups: dict[_Grouping, _Gathered] = {}
    for row in rows:
        grouping = _Grouping(row.anchor, row.check_id, row.kind)
        gathered = groups.get(grouping)
        if gathered is None:
            gathered = groups[grouping] = _Gathered(first_at=row.at, last_at=row.at)
        gathered.first_at = min(gathered.first_at, row.at)
        gathered.last_at = max(gathered.last_at, row.at)
        gathered.keys.append(row.key)
        gathered.ids.append(row.id)
        gathered.severities.add(row.severity)
        if len(gathered.requirement) == 0 and row.requirement is not None:
            gathered.requirement = row.requirement
        if row.deadline is not None and (
            gathered.deadline is None or row.deadline < gathered.deadline
        ):
            gathered.deadline = row.deadline
        if len(gathered.examples) < EXAMPLES:
            finding = "" if row.fingerprint is None else row.fingerprint[:16]
            subject = "" if row.subject in (None, "*") else row.subject
            gathered.examples.append(Example(finding, subject, row.text))
    return groups


def _message(
    grouping: _Grouping, gathered: _Gathered, addressees: Mapping[str, _Addressee]
) -> Message:
    anchor = "" if grouping.anchor is None else grouping.anchor
    addressee = addressees.get(anchor)
    return Message(
        notice_id=notice_id_of(gathered.keys),
        kind=grouping.kind,
        severity=worst(frozenset(gathered.severities)),
        check=grouping.check,
        requirement=gathered.requirement,
        subordinate="" if addressee is None else addressee.name,
        anchor=anchor,
        count=len(gathered.keys),
        first_at=gathered.first_at,
        last_at=gathered.last_at,
        deadline=gathered.deadline,
        examples=tuple(gathered.examples),
    )


def _is_quiet(session: Session, grouping: _Grouping, now: datetime) -> bool:
    """Whether people were told of this very check within the hour.

    Events without a check id differ too much from one another to wait for one another.
    """
    if len(grouping.check) == 0:
        return False
    last = find_last_enqueued(session, grouping.digest, now=now)
    return last is not None and now - last < QUIET


def _mark(session: Session, gathered: _Gathered, notice_id: str) -> None:
    """By id, never by range: an event with a lower id may be committed while these are read."""
    for start in range(0, len(gathered.ids), _CHUNK):
        session.execute(
            update(AlertEventRow)
            .where(col(AlertEventRow.id).in_(gathered.ids[start : start + _CHUNK]))
            .values(notice_id=notice_id)
        )
