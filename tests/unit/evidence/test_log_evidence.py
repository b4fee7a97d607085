"""Evidence against logs: what a file proves without us, and what it does not."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from subca_oversight.errors import EvidenceError, LogMisbehaved
from subca_oversight.evidence.log_evidence import (
    LogEvidence,
    decode_evidence,
    encode_evidence,
    list_evidence,
    load_evidence,
)
from subca_oversight.evidence.log_verdict import verify_evidence
from subca_oversight.model.log import FinalTreeHead, LogApi
from subca_oversight.store.database import Database
from subca_oversight.store.tables import AlertEventRow, LogEvidenceRow, LogRow
from tests.integration.harvesting import NOW, count, new_database, run_harvest, watch
from tests.integration.log_server import FaultyLog, Leaf, flip
from tests.integration.made_entries import Authority, mixed

BOTH = pytest.mark.parametrize("api", list(LogApi))
ACME = Authority("Acme CA")


def harvested(folder: Path, api: LogApi, size: int = 300) -> tuple[Database, FaultyLog]:
    database = new_database(folder)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(mixed(ACME, size), api)
    run_harvest(database, log)
    return database, log


def refused(database: Database, log: FaultyLog) -> LogEvidence:
    """The evidence that a harvest leaves, as a third party reads it."""
    with pytest.raises(LogMisbehaved):
        run_harvest(database, log)
    return exported(database)


def exported(database: Database) -> LogEvidence:
    with database.read() as session:
        pieces = list_evidence(session)
        octets = encode_evidence(load_evidence(session, pieces[-1].id))
    read = decode_evidence(octets)
    assert encode_evidence(read) == octets
    return read


def altered(leaves: list[Leaf], index: int) -> list[Leaf]:
    other = replace(leaves[index], timestamp=leaves[index].timestamp + 1)
    return [*leaves[:index], other, *leaves[index + 1 :]]


@BOTH
def test_two_heads_of_one_size_prove_a_split_view(tmp_path: Path, api: LogApi) -> None:
    database, log = harvested(tmp_path, api)
    log.leaves = altered(log.leaves, 7)
    log.grow([])
    evidence = refused(database, log)
    assert evidence.kind == "split_view"
    assert "same size 300 but different roots" in verify_evidence(evidence)


@BOTH
@pytest.mark.parametrize("grown", [1, 30, 700])
def test_a_rewritten_past_proves_a_split_view(tmp_path: Path, api: LogApi, grown: int) -> None:
    database, log = harvested(tmp_path, api)
    log.leaves = altered(log.leaves, 7)
    log.grow(mixed(ACME, grown, first=300))
    evidence = refused(database, log)
    assert evidence.kind == "split_view"
    assert f"the tree of size {300 + grown} has the root" in verify_evidence(evidence)


@BOTH
def test_a_smaller_head_signed_later_proves_a_rollback(tmp_path: Path, api: LogApi) -> None:
    database, log = harvested(tmp_path, api)
    log.size, log.timestamp = 270, log.timestamp + 1000
    evidence = refused(database, log)
    assert evidence.kind == "rollback"
    assert "the tree had 300 entries" in verify_evidence(evidence)


@BOTH
@pytest.mark.parametrize("index", [0, 1, 2, 3, 254, 255, 256, 300, 511, 512, 698, 699])
def test_one_flipped_bit_is_traced_to_its_entry(tmp_path: Path, api: LogApi, index: int) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(mixed(ACME, 700), api, max_page=100)
    log.leaf_mutations[index] = flip(60)
    evidence = refused(database, log)
    assert evidence.kind == "corruption"
    assert f"entry {index} as served" in evidence.detail
    assert verify_evidence(evidence).startswith(f"the served entries {index} to ")
    log.leaf_mutations.clear()
    assert run_harvest(database, log).verified_size == 700


@BOTH
def test_what_is_served_rightly_again_is_no_proof(tmp_path: Path, api: LogApi) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(mixed(ACME, 200), api)
    times = iter([True])
    log.leaf_mutations[70] = lambda leaf: flip(60)(leaf) if next(times, False) else leaf
    evidence = refused(database, log)
    assert (evidence.kind, evidence.proof) == ("corruption", None)
    with pytest.raises(EvidenceError, match="served otherwise by now"):
        verify_evidence(evidence)


@BOTH
def test_a_head_beyond_the_final_one_is_proven(tmp_path: Path, api: LogApi) -> None:
    database, log = harvested(tmp_path, api)
    listed = log.log()

    def ended() -> object:
        return replace(listed, final_tree_head=FinalTreeHead(300, log.tree.root(0, 300)))

    log.log = ended  # type: ignore[assignment, method-assign]  # as a list would say it
    log.grow(mixed(ACME, 10, first=300))
    listed = replace(listed, submission_url=log.base, monitoring_url=log.base)
    evidence = refused(database, log)
    assert evidence.kind == "past_final_head"
    assert "more than the 300" in verify_evidence(evidence)


@BOTH
def test_a_head_that_the_key_did_not_sign_is_shown(tmp_path: Path, api: LogApi) -> None:
    database, log = harvested(tmp_path, api)
    log.key = FaultyLog([], api, name="another").key
    genuine = replace(log.log())
    key = FaultyLog([], api).spki
    log.log = lambda: replace(genuine, key=key, log_id=FaultyLog([], api).log_id)  # type: ignore[method-assign]
    evidence = refused(database, log)
    assert evidence.kind == "bad_signature"
    assert "does not verify" in verify_evidence(evidence)


@BOTH
def test_a_stale_head_is_told_of_once_and_read_all_the_same(tmp_path: Path, api: LogApi) -> None:
    database, log = harvested(tmp_path, api)
    assert count(database, LogEvidenceRow) == 0
    for hours in (24, 26, 28):  # signed four hours before, with a day's delay and an hour's grace
        run_harvest(database, log, now=NOW + timedelta(hours=hours))
    assert count(database, LogEvidenceRow) == 1
    with database.read() as session:
        assert session.scalars(select(AlertEventRow)).one().kind == "log_stale_head"
    evidence = exported(database)
    assert evidence.kind == "stale_head"
    assert "maximum merge delay is 86400 s" in verify_evidence(evidence)
    with database.read() as session:
        assert session.get_one(LogRow, evidence.log.log_id.hex()).quarantined_at is None


@BOTH
def test_a_head_of_the_future_is_told_of(tmp_path: Path, api: LogApi) -> None:
    database, log = harvested(tmp_path, api)
    for minutes in (4, 6):
        log.timestamp = int((NOW + timedelta(minutes=minutes)).timestamp() * 1000)
        run_harvest(database, log)
        assert count(database, LogEvidenceRow) == (minutes > 5)
    evidence = exported(database)
    assert evidence.kind == "future_head"
    assert "that was in the future" in verify_evidence(evidence)


def pieces(folder: Path) -> list[bytes]:
    made: list[bytes] = []
    spoil: list[Callable[[FaultyLog], None]] = [
        lambda log: log.leaf_mutations.update({310: flip(60)}),
        lambda log: setattr(log, "leaves", altered(log.leaves, 7)),
    ]
    for api in LogApi:
        for number, change in enumerate(spoil):
            place = folder / f"{api}-{number}"
            place.mkdir()
            database, log = harvested(place, api)
            change(log)
            log.grow(mixed(ACME, 30, first=300))
            made.append(encode_evidence(refused(database, log)))
    return made


def test_a_changed_file_proves_nothing_else(tmp_path: Path) -> None:
    """A changed hash or signed byte never leads to a verdict about other bytes."""
    chosen = random.Random(5)  # noqa: S311 - a sample, not a secret
    for octets in pieces(tmp_path):
        document = orjson.loads(octets)
        verify_evidence(decode_evidence(octets))
        # Leaves are left out: bytes that the log did not sign are what the file is about.
        for name in {"hashes", "begin_proof", "end_proof"} & set(document["proof"]):
            for at, text in enumerate(document["proof"][name]):
                changed = orjson.loads(octets)
                digit = chosen.randrange(64)
                flipped = format(int(text[digit], 16) ^ 1, "x")
                changed["proof"][name][at] = text[:digit] + flipped + text[digit + 1 :]
                with pytest.raises(EvidenceError):
                    verify_evidence(decode_evidence(orjson.dumps(changed)))
        for at, text in enumerate(document["heads"]):
            head = bytearray(base64.b64decode(text))
            if evidence_is_json(head):
                head = bytearray(head.replace(b'"timestamp": ', b'"timestamp": 1'))
            else:
                head[head.index(b"\n") + 1] ^= 1  # the first digit of the size
            changed = orjson.loads(octets)
            changed["heads"][at] = base64.b64encode(head).decode()
            with pytest.raises(EvidenceError):
                verify_evidence(decode_evidence(orjson.dumps(changed)))
        other = orjson.loads(octets)
        other["log"]["key"] = base64.b64encode(ACME.spki).decode()
        with pytest.raises(EvidenceError, match="not the hash of its key"):
            decode_evidence(orjson.dumps(other))


def evidence_is_json(head: bytearray) -> bool:
    return head.startswith(b"{")


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["format", "log", "heads", "kind", "proof", "id"]),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    ).map(lambda value: repr(value).encode())
)
def test_any_octets_are_read_or_refused(octets: bytes) -> None:
    with pytest.raises(EvidenceError):
        decode_evidence(octets)
