"""Who is told follows from severity, kind, and what the operator asked for."""

from __future__ import annotations

import pytest

from subca_oversight.alerts.routing import is_admitted, route, worst
from subca_oversight.settings import AlertsSettings, SmtpSettings, WebhookSettings

HOOK = WebhookSettings(url="https://hooks.ca.example/in", minimum_severity="violation")


def mail(**more: object) -> SmtpSettings:
    base = {"host": "mail.ca.example", "from": "o@ca.example", "to": ["team@ca.example"]}
    return SmtpSettings.model_validate({**base, **more})


@pytest.mark.parametrize(
    ("severity", "minimum", "admitted"),
    [
        ("violation", "violation", True),
        ("should", "violation", False),
        ("notice", "should", False),
        ("should", "should", True),
        ("notice", "notice", True),
        ("a word of tomorrow", "violation", True),
    ],
)
def test_a_severity_is_admitted_from_the_minimum_up(
    severity: str, minimum: str, *, admitted: bool
) -> None:
    assert is_admitted(severity, minimum) is admitted


def test_a_dead_letter_goes_past_the_channel_that_failed_at_any_severity() -> None:
    alerts = AlertsSettings(smtp=mail(minimum_severity="violation"), webhook=HOOK)

    def told(failed: str) -> tuple[str, ...]:
        return route(
            alerts, kind="delivery_dead", severity="notice", has_contacts=True, failed=failed
        )

    assert told("smtp") == ("webhook",)
    assert told("webhook") == ("smtp",)
    assert told("contacts") == ("smtp", "webhook")


def test_mail_without_recipients_is_no_channel() -> None:
    alerts = AlertsSettings(smtp=mail(to=[]))
    assert route(alerts, kind="finding_opened", severity="violation", has_contacts=True) == ()


def test_contacts_need_an_address_and_the_operators_wish() -> None:
    wish = AlertsSettings(smtp=mail(to=[], notify_contacts=True))
    for kind, contacts, channels in (
        ("finding_opened", True, ("contacts",)),
        ("deadline", True, ("contacts",)),
        ("finding_opened", False, ()),
        ("source_failed", True, ()),
        ("sample_due", True, ()),
        ("baseline_recorded", True, ()),
    ):
        assert route(wish, kind=kind, severity="violation", has_contacts=contacts) == channels, kind


def test_the_worst_of_a_group_is_found() -> None:
    assert worst(frozenset({"notice", "should"})) == "should"
    assert worst(frozenset({"violation", "should"})) == "violation"
    assert worst(frozenset({"violation", "a word of tomorrow"})) == "a word of tomorrow"
