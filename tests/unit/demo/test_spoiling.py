"""Each way of going wrong changes the one thing it says, and nothing once it is over."""

from __future__ import annotations

import gzip
import json
import threading
from base64 import b64decode
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from subca_oversight.demo import spoiling
from subca_oversight.demo.server import ServedWorld, serve_world
from subca_oversight.demo.world.log_list import world_logs
from subca_oversight.demo.world.randomness import Seed
from tests.unit.demo.conftest import Built

STH = "/rfc6962/ct/v1/get-sth"
PAGE = "/rfc6962/ct/v1/get-entries?start=64&end=127"
TILE = "/static/tile/data/001"


@pytest.fixture(scope="module")
def served(built: Built) -> Iterator[ServedWorld]:
    with serve_world(built.directory) as world:
        yield world


def differing_bits(first: bytes, second: bytes) -> int:
    assert len(first) == len(second)
    return sum((one ^ two).bit_count() for one, two in zip(first, second, strict=True))


def test_refusals_end_after_the_given_number(served: ServedWorld) -> None:
    with served.intercept(spoiling.refusing(STH, times=2, retry_after="1")):
        answers = [served.get(STH) for _ in range(3)]
    assert [each.status for each in answers] == [429, 429, 200]
    assert answers[0].headers == {"Retry-After": "1"}


def test_only_the_named_address_is_spoiled(served: ServedWorld) -> None:
    true = served.get(TILE)
    with (
        served.intercept(spoiling.web_page(STH)),
        served.intercept(spoiling.missing("/static/tile/data/005.p/")),
    ):
        assert served.get(STH).content_type.startswith("text/html")
        assert served.get(STH).status == 200
        assert served.get("/static/tile/data/005.p/52").status == 404
        assert served.get(TILE) == true
    assert json.loads(served.get(STH).body)["tree_size"] > 0


@pytest.mark.parametrize("field", ["leaf_input", "extra_data"])
def test_one_bit_of_one_entry_is_flipped(served: ServedWorld, field: str) -> None:
    true = json.loads(served.get(PAGE).body)["entries"]
    with served.intercept(spoiling.flipped_entry(70, field=field)):
        spoiled = json.loads(served.get(PAGE).body)["entries"]
        other = json.loads(served.get("/rfc6962/ct/v1/get-entries?start=0&end=63").body)
    assert len(other["entries"]) == 64
    changed = [index for index in range(64) if true[index] != spoiled[index]]
    assert changed == [6]
    assert differing_bits(b64decode(true[6][field]), b64decode(spoiled[6][field])) == 1


def test_one_bit_of_a_data_tile_is_flipped(served: ServedWorld) -> None:
    true = gzip.decompress(served.get(TILE).body)
    with served.intercept(spoiling.flipped_tile(TILE, 100)):
        spoiled = gzip.decompress(served.get(TILE).body)
    assert differing_bits(true, spoiled) == 1


def test_a_forked_head_is_signed(served: ServedWorld) -> None:
    true = json.loads(served.get(STH).body)
    with served.intercept(spoiling.forked_head(1)):
        head = json.loads(served.get(STH).body)
    assert head["tree_size"] == true["tree_size"]
    assert head["sha256_root_hash"] != true["sha256_root_hash"]
    key = world_logs(Seed(1))["rfc6962"].key.private.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signed = (
        b"\x00\x01"
        + head["timestamp"].to_bytes(8)
        + head["tree_size"].to_bytes(8)
        + b64decode(head["sha256_root_hash"])
    )
    signature = b64decode(head["tree_head_signature"])[4:]
    key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))


def test_a_bomb_is_small_until_it_is_opened(served: ServedWorld) -> None:
    with served.intercept(spoiling.bomb(TILE, size=8 << 20)):
        packed = served.get(TILE)
    assert len(packed.body) < 10_000
    assert gzip.decompress(packed.body) == bytes(8 << 20)


def test_a_hanging_answer_comes_when_released(served: ServedWorld) -> None:
    released = threading.Event()
    statuses: list[int] = []
    with served.intercept(spoiling.hanging(STH, released)):
        thread = threading.Thread(target=lambda: statuses.append(served.get(STH).status))
        thread.start()
        thread.join(0.05)
        assert statuses == []
        released.set()
        thread.join()
    assert statuses == [200]
