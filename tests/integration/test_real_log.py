"""Real entries through both APIs: 1,024 leaves of Navigli, then 20 of Argon with their issuers."""

from __future__ import annotations

import base64
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import select

from subca_oversight.errors import LogMisbehaved
from subca_oversight.model.log import LogApi
from subca_oversight.store.database import Database
from subca_oversight.store.tables import (
    AlertEventRow,
    CertificateRow,
    LogEvidenceRow,
    LogRow,
    MalformedEntryRow,
    PendingEntryRow,
    SightingRow,
    TreeHeadRow,
    UnconfirmedMatchRow,
    UnitRow,
    WindowRow,
)
from tests.integration.harvesting import count, new_database, rows_of, run_harvest, watch
from tests.integration.log_server import FaultyLog, Leaf, Mutation, flip, sha256
from tests.integration.real_entries import argon, navigli
from tests.real_data import needs_real_data

pytestmark = needs_real_data
BOTH = pytest.mark.parametrize("api", list(LogApi))
PROMOTED = (UnitRow, CertificateRow, SightingRow, UnconfirmedMatchRow, MalformedEntryRow)


def issuer_key(leaf: Leaf) -> bytes:
    if leaf.issuer_key_hash is not None:
        return leaf.issuer_key_hash
    key = x509.load_der_x509_certificate(leaf.chain[0]).public_key()
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def watch_everything(database: Database) -> None:
    """The staging keys by their hash, since nobody has their certificates; Argon's by those."""
    watch(database, {issuer_key(leaf) for leaf in navigli()}, {leaf.chain[0] for leaf in argon()})


def serials(leaves: list[Leaf]) -> Counter[bytes]:
    """Certificates of each issuer key, counted by (key, serial) with another parser."""
    found: set[tuple[bytes, int]] = set()
    for leaf in leaves:
        octets = leaf.body if leaf.issuer_key_hash is None else leaf.precertificate
        found.add((issuer_key(leaf), x509.load_der_x509_certificate(octets).serial_number))
    return Counter(key for key, _ in found)


def units(database: Database) -> list[tuple[str, str]]:
    with database.read() as session:
        return sorted(
            (row.issuer_key_sha256, row.unit_id) for row in session.scalars(select(UnitRow))
        )


def harvest_real(folder: Path, api: LogApi) -> tuple[Database, FaultyLog]:
    folder.mkdir()
    database = new_database(folder)
    watch_everything(database)
    log = FaultyLog(list(navigli()), api, gzip=api is LogApi.STATIC)
    first = run_harvest(database, log)
    assert (first.entries, first.verified_size) == (1024, 1024)
    log.grow(list(argon()))
    second = run_harvest(database, log)
    assert (second.entries, second.verified_size, second.matches) == (20, 1044, 20)
    assert (second.unconfirmed, second.malformed) == (0, 0)
    return database, log


def test_both_apis_give_the_same_units_and_the_independent_count(tmp_path: Path) -> None:
    databases = [harvest_real(tmp_path / api, api) for api in LogApi]
    (rfc6962, one), (static, other) = databases
    assert units(rfc6962) == units(static)
    assert one.tree.root(0, 1044) == other.tree.root(0, 1044)
    with rfc6962.read() as session, static.read() as other_session:
        for head, twin in zip(
            session.scalars(select(TreeHeadRow)),
            other_session.scalars(select(TreeHeadRow)),
            strict=True,
        ):
            assert (head.tree_size, head.root_hash) == (twin.tree_size, twin.root_hash)
    counted = Counter(key for key, _ in units(rfc6962))
    expected = serials([*navigli(), *argon()])
    assert counted == {key.hex(): number for key, number in expected.items()}
    assert rows_of(rfc6962, CertificateRow) == rows_of(static, CertificateRow)
    assert count(static, SightingRow) == 20
    for database, _ in databases:
        assert count(database, PendingEntryRow) == 0
        with database.read() as session:
            assert {row.confirmed for row in session.scalars(select(CertificateRow))} == {True}


def test_final_certificates_and_precertificates_of_argon_are_confirmed(tmp_path: Path) -> None:
    database, _ = harvest_real(tmp_path / "static", LogApi.STATIC)
    with database.read() as session:
        kinds = Counter(row.kind.value for row in session.scalars(select(CertificateRow)))
        unconfirmed = list(session.scalars(select(UnconfirmedMatchRow)))
    assert kinds == {"precertificate": 10, "final": 10}
    # Staging issuers are nowhere to be had, so nobody can check their signatures or is to blame.
    assert len(unconfirmed) == 1024
    assert {row.blames_log for row in unconfirmed} == {False}


def test_final_certificates_are_found_by_key_hash_alone(tmp_path: Path) -> None:
    for api in LogApi:
        folder = tmp_path / api
        folder.mkdir()
        database = new_database(folder)
        watch(database, {issuer_key(leaf) for leaf in argon()})
        result = run_harvest(database, FaultyLog(list(argon()), api))
        assert (result.matches, result.unconfirmed) == (20, 0)


# Faults in what is hashed or signed

SMALL = 60


def small_log(api: LogApi) -> FaultyLog:
    leaves = [*navigli()[:SMALL], *argon()]
    return FaultyLog(leaves, api)


LEAF_FIELDS = {
    "version": 0,
    "leaf type": 1,
    "timestamp": 9,
    "entry type": 11,
    "issuer key hash": 20,
    "length": 46,
    "TBSCertificate": 200,
    "extensions length": -9,
    "extension type": -8,
    "leaf index": -1,
}


def seeded_position(seed: int) -> tuple[int, int, int]:
    """(entry, octet, bit) somewhere in the hashed bytes of the small log."""
    chosen = random.Random(seed)  # noqa: S311 - a sample, not a secret
    leaves = [*navigli()[:SMALL], *argon()]
    entry = chosen.randrange(len(leaves))
    return entry, chosen.randrange(2, len(leaves[entry].merkle_leaf())), chosen.randrange(8)


def assert_refused_then_recovered(
    folder: Path, log: FaultyLog, spoil: Callable[[], None], mend: Callable[[], None]
) -> Database:
    """Nothing is promoted and evidence is kept; once the log is right everything is."""
    database = new_database(folder)
    watch_everything(database)
    spoil()
    with pytest.raises(LogMisbehaved):
        run_harvest(database, log)
    for table in (*PROMOTED, PendingEntryRow):
        assert count(database, table) == 0, table
    assert count(database, LogEvidenceRow) == 1
    assert count(database, AlertEventRow) == 1
    with database.read() as session:
        row = session.scalars(select(LogRow)).one()
        assert row.quarantined_at is not None
        assert row.last_success is None
        for window in session.scalars(select(WindowRow)):
            assert window.position == window.verified == 0
    with pytest.raises(LogMisbehaved):
        run_harvest(database, log)
    assert count(database, AlertEventRow) == 1
    mend()
    result = run_harvest(database, log)
    assert result.verified_size == len(log.leaves)
    assert result.matches == 20
    assert count(database, UnitRow) == len(log.leaves)
    assert count(database, LogEvidenceRow) >= 1
    with database.read() as session:
        row = session.scalars(select(LogRow)).one()
        assert row.quarantined_at is None
        assert row.last_success is not None
    return database


@BOTH
@pytest.mark.parametrize("field", LEAF_FIELDS)
def test_a_flipped_bit_in_each_field_of_a_leaf_is_refused(
    tmp_path: Path, api: LogApi, field: str
) -> None:
    if api is LogApi.STATIC and field in ("version", "leaf type"):
        pytest.skip("a TileLeaf has no such field")
    log = small_log(api)
    assert_refused_then_recovered(
        tmp_path,
        log,
        lambda: log.leaf_mutations.update({37: flip(LEAF_FIELDS[field])}),
        log.leaf_mutations.clear,
    )


@BOTH
@pytest.mark.parametrize("seed", range(12))
def test_a_flipped_bit_anywhere_in_the_hashed_bytes_is_refused(
    tmp_path: Path, api: LogApi, seed: int
) -> None:
    log = small_log(api)
    entry, octet, bit = seeded_position(seed)
    assert_refused_then_recovered(
        tmp_path,
        log,
        lambda: log.leaf_mutations.update({entry: flip(octet, bit)}),
        log.leaf_mutations.clear,
    )


def flipped_field(name: str, octet: int) -> Mutation:
    """One bit of a get-sth answer's field, spelled properly."""

    def mutate(body: bytes) -> bytes:
        answer = json.loads(body)
        if isinstance(answer[name], int):
            answer[name] ^= 1 << octet
        else:
            answer[name] = base64.b64encode(flip(octet)(base64.b64decode(answer[name]))).decode()
        return json.dumps(answer).encode()

    return mutate


@pytest.mark.parametrize(
    ("name", "octet"),
    [
        ("tree_size", 0),
        ("timestamp", 10),
        ("sha256_root_hash", 5),
        ("tree_head_signature", 0),
        ("tree_head_signature", 3),
        ("tree_head_signature", 30),
    ],
)
def test_a_flipped_bit_in_a_tree_head_is_refused(tmp_path: Path, name: str, octet: int) -> None:
    log = small_log(LogApi.RFC6962)
    assert_refused_then_recovered(
        tmp_path,
        log,
        lambda: log.mutations.update({"/ct/v1/get-sth": flipped_field(name, octet)}),
        log.mutations.clear,
    )


@pytest.mark.parametrize("line", [0, 1, 2, 5])
def test_a_flipped_bit_in_a_checkpoint_is_refused(tmp_path: Path, line: int) -> None:
    """Origin, size, root, and the log's signature: each at its last character but one."""

    def mutate(body: bytes) -> bytes:
        lines = body.split(b"\n")
        lines[line] = flip(-2 if line != 5 else -20)(lines[line])
        return b"\n".join(lines)

    log = small_log(LogApi.STATIC)
    assert_refused_then_recovered(
        tmp_path,
        log,
        lambda: log.mutations.update({"/checkpoint": mutate}),
        log.mutations.clear,
    )


# Faults in what no leaf hash covers


def first_of(kind: str) -> int:
    """Index, in the small log, of Argon's first entry of a kind."""
    wanted = kind == "precertificate"
    offsets = (i for i, leaf in enumerate(argon()) if (leaf.issuer_key_hash is not None) == wanted)
    return SMALL + next(offsets)


@BOTH
@pytest.mark.parametrize("part", ["precertificate", "signature", "chain", "chain of a final"])
def test_a_flipped_bit_beside_the_hashed_bytes_spoils_one_match(
    tmp_path: Path, api: LogApi, part: str
) -> None:
    log = small_log(api)
    index = first_of("final" if part == "chain of a final" else "precertificate")
    leaf = log.leaves[index]
    length = 3 + len(leaf.precertificate)
    position = {
        "precertificate": 200,
        "signature": length - 10,
        "chain": -1 if api is LogApi.STATIC else length + 100,
        "chain of a final": 2 if api is LogApi.STATIC else 100,
    }[part]
    if part == "chain" and api is LogApi.STATIC:
        position = length + 2
    log.rest_mutations[index] = flip(position)
    database = new_database(tmp_path)
    watch_everything(database)
    result = run_harvest(database, log)
    assert (result.matches, result.blamed) == (19, 1)
    assert count(database, SightingRow) == 19
    with database.read() as session:
        blamed = [row for row in session.scalars(select(UnconfirmedMatchRow)) if row.blames_log]
        assert [(row.index, row.issuer_key_sha256) for row in blamed] == [
            (index, issuer_key(leaf).hex())
        ]
        unit = session.get_one(UnitRow, blamed[0].unit_id)
        assert unit.confirmed is False
        evidence = session.scalars(select(LogEvidenceRow)).one()
        assert evidence.kind == "unconfirmed"
        assert f"entry {index}:" in evidence.detail
        assert session.scalars(select(AlertEventRow)).one().kind == "log_misbehaved"
        assert session.scalars(select(LogRow)).one().quarantined_at is None


def test_a_wrong_issuer_certificate_is_held_against_the_log(tmp_path: Path) -> None:
    log = small_log(LogApi.STATIC)
    leaf = log.leaves[first_of("precertificate")]
    path = f"/issuer/{sha256(leaf.chain[0]).hex()}"
    log.mutations[path] = flip(300)
    database = new_database(tmp_path)
    watch_everything(database)
    result = run_harvest(database, log)
    spoiled = [one for one in argon() if one.chain[:1] == leaf.chain[:1]]
    assert (result.matches, result.unconfirmed) == (20 - len(spoiled), SMALL + len(spoiled))
    with database.read() as session:
        kinds = {row.kind for row in session.scalars(select(LogEvidenceRow))}
    assert "wrong_issuer" in kinds


@BOTH
def test_a_placeholder_chain_leaves_the_units_and_blames_the_log(
    tmp_path: Path, api: LogApi
) -> None:
    chain = argon()[0].chain[:1]
    leaves = [
        Leaf(
            one.timestamp, one.body, one.issuer_key_hash, one.precertificate, chain, one.extensions
        )
        for one in navigli()[:300]
    ]
    database = new_database(tmp_path)
    watch(database, {issuer_key(leaf) for leaf in leaves})
    result = run_harvest(database, FaultyLog(leaves, api))
    assert (result.entries, result.matches, result.blamed) == (300, 0, 300)
    assert count(database, UnitRow) == sum(serials(leaves).values())
    assert count(database, LogEvidenceRow) == 1
