"""Notices ready to be sent."""

from __future__ import annotations

import dataclasses
import hashlib

from subca_oversight.alerts.message import Example, Message, encode_message
from subca_oversight.store.outbox import Delivery, DeliveryState, Notice
from tests.unit.alerts.events import ACME, NOW

MESSAGE = Message(
    notice_id=hashlib.sha256(b"notice").hexdigest(),
    kind="finding_opened",
    severity="violation",
    check="validity-limit",
    requirement="TLS BR 6.3.2",
    subordinate="acme-tls-1",
    anchor=ACME,
    count=7,
    first_at=NOW,
    last_at=NOW,
    deadline=NOW,
    examples=(Example("0123456789abcdef", "ab" * 32, "valid for 400 days"),),
)


def notice_of(message: Message = MESSAGE, *, grouping: str = "g", sequence: int = 1) -> Notice:
    return Notice(
        notice_id=message.notice_id,
        severity=message.severity,
        anchor=message.anchor if len(message.anchor) > 0 else None,
        subject=message.subject,
        payload=encode_message(message),
        grouping=grouping,
        sequence=sequence,
        created_at=NOW,
    )


def numbered(number: int, *, grouping: str = "g", kind: str = "finding_opened") -> Notice:
    notice_id = hashlib.sha256(f"notice {number}".encode()).hexdigest()
    message = dataclasses.replace(MESSAGE, notice_id=notice_id, kind=kind)
    return notice_of(message, grouping=grouping, sequence=number)


def delivery_of(notice: Notice | None = None, *, channel: str = "smtp") -> Delivery:
    return Delivery(
        notice=notice_of() if notice is None else notice,
        channel=channel,
        state=DeliveryState.PENDING,
        attempts=0,
        next_attempt_at=NOW,
    )
