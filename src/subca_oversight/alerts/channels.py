"""The channels that are configured, by name: where notices leave this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from subca_oversight.alerts.mail import MailChannel
from subca_oversight.alerts.routing import CONTACTS, SMTP, WEBHOOK
from subca_oversight.alerts.webhook import WebhookChannel
from subca_oversight.http import Client
from subca_oversight.http.identity import load_tls
from subca_oversight.settings import Settings
from subca_oversight.store.outbox import Delivery


class Channel(Protocol):
    """A way out."""

    async def send(self, delivery: Delivery, *, now: datetime) -> str:
        """Send once; returns a note on what was not perfect, else "". Raises DeliveryError."""


def open_channels(
    settings: Settings, client: Client, *, contacts: Mapping[str, Sequence[str]]
) -> dict[str, Channel]:
    """Every configured channel; ``contacts`` by anchor. Raises ConfigurationError."""
    channels: dict[str, Channel] = {}
    smtp, webhook = settings.alerts.smtp, settings.alerts.webhook
    if smtp is not None:
        tls = load_tls(settings.http)
        reply_to = settings.agent.contact.removeprefix("mailto:")
        team = smtp.to

        def to_team(delivery: Delivery) -> Sequence[str]:
            del delivery
            return team

        def to_contacts(delivery: Delivery) -> Sequence[str]:
            anchor = delivery.notice.anchor
            return () if anchor is None else contacts.get(anchor, ())

        if len(team) > 0:
            channels[SMTP] = MailChannel(smtp, tls=tls, recipients=to_team, reply_to=reply_to)
        if smtp.notify_contacts:
            channels[CONTACTS] = MailChannel(
                smtp, tls=tls, recipients=to_contacts, reply_to=reply_to
            )
    if webhook is not None:
        channels[WEBHOOK] = WebhookChannel(webhook, client)
    return channels
