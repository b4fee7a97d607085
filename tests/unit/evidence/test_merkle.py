from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.errors import VerificationError
from subca_oversight.evidence.merkle import (
    EMPTY_ROOT,
    CompactRange,
    compact_range_from_audit_path,
    leaf_hash,
    node_hash,
    root_of,
    subtree_root,
    verify_consistency,
    verify_inclusion,
)
from tests.real_data import REAL_DATA, needs_real_data

CT = REAL_DATA / "ct"
LEAVES = [leaf_hash(index.to_bytes(4)) for index in range(700)]
sizes = st.integers(min_value=1, max_value=300)


# RFC 6962 section 2.1 written down as it is defined: recursive, and sharing nothing with the code.
def naive_root(leaves: Sequence[bytes]) -> bytes:
    if len(leaves) == 0:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = naive_split(len(leaves))
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_split(size: int) -> int:
    k = 1
    while k * 2 < size:
        k *= 2
    return k


def naive_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = naive_split(len(leaves))
    if index < k:
        return [*naive_path(index, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(index - k, leaves[k:]), naive_root(leaves[:k])]


def naive_consistency(size: int, leaves: Sequence[bytes], *, whole: bool = True) -> list[bytes]:
    if size == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = naive_split(len(leaves))
    if size <= k:
        return [*naive_consistency(size, leaves[:k], whole=whole), naive_root(leaves[k:])]
    return [*naive_consistency(size - k, leaves[k:], whole=False), naive_root(leaves[:k])]


def flipped(octets: bytes, bit: int) -> bytes:
    changed = bytearray(octets)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_hashes_are_those_of_rfc_6962() -> None:
    assert EMPTY_ROOT.hex().startswith("e3b0c44298fc1c14")
    assert leaf_hash(b"") == sha256(b"\x00").digest()
    assert node_hash(b"l" * 32, b"r" * 32) == sha256(b"\x01" + b"l" * 32 + b"r" * 32).digest()


def test_a_compact_range_has_the_naive_root_at_every_size() -> None:
    compact_range = CompactRange()
    for size in range(301):
        assert compact_range.size == size
        assert compact_range.root() == naive_root(LEAVES[:size]) == root_of(LEAVES[:size])
        compact_range.append(LEAVES[size])


@given(st.lists(st.integers(min_value=0, max_value=90), max_size=8))
def test_leaves_may_be_added_in_any_portions(portions: list[int]) -> None:
    compact_range = CompactRange()
    size = 0
    for portion in portions:
        compact_range.extend(LEAVES[size : size + portion])
        size += portion
        one_by_one = CompactRange()
        for leaf in LEAVES[:size]:
            one_by_one.append(leaf)
        assert compact_range == one_by_one
        # stored and restored
        compact_range = CompactRange.from_bytes(compact_range.size, compact_range.hashes)


@pytest.mark.parametrize("level", range(9))
def test_an_aligned_subtree_counts_as_its_leaves(level: int) -> None:
    width = 1 << level
    compact_range = CompactRange()
    compact_range.append_subtree(subtree_root(LEAVES[:width]), level)
    compact_range.append_subtree(subtree_root(LEAVES[width : 2 * width]), level)
    assert compact_range == folded(2 * width)


def test_a_subtree_out_of_line_is_refused() -> None:
    compact_range = folded(3)
    with pytest.raises(ValueError, match="cannot begin at leaf 3"):
        compact_range.append_subtree(LEAVES[3], 1)
    assert compact_range == folded(3)


@pytest.mark.parametrize("width", [0, 3, 255])
def test_only_a_power_of_two_of_leaves_is_a_complete_subtree(width: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        subtree_root(LEAVES[:width])


def test_a_copy_goes_its_own_way() -> None:
    position = folded(5)
    ahead = position.copy()
    ahead.extend(LEAVES[5:9])
    assert position == folded(5)
    assert ahead == folded(9)


@pytest.mark.parametrize(
    ("size", "hashes"),
    [(1, b""), (0, b"x" * 32), (3, b"x" * 32), (2, b"x" * 31), (1, b"x" * 33), (-1, b"x" * 32)],
)
def test_stored_hashes_that_do_not_fit_the_size_are_refused(size: int, hashes: bytes) -> None:
    with pytest.raises(ValueError, match="subtree root"):
        CompactRange.from_bytes(size, hashes)


def test_another_root_is_refused() -> None:
    folded(7).verify_root(naive_root(LEAVES[:7]))
    with pytest.raises(VerificationError, match="7 leaves hash to"):
        folded(7).verify_root(naive_root(LEAVES[:8]))


@given(st.data())
def test_an_inclusion_proof_verifies_and_no_changed_one_does(data: st.DataObject) -> None:
    size = data.draw(sizes)
    index = data.draw(st.integers(min_value=0, max_value=size - 1))
    leaves = LEAVES[:size]
    path, root = naive_path(index, leaves), naive_root(leaves)
    verify_inclusion(leaves[index], index, size, path, root)
    bit = data.draw(st.integers(min_value=0, max_value=255))
    with pytest.raises(VerificationError):
        verify_inclusion(flipped(leaves[index], bit), index, size, path, root)
    with pytest.raises(VerificationError):
        verify_inclusion(leaves[index], index, size, path, flipped(root, bit))
    with pytest.raises(VerificationError):
        verify_inclusion(leaves[index], index, size, [*path, root], root)
    with pytest.raises(VerificationError):
        verify_inclusion(leaves[index], size, size, path, root)
    with pytest.raises(VerificationError):
        verify_inclusion(leaves[index], -1, size, path, root)
    for at in range(len(path)):
        changed = [*path[:at], flipped(path[at], bit), *path[at + 1 :]]
        with pytest.raises(VerificationError):
            verify_inclusion(leaves[index], index, size, changed, root)
        with pytest.raises(VerificationError):
            verify_inclusion(leaves[index], index, size, [*path[:at], *path[at + 1 :]], root)


@given(st.data())
def test_a_consistency_proof_verifies_and_no_changed_one_does(data: st.DataObject) -> None:
    new = data.draw(sizes)
    old = data.draw(st.integers(min_value=1, max_value=new))
    proof = naive_consistency(old, LEAVES[:new])
    old_root, new_root = naive_root(LEAVES[:old]), naive_root(LEAVES[:new])
    verify_consistency(old, new, proof, old_root, new_root)
    bit = data.draw(st.integers(min_value=0, max_value=255))
    with pytest.raises(VerificationError):
        verify_consistency(old, new, proof, flipped(old_root, bit), new_root)
    with pytest.raises(VerificationError):
        verify_consistency(old, new, proof, old_root, flipped(new_root, bit))
    with pytest.raises(VerificationError):
        verify_consistency(old, new, [*proof, new_root], old_root, new_root)
    with pytest.raises(VerificationError):
        verify_consistency(new + 1, new, proof, old_root, new_root)
    with pytest.raises(VerificationError):
        verify_consistency(0, new, [], EMPTY_ROOT, new_root)
    for at in range(len(proof)):
        changed = [*proof[:at], flipped(proof[at], bit), *proof[at + 1 :]]
        with pytest.raises(VerificationError):
            verify_consistency(old, new, changed, old_root, new_root)
        with pytest.raises(VerificationError):
            verify_consistency(old, new, [*proof[:at], *proof[at + 1 :]], old_root, new_root)


def test_the_last_leaf_and_its_proof_rebuild_the_position_at_every_size() -> None:
    for size in range(1, 301):
        leaves = LEAVES[:size]
        path = naive_path(size - 1, leaves)
        rebuilt = compact_range_from_audit_path(
            leaves[-1], size - 1, size, path, root=naive_root(leaves)
        )
        assert rebuilt == folded(size)
        rebuilt.append(LEAVES[size])
        assert rebuilt.root() == naive_root(LEAVES[: size + 1])


@given(sizes, st.data())
def test_the_path_of_any_leaf_rebuilds_the_position_after_it(
    size: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(min_value=0, max_value=size - 1))
    leaves = LEAVES[:size]
    path, root = naive_path(index, leaves), naive_root(leaves)
    rebuilt = compact_range_from_audit_path(leaves[index], index, size, path, root=root)
    assert rebuilt == folded(index + 1)


def test_a_position_that_the_root_does_not_prove_is_refused() -> None:
    leaves = LEAVES[:11]
    path, root = naive_path(10, leaves), naive_root(leaves)
    offered = [
        (LEAVES[11], 10, 11, path, root),
        (leaves[10], 9, 11, path, root),
        (leaves[10], 10, 12, path, root),
        (leaves[10], 10, 11, path[:-1], root),
        (leaves[10], 10, 11, [*path, root], root),
        (leaves[10], 10, 11, [flipped(path[0], 3), *path[1:]], root),
        (leaves[10], 10, 11, [path[0][:31], *path[1:]], root),
        (leaves[10], 10, 11, path, flipped(root, 255)),
        (leaves[10], -1, 0, [], EMPTY_ROOT),
    ]
    for leaf, index, size, proof, head in offered:
        with pytest.raises(VerificationError):
            compact_range_from_audit_path(leaf, index, size, proof, root=head)


def folded(size: int) -> CompactRange:
    compact_range = CompactRange()
    compact_range.extend(LEAVES[:size])
    return compact_range


# Real data


def vectors(kind: str) -> list[Path]:
    found = sorted((CT / "merkle_vectors" / kind).rglob("*.json"))
    assert len(found) > 90
    return found


def octets(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


@needs_real_data
def test_every_published_inclusion_vector_gets_its_verdict() -> None:
    for path in vectors("inclusion"):
        vector = json.loads(path.read_bytes())
        proof = [octets(node) for node in vector["proof"] or []]
        call = (
            octets(vector["leafHash"]),
            vector["leafIdx"],
            vector["treeSize"],
            proof,
            octets(vector["root"]),
        )
        assert is_refused(verify_inclusion, *call) is vector["wantErr"], path


@needs_real_data
def test_every_published_consistency_vector_gets_its_verdict() -> None:
    for path in vectors("consistency"):
        vector = json.loads(path.read_bytes())
        call = (
            vector["size1"],
            vector["size2"],
            [octets(node) for node in vector["proof"] or []],
            octets(vector["root1"]),
            octets(vector["root2"]),
        )
        assert is_refused(verify_consistency, *call) is vector["wantErr"], path


def is_refused(verify: object, *arguments: object) -> bool:
    assert callable(verify)
    try:
        verify(*arguments)
    except VerificationError:
        return True
    return False


@needs_real_data
def test_the_proofs_of_real_logs_verify_and_none_with_one_bit_changed_does() -> None:
    argon = CT / "sth" / "argon2020"
    head = json.loads((argon / "get-sth.json").read_bytes())
    size, root = head["tree_size"], octets(head["sha256_root_hash"])
    answer = json.loads((argon / "get-proof-by-hash_10000_961984011.json").read_bytes())
    entry = json.loads((argon / "get-entries_10000-10000.json").read_bytes())["entries"][0]
    leaf = leaf_hash(octets(entry["leaf_input"]))
    path = [octets(node) for node in answer["audit_path"]]
    assert answer["leaf_index"] == 10_000
    assert len(path) == 30
    verify_inclusion(leaf, 10_000, size, path, root)
    joined = b"".join(path)
    for bit in range(len(joined) * 8):
        changed = flipped(joined, bit)
        nodes = [changed[at : at + 32] for at in range(0, len(changed), 32)]
        with pytest.raises(VerificationError):
            verify_inclusion(leaf, 10_000, size, nodes, root)


@needs_real_data
@pytest.mark.parametrize(
    ("folder", "old", "new", "proof"),
    [
        (
            "argon2020",
            "old-root_3654490_unsigned.json",
            "get-sth.json",
            "get-sth-consistency_3654490_961984011.json",
        ),
        (
            "argon2025h1",
            "get-sth_1425614114.json",
            "get-sth_1425633154.json",
            "get-sth-consistency_1425614114_1425633154.json",
        ),
    ],
)
def test_real_heads_are_consistent(folder: str, old: str, new: str, proof: str) -> None:
    heads = []
    for name in (old, new):
        head = json.loads((CT / "sth" / folder / name).read_bytes())
        heads.append((head["tree_size"], octets(head["sha256_root_hash"])))
    (old_size, old_root), (new_size, new_root) = heads
    answer = json.loads((CT / "sth" / folder / proof).read_bytes())
    nodes = [octets(node) for node in answer["consistency"]]
    assert len(nodes) in {24, 30}
    verify_consistency(old_size, new_size, nodes, old_root, new_root)
    for at in range(len(nodes)):
        changed = [*nodes[:at], flipped(nodes[at], at), *nodes[at + 1 :]]
        with pytest.raises(VerificationError):
            verify_consistency(old_size, new_size, changed, old_root, new_root)


def entry_bundle(octets: bytes) -> list[bytes]:
    """C2SP tlog-tiles: entries with 16-bit lengths."""
    entries = []
    while len(octets) > 0:
        end = 2 + int.from_bytes(octets[:2])
        entries.append(octets[2:end])
        assert len(entries[-1]) == end - 2
        octets = octets[end:]
    return entries


@needs_real_data
@pytest.mark.parametrize("size", range(1, 16))
def test_partial_tiles_of_a_real_log_hash_to_its_checkpoints(size: int) -> None:
    log = CT / "checkpoints" / "tlog-tiles_tessera_testlog"
    lines = (log / f"checkpoint.{size}").read_text().split("\n")
    assert lines[1] == str(size)
    root = octets(lines[2])
    tile = (log / "tile" / "0" / "000.p" / str(size)).read_bytes()
    hashes = [tile[at : at + 32] for at in range(0, len(tile), 32)]
    assert root_of(hashes) == root
    entries = entry_bundle((log / "tile" / "entries" / "000.p" / str(size)).read_bytes())
    assert [leaf_hash(entry) for entry in entries] == hashes


@needs_real_data
def test_the_empty_real_log_has_the_empty_root() -> None:
    log = CT / "checkpoints" / "tlog-tiles_tessera_testlog"
    root = octets((log / "checkpoint.0").read_text().split("\n")[2])
    CompactRange().verify_root(root)


def data_tile(octets: bytes) -> list[bytes]:
    """The MerkleTreeLeaf of each TileLeaf of static-ct-api."""
    leaves = []
    at = 0
    while at < len(octets):
        begin = at
        entry_type = int.from_bytes(octets[at + 8 : at + 10])
        at += 10 + 32 * entry_type
        at += 3 + int.from_bytes(octets[at : at + 3])
        at += 2 + int.from_bytes(octets[at : at + 2])
        leaves.append(b"\x00\x00" + octets[begin:at])
        if entry_type == 1:
            at += 3 + int.from_bytes(octets[at : at + 3])
        at += 2 + int.from_bytes(octets[at : at + 2])
    assert at == len(octets)
    return leaves


@needs_real_data
def test_the_leaves_of_a_real_static_log_hash_to_its_served_tiles() -> None:
    tiles = CT / "tiles" / "navigli2025h2" / "tile"
    compact_range = CompactRange()
    total = 0
    for name in ("000", "001", "002", "003", "003.p/10"):
        served = (tiles / "0" / name).read_bytes()
        hashes = [leaf_hash(leaf) for leaf in data_tile((tiles / "data" / name).read_bytes())]
        assert b"".join(hashes) == served
        if "p" not in name:
            total += len(hashes)
            compact_range.append_subtree(subtree_root(hashes), 8)
    assert total == compact_range.size == 1024
    level1 = b"".join(
        subtree_root([served[at : at + 32] for at in range(0, 8192, 32)])
        for served in ((tiles / "0" / f"{tile:03}").read_bytes() for tile in range(4))
    )
    level1_hashes = [level1[at : at + 32] for at in range(0, len(level1), 32)]
    assert root_of(level1_hashes) == compact_range.root()
