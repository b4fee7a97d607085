"""Data tiles: cut exactly as they were put together, and never beyond what is there."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.sources.log_entries import ChainFlaw
from subca_oversight.sources.static_ct import fingerprints_of, parse_data_tile, tile_number
from tests.integration.log_server import Leaf, with_leaf_index
from tests.real_data import REAL_DATA, needs_real_data

leaves = st.builds(
    Leaf,
    timestamp=st.integers(0, 2**63 - 1),
    body=st.binary(min_size=1, max_size=300),
    issuer_key_hash=st.none() | st.binary(min_size=32, max_size=32),
    precertificate=st.binary(max_size=300),
    chain=st.lists(st.binary(max_size=20), max_size=3).map(tuple),
)


def tile_of(entries: list[Leaf]) -> bytes:
    return b"".join(leaf.merkle_leaf()[2:] + leaf.tile_rest() for leaf in entries)


def expected_rest(leaf: Leaf) -> tuple[bytes | None, tuple[bytes, ...]]:
    first = None if leaf.issuer_key_hash is None else leaf.precertificate
    return first, tuple(sha256(one).digest() for one in leaf.chain)


@given(st.lists(leaves, min_size=1, max_size=12), st.integers(0, 2**41), st.data())
def test_what_was_put_in_a_tile_is_cut_out_again(
    entries: list[Leaf], first: int, data: st.DataObject
) -> None:
    first -= first % 256
    skip = data.draw(st.integers(0, len(entries) - 1))
    if first < 2**40:
        entries = with_leaf_index(entries, first)
    page = parse_data_tile(tile_of(entries), first, first + len(entries), skip=skip)
    kept = entries[skip:]
    assert (page.first, page.end) == (first + skip, first + len(entries))
    assert page.preimages == [b"\x00" + leaf.merkle_leaf() for leaf in kept]
    assert page.issuer_keys == [leaf.issuer_key_hash for leaf in kept]
    assert page.finals == [
        (offset, sha256(leaf.chain[0]).digest() if len(leaf.chain) > 0 else ChainFlaw.EMPTY)
        for offset, leaf in enumerate(kept)
        if leaf.issuer_key_hash is None
    ]
    assert page.malformed == []
    for offset, leaf in enumerate(kept):
        is_precertificate = leaf.issuer_key_hash is not None
        rest = fingerprints_of(page.unhashed(offset), precertificate=is_precertificate)
        assert rest == expected_rest(leaf)


@given(st.lists(leaves, min_size=1, max_size=4), st.data())
def test_a_tile_cut_short_is_refused(entries: list[Leaf], data: st.DataObject) -> None:
    tile = tile_of(entries)
    length = data.draw(st.integers(0, len(tile) - 1))
    with pytest.raises(ValueError, match="entry"):
        parse_data_tile(tile[:length], 0, len(entries))


@given(st.binary(max_size=600), st.integers(1, 5))
def test_any_octets_are_cut_or_refused(octets: bytes, width: int) -> None:
    try:
        page = parse_data_tile(octets, 0, width)
    except ValueError:
        return
    assert len(page) == width
    assert sum(len(one) - 3 for one in page.preimages) <= len(octets)


@given(st.binary(max_size=200), st.booleans())
def test_any_rest_is_read_or_refused(octets: bytes, precertificate: bool) -> None:
    try:
        first, fingerprints = fingerprints_of(octets, precertificate=precertificate)
    except ValueError:
        return
    assert (first is not None) == precertificate
    assert {len(one) for one in fingerprints} <= {32}


def test_a_full_tile_has_nothing_after_its_last_entry() -> None:
    entries = with_leaf_index([Leaf(timestamp=1, body=b"x")] * 256)
    tile = tile_of(entries)
    assert len(parse_data_tile(tile, 0, 256)) == 256
    with pytest.raises(ValueError, match="1 octets follow"):
        parse_data_tile(tile + b"\x00", 0, 256)


def test_a_full_tile_stands_in_for_a_partial_one() -> None:
    entries = with_leaf_index([Leaf(timestamp=n, body=b"x") for n in range(256)])
    page = parse_data_tile(tile_of(entries), 0, 100, skip=90)
    assert (page.first, page.end) == (90, 100)


def test_the_last_chain_of_a_partial_tile_cannot_be_cut_off_by_its_length() -> None:
    tile = tile_of(with_leaf_index([Leaf(timestamp=1, body=b"x", chain=(b"issuer",))] * 3))
    assert tile[-34:-32] == b"\x00\x20"
    with pytest.raises(ValueError, match="32 octets follow"):
        parse_data_tile(tile[:-34] + b"\x00\x00" + tile[-32:], 0, 3)


@pytest.mark.parametrize(
    ("extensions", "flaw"),
    [
        (b"", None),
        (b"\x00\x00\x05\x00\x00\x00\x00\x00", None),
        (b"\x09\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00", None),
        (b"\x00\x00\x05\x00\x00\x00\x00\x01", "leaf_index 1 at position 0"),
        (b"\x00\x00\x04\x00\x00\x00\x00", "a leaf_index of 4 octets"),
        (b"\x00\x00\x05\x00\x00\x00\x00\x00" * 2, "extension 0 appears twice"),
        (b"\x09\x00\x09x", "an extension reaches beyond the extensions"),
    ],
)
def test_extensions_are_held_against_the_position(extensions: bytes, flaw: str | None) -> None:
    leaf = Leaf(timestamp=1, body=b"x", extensions=extensions)
    page = parse_data_tile(tile_of([leaf]), 0, 1)
    assert page.malformed == ([] if flaw is None else [(0, flaw)])


def test_a_timestamp_that_no_database_holds_is_malformed() -> None:
    page = parse_data_tile(tile_of([Leaf(timestamp=2**63, body=b"x")]), 0, 1)
    assert [offset for offset, _ in page.malformed] == [0]


@pytest.mark.parametrize(
    ("number", "path"), [(0, "000"), (5, "005"), (999, "999"), (1000, "x001/000")]
)
def test_tile_numbers_are_written_in_groups_of_three(number: int, path: str) -> None:
    assert tile_number(number) == path
    assert tile_number(1_234_067) == "x001/x234/067"  # the example of tlog-tiles


@needs_real_data
@pytest.mark.parametrize("number", range(4))
def test_real_leaves_hash_to_the_tiles_that_the_log_served(number: int) -> None:
    folder = REAL_DATA / "ct" / "tiles" / "navigli2025h2" / "tile"
    tile = (folder / "data" / f"{number:03}").read_bytes()
    page = parse_data_tile(tile, number * 256, number * 256 + 256)
    hashes = b"".join(sha256(preimage).digest() for preimage in page.preimages)
    assert hashes == (folder / "0" / f"{number:03}").read_bytes()
    assert page.malformed == []
    assert all(key is not None for key in page.issuer_keys)


@needs_real_data
def test_no_flipped_bit_of_a_real_tile_raises_anything_but_a_refusal() -> None:
    tile = (REAL_DATA / "ct/tiles/navigli2025h2/tile/data/000").read_bytes()[:20_000]
    chosen = random.Random(6962)  # noqa: S311 - a sample, not a secret
    for _ in range(200):
        spoiled = bytearray(tile)
        spoiled[chosen.randrange(len(tile))] ^= 1 << chosen.randrange(8)
        try:
            page = parse_data_tile(bytes(spoiled), 0, 8)
        except ValueError:
            continue
        assert len(page) == 8
