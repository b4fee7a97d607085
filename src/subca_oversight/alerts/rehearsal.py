"""One notice through every channel, past the outbox, to see whether anything arrives at all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from subca_oversight.alerts.channels import open_channels
from subca_oversight.alerts.message import Message, encode_message
from subca_oversight.alerts.routing import CONTACTS
from subca_oversight.alerts.text import visible
from subca_oversight.errors import DeliveryError
from subca_oversight.http import Client
from subca_oversight.settings import Settings
from subca_oversight.store.outbox import Delivery, DeliveryState, Notice

_ERROR = 300


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a channel made of the test notice."""

    channel: str
    delivered: bool
    detail: str


async def rehearse(settings: Settings, client: Client, *, now: datetime) -> list[Rehearsal]:
    """Send a test notice through every channel but that to subordinates' contacts."""
    channels = open_channels(settings, client, contacts={})
    notice = _notice(now)
    results: list[Rehearsal] = []
    for name, channel in channels.items():
        if name == CONTACTS:
            continue
        try:
            note = await channel.send(
                Delivery(notice, name, DeliveryState.PENDING, 1, now), now=now
            )
        except DeliveryError as error:
            results.append(Rehearsal(name, delivered=False, detail=visible(str(error), _ERROR)))
        else:
            results.append(Rehearsal(name, delivered=True, detail=visible(note, _ERROR)))
    return results


def _notice(now: datetime) -> Notice:
    notice_id = hashlib.sha256(f"subca-oversight/test\x00{now.isoformat()}".encode()).hexdigest()
    message = Message(
        notice_id=notice_id,
        kind="test",
        severity="notice",
        check="",
        requirement="",
        subordinate="",
        anchor="",
        count=1,
        first_at=now,
        last_at=now,
        deadline=None,
        examples=(),
    )
    return Notice(
        notice_id=notice_id,
        severity=message.severity,
        anchor=None,
        subject=message.subject,
        payload=encode_message(message),
        grouping=notice_id,
        sequence=0,
        created_at=now,
    )
