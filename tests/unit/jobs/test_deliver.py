"""The job from events to receivers, over real sockets."""

from __future__ import annotations

import asyncio
import base64
from datetime import timedelta

from subca_oversight.jobs.context import JobState
from subca_oversight.jobs.deliver import deliver_notices
from subca_oversight.settings import Settings
from subca_oversight.store.database import Database
from subca_oversight.store.outbox import find_deliveries
from tests.unit.alerts.events import ACME, NOW, add_event, add_subordinate
from tests.unit.alerts.receivers import Hook, SmtpServer, smtp_server, webhook
from tests.unit.jobs.contexts import run, run_in_loop, settings_of

SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()


def both(mail: SmtpServer, hook: Hook, **smtp: object) -> Settings:
    return settings_of(
        alerts={
            "smtp": {
                "host": "127.0.0.1",
                "port": mail.port,
                "from": "oversight@ca.example",
                "to": ["team@ca.example"],
                "security": "none",
                **smtp,
            },
            "webhook": {"url": hook.url, "secret": SECRET},
        }
    )


def fill(database: Database, count: int = 1, contacts: str = "[]") -> None:
    with database.write() as session:
        add_subordinate(session, ACME, "acme-tls-1", contacts)
        for number in range(count):
            add_event(session, str(number))


def states(database: Database) -> dict[str, str]:
    with database.read() as session:
        return {one.channel: one.state.value for one in find_deliveries(session)}


def test_events_reach_every_channel_once(database: Database) -> None:
    mail, hook = SmtpServer(), Hook()

    async def deliver() -> None:
        async with smtp_server(mail), webhook(hook):
            settings = both(mail, hook, notify_contacts=True)
            first = await run_in_loop(deliver_notices, database, now=NOW, settings=settings)
            assert first.state is JobState.DONE
            assert first.detail == (
                "1 notices of 40 events; 3 delivered, 0 to be tried again, 0 given up"
            )
            assert (first.problems, first.exit_code) == ((), 0)
            second = await run_in_loop(deliver_notices, database, now=NOW, settings=settings)
            assert second.detail.startswith("0 notices of 0 events; 0 delivered")

    fill(database, 40, '["compliance@acme.example"]')
    asyncio.run(deliver())
    assert len(hook.requests) == 1
    recipients = sorted(one for one in mail.commands if one.startswith("RCPT"))
    assert recipients == ["RCPT TO:<compliance@acme.example>", "RCPT TO:<team@ca.example>"]
    assert states(database) == {
        "contacts": "delivered",
        "smtp": "delivered",
        "webhook": "delivered",
    }


def test_a_failing_channel_is_a_problem_and_the_others_go_on(database: Database) -> None:
    mail, hook = SmtpServer(), Hook(statuses=["500 Internal Server Error"])

    async def deliver() -> None:
        async with smtp_server(mail), webhook(hook):
            settings = both(mail, hook)
            outcome = await run_in_loop(deliver_notices, database, now=NOW, settings=settings)
            assert outcome.state is JobState.DONE
            assert outcome.exit_code == 3
            assert len(outcome.problems) == 1
            assert "status 500" in outcome.problems[0]
            hook.statuses = ["204 No Content"]
            later = NOW + timedelta(seconds=6)
            outcome = await run_in_loop(deliver_notices, database, now=later, settings=settings)
            assert (outcome.problems, outcome.exit_code) == ((), 0)

    fill(database)
    asyncio.run(deliver())
    assert len(mail.letters) == 1
    ids = [headers["webhook-id"] for headers, _ in hook.requests]
    assert len(ids) == 2
    assert len(set(ids)) == 1
    assert states(database) == {"smtp": "delivered", "webhook": "delivered"}


def test_a_dead_letter_is_told_of_in_the_same_run(database: Database) -> None:
    mail, hook = SmtpServer(), Hook(statuses=["410 Gone"])

    async def deliver() -> None:
        async with smtp_server(mail), webhook(hook):
            outcome = await run_in_loop(
                deliver_notices, database, now=NOW, settings=both(mail, hook)
            )
            assert outcome.exit_code == 3

    fill(database)
    asyncio.run(deliver())
    assert len(mail.letters) == 2
    assert b"notices could not be delivered" in mail.letters[1]
    assert len(hook.requests) == 1


def test_without_a_channel_the_job_says_so_and_marks_the_events(database: Database) -> None:
    fill(database, 3)
    outcome = run(deliver_notices, database, now=NOW)
    assert outcome.state is JobState.SKIPPED
    assert outcome.detail == ("no channel is configured; 1 notices of 3 events, see: alerts list")


def test_offline_nothing_is_sent_and_no_attempt_is_counted(database: Database) -> None:
    fill(database)
    settings = settings_of(
        http={"offline": True}, alerts={"webhook": {"url": "http://127.0.0.1:1/", "secret": SECRET}}
    )
    outcome = run(deliver_notices, database, now=NOW, settings=settings)
    assert outcome.state is JobState.SKIPPED
    assert outcome.detail == "http.offline is set; 1 deliveries wait"
    with database.read() as session:
        assert [one.attempts for one in find_deliveries(session)] == [0]
