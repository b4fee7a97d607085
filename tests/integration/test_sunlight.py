"""A real log, fed with the demo world's certificates: what went in is what our reader has.

Run by ``make test-peers``; needs Go and its module proxy the first time.
"""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import select

from subca_oversight.demo.world import build_world
from subca_oversight.errors import SourceError
from subca_oversight.evidence.harvest import HarvestResult, HarvestState, harvest_log
from subca_oversight.evidence.harvest.registry import sync_logs
from subca_oversight.http import Client
from subca_oversight.settings import HttpSettings
from subca_oversight.sources.log_list import LogList
from subca_oversight.store.database import Database
from subca_oversight.store.tables import (
    CertificateRow,
    LogEvidenceRow,
    MalformedEntryRow,
    PendingEntryRow,
    SightingRow,
    UnconfirmedMatchRow,
)
from tests.integration.harvesting import ALL, count, new_database, watch
from tests.integration.sunlight import Accepted, CannotBuild, Sunlight, build
from tests.unit.demo.log_reading import Entry, read_rfc6962

pytestmark = pytest.mark.slow
FIRST = 700
"""Submissions before the log is stopped: two full tiles, and a part of a third."""


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    """The demo world's entries with a chain, each certificate once."""
    folder = tmp_path_factory.mktemp("demo") / "world"
    build_world(folder, seed=1)
    known: dict[bytes, Entry] = {}
    for entry in read_rfc6962(folder / "rfc6962"):
        if entry.kind in (0, 1) and len(entry.chain) > 0:
            known.setdefault(certificate_of(entry), entry)
    return list(known.values())


@pytest.fixture
def sunlight(tmp_path: Path, entries: list[Entry]) -> Iterator[Sunlight]:
    try:
        programs = build()
    except CannotBuild as error:
        pytest.skip(f"no real log can be built: {error}")
    roots = sorted({entry.chain[-1] for entry in entries})
    log = Sunlight(programs, tmp_path / "log", roots)
    yield log
    log.release()


def certificate_of(entry: Entry) -> bytes:
    return entry.signed if entry.kind == 0 else entry.precertificate


def issuers(entries: list[Entry]) -> list[bytes]:
    """A CA certificate of each key."""
    by_key = {
        x509.load_der_x509_certificate(one)
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo): one
        for one in sorted({entry.chain[0] for entry in entries})
    }
    return list(by_key.values())


def submit(sunlight: Sunlight, entries: list[Entry]) -> list[Accepted]:
    chains = [(one.kind == 1, (certificate_of(one), *one.chain)) for one in entries]
    return [answer for answer in sunlight.submit(chains) if answer is not None]


def harvest(database: Database, sunlight: Sunlight) -> HarvestResult:
    return asyncio.run(_harvest(database, sunlight))


async def _harvest(database: Database, sunlight: Sunlight) -> HarvestResult:
    http = HttpSettings(allow_networks=(IPv4Network("127.0.0.0/8"),), attempts=1)
    async with Client(http, contact="test@example.org") as client:
        log = sunlight.log()
        now = datetime.now(UTC)
        with database.write() as session:
            sync_logs(session, LogList("1", now, (log,), ()), now)
        return await harvest_log(database, client, log, settings=ALL, now=lambda: datetime.now(UTC))


def stored(database: Database) -> set[tuple[int, str]]:
    with database.read() as session:
        rows = session.scalars(select(SightingRow)).all()
        return {(row.index, row.certificate_sha256) for row in rows}


def went_in(accepted: list[Accepted]) -> set[tuple[int, str]]:
    return {(one.index, sha256(one.certificate).hexdigest()) for one in accepted}


def test_what_a_real_log_took_is_what_we_have(
    tmp_path: Path, sunlight: Sunlight, entries: list[Entry]
) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=issuers(entries))
    with sunlight.running():
        accepted = submit(sunlight, entries[:FIRST])
        assert len(accepted) > FIRST * 0.9
        with urllib.request.urlopen(f"{sunlight.base}checkpoint", timeout=10) as answer:  # noqa: S310 - loopback
            assert b"grease.invalid" in answer.read()
        first = harvest(database, sunlight)
        assert first.verified_size == first.entries == len(accepted)
        assert stored(database) == went_in(accepted)
    with pytest.raises(SourceError):
        harvest(database, sunlight)
    with sunlight.running():
        more = submit(sunlight, entries[FIRST:])
        assert len(more) > 0
        second = harvest(database, sunlight)
        # What grew by tiles is read by full tiles first; the last one is left to the next poll.
        assert second.state is HarvestState.WAITING
        third = harvest(database, sunlight)
        assert third.state is HarvestState.CURRENT
        assert second.entries + third.entries == len(more)
        assert third.verified_size == len(accepted) + len(more)
        assert harvest(database, sunlight).entries == 0
    everything = went_in(accepted) | went_in(more)
    assert len(everything) == third.verified_size
    assert stored(database) == everything
    with database.read() as session:
        held = {row.sha256: row for row in session.scalars(select(CertificateRow))}
    assert {sha256(row.der).hexdigest() for row in held.values()} == {one for _, one in everything}
    assert all(row.confirmed for row in held.values())
    for table in (UnconfirmedMatchRow, MalformedEntryRow, PendingEntryRow, LogEvidenceRow):
        assert count(database, table) == 0, table
