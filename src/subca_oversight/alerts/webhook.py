"""The webhook channel: one signed POST per notice, as Standard Webhooks 1.0 has it.

The signature covers id, time and body, so a receiver can refuse forgeries and replays, and drop
repetitions by the id, which is the notice's own and the same on every attempt.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from datetime import datetime

from subca_oversight.errors import DeliveryError, SourceError
from subca_oversight.http import Client, Limits, Origin
from subca_oversight.settings import WebhookSettings
from subca_oversight.store.outbox import Delivery

SECRET_PREFIX = "whsec_"  # noqa: S105 - how a secret begins, not one
_SECRET_BYTES = range(24, 65)
_ACCEPTED = frozenset(range(200, 300))
_GONE = 410
_LIMITS = Limits(total_seconds=15.0, body_bytes=1 << 20, decompressed_bytes=1 << 20, attempts=1)


class WebhookChannel:
    """Sends notices to the configured URL."""

    def __init__(self, settings: WebhookSettings, client: Client) -> None:
        self._settings = settings
        self._client = client

    async def send(self, delivery: Delivery, *, now: datetime) -> str:
        """Send once. Raises DeliveryError.

        Only 410 is permanent: every other refusal, a redirect among them, may be a receiver that is
        being set up, and a notice lost to a wrong answer is worse than one sent too often.
        """
        body = delivery.notice.payload.encode("ascii")
        notice_id = delivery.notice.notice_id
        timestamp = str(int(now.timestamp()))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": notice_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": " ".join(
                sign(key, notice_id, timestamp, body) for key in self._keys()
            ),
        }
        try:
            await self._client.post(
                self._settings.url,
                body,
                headers=headers,
                limits=_LIMITS,
                origin=Origin.OPERATOR,
                accept_status=_ACCEPTED,
            )
        except SourceError as error:
            raise DeliveryError(
                f"webhook: {error}",
                permanent=error.status == _GONE,
                retry_after=error.retry_after,
            ) from error
        return ""

    def _keys(self) -> list[bytes]:
        """The keys to sign with: several, separated by blanks, while a secret is being changed."""
        secret = self._settings.secret
        secrets = [] if secret is None else secret.get_secret_value().split()
        if len(secrets) == 0:
            raise DeliveryError(
                "webhook: alerts.webhook.secret is not set; give it in"
                " SUBCA_ALERTS__WEBHOOK__SECRET or as a credential"
            )
        return [load_key(one) for one in secrets]


def sign(key: bytes, notice_id: str, timestamp: str, body: bytes) -> str:
    """Return ``v1,`` and the Base64 of HMAC-SHA256(key, id.timestamp.body)."""
    content = f"{notice_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode("ascii")


def load_key(secret: str) -> bytes:
    """The key of a secret ``whsec_…``. Raises DeliveryError, which never quotes the secret."""
    reason = "webhook: alerts.webhook.secret is not whsec_ and the Base64 of 24 to 64 octets"
    if not secret.startswith(SECRET_PREFIX):
        raise DeliveryError(reason)
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DeliveryError(reason) from error
    if len(key) not in _SECRET_BYTES:
        raise DeliveryError(reason)
    return key
