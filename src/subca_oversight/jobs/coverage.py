"""Coverage of checks: at how much each looked, what it found, and where it could not judge.

Silence means "looked, found nothing" only as far as these counts reach (DESIGN section 2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import and_, func, select
from sqlmodel import Session, col

from subca_oversight.check.api import AuditFacts, AuthorityFacts, CheckOutcome
from subca_oversight.check.registry import Registry
from subca_oversight.model.certificate import CertificateFacts, UnitFacts
from subca_oversight.model.finding import Outcome
from subca_oversight.store.tables import (
    CheckCoverageRow,
    CheckFailureRow,
    FindingRow,
    FindingUnitRow,
    UnitRow,
)


def store_coverage(
    session: Session,
    anchor: str,
    outcomes: Iterable[CheckOutcome],
    registry: Registry,
    *,
    now: datetime,
) -> None:
    """Count the outcomes of a whole run over CA certificates and audits.

    Checks of leaf certificates look at CA certificates too; their coverage is that of the units.
    """
    subjects = (AuthorityFacts, AuditFacts)
    counts = {
        check.id: dict.fromkeys(Outcome, 0)
        for subject in subjects
        for check in registry.for_subject(subject)
    }
    for outcome in outcomes:
        if outcome.check in counts:
            counts[outcome.check][outcome.outcome] += 1
    for check, of_check in counts.items():
        session.merge(
            CheckCoverageRow(
                check_id=check,
                anchor=anchor,
                rule_version=registry.digest,
                clear=of_check[Outcome.CLEAR],
                breach=of_check[Outcome.BREACH],
                could_not_run=of_check[Outcome.COULD_NOT_RUN],
                at=now,
            )
        )


def store_unit_coverage(
    session: Session, anchor: str, keys: Sequence[str], registry: Registry, *, now: datetime
) -> None:
    """Count over all units of ``keys``, not over the last run, which saw only what was new.

    A unit of which a check judged a part alone counts as one that it could not judge.
    """
    total = session.scalar(
        select(func.count())
        .select_from(UnitRow)
        .where(
            col(UnitRow.issuer_key_sha256).in_(keys), col(UnitRow.checked_with) == registry.digest
        )
    )
    failed = _count_failed(session, anchor)
    breached = _count_breached(session, anchor)
    for check in (*registry.for_subject(UnitFacts), *registry.for_subject(CertificateFacts)):
        could_not_run, breach = failed.get(check.id, 0), breached.get(check.id, 0)
        session.merge(
            CheckCoverageRow(
                check_id=check.id,
                anchor=anchor,
                rule_version=registry.digest,
                clear=max(0, (0 if total is None else total) - could_not_run - breach),
                breach=breach,
                could_not_run=could_not_run,
                at=now,
            )
        )


def _count_failed(session: Session, anchor: str) -> dict[str, int]:
    rows = session.execute(
        select(CheckFailureRow.check_id, func.count())  # type: ignore[call-overload]  # columns, to SQLAlchemy
        .join(UnitRow, col(UnitRow.unit_id) == col(CheckFailureRow.subject))
        .where(col(CheckFailureRow.anchor) == anchor)
        .group_by(col(CheckFailureRow.check_id))
    )
    return {check: count for check, count in rows}  # noqa: C416 - rows are not tuples to mypy


def _count_breached(session: Session, anchor: str) -> dict[str, int]:
    """Units with a breach that are not among the failed."""
    rows = session.execute(
        select(FindingRow.check_id, func.count(col(FindingUnitRow.unit_id).distinct()))  # type: ignore[call-overload]
        .join(FindingUnitRow, col(FindingUnitRow.fingerprint) == col(FindingRow.fingerprint))
        .outerjoin(
            CheckFailureRow,
            and_(
                col(CheckFailureRow.check_id) == col(FindingRow.check_id),
                col(CheckFailureRow.subject) == col(FindingUnitRow.unit_id),
            ),
        )
        .where(
            col(FindingRow.anchor) == anchor,
            col(FindingUnitRow.gone_at).is_(None),
            col(CheckFailureRow.check_id).is_(None),
        )
        .group_by(col(FindingRow.check_id))
    )
    return {check: count for check, count in rows}  # noqa: C416 - rows are not tuples to mypy
