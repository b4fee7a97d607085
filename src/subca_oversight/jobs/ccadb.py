"""Job ``ccadb``: import the exports; a refused file keeps the last good snapshot in use."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from datetime import datetime
from pathlib import Path

from subca_oversight.errors import ConfigurationError, OversightError
from subca_oversight.evidence.descendants import register_descendants
from subca_oversight.evidence.disclosure import RECORDS, find_snapshot
from subca_oversight.http import Limits, Origin
from subca_oversight.jobs.context import JobContext, JobOutcome, done, skipped
from subca_oversight.jobs.sources import record_failure, record_success
from subca_oversight.model.subordinate import KeyProvenance
from subca_oversight.sources.ccadb.certificates import (
    Certificates,
    index_certificates,
    load_certificates,
)
from subca_oversight.sources.ccadb.records import (
    RecordSet,
    check_plausible_successor,
    load_records,
)
from subca_oversight.store.tables import CcadbSnapshotRow

SOURCE = "ccadb records"
_LIMITS = Limits(
    total_seconds=300.0, body_bytes=64 * 1024 * 1024, decompressed_bytes=256 * 1024 * 1024
)


async def import_ccadb(context: JobContext) -> JobOutcome:
    """Import the All Certificate Records report."""
    source = context.settings.ccadb.records
    if len(source) == 0:
        return skipped("ccadb.records is empty")
    try:
        content = await _fetch(context, source)
        detail = await asyncio.to_thread(_accept, context, source, content)
        certificates = await _fetch_certificates(context)
        found = await asyncio.to_thread(_learn, context, certificates)
    except OversightError as error:
        await asyncio.to_thread(_refuse, context, str(error))
        raise
    return done(f"{detail}; {found} CA certificates of watched keys learned")


async def _fetch_certificates(context: JobContext) -> Certificates:
    """Every configured PEM export, indexed by SHA-256."""
    encoded: dict[str, str | bytes] = {}
    paths: list[Path] = []
    for source in context.settings.ccadb.certificates:
        if "://" in source:
            answer = await context.client.get(source, limits=_LIMITS, origin=Origin.OPERATOR)
            encoded.update(index_certificates(answer.body, name=source))
        else:
            paths.append(Path(source))
    if len(paths) == 0:
        return Certificates(encoded)
    certificates = await asyncio.to_thread(load_certificates, *paths)
    return certificates.joined(encoded)


def _learn(context: JobContext, certificates: Certificates) -> int:
    with context.database.write() as session:
        return register_descendants(
            session,
            certificates.readable(),
            KeyProvenance.CCADB,
            now=context.now(),
        )


async def _fetch(context: JobContext, source: str) -> bytes:
    if "://" in source:
        answer = await context.client.get(source, limits=_LIMITS, origin=Origin.OPERATOR)
        return answer.body
    try:
        return await asyncio.to_thread(Path(source).read_bytes)
    except OSError as error:
        raise ConfigurationError(f"ccadb.records: {source}: {error.strerror}") from error


def _accept(context: JobContext, source: str, content: bytes) -> str:
    records = load_records(content)
    now = context.now()
    with context.database.write() as session:
        last = find_snapshot(session, as_of=now)
        if last is not None and last.sha256 == records.sha256:
            last.last_seen_at = now
            session.add(last)
        else:
            if last is not None:
                check_plausible_successor(records, last.rows)
            session.add(_snapshot(source, content, records, now))
        detail = _describe(records)
        record_success(session, SOURCE, now=now, detail=detail)
    return detail


def _snapshot(source: str, content: bytes, records: RecordSet, now: datetime) -> CcadbSnapshotRow:
    return CcadbSnapshotRow(
        kind=RECORDS,
        source=source,
        sha256=hashlib.sha256(content).hexdigest(),
        layout=records.layout.value,
        rows=len(records.records),
        body=zlib.compress(content),
        imported_at=now,
        last_seen_at=now,
    )


def _describe(records: RecordSet) -> str:
    words = f"{len(records.records):,} records in layout {records.layout.value}"
    if records.set_aside > 0:
        words += f"; {records.set_aside} rows set aside"
    if len(records.unknown_columns) > 0:
        words += f"; unknown columns: {', '.join(records.unknown_columns[:5])}"
    return words


def _refuse(context: JobContext, reason: str) -> None:
    with context.database.write() as session:
        record_failure(session, SOURCE, reason, now=context.now())
