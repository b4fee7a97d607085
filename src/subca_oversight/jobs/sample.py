"""Job ``sample``: remind of draws that are due; and the draw itself, which a person orders.

Nothing is drawn by itself, because the public value that seeds a draw must be learned after the
population was fixed, and is given by the caller (DESIGN section 7; TLS BR 8.7: at least quarterly).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import insert, select
from sqlalchemy.orm import defer
from sqlmodel import Session, col

from subca_oversight.clocks.calendar import add_months, utc_date
from subca_oversight.errors import ConfigurationError, StoreError
from subca_oversight.evidence.registration import load_subordinates
from subca_oversight.evidence.sampling import EV_PERCENT
from subca_oversight.evidence.transcript import (
    BR_DUTY,
    SampleTranscript,
    basis_of,
    make_transcript,
)
from subca_oversight.evidence.transcript_json import encode_transcript
from subca_oversight.jobs.context import JobContext, JobOutcome, done, skipped
from subca_oversight.jobs.population import load_authorities, load_population
from subca_oversight.jobs.sources import write_event
from subca_oversight.store.database import Database
from subca_oversight.store.tables import (
    DrawMemberRow,
    DrawRow,
    SubordinateRow,
)

INTERVAL_MONTHS = 3
_PUBLIC_VALUE_LIMIT = 4096
_CHUNK = 500
"""Members inserted by one statement."""
_WITHOUT_TRANSCRIPT = defer(DrawRow.transcript)  # type: ignore[arg-type]  # a column, to SQLAlchemy
"""A transcript holds the whole population; few who ask for a draw want it."""


async def remind_of_samples(context: JobContext) -> JobOutcome:
    """Write an alert event, once a quarter, for each subordinate whose sample is due."""
    return await asyncio.to_thread(_remind, context)


def _remind(context: JobContext) -> JobOutcome:
    now = context.now()
    today = utc_date(now)
    due: list[str] = []
    with context.database.write() as session:
        subordinates = load_subordinates(session)
        for subordinate in subordinates:
            last = _last_draw(session, subordinate.anchor)
            row = session.get_one(SubordinateRow, subordinate.anchor)
            since = utc_date(row.registered_at if last is None else last.drawn_at)
            if today <= add_months(since, INTERVAL_MONTHS):
                continue
            due.append(subordinate.name)
            is_duty = basis_of(load_authorities(session, subordinate.anchor)) == BR_DUTY
            write_event(
                session,
                kind="sample_due",
                occasion=f"{subordinate.anchor}\x00{_quarter(today)}",
                severity="violation" if is_duty else "should",
                text=_reminder(subordinate.name, since, is_first=last is None, is_duty=is_duty),
                now=now,
                anchor=subordinate.anchor,
            )
    if len(subordinates) == 0:
        return skipped("no subordinate is configured")
    if len(due) == 0:
        return done("no sample is due")
    return done(f"samples are due: {', '.join(due)}")


def _reminder(name: str, since: date, *, is_first: bool, is_duty: bool) -> str:
    start = "no sample since it was registered on" if is_first else "no sample since"
    basis = "BR 8.7 obliges the signing CA to draw at least quarterly"
    if not is_duty:
        basis = "quarterly by this product's default, not by the BRs"
    return f"{name}: {start} {since.isoformat()}; {basis}"


def draw_sample(
    database: Database,
    anchor: str,
    *,
    public_value: str,
    population_end: datetime,
    now: datetime,
    ev_percent: int = EV_PERCENT,
) -> SampleTranscript:
    """Draw a sample and record it with its population, in one transaction.

    Every unit belongs to one population only, so the same population cannot be drawn twice. Both
    instants are taken in whole seconds. Raises ConfigurationError where the end or the public value
    cannot be used, StoreError where another draw came between.
    """
    end, drawn_at = population_end.replace(microsecond=0), now.replace(microsecond=0)
    _check_public_value(public_value)
    with database.read() as session:
        last = _last_draw(session, anchor)
        _check_end(end, drawn_at, last)
        previous_end = None if last is None else last.population_end
        transcript = make_transcript(
            anchor=anchor,
            subordinate=session.get_one(SubordinateRow, anchor).name,
            authorities=load_authorities(session, anchor),
            previous_end=previous_end,
            population_end=end,
            drawn_at=drawn_at,
            population=load_population(session, anchor, end=end, previous_end=previous_end),
            public_value=public_value,
            ev_percent=ev_percent,
        )
    drawn = {unit.unit_id for unit in transcript.sample}
    with database.write() as session:
        session.get(SubordinateRow, anchor, with_for_update=True)
        current = _last_draw(session, anchor)
        if (None if current is None else current.id) != (None if last is None else last.id):
            raise StoreError("another draw was recorded meanwhile; see: sample list")
        row = DrawRow(
            anchor=anchor,
            drawn_at=drawn_at,
            population_end=end,
            commitment=transcript.commitment,
            public_value=public_value,
            population=len(transcript.units),
            drawn=len(transcript.sample),
            transcript=encode_transcript(transcript).decode("ascii"),
        )
        session.add(row)
        session.flush()
        for start in range(0, len(transcript.units), _CHUNK):
            session.execute(
                insert(DrawMemberRow),
                [
                    {
                        "unit_id": unit.unit_id,
                        "draw_id": row.id,
                        "stratum": unit.stratum,
                        "drawn": unit.unit_id in drawn,
                    }
                    for unit in transcript.units[start : start + _CHUNK]
                ],
            )
    return transcript


@dataclass(frozen=True, slots=True)
class RecordedDraw:
    """A draw as it is listed."""

    id: int
    subordinate: str
    anchor: str
    drawn_at: datetime
    population_end: datetime
    population: int
    drawn: int
    commitment: str
    public_value: str


def find_draws(session: Session, anchor: str | None = None) -> list[RecordedDraw]:
    """Every recorded draw, oldest first."""
    names = {row.anchor: row.name for row in session.scalars(select(SubordinateRow))}
    statement = select(DrawRow).options(_WITHOUT_TRANSCRIPT).order_by(col(DrawRow.id))
    if anchor is not None:
        statement = statement.where(col(DrawRow.anchor) == anchor)
    return [
        RecordedDraw(
            id=0 if row.id is None else row.id,
            subordinate=names.get(row.anchor, ""),
            anchor=row.anchor,
            drawn_at=row.drawn_at,
            population_end=row.population_end,
            population=row.population,
            drawn=row.drawn,
            commitment=row.commitment,
            public_value=row.public_value,
        )
        for row in session.scalars(statement)
    ]


def load_recorded_transcript(session: Session, draw_id: int) -> bytes:
    """The transcript of a draw, as it was first written. Raises ConfigurationError."""
    row = session.get(DrawRow, draw_id)
    if row is None:
        raise ConfigurationError(f"there is no draw {draw_id}; see: subca-oversight sample list")
    return row.transcript.encode("ascii")


def _last_draw(session: Session, anchor: str) -> DrawRow | None:
    return session.scalars(
        select(DrawRow)
        .options(_WITHOUT_TRANSCRIPT)
        .where(col(DrawRow.anchor) == anchor)
        .order_by(col(DrawRow.population_end).desc(), col(DrawRow.id).desc())
        .limit(1)
    ).first()


def _check_end(end: datetime, drawn_at: datetime, last: DrawRow | None) -> None:
    if end > drawn_at:
        raise ConfigurationError("--until: a population cannot end in the future")
    if last is not None and end <= last.population_end:
        raise ConfigurationError(
            "--until: the last draw's population ended at"
            f" {last.population_end:%Y-%m-%dT%H:%M:%SZ}; name a later instant: no population is"
            " drawn twice"
        )


def _check_public_value(public_value: str) -> None:
    try:
        size = len(public_value.encode())
    except UnicodeEncodeError as error:
        raise ConfigurationError("--public-value: not UTF-8") from error
    if not 0 < size <= _PUBLIC_VALUE_LIMIT:
        raise ConfigurationError(f"--public-value: give 1 to {_PUBLIC_VALUE_LIMIT} octets of text")


def _quarter(day: date) -> str:
    return f"{day.year}Q{(day.month + 2) // 3}"
