"""A thousand equal breaches are one notice, and none is told twice or never."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select
from sqlmodel import col

from subca_oversight.alerts.listing import count_untold, find_notices
from subca_oversight.alerts.notices import NoticeTally, group_events, notice_id_of
from subca_oversight.settings import AlertsSettings, SmtpSettings, WebhookSettings
from subca_oversight.store.database import Database
from subca_oversight.store.outbox import Delivery, find_deliveries
from subca_oversight.store.tables import AlertEventRow
from tests.unit.alerts.events import ACME, BOLT, NOW, add_event, add_finding, add_subordinate

SMTP = {"host": "mail.ca.example", "from": "oversight@ca.example", "to": ("team@ca.example",)}
BOTH = AlertsSettings(
    smtp=SmtpSettings(**SMTP),
    webhook=WebhookSettings(url="https://hooks.ca.example/in", secret=SecretStr("whsec_x")),
)


def group(database: Database, alerts: AlertsSettings = BOTH, now: datetime = NOW) -> NoticeTally:
    with database.write() as session:
        return group_events(session, alerts, now=now)


def deliveries(database: Database) -> list[Delivery]:
    with database.read() as session:
        return find_deliveries(session)


def data_of(delivery: Delivery) -> dict[str, Any]:
    body = json.loads(delivery.notice.payload)
    assert isinstance(body["data"], dict)
    return body["data"]


def test_a_thousand_equal_breaches_are_one_notice(database: Database) -> None:
    with database.write() as session:
        add_subordinate(session, ACME, "acme-tls-1")
        session.flush()
        for number in range(1000):
            # The earliest deadline is that of the eighth.
            wait = timedelta(hours=1 if number == 7 else 120)
            add_event(
                session, str(number), fingerprint=add_finding(session, str(number), deadline=wait)
            )
    assert group(database) == NoticeTally(notices=1, events=1000, waiting=0, unrouted=0)
    sent = deliveries(database)
    assert [one.channel for one in sent] == ["smtp", "webhook"]
    data = data_of(sent[0])
    assert data["count"] == 1000
    assert data["subordinate"] == "acme-tls-1"
    assert data["check"] == "validity-limit"
    assert data["requirement"] == "TLS BR 6.3.2"
    assert data["severity"] == "violation"
    assert data["deadline"] == "2026-11-24T13:00:00Z"
    assert len(data["examples"]) == 5
    assert data["examples"][0]["subject"] == hashlib.sha256(b"0").hexdigest()
    assert len(sent[0].notice.payload) < 4096
    assert sent[0].notice.subject == (
        "[subca-oversight] violation: validity-limit: new (1000) at acme-tls-1"
    )
    with database.read() as session:
        ids = session.scalars(select(AlertEventRow.notice_id).distinct()).all()  # type: ignore[call-overload]
    assert list(ids) == [sent[0].notice.notice_id]


def test_subordinate_check_and_kind_make_a_notice_each(database: Database) -> None:
    with database.write() as session:
        add_event(session, "a")
        add_event(session, "b", anchor=BOLT)
        add_event(session, "c", check="key-size")
        add_event(session, "d", kind="finding_reopened")
        add_event(session, "e", anchor=None, check="", kind="log_misbehaved")
        add_event(session, "f")
    assert group(database) == NoticeTally(notices=5, events=6, waiting=0, unrouted=0)
    assert len({one.notice.notice_id for one in deliveries(database)}) == 5
    assert group(database) == NoticeTally()


def test_the_id_depends_on_the_events_and_on_nothing_else(database: Database) -> None:
    keys = [hashlib.sha256(name.encode()).hexdigest() for name in ("a", "b")]
    assert notice_id_of(keys) == notice_id_of(list(reversed(keys)))
    assert notice_id_of(keys) != notice_id_of(keys[:1])
    with database.write() as session:
        add_event(session, "b")
        add_event(session, "a")
    group(database)
    assert deliveries(database)[0].notice.notice_id == notice_id_of(keys)


def test_the_worst_severity_of_a_group_counts(database: Database) -> None:
    with database.write() as session:
        add_event(session, "a", severity="notice")
        add_event(session, "b", severity="violation")
        add_event(session, "c", severity="should")
    group(database)
    assert deliveries(database)[0].notice.severity == "violation"


def test_channels_take_only_what_is_severe_enough(database: Database) -> None:
    alerts = AlertsSettings(
        smtp=SmtpSettings(**SMTP, minimum_severity="violation"),
        webhook=WebhookSettings(url="https://hooks.ca.example/in", minimum_severity="notice"),
    )
    with database.write() as session:
        add_event(session, "a", severity="should")
    group(database, alerts)
    assert [one.channel for one in deliveries(database)] == ["webhook"]


def test_without_a_channel_events_are_marked_and_listed(database: Database) -> None:
    with database.write() as session:
        add_subordinate(session, ACME, "acme-tls-1")
        add_event(session, "a")
        add_event(session, "b", severity="notice")
    assert group(database, AlertsSettings()) == NoticeTally(1, 2, 0, 1)
    assert deliveries(database) == []
    with database.read() as session:
        listed = find_notices(session)
        assert count_untold(session) == 0
    assert [(one.state, one.channel, one.severity, one.subordinate) for one in listed] == [
        ("unrouted", None, "violation", "acme-tls-1")
    ]
    assert listed[0].subject == "validity-limit: finding opened (2)"
    # A channel that is configured later does not bring up the past.
    assert group(database) == NoticeTally()


def test_further_events_of_a_check_wait_for_an_hour_and_are_gathered(database: Database) -> None:
    with database.write() as session:
        add_event(session, "first")
    assert group(database).notices == 1
    for minute in range(1, 60):
        with database.write() as session:
            add_event(session, f"later {minute}")
        now = NOW + timedelta(minutes=minute)
        assert group(database, now=now) == NoticeTally(waiting=minute)
    with database.write() as session:
        add_event(session, "another check", check="key-size")
    assert group(database, now=NOW + timedelta(minutes=59)).notices == 1
    assert group(database, now=NOW + timedelta(minutes=60)) == NoticeTally(1, 59)
    sequences = [
        one.notice.sequence
        for one in reversed(deliveries(database))
        if one.channel == "webhook" and data_of(one)["check"] == "validity-limit"
    ]
    assert sequences == sorted(sequences)
    assert len(set(sequences)) == 2


def test_what_is_about_no_check_never_waits(database: Database) -> None:
    for number in range(3):
        with database.write() as session:
            add_event(session, str(number), kind="log_misbehaved", anchor=None, check="")
        assert group(database, now=NOW + timedelta(minutes=number)).notices == 1


def test_contacts_are_told_only_of_their_own_findings_and_only_where_wanted(
    database: Database,
) -> None:
    wanted = AlertsSettings(smtp=SmtpSettings(**SMTP, notify_contacts=True))
    with database.write() as session:
        add_subordinate(session, ACME, "acme-tls-1", '["compliance@acme.example"]')
        add_subordinate(session, BOLT, "bolt-tls-1")
        add_event(session, "a")
        add_event(session, "b", anchor=BOLT)
        add_event(session, "c", kind="sample_due")
        add_event(session, "d", kind="log_misbehaved", anchor=None)
    group(database, wanted)
    told = [one for one in deliveries(database) if one.channel == "contacts"]
    assert [(one.notice.anchor, data_of(one)["count"]) for one in told] == [(ACME, 1)]
    with database.write() as session:
        add_event(session, "e", check="key-size")
    group(database, AlertsSettings(smtp=SmtpSettings(**SMTP)))
    assert sum(one.channel == "contacts" for one in deliveries(database)) == 1


def test_hostile_text_cannot_act_in_a_payload(database: Database) -> None:
    hostile = "<script>x</script>\r\nBcc: a@b\u202egnp.exe\x1b[2J\x00\ud800&amp; exam\u00adple"
    with database.write() as session:
        add_event(session, "a", text=hostile * 100, check="check\u2066\n")
    group(database)
    payload = deliveries(database)[0].notice.payload
    assert payload.isascii()
    assert payload.isprintable()
    assert not set("<>&") & set(payload)
    text = data_of(deliveries(database)[0])["examples"][0]["text"]
    assert text.isprintable()
    assert text.startswith("<script>x</script>\\x0d\\x0aBcc: a@b\\u202egnp.exe")
    assert len(text) == 400
    assert "\n" not in deliveries(database)[0].notice.subject


def test_a_crash_before_the_commit_leaves_every_event_untold(database: Database) -> None:
    with database.write() as session:
        add_event(session, "a")

    def crash() -> None:
        with database.write() as session:
            group_events(session, BOTH, now=NOW)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        crash()
    assert deliveries(database) == []
    with database.read() as session:
        untold = session.scalar(
            select(func.count())
            .select_from(AlertEventRow)
            .where(col(AlertEventRow.notice_id).is_(None))
        )
    assert untold == 1
    assert group(database).notices == 1
