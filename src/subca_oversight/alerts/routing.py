"""Routing: which channels a notice takes.

Severity decides for the signing CA's own channels; a subordinate's contacts are told only where the
operator asked for it, and only what concerns them. A dead letter goes past the channel that failed.
"""

from __future__ import annotations

from subca_oversight.model.finding import Severity
from subca_oversight.settings import AlertsSettings

SMTP = "smtp"
WEBHOOK = "webhook"
CONTACTS = "contacts"
"""Mail to the contacts of the subordinate that a notice is about."""
DELIVERY_DEAD = "delivery_dead"
"""Kind of event: a delivery was given up. Its check id names the channel."""
_CONCERNS_CONTACTS = frozenset({"finding_opened", "finding_reopened", "deadline"})
_ORDER = {severity.value: rank for rank, severity in enumerate(Severity)}


def route(
    alerts: AlertsSettings, *, kind: str, severity: str, has_contacts: bool, failed: str = ""
) -> tuple[str, ...]:
    """The channels, by name; none where nothing is configured or everything asks for worse.

    ``failed`` names the channel whose dead letter is told of: the others take it at any severity.
    """
    is_dead_letter = kind == DELIVERY_DEAD
    channels: list[str] = []
    smtp, webhook = alerts.smtp, alerts.webhook
    if smtp is not None:
        is_wanted = is_dead_letter or is_admitted(severity, smtp.minimum_severity)
        if is_wanted and len(smtp.to) > 0 and failed != SMTP:
            channels.append(SMTP)
        if (
            smtp.notify_contacts
            and has_contacts
            and is_admitted(severity, smtp.minimum_severity)
            and kind in _CONCERNS_CONTACTS
        ):
            channels.append(CONTACTS)
    if (
        webhook is not None
        and failed != WEBHOOK
        and (is_dead_letter or is_admitted(severity, webhook.minimum_severity))
    ):
        channels.append(WEBHOOK)
    return tuple(channels)


def is_admitted(severity: str, minimum: str) -> bool:
    """Whether ``severity`` is at least ``minimum``; an unknown one is never kept back."""
    return _ORDER.get(severity, 0) <= _ORDER[minimum]


def worst(severities: frozenset[str]) -> str:
    """The most severe of a group; an unknown word counts as the most severe."""
    return min(severities, key=lambda severity: (_ORDER.get(severity, -1), severity))
