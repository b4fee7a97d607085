"""Canaries: certificates that must be seen, so that silence can be told from blindness.

An operator names a certificate that is known to be logged, or a DNS name for which a watched
subordinate is issued a certificate every so often. Either is seen only if lists, heads, entries,
matching, confirmation and the store all work.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.evidence.x509 import parse_certificate
from subca_oversight.store.tables import CertificateRow, SightingRow

_SHA256 = re.compile(r"[0-9a-f]{64}")
_ROWS = 500


@dataclass(frozen=True, slots=True)
class Canary:
    """One canary, and where it was seen last."""

    name: str
    """SHA-256 of a certificate, or a DNS name."""
    seen_at: datetime | None
    """When it was last read, for a DNS name within the time asked about."""
    log_id: str | None
    index: int | None

    @property
    def is_seen(self) -> bool:
        """Whether it was seen at all."""
        return self.seen_at is not None


def find_canaries(
    session: Session, names: Sequence[str], *, within: timedelta, now: datetime
) -> list[Canary]:
    """Where each canary was seen: a certificate ever, a DNS name in what was read ``within``."""
    hosts = [name for name in names if _SHA256.fullmatch(name) is None]
    seen = _find_hosts(session, hosts, now - within) if len(hosts) > 0 else {}
    return [
        seen.get(name, Canary(name, None, None, None))
        if name in hosts
        else _find_certificate(session, name)
        for name in names
    ]


def _find_certificate(session: Session, sha256: str) -> Canary:
    row = session.scalars(
        select(SightingRow)
        .where(col(SightingRow.certificate_sha256) == sha256)
        .order_by(col(SightingRow.added_at).desc(), col(SightingRow.log_id))
        .limit(1)
    ).first()
    if row is None:
        return Canary(sha256, None, None, None)
    return Canary(sha256, row.added_at, row.log_id, row.index)


def _find_hosts(session: Session, hosts: Sequence[str], since: datetime) -> dict[str, Canary]:
    """The newest certificate of each name; the bytes are looked through before any is parsed."""
    found: dict[str, Canary] = {}
    rows = session.execute(
        select(SightingRow, col(CertificateRow.der))
        .join(CertificateRow, col(CertificateRow.sha256) == col(SightingRow.certificate_sha256))
        .where(col(SightingRow.added_at) >= since)
        .order_by(col(SightingRow.added_at).desc(), col(SightingRow.log_id), col(SightingRow.index))
        .execution_options(yield_per=_ROWS)
    )
    for sighting, der in rows:
        if len(found) == len(hosts):
            break
        lowered = der.lower()
        for host in hosts:
            if host in found or host.encode("ascii") not in lowered:
                continue
            names = {name.lower() for name in parse_certificate(der).dns_names}
            if host in names:
                found[host] = Canary(host, sighting.added_at, sighting.log_id, sighting.index)
    return found
