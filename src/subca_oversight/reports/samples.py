"""The samples drawn in a period: how large, by which rule, on whose duty, and how to verify them.

A draw is read from its transcript, which both parties hold. Only where the subordinate is
constrained in the BR's sense does BR 8.7 oblige the signing CA to draw; elsewhere the quarterly
sample is this product's default, and its absence is no violation (DESIGN section 7).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import and_, func, or_, select
from sqlmodel import Session, col

from subca_oversight.clocks.calendar import add_months, utc_date
from subca_oversight.errors import EvidenceError
from subca_oversight.evidence.transcript import BR_DUTY, verify_transcript
from subca_oversight.evidence.transcript_json import load_transcript
from subca_oversight.model.finding import Severity
from subca_oversight.reports.scope import Scope
from subca_oversight.store.tables import (
    DrawMemberRow,
    DrawRow,
    FindingRow,
    FindingUnitRow,
    UnitRow,
)

INTERVAL_MONTHS = 3
"""BR 8.7: at least quarterly, from sample to sample."""


@dataclass(frozen=True, slots=True)
class StratumSummary:
    """How many units of one stratum and profile were drawn."""

    stratum: str
    profile: str
    population: int
    drawn: int
    rule: str


@dataclass(frozen=True, slots=True)
class DrawSummary:
    """One draw."""

    number: int
    """As ``sample list`` and ``sample export`` know it."""
    drawn_at: datetime
    previous_end: datetime | None
    population_end: datetime
    population: int
    drawn: int
    is_duty: bool
    """Whether BR 8.7 obliged the signing CA to draw it."""
    strata: tuple[StratumSummary, ...]
    commitment: str
    public_value: str
    seed: str
    problem: str
    """What does not follow in the stored transcript; empty where it verifies."""


@dataclass(frozen=True, slots=True)
class SampleSection:
    """The samples of a period."""

    draws: tuple[DrawSummary, ...]
    is_duty: bool
    """Whether BR 8.7 obliges the signing CA, by the CA certificates known at the instant."""
    last_drawn_at: datetime | None
    """Of all draws known at the instant."""
    next_due: date
    """Three calendar months after the last draw, or after registration where there was none."""
    is_late: bool


@dataclass(frozen=True, slots=True)
class DrawnEntry:
    """A unit of a sample, with the findings that touched it."""

    draw: int
    stratum: str
    unit_id: str
    serial_hex: str | None
    violations: int
    other_findings: int


def load_samples(
    session: Session, scope: Scope, start: datetime, end: datetime, *, as_of: datetime
) -> SampleSection:
    """The draws made in [start, end), or of populations that ended in it, known at ``as_of``."""
    last = session.scalar(
        select(func.max(col(DrawRow.drawn_at))).where(
            col(DrawRow.anchor) == scope.anchor, col(DrawRow.drawn_at) <= as_of
        )
    )
    next_due = add_months(utc_date(scope.registered_at if last is None else last), INTERVAL_MONTHS)
    return SampleSection(
        draws=tuple(_summarize(row) for row in _draws(session, scope.anchor, start, end, as_of)),
        is_duty=scope.has_sampling_duty,
        last_drawn_at=last,
        next_due=next_due,
        is_late=utc_date(as_of) > next_due,
    )


def find_drawn(
    session: Session, anchor: str, start: datetime, end: datetime, *, as_of: datetime
) -> Iterator[DrawnEntry]:
    """The drawn units of the same draws, by draw and unit id."""
    for row in _draws(session, anchor, start, end, as_of):
        if row.id is None:
            continue
        touched = _touched(session, row.id, anchor, as_of)
        members = session.execute(
            select(col(DrawMemberRow.unit_id), col(DrawMemberRow.stratum), col(UnitRow.serial_hex))
            .outerjoin(UnitRow, col(UnitRow.unit_id) == col(DrawMemberRow.unit_id))
            .where(col(DrawMemberRow.draw_id) == row.id, col(DrawMemberRow.drawn).is_(True))
            .order_by(col(DrawMemberRow.unit_id))
        )
        for unit_id, stratum, serial_hex in members:
            violations, others = touched.get(unit_id, (0, 0))
            yield DrawnEntry(row.id, stratum, unit_id, serial_hex, violations, others)


def _draws(
    session: Session, anchor: str, start: datetime, end: datetime, as_of: datetime
) -> Iterator[DrawRow]:
    """One at a time: a transcript holds its whole population."""
    row = DrawRow
    ids = session.scalars(
        select(col(row.id))
        .where(
            col(row.anchor) == anchor,
            col(row.drawn_at) <= as_of,
            or_(
                and_(col(row.drawn_at) >= start, col(row.drawn_at) < end),
                and_(col(row.population_end) > start, col(row.population_end) <= end),
            ),
        )
        .order_by(col(row.drawn_at), col(row.id))
    ).all()
    for draw_id in ids:
        found = session.get_one(DrawRow, draw_id)
        yield found
        session.expunge(found)


def _touched(
    session: Session, draw_id: int, anchor: str, as_of: datetime
) -> dict[str, tuple[int, int]]:
    """Findings of each drawn unit: violations, and others; the baseline among them."""
    rows = session.execute(
        select(col(FindingUnitRow.unit_id), col(FindingRow.severity), func.count())
        .join(FindingRow, col(FindingRow.fingerprint) == col(FindingUnitRow.fingerprint))
        .join(DrawMemberRow, col(DrawMemberRow.unit_id) == col(FindingUnitRow.unit_id))
        .where(
            col(DrawMemberRow.draw_id) == draw_id,
            col(DrawMemberRow.drawn).is_(True),
            col(FindingRow.anchor) == anchor,
            col(FindingUnitRow.first_seen) <= as_of,
            or_(col(FindingUnitRow.gone_at).is_(None), col(FindingUnitRow.gone_at) > as_of),
        )
        .group_by(col(FindingUnitRow.unit_id), col(FindingRow.severity))
    )
    touched: dict[str, tuple[int, int]] = {}
    for unit_id, severity, count in rows:
        violations, others = touched.get(unit_id, (0, 0))
        if severity is Severity.VIOLATION:
            violations += count
        else:
            others += count
        touched[unit_id] = (violations, others)
    return touched


def _summarize(row: DrawRow) -> DrawSummary:
    problem = ""
    strata: tuple[StratumSummary, ...] = ()
    previous_end: datetime | None = None
    is_duty, seed = False, ""
    try:
        transcript = load_transcript(row.transcript.encode())
        previous_end, seed = transcript.previous_end, transcript.seed
        is_duty = transcript.basis == BR_DUTY
        strata = tuple(
            StratumSummary(size.stratum, size.profile.value, size.population, size.drawn, size.rule)
            for size in transcript.sizes
        )
        verify_transcript(transcript, public_value=row.public_value)
    except EvidenceError as error:
        problem = str(error)
    return DrawSummary(
        number=0 if row.id is None else row.id,
        drawn_at=row.drawn_at,
        previous_end=previous_end,
        population_end=row.population_end,
        population=row.population,
        drawn=row.drawn,
        is_duty=is_duty,
        strata=strata,
        commitment=row.commitment,
        public_value=row.public_value,
        seed=seed,
        problem=problem,
    )
