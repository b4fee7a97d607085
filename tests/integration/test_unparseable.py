"""The 26 real certificates on which ``cryptography`` raises, as log entries: each is seen.

As final certificates under a made chain, and as the TBSCertificates of made-up precertificates. No
issuing key of theirs is at hand, so none of them can be confirmed: they are shown as unconfirmed,
and never held against the watched key's holder, who did not sign them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlmodel import col

from subca_oversight.check.registry import load_registry
from subca_oversight.evidence.structure import slice_certificate
from subca_oversight.jobs.checks import check_all
from subca_oversight.jobs.context import JobState
from subca_oversight.model.log import LogApi
from subca_oversight.store.database import Database
from subca_oversight.store.tables import (
    CertificateRow,
    FindingRow,
    MalformedEntryRow,
    SightingRow,
    UnconfirmedMatchRow,
    UnitRow,
)
from tests.integration.harvesting import NOW, count, new_database, run_harvest, watch
from tests.integration.log_server import FaultyLog, Leaf, sha256, with_leaf_index
from tests.integration.made_entries import LOGGED, Authority, mixed
from tests.real_data import REAL_DATA, needs_real_data
from tests.unit.jobs.contexts import run

pytestmark = needs_real_data
FOLDER = REAL_DATA / "ct" / "certs" / "unparseable_by_cryptography"
BOTH = pytest.mark.parametrize("api", list(LogApi))
ACME = Authority("Acme CA")
AROUND = 7
"""Entries of others before, and good matches among them."""


@cache
def refused() -> tuple[bytes, ...]:
    found = tuple(path.read_bytes() for path in sorted(FOLDER.glob("*.der")))
    assert len(found) == 26
    return found


def tbs_of(certificate: bytes) -> bytes:
    """The first element of the outer SEQUENCE, by its length octets alone."""

    def content(at: int) -> tuple[int, int]:
        first = certificate[at + 1]
        if first < 0x80:
            return at + 2, first
        return at + 2 + first - 0x80, int.from_bytes(certificate[at + 2 : at + 2 + first - 0x80])

    begin, _ = content(0)
    inner, length = content(begin)
    return certificate[begin : inner + length]


def as_final(number: int, certificate: bytes) -> Leaf:
    return Leaf(LOGGED + number, certificate, chain=(ACME.certificate,))


def as_precertificate(number: int, certificate: bytes) -> Leaf:
    return Leaf(
        LOGGED + number,
        tbs_of(certificate),
        issuer_key_hash=ACME.key_hash,
        precertificate=certificate,
        chain=(ACME.certificate,),
    )


def harvested(folder: Path, api: LogApi, kind: str, *, is_known: bool) -> tuple[Database, set[int]]:
    """A log with the 26 among others, read; and where they are."""
    make = as_final if kind == "final" else as_precertificate
    odd = [make(number, certificate) for number, certificate in enumerate(refused())]
    leaves = [*mixed(ACME, AROUND, every=5), *odd, ACME.final(900)]
    log = FaultyLog(with_leaf_index(leaves) if api is LogApi.STATIC else leaves, api)
    database = new_database(folder)
    if is_known:
        watch(database, certificates=[ACME.certificate])
    else:
        watch(database, keys=[ACME.key_hash])
    result = run_harvest(database, log)
    assert result.verified_size == len(leaves)
    return database, set(range(AROUND, AROUND + len(odd)))


@BOTH
@pytest.mark.parametrize("kind", ["final", "precertificate"])
@pytest.mark.parametrize("is_known", [True, False])
def test_each_is_a_record_and_none_is_held_against_the_ca(
    tmp_path: Path, api: LogApi, kind: str, is_known: bool
) -> None:
    database, expected = harvested(tmp_path, api, kind, is_known=is_known)
    with database.read() as session:
        rows = {row.index: row for row in session.scalars(select(UnconfirmedMatchRow))}
        assert set(rows) == expected
        assert {row.issuer_key_sha256 for row in rows.values()} == {ACME.key_hash.hex()}
        assert all(len(row.reason) > 0 for row in rows.values())
        octets = [one if kind == "final" else tbs_of(one) for one in refused()]
        assert all(octets[index - AROUND] in row.leaf for index, row in rows.items())
        units = {row.unit_id: row.confirmed for row in session.scalars(select(UnitRow))}
        assert {units[str(row.unit_id)] for row in rows.values()} == {False}
    # The good ones around them are there, all three.
    assert count(database, SightingRow) == count(database, CertificateRow) == 5
    before = count(database, UnconfirmedMatchRow)
    outcome = run(check_all, database, now=NOW, registry=load_registry())
    assert outcome.state is JobState.DONE
    assert count(database, UnconfirmedMatchRow) == before
    odd = {str(row.unit_id) for row in rows.values()}
    with database.read() as session:
        assert {row.subject for row in session.scalars(select(FindingRow))}.isdisjoint(odd)


def test_an_entry_that_wraps_one_wrongly_is_listed_as_malformed_and_a_finding(
    tmp_path: Path,
) -> None:
    """Cut one octet short, the entry itself is malformed, and it names the watched key."""

    class Short(Leaf):
        def merkle_leaf(self) -> bytes:
            return super().merkle_leaf()[:-3]

    odd = [as_precertificate(number, one) for number, one in enumerate(refused())]
    leaves: list[Leaf] = [
        Short(one.timestamp, one.body, one.issuer_key_hash, one.precertificate, one.chain)
        for one in odd
    ]
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    result = run_harvest(database, FaultyLog(leaves, LogApi.RFC6962))
    assert result.malformed == count(database, MalformedEntryRow) == 26
    run(check_all, database, now=NOW, registry=load_registry())
    with database.read() as session:
        found = session.scalars(
            select(FindingRow).where(col(FindingRow.check_id) == "certificate-unparseable")
        ).all()
    assert len(found) > 0


@BOTH
def test_the_same_entries_under_nobodys_key_are_read_over(tmp_path: Path, api: LogApi) -> None:
    other = Authority("Other CA")
    leaves = [
        replace(as_final(number, certificate), chain=(other.certificate,))
        for number, certificate in enumerate(refused())
    ]
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    result = run_harvest(database, FaultyLog([*leaves, ACME.final(5)], api))
    assert (result.verified_size, result.matches, result.unconfirmed) == (27, 1, 0)


@BOTH
def test_under_their_own_watched_keys_each_is_confirmed_or_listed(
    tmp_path: Path, api: LogApi
) -> None:
    """A root is its own issuer: where its key and algorithm can be read, it confirms itself."""
    watched: dict[bytes, bytes] = {}
    for certificate in refused():
        spki = slice_certificate(certificate).spki
        assert spki is not None
        watched[certificate] = sha256(spki)
    leaves = [
        Leaf(LOGGED + number, certificate, chain=(certificate,))
        for number, certificate in enumerate(watched)
    ]
    database = new_database(tmp_path)
    watch(database, keys=set(watched.values()))
    run_harvest(database, FaultyLog(leaves, api))
    with database.read() as session:
        sighted = {row.index for row in session.scalars(select(SightingRow))}
        unconfirmed = {row.index for row in session.scalars(select(UnconfirmedMatchRow))}
    assert sighted.isdisjoint(unconfirmed)
    assert sighted | unconfirmed == set(range(26))
    assert len(sighted) > 0
    run(check_all, database, now=NOW, registry=load_registry())
    keys = {watched[leaves[index].body].hex() for index in sighted}
    with database.read() as session:
        rows = session.scalars(select(FindingRow)).all()
    assert {row.anchor for row in rows if row.check_id == "certificate-unparseable"} == keys
