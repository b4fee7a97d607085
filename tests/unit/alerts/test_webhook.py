"""Webhooks are signed as Standard Webhooks 1.0 has it, and only 410 is the end."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from subca_oversight.alerts.webhook import WebhookChannel, load_key, sign
from subca_oversight.errors import DeliveryError
from subca_oversight.http import Client
from subca_oversight.settings import HttpSettings, WebhookSettings
from tests.unit.alerts.events import NOW
from tests.unit.alerts.messages import delivery_of
from tests.unit.alerts.receivers import Hook, webhook

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


def verify(headers: dict[str, str], body: bytes, *, key: bytes, now: datetime) -> None:
    """A receiver, written from the specification."""
    assert abs(int(headers["webhook-timestamp"]) - now.timestamp()) <= 300, "replayed"
    signed = b".".join(
        [headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body]
    )
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = [
        signature
        for version, _, signature in (
            part.partition(",") for part in headers["webhook-signature"].split(" ")
        )
        if version == "v1"
    ]
    assert any(hmac.compare_digest(wanted, one) for one in given), "forged"


def send(hook: Hook, secret: str | None = SECRET) -> str:
    async def run() -> str:
        async with webhook(hook), Client(HttpSettings(), contact="o@ca.example") as client:
            settings = WebhookSettings(
                url=hook.url, secret=None if secret is None else SecretStr(secret)
            )
            channel = WebhookChannel(settings, client)
            return await channel.send(delivery_of(channel="webhook"), now=NOW)

    return asyncio.run(run())


def refusal(hook: Hook, secret: str | None = SECRET) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        send(hook, secret)
    return caught.value


def test_the_specifications_example_verifies() -> None:
    """Message, secret and signature as published with Standard Webhooks' reference libraries."""
    key = load_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert (
        sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
        == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_a_receiver_can_verify_what_is_sent() -> None:
    hook = Hook()
    assert send(hook) == ""
    [(headers, body)] = hook.requests
    verify(headers, body, key=KEY, now=NOW)
    assert headers["webhook-id"] == delivery_of().notice.notice_id
    assert headers["content-type"] == "application/json"
    assert body == delivery_of().notice.payload.encode()


@pytest.mark.parametrize("change", ["body", "webhook-id", "webhook-timestamp", "key", "time"])
def test_a_receiver_can_refuse_forgeries_and_replays(change: str) -> None:
    hook = Hook()
    send(hook)
    [(headers, body)] = hook.requests
    key, now = KEY, NOW
    if change == "body":
        body += b" "
    elif change == "key":
        key = bytes(32)
    elif change == "time":
        now = datetime(2026, 11, 24, 12, 6, tzinfo=UTC)
    else:
        headers = {**headers, change: headers[change][:-1] + "9"}
    with pytest.raises(AssertionError, match=r"forged|replayed"):
        verify(headers, body, key=key, now=now)


def test_both_secrets_sign_while_one_is_being_changed() -> None:
    hook = Hook()
    old = bytes(24)
    send(hook, f"{SECRET} whsec_{base64.b64encode(old).decode()}")
    [(headers, body)] = hook.requests
    for key in (KEY, old):
        verify(headers, body, key=key, now=NOW)


@pytest.mark.parametrize(
    ("status", "permanent"),
    [
        ("410 Gone", True),
        ("400 Bad Request", False),
        ("401 Unauthorized", False),
        ("404 Not Found", False),
        ("408 Request Timeout", False),
        ("429 Too Many Requests", False),
        ("500 Internal Server Error", False),
        ("503 Service Unavailable", False),
        ("301 Moved Permanently", False),
    ],
)
def test_only_gone_is_permanent(status: str, *, permanent: bool) -> None:
    hook = Hook(statuses=[status], headers=("Location: http://127.0.0.1:1/",))
    error = refusal(hook)
    assert error.permanent is permanent
    assert len(hook.requests) == 1


def test_the_wait_that_a_receiver_asks_for_is_passed_on() -> None:
    error = refusal(Hook(statuses=["429 Too Many Requests"], headers=("Retry-After: 90",)))
    assert error.retry_after == 90


def test_a_receiver_that_breaks_off_after_reading_is_asked_again() -> None:
    assert refusal(Hook(break_after_reading=True)).permanent is False


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "hunter2hunter2hunter2hunter2hunter2",
        "whsec_hunter2!",
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        None,
    ],
)
def test_an_unusable_secret_sends_nothing_and_is_not_told(secret: str | None) -> None:
    hook = Hook()
    error = refusal(hook, secret)
    assert error.permanent is False
    assert hook.requests == []
    assert "hunter2" not in str(error)
    assert "alerts.webhook.secret" in str(error)
