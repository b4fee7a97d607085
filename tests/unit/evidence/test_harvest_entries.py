"""Entries on their way to units: filters, malformed entries, promotion."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from subca_oversight.errors import LogMisbehaved, SourceError
from subca_oversight.evidence.harvest import (
    HarvestState,
    logs_to_read,
    malformed_entries_naming,
    sync_logs,
)
from subca_oversight.model.certificate import CertificateKind
from subca_oversight.model.log import LogApi, LogState
from subca_oversight.sources.log_list import LogList
from subca_oversight.store.tables import (
    CertificateRow,
    ChainCertificateRow,
    LogEvidenceRow,
    LogRow,
    MalformedEntryRow,
    SightingRow,
    UnconfirmedMatchRow,
    UnitRow,
    WatchedKeyRow,
)
from tests.integration.harvesting import (
    NOW,
    count,
    new_database,
    rows_of,
    run_harvest,
    watch,
)
from tests.integration.log_server import FaultyLog, Leaf, sha256, with_leaf_index
from tests.integration.made_entries import LOGGED, Authority, mixed, noise

BOTH = pytest.mark.parametrize("api", list(LogApi))
ACME = Authority("Acme CA")
OTHER = Authority("Other CA")
NAMESAKE = Authority("Acme CA", secret="another key, same name")


# Units


@BOTH
def test_a_precertificate_and_its_final_are_one_unit(tmp_path: Path, api: LogApi) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog([ACME.final(5, LOGGED + 50), ACME.precertificate(5, LOGGED + 20)], api)
    run_harvest(database, log)
    with database.read() as session:
        [unit] = session.scalars(select(UnitRow))
        assert unit.first_logged_ms == LOGGED + 20
        assert unit.confirmed is True
        assert unit.serial_hex == "05"
        assert unit.not_after is not None
        kinds = sorted(row.kind for row in session.scalars(select(CertificateRow)))
        assert kinds == [CertificateKind.FINAL, CertificateKind.PRECERTIFICATE]
        chain = session.scalars(select(ChainCertificateRow)).all()
        assert [row.spki_sha256 for row in chain] == [ACME.key_hash.hex()]


def test_two_logs_share_units_and_keep_their_sightings(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    one = FaultyLog([ACME.precertificate(5, LOGGED + 50)], LogApi.RFC6962, "one")
    two = FaultyLog(
        [*noise(3), ACME.precertificate(5, LOGGED + 10), ACME.final(5)], LogApi.STATIC, "two"
    )
    run_harvest(database, one)
    with database.write() as session:
        session.execute(update(UnitRow).values(checked_with="checks"))
    run_harvest(database, two)
    with database.read() as session:
        [unit] = session.scalars(select(UnitRow))
        assert unit.first_logged_ms == LOGGED + 10
        assert unit.checked_with is None
        sightings = {(row.log_id, row.index) for row in session.scalars(select(SightingRow))}
    assert sightings == {
        (one.log_id.hex(), 0),
        (two.log_id.hex(), 3),
        (two.log_id.hex(), 4),
    }


def test_a_known_certificate_sighted_later_leaves_the_unit_as_checked(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    run_harvest(database, FaultyLog([ACME.final(5, LOGGED)], LogApi.RFC6962, "one"))
    with database.write() as session:
        session.execute(update(UnitRow).values(checked_with="checks"))
    run_harvest(database, FaultyLog([ACME.final(5, LOGGED + 9)], LogApi.RFC6962, "two"))
    with database.read() as session:
        assert [row.checked_with for row in session.scalars(select(UnitRow))] == ["checks"]
    assert count(database, SightingRow) == 2


def test_only_the_first_reading_of_what_was_logged_before_is_quiet(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate], since=NOW)
    before = int((NOW - timedelta(days=2)).timestamp() * 1000)
    after = int((NOW + timedelta(seconds=1)).timestamp() * 1000)
    log = FaultyLog([ACME.precertificate(1, before), ACME.precertificate(2, after)], LogApi.RFC6962)
    run_harvest(database, log)
    log.grow([ACME.precertificate(3, before)])
    run_harvest(database, log)
    with database.read() as session:
        rows = {row.serial_hex: row.baseline for row in session.scalars(select(UnitRow))}
    assert rows == {"01": True, "02": False, "03": False}


# Final certificates under wrong chains


@BOTH
def test_a_final_under_a_wrong_chain_is_found_by_its_issuer_name(
    tmp_path: Path, api: LogApi
) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    hidden = replace(ACME.final(5), chain=(OTHER.certificate,))
    result = run_harvest(database, FaultyLog([*noise(4), hidden, *noise(4)], api))
    assert (result.matches, result.unconfirmed, result.blamed) == (0, 1, 1)
    with database.read() as session:
        [match] = session.scalars(select(UnconfirmedMatchRow))
        assert (match.index, match.issuer_key_sha256) == (4, ACME.key_hash.hex())


@BOTH
def test_a_final_without_its_chain_is_found_by_signature(tmp_path: Path, api: LogApi) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    leaves = [replace(ACME.final(5), chain=()), replace(OTHER.final(6), chain=())]
    result = run_harvest(database, FaultyLog(leaves, api))
    assert (result.matches, result.unconfirmed) == (1, 0)


@BOTH
def test_a_namesake_of_a_watched_authority_is_not_watched(tmp_path: Path, api: LogApi) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    leaves = [NAMESAKE.final(5), NAMESAKE.precertificate(6), ACME.final(7)]
    result = run_harvest(database, FaultyLog(leaves, api))
    assert (result.matches, result.unconfirmed) == (1, 0)
    assert count(database, UnitRow) == 1


@BOTH
def test_what_cannot_be_ruled_out_is_kept_as_unconfirmed(tmp_path: Path, api: LogApi) -> None:
    """Watched by hash alone and without a chain, nobody can tell; a root of its own is nobody's."""
    database = new_database(tmp_path)
    watch(database, keys=[ACME.key_hash])
    root = Leaf(timestamp=LOGGED, body=OTHER.certificate)
    leaves = [replace(ACME.final(5), chain=()), root, OTHER.final(6)]
    result = run_harvest(database, FaultyLog(leaves, api))
    assert (result.matches, result.unconfirmed, result.blamed) == (0, 1, 0)
    assert count(database, UnitRow) == 0


def test_a_doubt_ends_when_the_certificate_of_the_key_is_at_hand(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    watch(database, keys=[ACME.key_hash])
    leaves = [replace(ACME.precertificate(number), chain=()) for number in (5, 6)]
    log = FaultyLog(leaves, LogApi.RFC6962)
    assert run_harvest(database, log).unconfirmed == 2
    with database.write() as session:
        session.get_one(WatchedKeyRow, ACME.key_hash.hex()).spki = ACME.spki
    assert run_harvest(database, log).matches == 2
    assert count(database, UnconfirmedMatchRow) == 0
    with database.read() as session:
        assert {row.confirmed for row in session.scalars(select(UnitRow))} == {True}
    assert (count(database, CertificateRow), count(database, SightingRow)) == (2, 2)


def test_an_issuer_that_is_not_served_never_hides_a_final(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    watch(database, keys=[ACME.key_hash])
    log = FaultyLog([OTHER.final(4), ACME.final(5)], LogApi.STATIC)
    log.missing.add(f"/issuer/{sha256(ACME.certificate).hex()}")
    result = run_harvest(database, log)
    assert (result.matches, result.unconfirmed) == (0, 1)


def test_a_static_log_that_serves_no_issuers_is_not_read_past_them(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    watch(database, keys=[ACME.key_hash])
    log = FaultyLog([OTHER.final(number) for number in range(1, 600)], LogApi.STATIC)
    log.missing.add(f"/issuer/{sha256(OTHER.certificate).hex()}")
    with pytest.raises(SourceError, match="does not serve the issuers"):
        run_harvest(database, log)
    assert count(database, UnconfirmedMatchRow) == 0
    log.missing.clear()
    assert run_harvest(database, log).verified_size == 599


def test_an_issuer_that_fails_for_now_stops_the_reading(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    watch(database, keys=[ACME.key_hash])
    log = FaultyLog([*noise(300), ACME.final(5)], LogApi.STATIC)
    path = f"/issuer/{sha256(ACME.certificate).hex()}"
    log.statuses[path] = 503
    with pytest.raises(SourceError):
        run_harvest(database, log)
    log.statuses.clear()
    assert run_harvest(database, log).matches == 1


def test_issuers_are_asked_for_once(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(mixed(ACME, 300), LogApi.STATIC)
    run_harvest(database, log)
    log.grow([OTHER.final(9), *mixed(ACME, 200, first=300)])
    run_harvest(database, log)
    asked = [path for path in log.asked if path.startswith("/issuer/")]
    assert len(asked) == len(set(asked)) == 2


# Malformed entries


def broken_leaf(octets: bytes) -> Leaf:
    """A leaf that RFC 6962 does not allow, whatever its parts are."""

    class Broken(Leaf):
        def merkle_leaf(self) -> bytes:
            return octets

    return Broken(timestamp=LOGGED, body=b"")


def test_malformed_entries_are_kept_and_do_not_stop_the_reading(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    good = ACME.precertificate(5)
    broken = [
        b"",
        b"\x00\x00",
        b"\x01" + good.merkle_leaf()[1:],
        b"\x00\x01" + good.merkle_leaf()[2:],
        good.merkle_leaf()[:10] + b"\x00\x09" + good.merkle_leaf()[12:],
        good.merkle_leaf()[:60],
        b"\x00\x00\xff" + good.merkle_leaf()[3:],
    ]
    leaves = [*noise(2), *map(broken_leaf, broken), good]
    result = run_harvest(database, FaultyLog(leaves, LogApi.RFC6962))
    assert result.verified_size == len(leaves)
    assert result.malformed == len(broken)
    with database.read() as session:
        rows = {row.index: row.leaf for row in session.scalars(select(MalformedEntryRow))}
        assert rows == dict(enumerate(broken, 2))
        named = malformed_entries_naming(session, [ACME.key_hash.hex(), OTHER.key_hash.hex()])
    assert [one.index for one in named] == [4, 5, 6, 7, 8]
    assert {one.issuer_key_sha256 for one in named} == {ACME.key_hash.hex()}


def test_a_trailing_octet_is_malformed_and_the_match_still_counts(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    good = ACME.precertificate(5)

    class Trailing(Leaf):
        def merkle_leaf(self) -> bytes:
            return super().merkle_leaf() + b"\x00"

    trailing = Trailing(
        good.timestamp, good.body, good.issuer_key_hash, good.precertificate, good.chain
    )
    result = run_harvest(database, FaultyLog([trailing], LogApi.RFC6962))
    assert (result.malformed, result.matches) == (1, 1)


def test_a_leaf_index_is_held_against_the_position(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    leaves = with_leaf_index(mixed(ACME, 30))
    leaves[20] = replace(leaves[20], extensions=b"\x00\x00\x05\x00\x00\x00\x00\x15")
    leaves[21] = replace(leaves[21], extensions=b"\x07\x00\x01x" + leaves[21].extensions)
    result = run_harvest(database, FaultyLog(leaves, LogApi.STATIC))
    assert (result.malformed, result.matches) == (1, 6)
    with database.read() as session:
        [row] = session.scalars(select(MalformedEntryRow))
        assert (row.index, row.reason) == (20, "leaf_index 21 at position 20")


def test_a_tile_that_cannot_be_cut_is_held_against_the_log(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(mixed(ACME, 300), LogApi.STATIC)
    log.mutations["/tile/data/000"] = lambda body: body[:-1]
    with pytest.raises(LogMisbehaved):
        run_harvest(database, log)
    with database.read() as session:
        [row] = session.scalars(select(LogEvidenceRow))
        assert row.kind == "unreadable_tile"
        assert row.body is not None


# Pages and tiles


@pytest.mark.parametrize(
    ("max_page", "align"), [(1000, False), (7, False), (32, True), (256, True), (100, False)]
)
def test_short_and_aligned_pages_lose_nothing(tmp_path: Path, max_page: int, align: bool) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(mixed(ACME, 150), LogApi.RFC6962, max_page=max_page, align=align)
    run_harvest(database, log)
    log.grow(mixed(ACME, 450, first=150))
    result = run_harvest(database, log)
    assert (result.verified_size, count(database, SightingRow)) == (600, 120)


def test_a_page_that_is_refused_for_its_size_is_asked_for_in_halves(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(mixed(ACME, 200), LogApi.RFC6962)
    log.statuses["/ct/v1/get-entries?start=0&end=199"] = 413
    assert run_harvest(database, log).verified_size == 200


def test_a_source_that_fails_half_way_is_continued_there(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(mixed(ACME, 600), LogApi.STATIC)
    log.missing |= {"/tile/data/001", "/tile/data/001.p/88"}
    with pytest.raises(SourceError):
        run_harvest(database, log)
    assert count(database, SightingRow) == 0
    log.missing.clear()
    log.asked.clear()
    result = run_harvest(database, log)
    assert (result.verified_size, result.matches) == (600, 120)
    assert "/tile/data/000" not in log.asked


def test_a_partial_tile_that_is_gone_is_replaced_by_the_full_one(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(mixed(ACME, 600), LogApi.STATIC, size=400)
    # The head lags behind: by now the second tile is full, and the partial one was removed.
    log.missing.add("/tile/data/001.p/144")
    log.full_tiles.add("/tile/data/001")
    assert run_harvest(database, log).verified_size == 400
    log.size = None
    log.grow([])
    assert run_harvest(database, log).verified_size == 600
    assert count(database, SightingRow) == 120


def test_a_busy_log_is_read_by_full_tiles_until_patience_ends(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(mixed(ACME, 300), LogApi.STATIC)
    assert run_harvest(database, log).verified_size == 300
    log.grow(mixed(ACME, 700, first=300))
    result = run_harvest(database, log)
    assert (result.state, result.verified_size) == (HarvestState.WAITING, 768)
    assert count(database, SightingRow) == 2 * 77
    log.grow(mixed(ACME, 2, first=1000))
    result = run_harvest(database, log)
    assert (result.state, result.verified_size) == (HarvestState.CURRENT, 1002)


def test_a_waiting_log_still_proves_its_head(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    log = FaultyLog(mixed(ACME, 300), LogApi.STATIC)
    run_harvest(database, log)
    before = rows_of(database, SightingRow)
    log.grow(mixed(ACME, 700, first=300))
    log.mutations["/tile/0/003.p/232"] = lambda body: body[:-1] + b"\xff"
    with pytest.raises(LogMisbehaved):
        run_harvest(database, log)
    assert rows_of(database, SightingRow) == before


# Logs


def test_logs_of_lists_are_kept_and_only_living_ones_are_read(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    names = ("usable", "retired", "mimic")
    one, two, three = (FaultyLog([], LogApi.STATIC, name).log() for name in names)
    one, two = replace(one, state=LogState.USABLE), replace(two, state=LogState.RETIRED)
    mimic = "https://ct-mimics.example.com/"
    three = replace(three, submission_url=mimic, monitoring_url=mimic)
    listed = LogList(version="1", timestamp=NOW, logs=(one, two, three), problems=())
    with database.write() as session:
        assert sync_logs(session, listed, NOW) == 3
        assert [poll.log for poll in logs_to_read(session, NOW)] == [one]
    # A second list of the same run knows better, a later one forgets: no key is lost.
    other = replace(
        listed, logs=(replace(one, state=LogState.REJECTED), replace(two, state=LogState.USABLE))
    )
    later = replace(listed, logs=())
    with database.write() as session:
        assert sync_logs(session, other, NOW, source="another list") == 0
        read = {poll.log.log_id for poll in logs_to_read(session, NOW)}
        assert read == {one.log_id, two.log_id}
        sync_logs(session, later, NOW + timedelta(days=1))
        assert len(session.scalars(select(LogRow)).all()) == 3
