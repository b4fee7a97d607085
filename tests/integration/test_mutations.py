"""Ten thousand single bits of a served log, one at a time: none makes a false match or a crash.

What each may change is said by ``mutations.judge``, which shares nothing with the product.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import event, select

from subca_oversight.check.registry import load_registry
from subca_oversight.errors import LogMisbehaved, SourceError
from subca_oversight.evidence.harvest import harvest_log, staging
from subca_oversight.evidence.harvest.registry import sync_logs
from subca_oversight.jobs.checks import check_all
from subca_oversight.model.log import LogApi
from subca_oversight.sources.log_list import LogList
from subca_oversight.store.database import Database
from subca_oversight.store.tables import (
    CertificateRow,
    FindingRow,
    LogEvidenceRow,
    MalformedEntryRow,
    PendingEntryRow,
    SightingRow,
    UnconfirmedMatchRow,
    UnitRow,
)
from tests.integration.harvesting import ALL, NOW, new_database, watch
from tests.integration.log_server import FaultyLog, with_leaf_index
from tests.integration.made_entries import Authority, mixed
from tests.integration.mutations import Effect, Expected, Memory, Mutation, draw, judge
from tests.unit.jobs.contexts import run_in_loop

ACME = Authority("Acme CA")
OTHER = Authority("Other CA")
ROOT = Authority("Some Root CA")
registry = cache(load_registry)
PROOFS = ("get-sth-consistency", "/tile/0/")
SEED = 20_261_124
FEW = {"entries": 110, "proofs": 40}
MANY = {"entries": 4000, "proofs": 1000}
"""For each API; 10,000 in all."""


@cache
def cross_certificate() -> bytes:
    """The watched key, certified by another CA: a chain of two."""
    own = x509.load_der_x509_certificate(ACME.certificate)
    builder = (
        x509.CertificateBuilder()
        .subject_name(own.subject)
        .issuer_name(ROOT.subject)
        .public_key(own.public_key())
        .serial_number(77)
        .not_valid_before(own.not_valid_before_utc)
        .not_valid_after(own.not_valid_after_utc - timedelta(days=1))
    )
    for extension in own.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    signed = builder.sign(ROOT.key, hashes.SHA256(), ecdsa_deterministic=True)
    return signed.public_bytes(Encoding.DER)


def small_log(api: LogApi) -> FaultyLog:
    """Noise, foreign certificates, and matches under chains of one and of two, at the end too."""
    chain = (cross_certificate(), ROOT.certificate)
    leaves = [
        *mixed(ACME, 15, every=5),
        OTHER.final(40),
        OTHER.precertificate(41),
        replace(ACME.precertificate(50), chain=chain),
        replace(ACME.final(50), chain=chain),
        ACME.final(60),
    ]
    if api is LogApi.STATIC:
        leaves = with_leaf_index(leaves)
    return FaultyLog(leaves, api, max_page=8)


@dataclass(frozen=True)
class Held:
    """What counts, as it lies in the tables."""

    sightings: frozenset[tuple[int, str]]
    certificates: frozenset[str]
    confirmed: frozenset[str]
    unconfirmed: frozenset[int]
    malformed: frozenset[int]
    pending: int


NONE = Held(frozenset(), frozenset(), frozenset(), frozenset(), frozenset(), 0)


class Bench:
    """A clean run of a small log, and room for spoiled ones."""

    def __init__(self, folder: Path, api: LogApi) -> None:
        self.log = small_log(api)
        self.served = Memory(self.log).served
        self._folder = folder
        database = new_database(folder, "empty.db")
        watch(database, certificates=[ACME.certificate])
        listed = LogList(version="1", timestamp=NOW, logs=(self.log.log(),), problems=())
        with database.write() as session:
            sync_logs(session, listed, NOW)
        database.close()
        self._empty = sqlite3.connect(folder / "empty.db")
        self.database = Database(f"sqlite:///{folder / 'spoiled.db'}")
        event.listen(
            self.database.engine,
            "connect",
            lambda connection, _: connection.execute("pragma synchronous=off"),
        )
        self.reset()
        assert asyncio.run(self.harvest(self.client())) is None
        self.clean = held(self.database)
        self.matches = frozenset(index for index, _ in self.clean.sightings)

    def client(self) -> Memory:
        return Memory(self.log, self.served)

    def reset(self) -> None:
        """Empty the database; one engine serves all trials, for it remembers its statements."""
        with self.database.engine.connect() as connection:
            spoiled = connection.connection.driver_connection
            assert isinstance(spoiled, sqlite3.Connection)
            spoiled.rollback()
            self._empty.backup(spoiled)

    def close(self) -> None:
        self._empty.close()
        self.database.close()

    async def harvest(self, client: Memory) -> SourceError | None:
        """One reading; what it raised of what it may raise."""
        try:
            await harvest_log(self.database, client, self.log.log(), settings=ALL, now=lambda: NOW)
        except SourceError as error:
            return error
        return None


def held(database: Database) -> Held:
    with database.read() as session:
        sightings = session.scalars(select(SightingRow)).all()
        return Held(
            sightings=frozenset((row.index, row.certificate_sha256) for row in sightings),
            certificates=frozenset(row.sha256 for row in session.scalars(select(CertificateRow))),
            confirmed=frozenset(
                row.unit_id for row in session.scalars(select(UnitRow)) if row.confirmed
            ),
            unconfirmed=frozenset(
                row.index for row in session.scalars(select(UnconfirmedMatchRow))
            ),
            malformed=frozenset(row.index for row in session.scalars(select(MalformedEntryRow))),
            pending=len(session.scalars(select(PendingEntryRow)).all()),
        )


def without(clean: Held, entries: frozenset[int], units: Callable[[int], str]) -> Held:
    """The clean state less some matches, which are unconfirmed instead."""
    kept = frozenset(one for one in clean.sightings if one[0] not in entries)
    return replace(
        clean,
        sightings=kept,
        certificates=frozenset(certificate for _, certificate in kept),
        confirmed=frozenset(units(index) for index, _ in kept),
        unconfirmed=entries,
    )


def has_evidence(database: Database) -> bool:
    with database.read() as session:
        return session.scalars(select(LogEvidenceRow)).first() is not None


def findings(database: Database) -> frozenset[tuple[str, str]]:
    with database.read() as session:
        return frozenset((row.check_id, row.subject) for row in session.scalars(select(FindingRow)))


async def judged(database: Database) -> frozenset[tuple[str, str]]:
    """What all checks find against the CA."""
    await run_in_loop(check_all, database, now=NOW, registry=registry())
    return findings(database)


class Trial:
    """Runs mutations and holds what came of each against what may come."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.seen: Counter[Effect] = Counter()
        self.checked = 0
        self._units: dict[int, str] = {}
        self._findings: frozenset[tuple[str, str]] = frozenset()

    async def run(self, count: int, seed: int, only: tuple[str, ...], checks: int) -> None:
        bench = self.bench
        bench.reset()
        await bench.harvest(bench.client())
        with bench.database.read() as session:
            rows = session.scalars(select(SightingRow)).all()
            self._units = {row.index: row.unit_id for row in rows}
        self._findings = await judged(bench.database)
        for mutation in draw(bench.served, count, seed, only=only):
            body = bench.served[mutation.target][1]
            expected = judge(bench.log, bench.matches, body, mutation)
            self.seen[expected.effect] += 1
            try:
                await self._try(mutation, expected, checks)
            except BaseException as failure:
                failure.add_note(f"{mutation}, expected {expected}")
                raise

    async def _try(self, mutation: Mutation, expected: Expected, checks: int) -> None:
        bench = self.bench
        bench.reset()
        client = bench.client()
        client.mutation = mutation
        error = await bench.harvest(client)
        self._hold(expected, held(bench.database), error)
        if isinstance(error, LogMisbehaved) or "/issuer/" in mutation.target:
            assert has_evidence(bench.database)
        if len(expected.entries) > 0 and self.checked < checks:
            self.checked += 1
            assert await judged(bench.database) <= self._findings
        if error is not None:
            client.mutation = None
            assert await bench.harvest(client) is None
            assert held(bench.database) == bench.clean

    def _hold(self, expected: Expected, found: Held, error: SourceError | None) -> None:
        clean = self.bench.clean
        spoiled = without(clean, expected.entries, self._units.__getitem__)
        stopped = replace(found, pending=0) == NONE and error is not None
        match expected.effect:
            case Effect.STOPS:
                assert stopped
            case Effect.SPOILS:
                assert found == spoiled
                assert error is None
            case Effect.STOPS_OR_SPOILS:
                assert stopped or found == spoiled
            case Effect.MAY_SPOIL:
                assert error is None
                assert found in (clean, spoiled)
            case Effect.STOPS_OR_NOTHING:
                assert stopped or found == clean
            case Effect.NOTHING:
                assert found == clean
                assert error is None
            case Effect.PROOF:
                assert found.sightings <= clean.sightings
                assert found.certificates <= clean.certificates
                assert found.confirmed <= clean.confirmed
                assert len(found.unconfirmed) == len(found.malformed) == 0
                assert (error is None) == (found == clean)


def run(folder: Path, api: LogApi, part: str, count: int, checks: int) -> Counter[Effect]:
    bench = Bench(folder, api)
    trial = Trial(bench)
    only = PROOFS if part == "proofs" else ()
    try:
        asyncio.run(trial.run(count, SEED, only, checks))
    finally:
        bench.close()
    return trial.seen


BOTH = pytest.mark.parametrize("api", list(LogApi))


@BOTH
def test_a_flipped_bit_makes_no_false_match(tmp_path: Path, api: LogApi) -> None:
    seen = run(tmp_path, api, "entries", FEW["entries"], checks=6)
    assert seen[Effect.STOPS] > 0
    assert seen[Effect.SPOILS] > 0
    assert seen[Effect.NOTHING] > 0


@BOTH
def test_a_flipped_bit_of_a_proof_promotes_nothing_wrong(
    tmp_path: Path, api: LogApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "STAGE_ENTRIES", 6)
    assert run(tmp_path, api, "proofs", FEW["proofs"], checks=0)[Effect.PROOF] == FEW["proofs"]


@pytest.mark.slow
@BOTH
def test_none_of_thousands_of_flipped_bits_makes_a_false_match(tmp_path: Path, api: LogApi) -> None:
    seen = run(tmp_path, api, "entries", MANY["entries"], checks=200)
    assert seen.total() == MANY["entries"]


@pytest.mark.slow
@BOTH
def test_none_of_a_thousand_flipped_bits_of_proofs_promotes_anything_wrong(
    tmp_path: Path, api: LogApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "STAGE_ENTRIES", 6)
    assert run(tmp_path, api, "proofs", MANY["proofs"], checks=0)[Effect.PROOF] == MANY["proofs"]
