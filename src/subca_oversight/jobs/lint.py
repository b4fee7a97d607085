"""Job ``lint``: every new certificate through every linter, their answers stored and recorded.

Of a corresponding pair one is linted: the other's findings are the same (BR 4.3.1.2). A certificate
that a tool could not judge is stored as not linted; it is neither clean nor a breach. A linter that
is added or changed looks at everything again, the others do not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, and_, func, not_, or_, select
from sqlmodel import Session, col

from subca_oversight.check.lint.api import LintOutcome, LintRequest
from subca_oversight.check.lint.linters import Linter, open_linters
from subca_oversight.check.lint.profiles import choose_profile, lint_request
from subca_oversight.errors import CheckError
from subca_oversight.evidence.registration import load_subordinates
from subca_oversight.evidence.units import load_units
from subca_oversight.findings.recorder import record_judgments
from subca_oversight.jobs.context import JobContext, JobOutcome, done, skipped
from subca_oversight.jobs.lint_records import find_looks, judge_units, store_outcomes
from subca_oversight.model.certificate import UnitFacts
from subca_oversight.model.subordinate import Subordinate
from subca_oversight.store.tables import CertificateRow, UnitRow

BATCH = 200
"""Units linted and recorded in one transaction."""
_RULE_VERSION_LENGTH = 64


@dataclass(slots=True)
class _Run:
    """One run of the job, and what came of it so far."""

    context: JobContext
    linters: list[Linter]
    """Those still in use: one that breaks is left out for the rest of the run."""
    problems: list[str]
    certificates: set[str] = field(default_factory=set)
    """Linted, by SHA-256."""
    errors: int = 0


async def lint_all(context: JobContext) -> JobOutcome:
    """Lint what no linter of these versions has looked at."""
    return await asyncio.to_thread(_lint_all, context)


def _lint_all(context: JobContext) -> JobOutcome:
    with context.database.read() as session:
        subordinates = load_subordinates(session, retired=True)
    if len(subordinates) == 0:
        return skipped("no subordinate is configured")
    with open_linters(context.settings.lint) as linters:
        run = _Run(context, list(linters.ready), list(linters.problems))
        for subordinate in subordinates:
            _lint_subordinate(run, subordinate)
    versions = "; ".join(linter.version for linter in run.linters)
    return done(
        f"{len(run.certificates)} certificates linted with {versions};"
        f" {run.errors} could not be judged",
        tuple(run.problems),
    )


def _lint_subordinate(run: _Run, subordinate: Subordinate) -> None:
    context = run.context
    keys = [key.spki_sha256 for key in subordinate.keys]
    task = f"lint {subordinate.name}"
    with context.database.read() as session:
        total = session.scalar(
            select(func.count())
            .select_from(CertificateRow)
            .join(UnitRow, col(UnitRow.unit_id) == col(CertificateRow.unit_id))
            .where(*_stale(keys, run.linters))
        )
    context.progress.begin(task, total)
    done_so_far = 0
    last = ""
    while not context.should_stop():
        with context.database.read() as session:
            rows = _stale_units(session, keys, run.linters, after=last)
            units = load_units(session, rows, {})
        if len(units) == 0:
            break
        last = units[-1].unit_id
        _lint_units(run, units, subordinate.anchor)
        done_so_far += sum(len(unit.certificates) for unit in units)
        context.progress.advance(task, done_so_far)
    context.progress.end(task)


def _lint_units(run: _Run, units: Sequence[UnitFacts], anchor: str) -> None:
    """Lint with every linter what it has not seen, and record everything in one transaction."""
    requests = [request for unit in units for request in _requests(unit)]
    with run.context.database.read() as session:
        looks = find_looks(session, [request.sha256 for request in requests])
    outcomes: dict[str, list[LintOutcome]] = {}
    for linter in list(run.linters):
        wanted = [one for one in requests if looks.get((one.sha256, linter.tool)) != linter.version]
        try:
            outcomes[linter.tool] = list(linter.lint(wanted))
        except CheckError as error:
            run.linters.remove(linter)
            run.problems.append(str(error))
            if len(run.linters) == 0:
                raise
    now = run.context.now()
    with run.context.database.write() as session:
        for linter in run.linters:
            store_outcomes(session, units, outcomes[linter.tool], linter, now)
            record_judgments(
                session,
                judge_units(session, units, linter, anchor, now),
                rule_version=linter.version[:_RULE_VERSION_LENGTH],
                now=now,
            )
        _mark(session, units, run.linters)
    for found in outcomes.values():
        run.certificates.update(outcome.sha256 for outcome in found)
        run.errors += sum(not outcome.is_complete for outcome in found)


def _requests(unit: UnitFacts) -> list[LintRequest]:
    """Finals, and the precertificates that correspond to none of them."""
    bodies = {final.tbs_without_ct for final in unit.finals if final.tbs_without_ct is not None}
    chosen = [
        *unit.finals,
        *(one for one in unit.precertificates if one.tbs_without_ct not in bodies),
    ]
    return [lint_request(facts, choose_profile(facts)) for facts in chosen]


def _mark(session: Session, units: Sequence[UnitFacts], linters: Sequence[Linter]) -> None:
    for unit in units:
        for certificate in unit.certificates:
            row = session.get(CertificateRow, certificate.sha256)
            if row is not None:
                row.linted_with = "".join(map(_mark_of, linters))
                session.add(row)


def _mark_of(linter: Linter) -> str:
    return f"{linter.version};"


def _stale_units(
    session: Session, keys: Sequence[str], linters: Sequence[Linter], *, after: str
) -> Sequence[UnitRow]:
    ids = (
        select(UnitRow.unit_id)  # type: ignore[call-overload]  # a column, to SQLAlchemy
        .join(CertificateRow, col(CertificateRow.unit_id) == col(UnitRow.unit_id))
        .where(*_stale(keys, linters), col(UnitRow.unit_id) > after)
        .distinct()
        .order_by(col(UnitRow.unit_id))
        .limit(BATCH)
    )
    return session.scalars(
        select(UnitRow).where(col(UnitRow.unit_id).in_(ids)).order_by(col(UnitRow.unit_id))
    ).all()


def _stale(keys: Sequence[str], linters: Sequence[Linter]) -> tuple[ColumnElement[bool], ...]:
    """What one of the linters has not looked at; what others have is no reason to look again."""
    marks = [_mark_of(linter) for linter in linters]
    linted_with = col(CertificateRow.linted_with)
    lacking = or_(*(not_(linted_with.contains(mark, autoescape=True)) for mark in marks))
    return (
        col(UnitRow.issuer_key_sha256).in_(keys),
        col(UnitRow.confirmed).is_(True),
        # Equality settles nearly all rows without a search in their text.
        or_(linted_with.is_(None), and_(linted_with != "".join(marks), lacking)),
    )
