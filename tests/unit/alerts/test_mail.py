"""Letters arrive whole, over TLS where it is wanted, and nobody's text becomes a header."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
import time
from collections.abc import Sequence
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.alerts.mail import MailChannel, write_letter
from subca_oversight.alerts.message import Example
from subca_oversight.errors import DeliveryError
from subca_oversight.http.identity import load_tls
from subca_oversight.settings import HttpSettings, SmtpSettings
from subca_oversight.store.outbox import Delivery
from tests.unit.alerts.events import NOW
from tests.unit.alerts.messages import MESSAGE, delivery_of, notice_of
from tests.unit.alerts.receivers import SmtpServer, smtp_server

TEAM = ("team@ca.example",)


def settings(port: int, **more: object) -> SmtpSettings:
    base = {
        "host": "127.0.0.1",
        "port": port,
        "from": "Oversight of CA <oversight@ca.example>",
        "security": "none",
    }
    return SmtpSettings.model_validate({**base, **more})


def send(
    server: SmtpServer,
    *,
    delivery: Delivery | None = None,
    to: Sequence[str] = TEAM,
    tls: ssl.SSLContext | None = None,
    ca_bundle: Path | None = None,
    total_seconds: float = 10.0,
    **more: object,
) -> str:
    async def run() -> str:
        async with smtp_server(server, tls if more.get("security") == "tls" else None):
            channel = MailChannel(
                settings(server.port, **more),
                tls=load_tls(HttpSettings(ca_bundle=ca_bundle)),
                recipients=lambda _: to,
                reply_to="oversight-team@ca.example",
                total_seconds=total_seconds,
            )
            chosen = delivery_of() if delivery is None else delivery
            return await channel.send(chosen, now=NOW)

    return asyncio.run(run())


def refusal(server: SmtpServer, **more: object) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        send(server, **more)  # type: ignore[arg-type]  # passed on as they came
    assert str(caught.value).isprintable()
    return caught.value


def read(letter: bytes) -> EmailMessage:
    parsed = message_from_bytes(letter, policy=default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def test_a_letter_arrives_with_stable_identity() -> None:
    server = SmtpServer()
    assert send(server, to=("team@ca.example", "duty@ca.example")) == ""
    send(server)
    assert len(server.letters) == 2
    first, second = (read(letter) for letter in server.letters)
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Message-ID"] == f"<{MESSAGE.notice_id}.smtp@ca.example>"
    assert first["From"] == "Oversight of CA <oversight@ca.example>"
    assert first["To"] == "team@ca.example, duty@ca.example"
    assert first["Reply-To"] == "oversight-team@ca.example"
    assert first["Subject"] == (
        "[subca-oversight] violation: validity-limit: new (7) at acme-tls-1"
    )
    assert first["Date"] == "Tue, 24 Nov 2026 12:00:00 +0000"
    assert first["Auto-Submitted"] == "auto-generated"
    assert first.get_content_type() == "text/plain"
    assert "valid for 400 days" in first.get_content()
    assert "MAIL FROM:<oversight@ca.example>" in " ".join(server.commands)
    assert sum(command.startswith("RCPT TO:") for command in server.commands) == 3


HEADERS = {
    "From",
    "To",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "Content-Type",
    "Content-Transfer-Encoding",
    "MIME-Version",
}


@given(st.text(st.characters(categories=None), max_size=300))
def test_no_text_becomes_a_header_or_ends_the_letter(text: str) -> None:
    hostile = f"x\r\nBcc: thief@evil.example\r\n\r\n.\r\nMAIL FROM:<a>\r\n{text}"
    message = dataclasses.replace(
        MESSAGE,
        check=hostile,
        subordinate=hostile,
        requirement=hostile,
        examples=(Example(hostile, hostile, hostile),),
    )
    notice = dataclasses.replace(notice_of(message), subject=hostile)
    letter = write_letter(
        delivery_of(notice),
        sender=f"{hostile} <oversight@ca.example>",
        recipients=TEAM,
        reply_to=hostile,
        now=NOW,
    )
    octets = letter.as_bytes()
    parsed = read(octets)
    assert set(parsed.keys()) <= HEADERS
    assert parsed["To"] == "team@ca.example"
    assert parsed["Subject"].isprintable()
    assert b"\r\n.\r\n" not in octets


@pytest.mark.parametrize(
    "address",
    [
        "a@b.example\r\nBcc: c@d.example",
        "a@b.example, c@d.example",
        "A <a@b.example>",
        "a@b.example>",
        "@b.example",
        "a@",
        "a b@c.example",
        "",
        "ü@c.example",
        "a@b.example\n",
    ],
)
def test_an_address_that_is_more_than_an_address_is_refused(address: str) -> None:
    server = SmtpServer()
    assert refusal(server, to=(address,)).permanent is True
    assert server.commands == []


def test_a_notice_for_nobody_is_dead() -> None:
    assert refusal(SmtpServer(), to=()).permanent is True


@pytest.mark.parametrize(
    ("answers", "permanent"),
    [
        ({"CONNECT": "554 no service"}, False),
        ({"CONNECT": "421 too busy"}, False),
        ({"MAIL": "530 authentication required"}, False),
        ({"MAIL": "451 later"}, False),
        ({"RCPT": "550 no such mailbox"}, True),
        ({"RCPT": "450 greylisted"}, False),
        ({"DATA": "554 no"}, True),
        ({"DATA": "451 later"}, False),
        ({"END": "554 refused as spam"}, True),
        ({"END": "452 disk full"}, False),
        ({"END": "close"}, False),
        ({"MAIL": "close"}, False),
        ({"CONNECT": "close"}, False),
        ({"EHLO": "500 \x1b[2Jwhat\u202e", "HELO": "500 what"}, False),
    ],
)
def test_only_a_refused_letter_is_permanent(answers: dict[str, str], *, permanent: bool) -> None:
    assert refusal(SmtpServer(answers=answers)).permanent is permanent


def test_a_letter_that_one_of_two_receives_is_delivered_with_a_note() -> None:
    server = SmtpServer(answers={"RCPT TO:<gone@ca.example>": "550 no such mailbox"})
    assert send(server, to=("gone@ca.example", "team@ca.example")) == (
        "refused for gone@ca.example"
    )
    assert len(server.letters) == 1


def test_trouble_after_acceptance_does_not_send_again() -> None:
    server = SmtpServer(answers={"QUIT": "close"})
    assert send(server) == ""


@pytest.mark.parametrize("stage", ["CONNECT", "EHLO", "RCPT", "END"])
def test_a_server_that_hangs_is_left(stage: str) -> None:
    begin = time.monotonic()
    error = refusal(SmtpServer(answers={stage: "hang"}), total_seconds=0.2)
    assert error.permanent is False
    assert "no end within 0.2 s" in str(error)
    assert time.monotonic() - begin < 5


def test_an_unreachable_server_is_tried_again_later() -> None:
    async def run() -> None:
        channel = MailChannel(
            settings(1), tls=load_tls(HttpSettings()), recipients=lambda _: TEAM, reply_to=""
        )
        await channel.send(delivery_of(), now=NOW)

    with pytest.raises(DeliveryError, match="refused") as caught:
        asyncio.run(run())
    assert caught.value.permanent is False


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stub")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=9999))
        .not_valid_after(NOW + timedelta(days=9999))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "stub.pem"
    path.write_bytes(
        made.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return path


def test_tls_from_the_first_octet_is_verified(certificate: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = SmtpServer(offers=("AUTH PLAIN",))
    send(
        server,
        tls=context,
        ca_bundle=certificate,
        security="tls",
        username="oversight",
        password="correct horse",
    )
    assert len(server.letters) == 1
    assert any(command.startswith("AUTH PLAIN ") for command in server.commands)
    stranger = refusal(SmtpServer(), tls=context, security="tls")
    assert "certificate" in str(stranger).lower()
    assert stranger.permanent is False


def test_starttls_comes_before_password_and_letter(certificate: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = SmtpServer(offers=("STARTTLS", "AUTH PLAIN"), upgrade=context)
    send(
        server,
        ca_bundle=certificate,
        security="starttls",
        username="oversight",
        password="correct horse",
    )
    assert len(server.letters) == 1
    verbs = [command.split(" ")[0] for command in server.commands]
    assert verbs.index("STARTTLS") < verbs.index("AUTH") < verbs.index("MAIL")
    assert verbs.count("EHLO") == 2


@pytest.mark.parametrize("answers", [{}, {"STARTTLS": "502 not here"}, {"STARTTLS": "454 later"}])
def test_a_server_without_starttls_gets_neither_password_nor_letter(
    answers: dict[str, str],
) -> None:
    offers = ("STARTTLS",) if len(answers) > 0 else ()
    server = SmtpServer(answers=answers, offers=offers)
    error = refusal(server, security="starttls", username="oversight", password="correct horse")
    assert error.permanent is False
    assert server.letters == []
    assert not any(command.startswith(("AUTH", "MAIL")) for command in server.commands)


def test_a_wrong_password_may_be_mended_and_is_not_told() -> None:
    server = SmtpServer(answers={"AUTH": "535 wrong"}, offers=("AUTH PLAIN",))
    error = refusal(server, username="oversight", password="correct horse")
    assert error.permanent is False
    assert "correct horse" not in str(error)
    assert "535" in str(error)


def test_a_password_never_crosses_the_network_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subca_oversight.alerts.mail._LOOPBACK", frozenset())
    server = SmtpServer(offers=("AUTH PLAIN",))
    error = refusal(server, username="oversight", password="correct horse")
    assert "without TLS" in str(error)
    assert not any(command.startswith("AUTH") for command in server.commands)
