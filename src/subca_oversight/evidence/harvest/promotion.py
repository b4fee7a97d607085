"""Promotion: what was pending becomes evidence, in the transaction that verifies the position.

Each match is confirmed where leaf hashes do not reach; what cannot be confirmed is kept apart with
its bytes. A certificate joins its unit (one issuer key and serial), and a unit that gains one is to
be checked again. DESIGN sections 5 and 7.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

from sqlalchemy import select, update
from sqlmodel import Session, col

from subca_oversight.evidence.confirmation import (
    Confirmed,
    Foreign,
    LoggedEntry,
    Unconfirmed,
    confirm_entry,
)
from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.harvest.contradiction import record_blame
from subca_oversight.evidence.harvest.decoding import find_entry
from subca_oversight.evidence.harvest.issuers import find_key_hash, load_chain
from subca_oversight.evidence.harvest.watch import WatchedKeys
from subca_oversight.evidence.harvest.windows import Window
from subca_oversight.evidence.issuance import unit_id, unit_id_without_serial
from subca_oversight.evidence.structure import slice_certificate
from subca_oversight.evidence.units import instant_of
from subca_oversight.evidence.x509 import parse_certificate
from subca_oversight.model.certificate import CertificateFacts, CertificateKind
from subca_oversight.model.log import LogApi
from subca_oversight.store.database import upsert_ignoring
from subca_oversight.store.tables import (
    CertificateRow,
    ChainCertificateRow,
    MalformedEntryRow,
    PendingEntryRow,
    SightingRow,
    UnconfirmedMatchRow,
    UnitRow,
    WatchedKeyRow,
)

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


@dataclass(slots=True)
class _Unit:
    """What a batch knows of a unit."""

    unit_id: str
    issuer_key_sha256: str
    serial_hex: str | None
    first_logged_ms: int
    facts: CertificateFacts | None = None
    confirmed: bool = False


@dataclass(slots=True)
class _Batch:
    """Rows of one batch, by table."""

    units: dict[str, _Unit] = field(default_factory=dict)
    certificates: dict[str, dict[str, Any]] = field(default_factory=dict)
    sightings: list[dict[str, Any]] = field(default_factory=list)
    chain: dict[str, dict[str, Any]] = field(default_factory=dict)
    unconfirmed: list[dict[str, Any]] = field(default_factory=list)
    malformed: list[dict[str, Any]] = field(default_factory=list)

    def join(self, unit: _Unit) -> None:
        """Merge what is known of a unit."""
        known = self.units.setdefault(unit.unit_id, unit)
        known.first_logged_ms = min(known.first_logged_ms, unit.first_logged_ms)
        known.confirmed = known.confirmed or unit.confirmed
        if known.facts is None:
            known.facts = unit.facts


def promote(
    session: Session,
    window: Window,
    api: LogApi,
    watched: WatchedKeys,
    *,
    is_history: bool,
    now: datetime,
) -> Promoted:
    """Turn the pending entries of ``window`` into evidence; ``is_history`` marks the quiet run."""
    keys = watched.by_hex
    since = _watched_since(session) if is_history else {}
    promoted = Promoted(entries=window.position.size - window.verified.size)
    blamed: list[dict[str, Any]] = []
    for rows in _pending(session, window.id):
        batch = _Batch()
        chains: dict[tuple[bytes, ...], tuple[bytes, ...]] = {}

        def find_chain(
            fingerprints: Sequence[bytes],
            chains: dict[tuple[bytes, ...], tuple[bytes, ...]] = chains,
        ) -> tuple[bytes, ...]:
            names = tuple(fingerprints)
            if names not in chains:
                chains[names] = load_chain(session, names)
            return chains[names]

        for row in rows:
            if row.malformed is not None:
                batch.malformed.append(_malformed_row(window.log_id, row, now))
            entry = find_entry(row.leaf, row.extra, api, find_chain)
            if entry is not None:
                _sort(batch, window.log_id, row, entry, keys, now)
        blamed.extend(_blamed(batch, limit=_NAMED_INDEXES - len(blamed)))
        promoted.matches += len(batch.sightings)
        promoted.unconfirmed += len(batch.unconfirmed)
        promoted.blamed += sum(row["blames_log"] for row in batch.unconfirmed)
        promoted.malformed += len(batch.malformed)
        _write(session, batch, since, now)
    if promoted.blamed > 0:
        _blame(session, window, promoted.blamed, blamed, now)
    return promoted


def _sort(
    batch: _Batch,
    log_id: str,
    row: PendingEntryRow,
    entry: LoggedEntry,
    keys: dict[str, bytes | None],
    now: datetime,
) -> None:
    verdict = confirm_entry(entry, keys)
    if isinstance(verdict, Foreign):
        return
    if isinstance(verdict, Confirmed):
        _add_confirmed(batch, log_id, row.index, entry, verdict)
        return
    unit = _hashed_unit(entry, verdict)
    if unit is not None:
        batch.join(unit)
    if row.malformed is not None and verdict.issuer_key_sha256 == "":
        return
    batch.unconfirmed.append(
        {
            "log_id": log_id,
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
    batch: _Batch, log_id: str, index: int, entry: LoggedEntry, verdict: Confirmed
) -> None:
    facts = parse_certificate(
        verdict.certificate, kind=entry.kind, issuer_key_sha256=verdict.issuer_key_sha256
    )
    unit = _unit_of(verdict.issuer_key_sha256, facts.serial, facts.der)
    batch.join(
        _Unit(
            unit_id=unit,
            issuer_key_sha256=verdict.issuer_key_sha256,
            serial_hex=facts.serial_hex,
            first_logged_ms=entry.timestamp_ms,
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
            "log_id": log_id,
            "index": index,
            "timestamp_ms": entry.timestamp_ms,
            "certificate_sha256": facts.sha256,
            "unit_id": unit,
        }
    )
    if verdict.issuer_certificate is not None:
        row = _chain_row(verdict.issuer_certificate)
        batch.chain[row[0]] = {"sha256": row[0], "spki_sha256": row[1], "der": row[2]}


def _hashed_unit(entry: LoggedEntry, verdict: Unconfirmed) -> _Unit | None:
    """The unit that the hashed bytes alone name; None where no watched key can be named."""
    if verdict.issuer_key_sha256 == "":
        return None
    octets = entry.tbs_or_certificate
    if entry.kind is CertificateKind.PRECERTIFICATE:
        octets = _wrap(octets)
    try:
        serial = slice_certificate(octets).serial
    except Malformed:
        serial = None
    return _Unit(
        unit_id=_unit_of(verdict.issuer_key_sha256, serial, entry.tbs_or_certificate),
        issuer_key_sha256=verdict.issuer_key_sha256,
        serial_hex=None if serial is None else serial.hex(),
        first_logged_ms=entry.timestamp_ms,
        facts=parse_certificate(octets, kind=entry.kind),
    )


def _write(session: Session, batch: _Batch, since: dict[str, datetime], now: datetime) -> None:
    _write_units(session, batch, since, now)
    upsert_ignoring(session, CertificateRow, list(batch.certificates.values()))
    upsert_ignoring(session, SightingRow, [{**row, "added_at": now} for row in batch.sightings])
    upsert_ignoring(session, ChainCertificateRow, list(batch.chain.values()))
    upsert_ignoring(session, UnconfirmedMatchRow, batch.unconfirmed)
    upsert_ignoring(session, MalformedEntryRow, batch.malformed)


def _write_units(
    session: Session, batch: _Batch, since: dict[str, datetime], now: datetime
) -> None:
    """Insert new units and bring known ones up to date."""
    known = {
        row.unit_id: row
        for row in session.scalars(
            select(UnitRow).where(col(UnitRow.unit_id).in_(list(batch.units)))
        )
    }
    stored = set(
        session.scalars(
            select(col(CertificateRow.sha256)).where(
                col(CertificateRow.sha256).in_(list(batch.certificates))
            )
        )
    )
    gaining = {row["unit_id"] for name, row in batch.certificates.items() if name not in stored}
    new: list[dict[str, Any]] = []
    for unit in batch.units.values():
        row = known.get(unit.unit_id)
        if row is None:
            new.append(_unit_row(unit, since, now))
            continue
        changed: dict[str, Any] = {}
        if row.first_logged_ms is None or unit.first_logged_ms < row.first_logged_ms:
            changed["first_logged_ms"] = unit.first_logged_ms
        if unit.confirmed and not row.confirmed:
            changed["confirmed"] = True
        if len(changed) > 0 or unit.unit_id in gaining:
            changed["checked_with"] = None
            session.execute(
                update(UnitRow).where(col(UnitRow.unit_id) == unit.unit_id).values(**changed)
            )
    upsert_ignoring(session, UnitRow, new)


def _unit_row(unit: _Unit, since: dict[str, datetime], now: datetime) -> dict[str, Any]:
    watched_since = since.get(unit.issuer_key_sha256)
    facts = unit.facts
    return {
        "unit_id": unit.unit_id,
        "issuer_key_sha256": unit.issuer_key_sha256,
        "serial_hex": unit.serial_hex,
        "first_logged_ms": unit.first_logged_ms,
        "not_before": None if facts is None else facts.not_before,
        "not_after": None if facts is None else facts.not_after,
        "confirmed": unit.confirmed,
        "baseline": watched_since is not None and instant_of(unit.first_logged_ms) < watched_since,
        "added_at": now,
        "checked_with": None,
    }


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


def _blamed(batch: _Batch, *, limit: int) -> Iterator[dict[str, Any]]:
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


def _wrap(tbs: bytes) -> bytes:
    """A certificate around a TBSCertificate that nobody has signed, so that it can be read."""
    content = tbs + b"\x30\x00\x03\x01\x00"
    length = len(content)
    return b"\x30\x84" + length.to_bytes(4) + content


@lru_cache(maxsize=1024)
def _chain_row(certificate: bytes) -> tuple[str, str | None, bytes]:
    spki = find_key_hash(certificate)
    return sha256(certificate).hexdigest(), None if spki is None else spki.hex(), certificate
