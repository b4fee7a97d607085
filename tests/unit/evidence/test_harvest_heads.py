"""Heads held against each other: forks, shrinking trees, lagging replicas, final heads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from subca_oversight.errors import LogMisbehaved, SourceError
from subca_oversight.evidence.harvest import HarvestState
from subca_oversight.evidence.harvest.tile_proof import proof_ranges
from subca_oversight.evidence.merkle import verify_consistency
from subca_oversight.model.log import LogApi
from subca_oversight.store.database import Database
from subca_oversight.store.tables import LogEvidenceRow, LogRow, TreeHeadRow, UnitRow
from tests.integration.harvesting import count, new_database, rows_of, run_harvest, watch
from tests.integration.log_server import FaultyLog, Leaf, Tree
from tests.integration.made_entries import Authority, mixed, noise

BOTH = pytest.mark.parametrize("api", list(LogApi))
ACME = Authority("Acme CA")


def harvested(folder: Path, api: LogApi, size: int = 300) -> tuple[Database, FaultyLog]:
    database = new_database(folder)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(mixed(ACME, size), api)
    run_harvest(database, log)
    return database, log


def kinds(database: Database) -> list[str]:
    with database.read() as session:
        return [row.kind for row in session.scalars(select(LogEvidenceRow))]


def quarantine(database: Database) -> str | None:
    with database.read() as session:
        return session.scalars(select(LogRow)).one().quarantine_reason


def altered(leaves: list[Leaf], index: int) -> list[Leaf]:
    other = replace(leaves[index], timestamp=leaves[index].timestamp + 1)
    return [*leaves[:index], other, *leaves[index + 1 :]]


def fork(log: FaultyLog, index: int) -> None:
    log.leaves = altered(log.leaves, index)
    log.grow([])


@BOTH
def test_two_roots_of_one_verified_size_are_a_fork(tmp_path: Path, api: LogApi) -> None:
    database, log = harvested(tmp_path, api)
    before = rows_of(database, UnitRow)
    original = log.leaves
    fork(log, 7)
    for _ in range(2):  # it stays one for as long as the log says so
        with pytest.raises(LogMisbehaved):
            run_harvest(database, log)
    assert rows_of(database, UnitRow) == before
    assert set(kinds(database)) == {"split_view"}
    log.leaves = original
    log.grow(mixed(ACME, 10, first=300))
    assert run_harvest(database, log).verified_size == 310
    assert quarantine(database) is None
    assert len(kinds(database)) >= 1


@BOTH
def test_a_rewritten_past_is_found_by_its_entries(tmp_path: Path, api: LogApi) -> None:
    database, log = harvested(tmp_path, api)
    log.leaves = altered(log.leaves, 7)
    log.grow(mixed(ACME, 30, first=300))
    with pytest.raises(LogMisbehaved):
        run_harvest(database, log)
    assert kinds(database) == ["split_view"]
    with database.read() as session:
        [evidence] = session.scalars(select(LogEvidenceRow))
        assert None not in (evidence.head, evidence.other_head, evidence.proof)


@BOTH
def test_a_lagging_replica_is_harmless_once_proven(tmp_path: Path, api: LogApi) -> None:
    database, log = harvested(tmp_path, api)
    log.size, log.timestamp = 270, log.timestamp - 1000
    result = run_harvest(database, log)
    assert (result.state, result.verified_size) == (HarvestState.STALE, 300)
    assert kinds(database) == []
    log.size = None
    log.grow(mixed(ACME, 10, first=300))
    assert run_harvest(database, log).verified_size == 310


@BOTH
def test_a_smaller_head_of_another_tree_is_a_fork(tmp_path: Path, api: LogApi) -> None:
    database, log = harvested(tmp_path, api)
    log.leaves = altered(log.leaves, 7)
    log.grow([])
    log.size, log.timestamp = 270, log.timestamp - 3_600_000
    with pytest.raises(LogMisbehaved):
        run_harvest(database, log)
    assert kinds(database) == ["split_view"]


@BOTH
def test_an_unprovable_smaller_head_is_a_failure_of_the_source(tmp_path: Path, api: LogApi) -> None:
    database, log = harvested(tmp_path, api)
    log.size, log.timestamp = 270, log.timestamp - 1000
    log.missing |= {"/ct/v1/get-sth-consistency?first=270&second=300", "/tile/0/001.p/44"}
    log.missing |= {"/tile/0/001"}
    with pytest.raises(SourceError) as raised:
        run_harvest(database, log)
    assert not isinstance(raised.value, LogMisbehaved)
    with database.read() as session:
        assert session.scalars(select(LogRow)).one().last_error is not None


@BOTH
def test_a_smaller_tree_signed_later_is_a_contradiction(tmp_path: Path, api: LogApi) -> None:
    database, log = harvested(tmp_path, api)
    log.size, log.timestamp = 270, log.timestamp + 1000
    for _ in range(2):
        with pytest.raises(LogMisbehaved):
            run_harvest(database, log)
    assert kinds(database) == ["rollback"]
    log.size = None
    log.grow(mixed(ACME, 10, first=300))
    assert run_harvest(database, log).verified_size == 310


@BOTH
def test_the_same_size_signed_again_is_only_another_head(tmp_path: Path, api: LogApi) -> None:
    database, log = harvested(tmp_path, api)
    log.timestamp += 60_000
    assert run_harvest(database, log).state is HarvestState.CURRENT
    assert count(database, TreeHeadRow) == 2


def test_a_web_page_with_status_200_is_not_a_misbehaving_log(tmp_path: Path) -> None:
    for api, path in ((LogApi.RFC6962, "/ct/v1/get-sth"), (LogApi.STATIC, "/checkpoint")):
        folder = tmp_path / api
        folder.mkdir()
        database, log = harvested(folder, api, size=5)
        log.mutations[path] = lambda _: b"<!DOCTYPE html><title>Just a moment...</title>"
        with pytest.raises(SourceError) as raised:
            run_harvest(database, log)
        assert not isinstance(raised.value, LogMisbehaved)
        assert raised.value.retry is True
        assert kinds(database) == []
        assert quarantine(database) is None


def test_consistency_proofs_from_ranges_agree_with_the_definition() -> None:
    leaves = [leaf.merkle_leaf() for leaf in noise(70)]
    tree = Tree(leaves)
    for second in range(1, 71):
        for first in range(1, second + 1):
            proof = [tree.root(*bounds) for bounds in proof_ranges(first, second)]
            assert proof == tree.consistency(first, second)
            verify_consistency(first, second, proof, tree.root(0, first), tree.root(0, second))
