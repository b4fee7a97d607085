"""What reaches a log line, and what never may."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from pydantic import SecretStr

from subca_oversight.telemetry import configure_logging

SECRETS = {
    "password": "hunter2-and-more",
    "smtp_passwd": "hunter2-and-more",
    "webhook_secret": "hunter2-and-more",
    "api_key": "hunter2-and-more",
    "Authorization": "hunter2-and-more",
    "set_cookie": "hunter2-and-more",
    "setting": SecretStr("hunter2-and-more"),
    "text": "key whsec_hunter2-and-more here",
    "database": "postgresql+psycopg://oversight:hunter2-and-more@db.example/x",
    "header": "Authorization: Bearer hunter2-and-more",
    "deep": {"a": [{"token": "hunter2-and-more"}, "https://u:hunter2-and-more@ca.example/"]},
    "very": [[[[[[[[["whsec_hunter2-and-more"]]]]]]]]],
    "pem": "-----BEGIN EC PRIVATE KEY-----\nhunter2-and-more\n-----END EC PRIVATE KEY-----",
}


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("as_json", [True, False])
def test_secrets_never_reach_a_log_line(as_json: bool) -> None:
    stream = io.StringIO()
    configure_logging(stream=stream, json=as_json)
    for key, value in SECRETS.items():
        structlog.get_logger("x").info("something_happened", **{key: value})
    logging.getLogger("foreign").warning("url %s", SECRETS["database"])
    structlog.get_logger("x").error("failed", exc_info=ValueError(SECRETS["text"]))
    text = stream.getvalue()
    assert text.count("something_happened") == len(SECRETS)
    assert "hunter2" not in text
    assert "db.example" in text


def test_lines_are_json_unless_a_person_watches() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)
    structlog.get_logger("x").info("entries_verified", log="argon", entries=7)
    line = json.loads(stream.getvalue())
    assert (line["event"], line["log"], line["entries"]) == ("entries_verified", "argon", 7)
    assert line["level"] == "info"
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("as_json", [True, False])
def test_hostile_text_cannot_forge_a_line_or_move_the_cursor(as_json: bool) -> None:
    stream = io.StringIO()
    configure_logging(stream=stream, json=as_json)
    structlog.get_logger("x").info("read", name="a\nlevel=error\x1b[2J\u202egnp.exe\x00")
    text = stream.getvalue()
    assert text.count("\n") == 1
    for character in ("\x1b[2J", "\u202e", "\x00"):
        assert character not in text


def test_lines_below_the_level_and_of_chatty_libraries_are_left_out() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream, level=logging.INFO)
    structlog.get_logger("x").debug("detail")
    logging.getLogger("httpx").info("HTTP Request: GET https://ping.example/token")
    assert stream.getvalue() == ""
