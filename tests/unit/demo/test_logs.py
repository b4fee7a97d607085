"""What the two logs serve holds together by RFC 6962 and static-ct-api, read independently."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509 import load_der_x509_certificate

from subca_oversight.demo.world.merkle import MerkleTree
from subca_oversight.evidence.merkle import verify_consistency, verify_inclusion
from tests.unit.demo.conftest import Built
from tests.unit.demo.log_reading import is_broken, read_static, tree_root, without_poison

pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")

LOGS = ("rfc6962", "static")


def log_key(built: Built, log_id: str) -> ec.EllipticCurvePublicKey:
    template = json.loads((built.directory / "log_list.template.json").read_text())
    for operator in template["operators"]:
        for log in (*operator["logs"], *operator["tiled_logs"]):
            spki = b64decode(log["key"])
            assert b64decode(log["log_id"]) == hashlib.sha256(spki).digest()
            if hashlib.sha256(spki).hexdigest() == log_id:
                key = load_der_public_key(spki)
                assert isinstance(key, ec.EllipticCurvePublicKey)
                return key
    raise AssertionError(log_id)


def verify_head(
    key: ec.EllipticCurvePublicKey, signature: bytes, timestamp: int, size: int, root: bytes
) -> None:
    assert signature[:2] == b"\x04\x03"
    assert len(signature) == 4 + int.from_bytes(signature[2:4])
    signed = b"\x00\x01" + timestamp.to_bytes(8) + size.to_bytes(8) + root
    key.verify(signature[4:], signed, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("stage", [1, 2])
def test_a_signed_tree_head_fits_the_entries(built: Built, stage: int) -> None:
    head = json.loads((built.directory / "rfc6962" / f"get-sth-{stage}.json").read_text())
    summary = built.manifest.logs[0]
    leaves = [entry.leaf for entry in built.entries["rfc6962"][: head["tree_size"]]]
    root = b64decode(head["sha256_root_hash"])
    assert tree_root(leaves) == root
    assert (head["tree_size"], root.hex()) == (
        summary.stages[stage].size,
        summary.stages[stage].root,
    )
    key = log_key(built, summary.log_id)
    signature = b64decode(head["tree_head_signature"])
    verify_head(key, signature, head["timestamp"], head["tree_size"], root)
    assert head["timestamp"] / 1000 == built.manifest.instants[stage].timestamp() - 60


@pytest.mark.parametrize("stage", [1, 2])
def test_a_checkpoint_fits_the_tiles(built: Built, stage: int) -> None:
    folder = built.directory / "static" / str(stage)
    body, _, signatures = (folder / "checkpoint").read_text().partition("\n\n")
    origin, size, encoded_root = body.split("\n")
    summary = built.manifest.logs[1]
    root = b64decode(encoded_root)
    entries = read_static(built.directory / "static", stage)
    assert (len(entries), tree_root([entry.leaf for entry in entries])) == (int(size), root)
    assert (int(size), root.hex()) == (summary.stages[stage].size, summary.stages[stage].root)
    names = [line.split(" ")[1] for line in signatures.splitlines()]
    assert names == ["grease.invalid", origin]
    signature = b64decode(signatures.splitlines()[1].split(" ")[2])
    note = origin.encode() + b"\n\x05" + bytes.fromhex(summary.log_id)
    assert signature[:4] == hashlib.sha256(note).digest()[:4]
    timestamp = int.from_bytes(signature[4:12])
    verify_head(log_key(built, summary.log_id), signature[12:], timestamp, int(size), root)


@pytest.mark.parametrize("stage", [1, 2])
def test_hash_tiles_hold_the_hashes_of_the_leaves(built: Built, stage: int) -> None:
    folder = built.directory / "static" / str(stage) / "tile"
    entries = built.entries["static"][: built.manifest.logs[1].stages[stage].size]
    leaf_hashes = [hashlib.sha256(b"\x00" + entry.leaf).digest() for entry in entries]
    full, rest = divmod(len(entries), 256)
    for number in range(full):
        tile = (folder / "0" / f"{number:03}").read_bytes()
        assert tile == b"".join(leaf_hashes[256 * number : 256 * number + 256])
    assert (folder / "0" / f"{full:03}.p" / str(rest)).read_bytes() == b"".join(
        leaf_hashes[256 * full :]
    )
    upper = (folder / "1" / "000.p" / str(full)).read_bytes()
    roots = [
        tree_root([entry.leaf for entry in entries[256 * number : 256 * number + 256]])
        for number in range(full)
    ]
    assert upper == b"".join(roots)


def test_a_static_leaf_names_its_own_index(built: Built) -> None:
    for entry in built.entries["static"]:
        assert entry.extensions == b"\x00\x00\x05" + entry.index.to_bytes(5)
    assert all(entry.extensions == b"" for entry in built.entries["rfc6962"])


@pytest.mark.parametrize("log", LOGS)
def test_entries_are_in_order_of_time(built: Built, log: str) -> None:
    timestamps = [entry.timestamp for entry in built.entries[log]]
    assert timestamps == sorted(timestamps)


@pytest.mark.parametrize("log", LOGS)
def test_the_second_stage_begins_with_the_first(built: Built, log: str) -> None:
    summary = next(each for each in built.manifest.logs if each.slug == log)
    share = summary.stages[1].size / summary.stages[2].size
    assert 0.6 < share < 0.8
    head = built.manifest.instants[1].timestamp() * 1000
    assert built.entries[log][summary.stages[1].size - 1].timestamp < head
    assert built.entries[log][summary.stages[1].size].timestamp >= head - 60_000


def test_every_chain_certifies_the_issuer_of_its_entry(built: Built) -> None:
    for entry in (*built.entries["rfc6962"], *built.entries["static"]):
        if entry.kind not in (0, 1):
            continue
        issuer = load_der_x509_certificate(entry.chain[0])
        spki = issuer.public_key()
        if entry.kind == 1:
            octets = spki.public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            assert hashlib.sha256(octets).digest() == entry.issuer_key_hash


def test_precertificates_correspond_to_what_was_hashed_save_one(built: Built) -> None:
    differing = []
    for log, entries in built.entries.items():
        for entry in entries:
            if entry.kind != 1 or is_broken(entry.precertificate):
                continue
            precertificate = load_der_x509_certificate(entry.precertificate)
            assert without_poison(precertificate.tbs_certificate_bytes) == entry.signed
            issuer = load_der_x509_certificate(entry.chain[0])
            try:
                precertificate.verify_directly_issued_by(issuer)
            except Exception:  # noqa: BLE001 - any failure counts
                differing.append((log, entry.index))
    expected = [(each.log_id, each.index) for each in built.manifest.unconfirmed]
    ids = {each.slug: each.log_id for each in built.manifest.logs}
    assert [(ids[log], index) for log, index in differing] == expected


def test_a_share_of_the_entries_is_nobodys_concern(built: Built) -> None:
    watched = {
        key
        for each in built.manifest.subordinates
        for key in (*each.issuer_keys, *each.descendant_keys)
    }
    precertificates = [
        entry for entries in built.entries.values() for entry in entries if entry.kind == 1
    ]
    noise = [each for each in precertificates if each.issuer_key_hash.hex() not in watched]
    assert 0.35 < len(noise) / len(precertificates) < 0.5


def test_some_chains_name_a_watched_ca_that_did_not_issue(built: Built) -> None:
    anchor = built.manifest.subordinates[0].certificates[0]
    misleading = [
        entry
        for entries in built.entries.values()
        for entry in entries
        if anchor in [hashlib.sha256(each).hexdigest() for each in entry.chain[1:]]
    ]
    assert len(misleading) >= 3


def test_malformed_entries_are_where_the_manifest_says(built: Built) -> None:
    log_id = built.manifest.logs[0].log_id
    unknown = [
        (log_id, entry.index) for entry in built.entries["rfc6962"] if entry.kind not in (0, 1)
    ]
    assert sorted(unknown) == sorted(built.manifest.malformed_entries)
    assert len(unknown) == 2


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 64, 65])
def test_the_tree_agrees_with_the_definition(size: int) -> None:
    leaves = [bytes((number,)) for number in range(size)]
    assert MerkleTree(leaves).root(size) == tree_root(leaves)


def test_no_private_key_of_a_log_or_a_ca_is_written(built: Built) -> None:
    written = [path for path in built.directory.rglob("*") if path.is_file()]
    secret = [path.name for path in written if b"PRIVATE KEY" in path.read_bytes()]
    assert secret == [Path("log_list_private_key.pem").name]


@pytest.mark.parametrize("size", range(1, 18))
def test_proofs_satisfy_the_product_s_verifier(size: int) -> None:
    tree = MerkleTree([bytes((number,)) for number in range(17)])
    for index in range(size):
        path = tree.inclusion(index, size)
        verify_inclusion(tree.levels[0][index], index, size, path, tree.root(size))
    for first in range(1, size + 1):
        proof = tree.consistency(first, size)
        verify_consistency(first, size, proof, tree.root(first), tree.root(size))
