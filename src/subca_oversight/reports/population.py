"""The issued units of a period, as they were known at an instant.

Log time decides in which period a unit counts, as it does for samples (DESIGN section 7). What was
read of the logs later must not show in a report as of an earlier instant, so the first log
timestamp, the kinds and the facts of a unit come from the sightings that had been read by then,
never from the unit's own row, which moves on. Units without a confirmed certificate do not count:
a log could invent them. A page of units is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, case, distinct, func, select
from sqlmodel import Session, col

from subca_oversight.evidence.sampling import profile_of
from subca_oversight.evidence.units import instant_of
from subca_oversight.evidence.x509 import parse_certificate
from subca_oversight.model.certificate import CertificateFacts, CertificateKind, KeyAlgorithm
from subca_oversight.store.tables import CertificateRow, SightingRow, UnitRow, WatchedKeyRow

_PAGE = 500
"""Units whose certificates are read in one statement."""
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
UNKNOWN = "not readable"


class UnitKind(StrEnum):
    """Which certificates of a unit had been seen."""

    PAIR = "precertificate and final certificate"
    PRECERTIFICATE = "precertificate alone"
    FINAL = "final certificate alone"


@dataclass(frozen=True, slots=True)
class IssuedUnit:
    """One unit, as it was known at the instant of the report."""

    unit_id: str
    issuer_key_sha256: str
    serial_hex: str | None
    kind: UnitKind
    precertificates: int
    finals: int
    first_logged: datetime
    logs: int
    not_before: datetime | None
    not_after: datetime | None
    validity_days: int | None
    """notAfter - notBefore + 1 s; any part of a day counts as a day (BR 1.6.1)."""
    profile: str
    key: str
    name: str
    """The first name it bears, escaped where it was not text."""
    certificate_sha256: str
    """The certificate that the facts are from: a final one where there is one."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What the sightings known by the instant say of a unit."""

    unit_id: str
    issuer_key_sha256: str
    serial_hex: str | None
    first_ms: int
    logs: int
    precertificates: int
    finals: int


def find_keys(session: Session, anchor: str, *, as_of: datetime) -> tuple[str, ...]:
    """The subordinate's issuing keys that were watched, once at least, by ``as_of``; sorted."""
    return tuple(
        session.scalars(
            select(col(WatchedKeyRow.spki_sha256))
            .where(col(WatchedKeyRow.anchor) == anchor, col(WatchedKeyRow.watched_since) <= as_of)
            .order_by(col(WatchedKeyRow.spki_sha256))
        )
    )


def find_issued(
    session: Session,
    keys: Sequence[str],
    start: datetime,
    end: datetime,
    *,
    as_of: datetime,
) -> Iterator[IssuedUnit]:
    """Units first logged in [start, end) as far as was known at ``as_of``, by unit id."""
    last = ""
    while True:
        known, last = _page(session, keys, start, end, as_of, last)
        if len(known) > 0:
            certificates = _certificates(session, [one.unit_id for one in known], as_of)
            for one in known:
                yield _issued(one, certificates[one.unit_id])
        if last == "":
            return


def count_issued(
    session: Session, keys: Sequence[str], start: datetime, end: datetime, *, as_of: datetime
) -> int:
    """How many units ``find_issued`` would give, without reading them."""
    first = (
        select(func.min(col(SightingRow.timestamp_ms)).label("first_ms"))
        .select_from(SightingRow)
        .join(UnitRow, col(UnitRow.unit_id) == col(SightingRow.unit_id))
        .where(col(UnitRow.issuer_key_sha256).in_(keys), _known_by(as_of))
        .group_by(col(SightingRow.unit_id))
        .subquery()
    )
    count = session.scalar(
        select(func.count())
        .select_from(first)
        .where(first.c.first_ms >= _milliseconds(start), first.c.first_ms < _milliseconds(end))
    )
    return 0 if count is None else count


def _page(
    session: Session,
    keys: Sequence[str],
    start: datetime,
    end: datetime,
    as_of: datetime,
    after: str,
) -> tuple[list[_Known], str]:
    """The units of one page that fall into the period, and the id after which the next begins.

    The id is empty after the last page.
    """
    ids = session.scalars(
        select(col(UnitRow.unit_id))
        .where(
            col(UnitRow.issuer_key_sha256).in_(keys),
            col(UnitRow.unit_id) > after,
            col(UnitRow.added_at) <= as_of,
            col(UnitRow.first_logged_ms) < _milliseconds(end),
        )
        .order_by(col(UnitRow.unit_id))
        .limit(_PAGE)
    ).all()
    if len(ids) == 0:
        return [], ""
    first_ms = func.min(col(SightingRow.timestamp_ms))
    rows = session.execute(
        select(
            col(UnitRow.unit_id),
            col(UnitRow.issuer_key_sha256),
            col(UnitRow.serial_hex),
            first_ms,
            func.count(distinct(col(SightingRow.log_id))),
            _count_of(CertificateKind.PRECERTIFICATE),
            _count_of(CertificateKind.FINAL),
        )
        .select_from(UnitRow)
        .join(SightingRow, col(SightingRow.unit_id) == col(UnitRow.unit_id))
        .join(CertificateRow, col(CertificateRow.sha256) == col(SightingRow.certificate_sha256))
        .where(col(UnitRow.unit_id).in_(ids), _known_by(as_of))
        .group_by(col(UnitRow.unit_id), col(UnitRow.issuer_key_sha256), col(UnitRow.serial_hex))
        .having(first_ms >= _milliseconds(start), first_ms < _milliseconds(end))
        .order_by(col(UnitRow.unit_id))
    )
    known = [_Known(*row) for row in rows]
    return known, ids[-1] if len(ids) == _PAGE else ""


def _certificates(
    session: Session, unit_ids: Sequence[str], as_of: datetime
) -> dict[str, tuple[str, CertificateKind, bytes]]:
    """The certificate of each unit that its facts are taken from: a final, else the first."""
    chosen: dict[str, tuple[str, CertificateKind, bytes]] = {}
    rows = session.execute(
        select(
            col(CertificateRow.unit_id),
            col(CertificateRow.sha256),
            col(CertificateRow.kind),
            col(CertificateRow.der),
        )
        .where(
            col(CertificateRow.sha256).in_(
                select(col(SightingRow.certificate_sha256))
                .join(UnitRow, col(UnitRow.unit_id) == col(SightingRow.unit_id))
                .where(col(SightingRow.unit_id).in_(unit_ids), _known_by(as_of))
            )
        )
        .order_by(col(CertificateRow.sha256))
    )
    for unit_id, sha256, kind, der in rows:
        known = chosen.get(unit_id)
        if known is None or (kind is CertificateKind.FINAL and known[1] is not kind):
            chosen[unit_id] = (sha256, kind, der)
    return chosen


def _issued(known: _Known, certificate: tuple[str, CertificateKind, bytes]) -> IssuedUnit:
    sha256, kind, der = certificate
    facts = parse_certificate(der, kind=kind)
    if known.precertificates > 0 and known.finals > 0:
        unit_kind = UnitKind.PAIR
    else:
        unit_kind = UnitKind.PRECERTIFICATE if known.finals == 0 else UnitKind.FINAL
    return IssuedUnit(
        unit_id=known.unit_id,
        issuer_key_sha256=known.issuer_key_sha256,
        serial_hex=known.serial_hex,
        kind=unit_kind,
        precertificates=known.precertificates,
        finals=known.finals,
        first_logged=instant_of(known.first_ms),
        logs=known.logs,
        not_before=facts.not_before,
        not_after=facts.not_after,
        validity_days=_validity_days(facts),
        profile=profile_of((facts,)).value,
        key=_key(facts),
        name=first_name(facts),
        certificate_sha256=sha256,
    )


def first_name(facts: CertificateFacts) -> str:
    """The name that a person would know the certificate by; empty where it bears none."""
    for names in (facts.dns_names, facts.common_names, facts.email_addresses, facts.ip_addresses):
        if len(names) > 0:
            return names[0]
    return ""


def _validity_days(facts: CertificateFacts) -> int | None:
    if facts.not_before is None or facts.not_after is None:
        return None
    return -((facts.not_before - facts.not_after - _SECOND) // _DAY)


def _key(facts: CertificateFacts) -> str:
    key = facts.key
    if key is None:
        return UNKNOWN
    if key.algorithm is KeyAlgorithm.EC:
        curve = "unnamed curve" if key.curve is None else _CURVES.get(key.curve, key.curve)
        return f"EC {curve}"
    if key.curve is not None:
        return key.curve
    return f"{key.algorithm.value.upper()} {'' if key.bits is None else key.bits}".strip()


def _known_by(as_of: datetime) -> ColumnElement[bool]:
    """Whether a sighting had been read by ``as_of``; older rows count with their unit."""
    added = func.coalesce(col(SightingRow.added_at), col(UnitRow.added_at))
    return added <= as_of


def _count_of(kind: CertificateKind) -> ColumnElement[int]:
    of_kind = case((col(CertificateRow.kind) == kind, col(CertificateRow.sha256)))
    return func.count(distinct(of_kind))


def _milliseconds(instant: datetime) -> int:
    return int(instant.timestamp()) * 1000
