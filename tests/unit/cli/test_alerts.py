"""``alerts`` as a user meets it, against receivers on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest

from subca_oversight.alerts.notices import group_events
from subca_oversight.cli.root import main
from subca_oversight.settings import AlertsSettings, WebhookSettings
from tests.databases import sqlite_database
from tests.unit.alerts.events import ACME, NOW, add_event, add_subordinate
from tests.unit.alerts.receivers import Hook, SmtpServer, smtp_server, webhook

AGENT = '[agent]\ncontact = "oversight@ca.example"\n'
SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()


def write(folder: Path, *tables: str) -> str:
    path = folder / "oversight.toml"
    path.write_text("\n".join((AGENT, *tables)))
    path.chmod(0o600)
    return str(path)


def rehearse(folder: Path, mail: SmtpServer, hook: Hook) -> int:
    async def run() -> int:
        async with smtp_server(mail), webhook(hook):
            configuration = write(
                folder,
                f'[alerts.smtp]\nhost = "127.0.0.1"\nport = {mail.port}\nsecurity = "none"',
                'from = "oversight@ca.example"\nto = ["team@ca.example"]\nnotify_contacts = true',
                f'[alerts.webhook]\nurl = "{hook.url}"\nsecret = "{SECRET}"',
            )
            arguments = ["--config", configuration, "alerts", "test", "--json"]
            return await asyncio.to_thread(main, arguments)

    return asyncio.run(run())


def test_one_notice_goes_through_every_channel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mail, hook = SmtpServer(), Hook()
    assert rehearse(tmp_path, mail, hook) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"channel": "smtp", "delivered": True, "detail": ""},
        {"channel": "webhook", "delivered": True, "detail": ""},
    ]
    assert len(mail.letters) == len(hook.requests) == 1
    assert json.loads(hook.requests[0][1])["type"] == "test"
    assert b"test notice" in mail.letters[0]


def test_a_channel_that_fails_is_told_and_is_exit_code_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mail, hook = SmtpServer(answers={"RCPT": "550 no such mailbox"}), Hook()
    assert rehearse(tmp_path, mail, hook) == 3
    results = json.loads(capsys.readouterr().out)
    assert [one["delivered"] for one in results] == [False, True]
    assert "550" in results[0]["detail"]


@pytest.mark.parametrize(
    ("tables", "reason"),
    [
        ("", "no channel is configured"),
        ('[alerts.smtp]\nhost = "localhost"\nfrom = "o@ca.example"', "no channel is configured"),
        ("[http]\noffline = true", "http.offline is set"),
    ],
)
def test_nothing_to_test_is_a_configuration_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tables: str, reason: str
) -> None:
    assert main(["--config", write(tmp_path, tables), "alerts", "test"]) == 2
    assert reason in capsys.readouterr().err


def test_notices_are_listed_with_and_without_channels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alerts = AlertsSettings(
        webhook=WebhookSettings(url="https://hooks.ca.example/in", minimum_severity="should")
    )
    with sqlite_database(tmp_path) as database, database.write() as session:
        add_subordinate(session, ACME, "acme-tls-1")
        add_event(session, "a")
        add_event(session, "b", check="key-size", severity="notice")
        session.flush()
        group_events(session, alerts, now=NOW)
        add_event(session, "c")
    url = f'[database]\nurl = "sqlite:///{tmp_path / "oversight.db"}"'
    configuration = write(tmp_path, url)
    assert main(["--config", configuration, "alerts", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {one["state"]: one["channel"] for one in listed} == {
        "pending": "webhook",
        "unrouted": None,
    }
    assert {one["subordinate"] for one in listed} == {"acme-tls-1"}
    pending = next(one for one in listed if one["state"] == "pending")
    assert pending["next_attempt_at"] == "2026-11-24T12:00:00Z"
    assert pending["delivered_at"] is None
    assert main(["--config", configuration, "alerts", "list"]) == 0
    assert "1 events wait for the next notice" in capsys.readouterr().out
