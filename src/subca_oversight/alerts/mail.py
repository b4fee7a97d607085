"""The mail channel: one plain-text letter per notice, over SMTP.

TLS is required unless the operator switched it off, and is never given up half-way; the Message-ID
is made of the notice's id, so that a repeated delivery is recognized (RFC 5321, 5322, 3207, 8314).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, parseaddr

from subca_oversight.alerts.message import decode_message, render_letter
from subca_oversight.alerts.text import visible
from subca_oversight.errors import DeliveryError
from subca_oversight.settings import SmtpSettings
from subca_oversight.store.outbox import Delivery

_STEP_SECONDS = 15.0
_TOTAL_SECONDS = 60.0
_READY = 220
_PERMANENT = range(500, 600)
_SAID = 300
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

Recipients = Callable[[Delivery], Sequence[str]]


class MailChannel:
    """Sends notices by mail to whomever ``recipients`` names for them."""

    def __init__(
        self,
        settings: SmtpSettings,
        *,
        tls: ssl.SSLContext,
        recipients: Recipients,
        reply_to: str,
        step_seconds: float = _STEP_SECONDS,
        total_seconds: float = _TOTAL_SECONDS,
    ) -> None:
        self._settings = settings
        self._tls = tls
        self._recipients = recipients
        self._reply_to = reply_to
        self._step_seconds = step_seconds
        self._total_seconds = total_seconds

    async def send(self, delivery: Delivery, *, now: datetime) -> str:
        """Send once; the note names recipients that were refused. Raises DeliveryError."""
        recipients = [load_address(one) for one in self._recipients(delivery)]
        if len(recipients) == 0:
            raise DeliveryError("mail: no recipient is known", permanent=True)
        letter = write_letter(
            delivery,
            sender=self._settings.sender,
            recipients=recipients,
            reply_to=self._reply_to,
            now=now,
        )
        exchange = _Exchange(self._settings, self._tls, self._step_seconds)
        try:
            async with asyncio.timeout(self._total_seconds):
                refused = await asyncio.to_thread(exchange.run, letter, recipients)
        except TimeoutError as error:
            raise DeliveryError(
                f"mail: {self._settings.host}: no end within {self._total_seconds:g} s"
            ) from error
        finally:
            exchange.abort()
        if len(refused) == 0:
            return ""
        return "refused for " + ", ".join(sorted(refused))


def write_letter(
    delivery: Delivery, *, sender: str, recipients: Sequence[str], reply_to: str, now: datetime
) -> EmailMessage:
    """The letter of a notice. Raises DeliveryError for an address that cannot be used."""
    name, address = parseaddr(sender)
    origin = load_address(address)
    domain = origin.rpartition("@")[2]
    letter = EmailMessage(policy=SMTP_POLICY)
    letter["From"] = Address(display_name=visible(name, _SAID), addr_spec=origin)
    letter["To"] = tuple(Address(addr_spec=one) for one in recipients)
    if _ADDRESS.fullmatch(reply_to) is not None:
        letter["Reply-To"] = Address(addr_spec=reply_to)
    letter["Subject"] = visible(delivery.notice.subject, _SAID)
    letter["Date"] = format_datetime(now.astimezone(UTC))
    letter["Message-ID"] = f"<{delivery.notice.notice_id}.{delivery.channel}@{domain}>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(
        render_letter(decode_message(delivery.notice.payload)), cte="quoted-printable"
    )
    return letter


def load_address(text: str) -> str:
    """A bare mail address in ASCII. Raises DeliveryError: it may come from another's file."""
    if _ADDRESS.fullmatch(text) is None:
        raise DeliveryError(f"mail: {visible(text, _SAID)!a} is no mail address", permanent=True)
    return text


class _Exchange:
    """One SMTP session, run in a thread; ``abort`` frees the thread from a peer that hangs."""

    def __init__(self, settings: SmtpSettings, tls: ssl.SSLContext, seconds: float) -> None:
        self._settings = settings
        self._tls = tls
        # gethostname asks no name server, as smtplib's own default would.
        name = socket.gethostname()
        self._smtp: smtplib.SMTP = (
            smtplib.SMTP_SSL(local_hostname=name, timeout=seconds, context=tls)
            if settings.security == "tls"
            else smtplib.SMTP(local_hostname=name, timeout=seconds)
        )
        # The name that TLS verifies; connect() does not set it, and the constructor would connect.
        self._smtp._host = settings.host  # type: ignore[attr-defined]  # noqa: SLF001

    def run(self, letter: EmailMessage, recipients: Sequence[str]) -> Mapping[str, str]:
        """Send to every recipient; those refused, with the code. Raises DeliveryError."""
        host = self._settings.host
        try:
            try:
                self._begin()
            except (smtplib.SMTPException, ValueError, OSError) as error:
                # Said of the session, not of this letter: it may be mended while the letter waits.
                raise DeliveryError(f"mail: {host}: {_reason(error)}") from error
            try:
                return self._hand_over(letter, recipients)
            except (smtplib.SMTPException, ValueError, OSError) as error:
                raise DeliveryError(
                    f"mail: {host}: {_reason(error)}", permanent=_is_permanent(error)
                ) from error
        finally:
            self._smtp.close()

    def _begin(self) -> None:
        settings, smtp = self._settings, self._smtp
        code, said = smtp.connect(settings.host, settings.port)
        if code != _READY:
            raise smtplib.SMTPConnectError(code, said)
        if settings.security == "starttls":
            smtp.starttls(context=self._tls)
        if len(settings.username) > 0 and settings.password is not None:
            if settings.security == "none" and settings.host not in _LOOPBACK:
                raise DeliveryError(
                    "mail: refused to send the password without TLS; set alerts.smtp.security"
                )
            smtp.login(settings.username, settings.password.get_secret_value())

    def _hand_over(self, letter: EmailMessage, recipients: Sequence[str]) -> Mapping[str, str]:
        _, sender = parseaddr(self._settings.sender)
        refused = self._smtp.send_message(letter, from_addr=sender, to_addrs=list(recipients))
        # Accepted: what goes wrong from here on must not make it be sent again.
        with contextlib.suppress(smtplib.SMTPException, OSError):
            self._smtp.quit()
        return {recipient: str(code) for recipient, (code, _) in refused.items()}

    def abort(self) -> None:
        """Free the thread, wherever it waits; it closes the socket itself."""
        connection = self._smtp.sock
        if connection is not None:
            with contextlib.suppress(OSError):
                # Not SSLSocket's own: that would take the TLS object from under the thread.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _is_permanent(error: Exception) -> bool:
    """Whether the server refused this very letter; a refused sender is a setting to be mended."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code in _PERMANENT for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPDataError) and error.smtp_code in _PERMANENT


def _reason(error: Exception) -> str:
    """What the server or the system said, on one line."""
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        text = said.decode("utf-8", errors="replace") if isinstance(said, bytes) else str(said)
        return f"{error.smtp_code} {visible(text, _SAID)}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = sorted({str(code) for code, _ in error.recipients.values()})
        return f"every recipient was refused with {', '.join(codes)}"
    text = str(error)
    return visible(text if len(text) > 0 else type(error).__name__, _SAID)
