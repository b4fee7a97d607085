"""Registration: what the configuration names becomes what is watched, and stays recognizable.

A subordinate is known by its anchor, the first key it was registered with. A configured entry is
matched to a stored one by any shared key, and only then by name, so that a rename or a rolled key
neither loses nor doubles a finding. What the configuration no longer names is retired: its evidence
is kept and its logs are no longer read for it.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pybase64
from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.errors import ConfigurationError
from subca_oversight.evidence.x509 import parse_certificate
from subca_oversight.model.certificate import AuthoritySpan, CertificateFacts
from subca_oversight.model.subordinate import KeyProvenance, Subordinate, WatchedKey
from subca_oversight.settings import SubordinateSettings
from subca_oversight.store.tables import AuthorityCertificateRow, SubordinateRow, WatchedKeyRow

_MAX_CERTIFICATE_FILE = 1024 * 1024
_PEM = re.compile(
    rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----\s([A-Za-z0-9+/=\s]*)-----END [A-Z0-9 ]+-----"
)


@dataclass(frozen=True, slots=True)
class ConfiguredSubordinate:
    """A configured entry with its certificate files read."""

    settings: SubordinateSettings
    certificates: tuple[CertificateFacts, ...]
    keys: tuple[str, ...]
    """SPKI SHA-256, certificates first, in configured order."""


def read_configured(entries: Sequence[SubordinateSettings]) -> list[ConfiguredSubordinate]:
    """Read every configured certificate file.

    Raises ConfigurationError where a file is missing, holds no certificate, holds one that is not
    a CA's, or where two entries share a key.
    """
    configured: list[ConfiguredSubordinate] = []
    owners: dict[str, str] = {}
    for entry in entries:
        facts = tuple(
            one for path in entry.certificates for one in _read_certificates(entry.name, path)
        )
        keys: list[str] = []
        for key in (*(_spki_sha256(one) for one in facts), *entry.issuer_keys):
            if key in keys:
                continue
            if key in owners:
                raise ConfigurationError(
                    f'subordinate "{entry.name}": its key {key[:16]}… already belongs to'
                    f' "{owners[key]}"; list both certificates under one subordinate'
                )
            owners[key] = entry.name
            keys.append(key)
        configured.append(ConfiguredSubordinate(entry, facts, tuple(keys)))
    return configured


def register_subordinates(
    session: Session, configured: Sequence[ConfiguredSubordinate], *, now: datetime
) -> None:
    """Bring the store in line with the configuration. Raises ConfigurationError on a clash."""
    stored = {row.anchor: row for row in session.scalars(select(SubordinateRow))}
    keys = {row.spki_sha256: row for row in session.scalars(select(WatchedKeyRow))}
    matches = _match(configured, stored, keys)
    _rename(session, stored, matches)
    for anchor, one in matches.items():
        row = stored.get(anchor)
        if row is None:
            row = SubordinateRow(
                anchor=anchor,
                name=one.settings.name,
                operator=one.settings.operator,
                relation=one.settings.relation,
                registered_at=now,
            )
            stored[anchor] = row
        row.operator = one.settings.operator
        row.relation = one.settings.relation
        row.contacts = orjson.dumps(one.settings.contacts).decode()
        row.contract_end = one.settings.contract_end
        was_retired = row.retired_at is not None
        row.retired_at = _retirement(row, one.settings, now)
        session.add(row)
        session.flush()
        _register_keys(session, row, one, keys, now)
        _follow_retirement(session, row, keys, was_retired=was_retired)
    for anchor, row in stored.items():
        if anchor not in matches:
            _retire(session, row, keys, now)


def load_subordinates(session: Session, *, retired: bool = False) -> list[Subordinate]:
    """Every subordinate by name; those retired only where asked for."""
    rows = session.scalars(select(SubordinateRow).order_by(col(SubordinateRow.name))).all()
    keys = session.scalars(select(WatchedKeyRow).order_by(col(WatchedKeyRow.spki_sha256))).all()
    authorities = session.scalars(
        select(AuthorityCertificateRow).order_by(col(AuthorityCertificateRow.sha256))
    ).all()
    return [
        Subordinate(
            anchor=row.anchor,
            name=row.name,
            operator=row.operator,
            relation=row.relation,
            keys=tuple(
                WatchedKey(key.spki_sha256, key.provenance, key.spki is not None)
                for key in keys
                if key.anchor == row.anchor
            ),
            certificates=tuple(one.sha256 for one in authorities if one.anchor == row.anchor),
            contacts=tuple(orjson.loads(row.contacts)),
            retired=None if row.retired_at is None else row.retired_at.date(),
        )
        for row in rows
        if retired or row.retired_at is None
    ]


def load_anchor(session: Session, name: str) -> str:
    """The anchor of the subordinate called ``name``. Raises ConfigurationError."""
    row = session.scalars(select(SubordinateRow).where(col(SubordinateRow.name) == name)).first()
    if row is None:
        known = ", ".join(sorted(one.name for one in session.scalars(select(SubordinateRow))))
        raise ConfigurationError(
            f"no subordinate is called {name}; known: {known if len(known) > 0 else 'none yet'}"
        )
    return row.anchor


def load_authority_spans(session: Session, spki_sha256: str) -> tuple[AuthoritySpan, ...]:
    """Validity of every known CA certificate with this key, by SHA-256."""
    rows = session.scalars(
        select(AuthorityCertificateRow)
        .where(col(AuthorityCertificateRow.spki_sha256) == spki_sha256)
        .order_by(col(AuthorityCertificateRow.sha256))
    )
    spans: list[AuthoritySpan] = []
    for row in rows:
        facts = parse_certificate(row.der)
        if facts.not_before is not None and facts.not_after is not None:
            spans.append(AuthoritySpan(row.sha256, facts.not_before, facts.not_after))
    return tuple(spans)


def _match(
    configured: Sequence[ConfiguredSubordinate],
    stored: dict[str, SubordinateRow],
    keys: dict[str, WatchedKeyRow],
) -> dict[str, ConfiguredSubordinate]:
    matches: dict[str, ConfiguredSubordinate] = {}
    remaining: list[ConfiguredSubordinate] = []
    for one in configured:
        anchors = {keys[key].anchor for key in one.keys if key in keys}
        if len(anchors) > 1:
            names = " and ".join(sorted(stored[anchor].name for anchor in anchors))
            raise ConfigurationError(
                f'subordinate "{one.settings.name}": its keys belong to {names} so far; keep them'
                " as they were registered"
            )
        if len(anchors) == 0:
            remaining.append(one)
            continue
        anchor = anchors.pop()
        if anchor in matches:
            raise ConfigurationError(
                f'subordinates "{matches[anchor].settings.name}" and "{one.settings.name}" are one:'
                " their keys were registered together"
            )
        matches[anchor] = one
    by_name = {row.name: anchor for anchor, row in stored.items()}
    for one in remaining:
        anchor = by_name.get(one.settings.name, one.keys[0])
        matches[anchor if anchor not in matches else one.keys[0]] = one
    return matches


def _rename(
    session: Session,
    stored: dict[str, SubordinateRow],
    matches: dict[str, ConfiguredSubordinate],
) -> None:
    """Give every row its name, through a placeholder, since two may have been swapped."""
    wanted = {one.settings.name for one in matches.values()}
    changing: list[tuple[SubordinateRow, str]] = []
    for anchor, row in stored.items():
        if anchor in matches:
            name = matches[anchor].settings.name
        elif row.name in wanted:
            name = f"{row.name[:50]}-{anchor[:8]}"
        else:
            continue
        if name != row.name:
            changing.append((row, name))
    for row, _ in changing:
        row.name = f"~{row.anchor[:60]}"
        session.add(row)
    session.flush()
    for row, name in changing:
        row.name = name
        session.add(row)
    session.flush()


def _register_keys(
    session: Session,
    row: SubordinateRow,
    one: ConfiguredSubordinate,
    keys: dict[str, WatchedKeyRow],
    now: datetime,
) -> None:
    spkis = {_spki_sha256(facts): facts.spki for facts in one.certificates}
    for key in one.keys:
        watched = keys.get(key)
        if watched is None:
            watched = WatchedKeyRow(
                spki_sha256=key,
                anchor=row.anchor,
                provenance=KeyProvenance.CONFIGURATION,
                watched_since=now,
            )
            keys[key] = watched
        watched.provenance = KeyProvenance.CONFIGURATION
        watched.spki = spkis.get(key, watched.spki)
        watched.unwatched_at = row.retired_at
        session.add(watched)
    for watched in keys.values():
        configured_once = watched.provenance is KeyProvenance.CONFIGURATION
        if watched.anchor == row.anchor and configured_once and watched.spki_sha256 not in one.keys:
            watched.unwatched_at = now if watched.unwatched_at is None else watched.unwatched_at
            session.add(watched)
    session.flush()
    for facts in one.certificates:
        known = session.get(AuthorityCertificateRow, facts.sha256)
        if known is not None:
            known.provenance = KeyProvenance.CONFIGURATION
            session.add(known)
        else:
            session.add(
                AuthorityCertificateRow(
                    sha256=facts.sha256,
                    spki_sha256=_spki_sha256(facts),
                    anchor=row.anchor,
                    der=facts.der,
                    provenance=KeyProvenance.CONFIGURATION,
                    first_seen=now,
                )
            )


def _retirement(
    row: SubordinateRow, settings: SubordinateSettings, now: datetime
) -> datetime | None:
    if settings.retired is None:
        return None
    at = datetime.combine(settings.retired, datetime.min.time(), tzinfo=UTC)
    if at > now:
        return None
    return at if row.retired_at is None else row.retired_at


def _follow_retirement(
    session: Session, row: SubordinateRow, keys: dict[str, WatchedKeyRow], *, was_retired: bool
) -> None:
    """Stop and start watching with the subordinate the keys that were learned, not configured."""
    for watched in keys.values():
        if watched.anchor != row.anchor or watched.provenance is KeyProvenance.CONFIGURATION:
            continue
        if row.retired_at is not None and watched.unwatched_at is None:
            watched.unwatched_at = row.retired_at
        elif row.retired_at is None and was_retired:
            watched.unwatched_at = None
        session.add(watched)


def _retire(
    session: Session, row: SubordinateRow, keys: dict[str, WatchedKeyRow], now: datetime
) -> None:
    if row.retired_at is None:
        row.retired_at = now
        session.add(row)
    for watched in keys.values():
        if watched.anchor == row.anchor and watched.unwatched_at is None:
            watched.unwatched_at = now
            session.add(watched)


def _read_certificates(name: str, path: Path) -> list[CertificateFacts]:
    where = f'subordinate "{name}": {path}'
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_CERTIFICATE_FILE + 1)
    except OSError as error:
        raise ConfigurationError(f"{where}: cannot be read: {error.strerror}") from error
    if len(content) > _MAX_CERTIFICATE_FILE:
        raise ConfigurationError(f"{where}: larger than 1 MiB; is it a certificate?")
    facts = [parse_certificate(der) for der in _ders(content, where)]
    for one in facts:
        if one.spki is None:
            raise ConfigurationError(f"{where}: its public key cannot be read")
        if not one.is_ca:
            raise ConfigurationError(
                f"{where}: not a CA certificate (basicConstraints says no CA); name the"
                " subordinate's own CA certificate"
            )
    return facts


def _ders(content: bytes, where: str) -> list[bytes]:
    """Cut out the certificates without reading them: a strict parser refuses what CAs do issue."""
    found = [match.group(1) for match in _PEM.finditer(content)]
    if len(found) == 0 and content.startswith(b"\x30"):
        return [content]
    try:
        ders = [pybase64.b64decode(b"".join(body.split()), validate=True) for body in found]
    except binascii.Error as error:
        raise ConfigurationError(f"{where}: holds broken PEM: {error}") from error
    if len(ders) == 0:
        raise ConfigurationError(f"{where}: holds no certificate, neither PEM nor DER")
    return ders


def _spki_sha256(facts: CertificateFacts) -> str:
    return hashlib.sha256(b"" if facts.spki is None else facts.spki).hexdigest()
