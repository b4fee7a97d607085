"""Promotion: what was pending becomes evidence, in the transaction that verifies the position.

Each match is confirmed where leaf hashes do not reach; what cannot be confirmed is kept apart with
its bytes. A certificate joins its unit (one issuer key and serial), and a unit that gains one is to
be checked again. DESIGN sections 5 and 7.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.evidence.confirmation import (
    Confirmed,
    Foreign,
    LoggedEntry,
    Unconfirmed,
    confirm_entry,
)
from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.harvest.about import find_certificate_about, wrap_tbs
from subca_oversight.evidence.harvest.batch import Batch, Unit, write_batch
from subca_oversight.evidence.harvest.contradiction import record_blame
from subca_oversight.evidence.harvest.decoding import ChainFinder, find_entry
from subca_oversight.evidence.harvest.issuers import find_key_hash, load_chain
from subca_oversight.evidence.harvest.watch import WatchedKeys
from subca_oversight.evidence.harvest.windows import Window
from subca_oversight.evidence.issuance import unit_id, unit_id_without_serial
from subca_oversight.evidence.structure import slice_certificate
from subca_oversight.evidence.x509 import parse_certificate
from subca_oversight.model.certificate import CertificateKind
from subca_oversight.model.log import LogApi
from subca_oversight.store.tables import PendingEntryRow, UnconfirmedMatchRow, WatchedKeyRow

_BATCH = 1000
"""Pending entries confirmed at a time, so that a large backlog needs no large memory."""
_NAMED_INDEXES = 20


@dataclass(slots=True)
class Promoted:
    """What a promotion brought."""

    entries: int = 0
    matches: int = 0
    unconfirmed: int = 0
    blamed: int = 0
    malformed: int = 0


def promote(
    session: Session,
    window: Window,
    api: LogApi,
    watched: WatchedKeys,
    *,
    history_end: int,
    now: datetime,
) -> Promoted:
    """Turn the pending entries of ``window`` into evidence.

    Entries before ``history_end`` are history, read for the first time: what was logged before its
    key was watched becomes the quiet baseline.
    """
    keys = watched.by_hex
    since = _watched_since(session)
    promoted = Promoted(entries=window.position.size - window.verified.size)
    blamed: list[dict[str, Any]] = []
    for rows in _pending(session, window.id):
        batch = Batch(window.log_id)
        find_chain = _chain_finder(session)
        for row in rows:
            if row.malformed is not None:
                batch.malformed.append(_malformed_row(window.log_id, row, now))
            entry = find_entry(row.leaf, row.extra, api, find_chain)
            if entry is not None:
                is_history = row.index < history_end
                _sort(batch, row, entry, keys, is_history=is_history, now=now)
        blamed.extend(_blamed(batch, limit=_NAMED_INDEXES - len(blamed)))
        promoted.matches += len(batch.sightings)
        promoted.unconfirmed += len(batch.unconfirmed)
        promoted.blamed += sum(row["blames_log"] for row in batch.unconfirmed)
        promoted.malformed += len(batch.malformed)
        write_batch(session, batch, since, now)
    if promoted.blamed > 0:
        _blame(session, window, promoted.blamed, blamed, now)
    return promoted


def confirm_doubts(
    session: Session, log_id: str, api: LogApi, watched: WatchedKeys, now: datetime
) -> int:
    """Confirm what had to wait for the certificate of a key that is at hand by now.

    Returns how many matches of the log are confirmed. Those that the log is to blame for stay.
    """
    known = [key.hex() for key, spki in watched.spkis.items() if spki is not None]
    rows = session.scalars(
        select(UnconfirmedMatchRow)
        .where(
            col(UnconfirmedMatchRow.log_id) == log_id,
            col(UnconfirmedMatchRow.blames_log).is_(False),
            col(UnconfirmedMatchRow.issuer_key_sha256).in_(known),
        )
        .order_by(col(UnconfirmedMatchRow.index))
        .limit(_BATCH)
    ).all()
    batch = Batch(log_id)
    find_chain = _chain_finder(session)
    for row in rows:
        entry = find_entry(row.leaf, row.extra, api, find_chain)
        if entry is not None:
            again = PendingEntryRow(window_id=0, index=row.index, leaf=row.leaf, extra=row.extra)
            _sort(batch, again, entry, watched.by_hex, is_history=True, now=now)
    write_batch(session, batch, _watched_since(session), now)
    return len(batch.sightings)


def _chain_finder(session: Session) -> ChainFinder:
    """Loads each chain once."""
    chains: dict[tuple[bytes, ...], tuple[bytes, ...]] = {}

    def find_chain(fingerprints: Sequence[bytes]) -> tuple[bytes, ...]:
        names = tuple(fingerprints)
        if names not in chains:
            chains[names] = load_chain(session, names)
        return chains[names]

    return find_chain


def _sort(
    batch: Batch,
    row: PendingEntryRow,
    entry: LoggedEntry,
    keys: dict[str, bytes | None],
    *,
    is_history: bool,
    now: datetime,
) -> None:
    verdict = confirm_entry(entry, keys)
    if isinstance(verdict, Foreign):
        _add_about(batch, row.index, entry, keys)
        return
    if isinstance(verdict, Confirmed):
        _add_confirmed(batch, row.index, entry, verdict, is_history=is_history)
        return
    unit = _hashed_unit(entry, verdict, is_history=is_history)
    if unit is not None:
        batch.join(unit)
    if row.malformed is not None and verdict.issuer_key_sha256 == "":
        return
    batch.unconfirmed.append(
        {
            "log_id": batch.log_id,
            "index": row.index,
            "issuer_key_sha256": verdict.issuer_key_sha256,
            "unit_id": None if unit is None else unit.unit_id,
            "timestamp_ms": entry.timestamp_ms,
            "reason": verdict.reason,
            "blames_log": verdict.blames_log,
            "leaf": row.leaf,
            "extra": row.extra,
            "first_seen": now,
        }
    )


def _add_confirmed(
    batch: Batch, index: int, entry: LoggedEntry, verdict: Confirmed, *, is_history: bool
) -> None:
    facts = parse_certificate(
        verdict.certificate, kind=entry.kind, issuer_key_sha256=verdict.issuer_key_sha256
    )
    unit = _unit_of(verdict.issuer_key_sha256, facts.serial, facts.der)
    batch.join(
        Unit(
            unit_id=unit,
            issuer_key_sha256=verdict.issuer_key_sha256,
            serial_hex=facts.serial_hex,
            first_logged_ms=entry.timestamp_ms,
            is_history=is_history,
            facts=facts,
            confirmed=True,
        )
    )
    problem = None
    if len(facts.field_errors) > 0:
        problem = ": ".join(facts.field_errors[0])
    batch.certificates[facts.sha256] = {
        "sha256": facts.sha256,
        "unit_id": unit,
        "kind": facts.kind,
        "der": facts.der,
        "confirmed": True,
        "problem": problem,
        "linted_with": None,
    }
    batch.sightings.append(
        {
            "log_id": batch.log_id,
            "index": index,
            "timestamp_ms": entry.timestamp_ms,
            "certificate_sha256": facts.sha256,
            "unit_id": unit,
        }
    )
    for certificate in entry.chain:
        _add_chain(batch, certificate)
    if facts.is_ca:
        _add_chain(batch, facts.der)


def _add_about(batch: Batch, index: int, entry: LoggedEntry, keys: dict[str, bytes | None]) -> None:
    """Keep a CA certificate of a watched key that another key signed."""
    certificate = find_certificate_about(entry, keys)
    if certificate is None:
        return
    for one in (certificate, *entry.chain):
        _add_chain(batch, one)
    batch.about.append(
        {
            "log_id": batch.log_id,
            "index": index,
            "timestamp_ms": entry.timestamp_ms,
            "certificate_sha256": sha256(certificate).hexdigest(),
        }
    )


def _add_chain(batch: Batch, certificate: bytes) -> None:
    row = _chain_row(certificate)
    batch.chain[row[0]] = {"sha256": row[0], "spki_sha256": row[1], "der": row[2]}


def _hashed_unit(entry: LoggedEntry, verdict: Unconfirmed, *, is_history: bool) -> Unit | None:
    """The unit that the hashed bytes alone name; None where no watched key can be named."""
    if verdict.issuer_key_sha256 == "":
        return None
    octets = entry.tbs_or_certificate
    if entry.kind is CertificateKind.PRECERTIFICATE:
        octets = wrap_tbs(octets)
    try:
        serial = slice_certificate(octets).serial
    except Malformed:
        serial = None
    return Unit(
        unit_id=_unit_of(verdict.issuer_key_sha256, serial, entry.tbs_or_certificate),
        issuer_key_sha256=verdict.issuer_key_sha256,
        serial_hex=None if serial is None else serial.hex(),
        first_logged_ms=entry.timestamp_ms,
        is_history=is_history,
        facts=parse_certificate(octets, kind=entry.kind),
    )


def _blame(
    session: Session, window: Window, count: int, blamed: list[dict[str, Any]], now: datetime
) -> None:
    """Keep one piece of evidence against the log for all matches of this promotion."""
    lines = [f"entry {row['index']}: {row['reason']}" for row in blamed]
    if count > len(lines):
        lines.append(f"and {count - len(lines)} more")
    noun = "entry" if count == 1 else "entries"
    text = f"what it serves with {count} {noun} contradicts what it hashed: {'; '.join(lines)}"
    record_blame(
        session,
        window.log_id,
        "unconfirmed",
        f"{window.verified.size} {window.position.size} {sorted(k.hex() for k in window.keys)}",
        text,
        blamed[0]["leaf"] + blamed[0]["extra"],
        now,
    )


def _blamed(batch: Batch, *, limit: int) -> Iterator[dict[str, Any]]:
    found = [row for row in batch.unconfirmed if row["blames_log"]]
    yield from found[: max(limit, 0)]


def _pending(session: Session, window_id: int) -> Iterator[Sequence[PendingEntryRow]]:
    last = -1
    while True:
        rows = session.scalars(
            select(PendingEntryRow)
            .where(col(PendingEntryRow.window_id) == window_id, col(PendingEntryRow.index) > last)
            .order_by(col(PendingEntryRow.index))
            .limit(_BATCH)
        ).all()
        if len(rows) == 0:
            return
        last = rows[-1].index
        yield rows
        session.expunge_all()


def _malformed_row(log_id: str, row: PendingEntryRow, now: datetime) -> dict[str, Any]:
    return {
        "log_id": log_id,
        "index": row.index,
        "reason": row.malformed,
        "leaf": row.leaf,
        "extra": row.extra,
        "first_seen": now,
    }


def _unit_of(issuer_key_sha256: str, serial: bytes | None, octets: bytes) -> str:
    if serial is None:
        return unit_id_without_serial(octets)
    return unit_id(bytes.fromhex(issuer_key_sha256), serial)


def _watched_since(session: Session) -> dict[str, datetime]:
    rows = session.execute(select(col(WatchedKeyRow.spki_sha256), col(WatchedKeyRow.watched_since)))
    return {row[0]: row[1] for row in rows}


@lru_cache(maxsize=1024)
def _chain_row(certificate: bytes) -> tuple[str, str | None, bytes]:
    spki = find_key_hash(certificate)
    return sha256(certificate).hexdigest(), None if spki is None else spki.hex(), certificate
