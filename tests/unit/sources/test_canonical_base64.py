from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.sources.canonical_base64 import decode


@given(st.binary())
def test_what_was_encoded_is_decoded(octets: bytes) -> None:
    assert decode(base64.b64encode(octets)) == octets
    assert decode(base64.b64encode(octets).decode()) == octets


@given(st.text(st.sampled_from("AB9+/=-_ \n\té\x00"), max_size=12))
def test_a_text_has_at_most_one_meaning(text: str) -> None:
    try:
        octets = decode(text)
    except ValueError:
        return
    assert base64.b64encode(octets).decode() == text


@pytest.mark.parametrize("text", ["A", "AA", "AAA", "AB==", "AAB=", "AA==\n", "AA==AA==", "-_-_"])
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        decode(text)
