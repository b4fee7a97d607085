"""A message reads back as it was written, and is thin."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.alerts.message import Example, decode_message, encode_message, render_letter
from subca_oversight.errors import StoreError
from tests.unit.alerts.messages import MESSAGE

ANY_TEXT = st.text(st.characters(categories=None), max_size=600)


def test_a_message_reads_back() -> None:
    assert decode_message(encode_message(MESSAGE)) == MESSAGE


def test_the_body_has_the_members_of_standard_webhooks() -> None:
    body = json.loads(encode_message(MESSAGE))
    assert list(body) == ["type", "timestamp", "data"]
    assert body["type"] == "finding_opened"
    assert body["timestamp"] == "2026-11-24T12:00:00Z"


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_text_of_any_kind_makes_safe_bodies_and_letters(
    check: str, subject: str, text: str
) -> None:
    message = dataclasses.replace(
        MESSAGE, check=check, requirement=text, examples=(Example("", subject, text),)
    )
    payload = encode_message(message)
    assert payload.isascii()
    assert payload.isprintable()
    assert not set("<>&") & set(payload)
    read_back = decode_message(payload)
    assert encode_message(read_back) == payload
    letter = render_letter(read_back)
    assert all(line.isprintable() for line in letter.split("\n"))
    assert message.subject.isprintable()


def test_a_letter_says_what_by_when_and_how_many() -> None:
    letter = render_letter(MESSAGE)
    assert "deadline     2026-11-24T12:00:00Z (earliest)" in letter
    assert "requirement  TLS BR 6.3.2" in letter
    assert "The first 1:" in letter
    assert "- valid for 400 days\n  0123456789abcdef abab" in letter


@pytest.mark.parametrize(
    "payload", ["", "{}", "[]", '{"data":{}}', "null", encode_message(MESSAGE)[:-1]]
)
def test_a_damaged_row_is_a_store_error(payload: str) -> None:
    with pytest.raises(StoreError):
        decode_message(payload)
