"""get-entries answers: taken strictly, decoded no further than filtering needs."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from hashlib import sha256

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.errors import SourceError
from subca_oversight.http import Client, Response
from subca_oversight.model.log import LogApi
from subca_oversight.sources.log_entries import ChainFlaw, find_flaw
from subca_oversight.sources.rfc6962 import Rfc6962Log, chain_of, parse_entries
from tests.integration.log_server import FaultyLog, Leaf
from tests.integration.made_entries import noise

URL = "https://log.example/ct/v1/get-entries"

leaves = st.builds(
    Leaf,
    timestamp=st.integers(0, 2**63 - 1),
    body=st.binary(min_size=1, max_size=300),
    issuer_key_hash=st.none() | st.binary(min_size=32, max_size=32),
    precertificate=st.binary(max_size=300),
    chain=st.lists(st.binary(max_size=20), max_size=3).map(tuple),
    extensions=st.binary(max_size=20),
)


def text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def answer(entries: list[Leaf]) -> bytes:
    return json.dumps(
        {
            "entries": [
                {"leaf_input": text(leaf.merkle_leaf()), "extra_data": text(leaf.extra_data())}
                for leaf in entries
            ]
        }
    ).encode()


@given(st.lists(leaves, min_size=1, max_size=12))
def test_what_a_log_encodes_is_decoded_again(entries: list[Leaf]) -> None:
    page = parse_entries(answer(entries), 7, 7 + len(entries), url=URL)
    assert (page.first, page.end) == (7, 7 + len(entries))
    assert page.preimages == [b"\x00" + leaf.merkle_leaf() for leaf in entries]
    assert page.issuer_keys == [leaf.issuer_key_hash for leaf in entries]
    assert page.malformed == []
    assert page.finals == [
        (offset, sha256(leaf.chain[0]).digest() if len(leaf.chain) > 0 else ChainFlaw.EMPTY)
        for offset, leaf in enumerate(entries)
        if leaf.issuer_key_hash is None
    ]
    for offset, leaf in enumerate(entries):
        is_precertificate = leaf.issuer_key_hash is not None
        first, chain = chain_of(page.unhashed(offset), precertificate=is_precertificate)
        assert first == (leaf.precertificate if is_precertificate else None)
        assert chain == leaf.chain


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["entries", "leaf_input", "extra_data", "other"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(json_values | st.builds(lambda value: {"entries": value}, json_values))
def test_any_other_answer_is_a_failure_of_the_source(value: object) -> None:
    body = json.dumps(value).encode()
    with pytest.raises(SourceError):
        parse_entries(body, 0, 5, url=URL)


@given(st.binary(max_size=100))
def test_any_octets_are_a_failure_of_the_source(octets: bytes) -> None:
    with pytest.raises(SourceError):
        parse_entries(octets, 0, 5, url=URL)


@pytest.mark.parametrize("served", [0, 6])
def test_no_more_entries_than_asked_for_and_at_least_one(served: int) -> None:
    with pytest.raises(SourceError, match=f"{served} entries, asked for 5"):
        parse_entries(answer(noise(served)), 0, 5, url=URL)


@given(st.binary(max_size=120))
def test_any_leaf_is_kept_and_judged(leaf: bytes) -> None:
    body = {"entries": [{"leaf_input": text(leaf), "extra_data": "AAAA"}]}
    page = parse_entries(json.dumps(body).encode(), 0, 1, url=URL)
    assert page.preimages == [b"\x00" + leaf]
    assert (len(page.malformed) == 0) == (find_flaw(b"\x00" + leaf) is None)


@given(st.text(alphabet="AB+/=-x", max_size=40))
def test_any_extra_data_is_kept(extra: str) -> None:
    leaf = Leaf(timestamp=1, body=b"x").merkle_leaf()
    body = {"entries": [{"leaf_input": text(leaf), "extra_data": extra}]}
    page = parse_entries(json.dumps(body).encode(), 0, 1, url=URL)
    assert page.malformed == []
    [(_, issuer)] = page.finals
    assert isinstance(issuer, bytes | ChainFlaw)
    assert isinstance(page.unhashed(0), bytes)


@given(st.binary(max_size=100), st.booleans())
def test_any_extra_data_is_read_or_refused(extra: bytes, precertificate: bool) -> None:
    try:
        first, chain = chain_of(extra, precertificate=precertificate)
    except ValueError:
        return
    encoded = b"".join(len(one).to_bytes(3) + one for one in chain)
    encoded = len(encoded).to_bytes(3) + encoded
    if first is not None:
        encoded = len(first).to_bytes(3) + first + encoded
    assert encoded == extra


class LoggedClient(Client):
    """Answers out of a log object, without a socket."""

    def __init__(self, log: FaultyLog) -> None:
        self._log = log

    async def get(self, url: str, **_: object) -> Response:
        status, body = self._log.answer("/" + url.partition("://")[2].partition("/")[2])
        if status != 200:
            raise SourceError(f"status {status}", status=status, url=url)
        return Response(status, {}, body, url)


def reader(log: FaultyLog, page_entries: int = 1000) -> Rfc6962Log:
    return Rfc6962Log(LoggedClient(log), log.log(), page_entries=page_entries)


def test_a_range_is_whole_though_its_pages_are_short() -> None:
    log = FaultyLog(noise(100), LogApi.RFC6962, max_page=9)
    pages = asyncio.run(reader(log).fetch_range(3, 77))
    indexes = [index for served in pages for index in range(served.page.first, served.page.end)]
    assert indexes == list(range(3, 77))


def test_the_page_size_is_learned_from_aligned_pages() -> None:
    log = FaultyLog(noise(300), LogApi.RFC6962, max_page=32, align=True)
    client = reader(log)
    asyncio.run(client.fetch_range(5, 300))
    assert client.page_entries == 32
    assert client.next_end(64, 300) == 96
    assert client.next_end(70, 300) == 96
    assert client.next_end(290, 300) == 300


def test_one_short_page_off_its_place_teaches_nothing() -> None:
    log = FaultyLog(noise(300), LogApi.RFC6962, max_page=256, align=True)
    client = reader(log, page_entries=200)
    asyncio.run(client.fetch_range(250, 300))
    assert client.page_entries == 200


@pytest.mark.parametrize(
    "mutation",
    [
        lambda _: b"<html>busy</html>",
        lambda _: b"[]",
        lambda _: b"",
        lambda body: orjson.dumps({**orjson.loads(body), "audit_path": ["AA=="]}),
        lambda body: orjson.dumps({**orjson.loads(body), "audit_path": [text(bytes(32))] * 65}),
        lambda body: orjson.dumps({**orjson.loads(body), "leaf_input": 5}),
    ],
    ids=["web page", "array", "nothing", "short hash", "long path", "number"],
)
def test_a_proof_in_another_form_is_a_failure_of_the_source(
    mutation: Callable[[bytes], bytes],
) -> None:
    log = FaultyLog(noise(9), LogApi.RFC6962)
    log.mutations["/ct/v1/get-entry-and-proof?leaf_index=8&tree_size=9"] = mutation
    with pytest.raises(SourceError):
        asyncio.run(reader(log).fetch_leaf(8, 9))
