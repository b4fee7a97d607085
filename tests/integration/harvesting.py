"""What the harvest tests share: a database, a watch set, a client, and a look at every table."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import IPv4Network
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import select
from sqlmodel import Session, SQLModel

from subca_oversight.evidence.harvest import HarvestResult, harvest_log
from subca_oversight.evidence.harvest.registry import sync_logs
from subca_oversight.http import Client
from subca_oversight.model.subordinate import KeyProvenance, Relation
from subca_oversight.settings import CtSettings, HttpSettings
from subca_oversight.sources.log_list import LogList
from subca_oversight.store.database import Database
from subca_oversight.store.tables import (
    METADATA,
    AuthorityCertificateRow,
    SubordinateRow,
    WatchedKeyRow,
)
from tests.integration.log_server import FaultyLog, serving

NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)
ALL = CtSettings(start="all")
FROM_NOW = CtSettings(start="now")


def new_database(folder: Path, name: str = "test.db") -> Database:
    database = Database(f"sqlite:///{folder / name}")
    METADATA.create_all(database.engine)
    return database


def watch(
    database: Database,
    keys: Iterable[bytes] = (),
    certificates: Iterable[bytes] = (),
    *,
    since: datetime = NOW,
) -> None:
    """Watch SPKI hashes, and the keys of CA certificates; a subordinate for each."""
    with database.write() as session:
        for key in keys:
            _add_key(session, key.hex(), None, since)
        for certificate in certificates:
            spki = x509.load_der_x509_certificate(certificate).public_key()
            octets = spki.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            name = sha256(octets).hexdigest()
            _add_key(session, name, octets, since)
            session.add(
                AuthorityCertificateRow(
                    sha256=sha256(certificate).hexdigest(),
                    spki_sha256=name,
                    anchor=name,
                    der=certificate,
                    provenance=KeyProvenance.CONFIGURATION,
                    first_seen=since,
                )
            )


def _add_key(session: Session, name: str, spki: bytes | None, since: datetime) -> None:
    session.add(
        SubordinateRow(
            anchor=name,
            name=name[:32],
            operator="Example",
            relation=Relation.EXTERNALLY_OPERATED,
            registered_at=since,
        )
    )
    session.flush()
    session.add(
        WatchedKeyRow(
            spki_sha256=name,
            anchor=name,
            provenance=KeyProvenance.CONFIGURATION,
            spki=spki,
            watched_since=since,
        )
    )
    session.flush()


def run_harvest(
    database: Database,
    log: FaultyLog,
    settings: CtSettings = ALL,
    now: datetime = NOW,
    *,
    backfill_seconds: float | None = None,
) -> HarvestResult:
    """Serve ``log``, harvest it once, stop serving."""
    return asyncio.run(_run_harvest(database, log, settings, now, backfill_seconds))


async def _run_harvest(
    database: Database,
    log: FaultyLog,
    settings: CtSettings,
    now: datetime,
    backfill_seconds: float | None,
) -> HarvestResult:
    http = HttpSettings(allow_networks=(IPv4Network("127.0.0.0/8"),), attempts=1)
    async with serving(log), Client(http, contact="test@example.org") as client:
        listed = LogList(version="1", timestamp=now, logs=(log.log(),), problems=())
        with database.write() as session:
            sync_logs(session, listed, now)
        return await harvest_log(
            database,
            client,
            log.log(),
            settings=settings,
            now=lambda: now,
            backfill_seconds=backfill_seconds,
        )


def rows_of(database: Database, *tables: type[SQLModel]) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the tables, sorted; all tables where none is named."""
    names = {str(table.__tablename__) for table in tables}
    chosen = [table for table in METADATA.sorted_tables if len(names) == 0 or table.name in names]
    with database.read() as session:
        return {
            table.name: sorted((tuple(row) for row in session.execute(select(table))), key=repr)
            for table in chosen
        }


def count(database: Database, table: type[SQLModel]) -> int:
    return len(rows_of(database, table)[str(table.__tablename__)])


class Crash(BaseException):
    """Not an error that anyone would catch."""


class CrashingDatabase(Database):
    """Dies at a chosen commit, before it or right after."""

    def __init__(self, url: str, at: int, *, after: bool, hard: bool = False) -> None:
        super().__init__(url)
        self.commits = 0
        self._at = at
        self._after = after
        self._hard = hard

    @contextmanager
    def write(self) -> Iterator[Session]:
        self.commits += 1
        if self._at == self.commits and not self._after:
            with super().write() as session:
                yield session
                session.flush()
                self._die()
        else:
            with super().write() as session:
                yield session
            if self._at == self.commits:
                self._die()

    def _die(self) -> None:
        if self._hard:
            os._exit(9)
        raise Crash
