"""What is new is judged once, what grew is judged again, and coverage counts everything."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import col, select

from subca_oversight.check.api import AuthorityFacts, Breach, CannotJudge, Check, check
from subca_oversight.check.registry import Registry, make_registry
from subca_oversight.evidence.registration import register_subordinates
from subca_oversight.jobs import checks as checks_module
from subca_oversight.jobs.checks import check_all
from subca_oversight.jobs.context import JobOutcome, JobState
from subca_oversight.model.certificate import CertificateFacts, UnitFacts
from subca_oversight.model.finding import FindingState, Severity
from subca_oversight.store.database import Database
from subca_oversight.store.tables import (
    AlertEventRow,
    CertificateRow,
    CheckCoverageRow,
    CheckFailureRow,
    FindingRow,
    UnitRow,
)
from tests.unit.evidence.issuing import Issuer, make_issuer
from tests.unit.jobs.contexts import run
from tests.unit.jobs.holdings import NOW, Holdings

BAD, UNREADABLE = 0x0BAD, 0x0DED


@check(id="stub-unit", severity=Severity.VIOLATION, requirement="R 1", revocation="5d")
def stub_unit(unit: UnitFacts) -> Iterator[Breach]:
    """Serials are not bad."""
    if unit.serial_hex == f"{UNREADABLE:04x}":
        raise CannotJudge("the serial is dead")
    if unit.serial_hex == f"{BAD:04x}":
        yield Breach("a bad serial")


@check(id="stub-certificate", severity=Severity.SHOULD, requirement="R 2")
def stub_certificate(certificate: CertificateFacts) -> Iterator[Breach]:
    """Finals are not wanted."""
    if certificate.kind.value == "final" and certificate.serial_hex == f"{BAD:04x}":
        yield Breach("a final")


@check(id="stub-authority", severity=Severity.NOTICE, requirement="R 3")
def stub_authority(authority: AuthorityFacts) -> Iterator[Breach]:
    """Nothing is wrong with CAs."""
    yield from ()


STUBS: tuple[Check, ...] = (stub_unit, stub_certificate, stub_authority)


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return make_issuer()


@pytest.fixture
def held(database: Database, issuer: Issuer, tmp_path: Path) -> Holdings:
    holdings = Holdings(database, issuer, tmp_path)
    holdings.register()
    return holdings


def judge(held: Holdings, registry: Registry | None = None) -> JobOutcome:
    chosen = make_registry(STUBS) if registry is None else registry
    outcome = run(check_all, held.database, now=NOW, registry=chosen)
    assert outcome.state is JobState.DONE
    return outcome


def states(held: Holdings) -> dict[str, tuple[str, FindingState]]:
    with held.database.read() as session:
        return {row.check_id: (row.subject, row.state) for row in session.exec(select(FindingRow))}


def coverage(held: Holdings) -> dict[str, tuple[int, int, int]]:
    with held.database.read() as session:
        return {
            row.check_id: (row.clear, row.breach, row.could_not_run)
            for row in session.exec(select(CheckCoverageRow))
        }


def test_without_a_subordinate_there_is_nothing_to_check(database: Database) -> None:
    assert run(check_all, database, now=NOW).state is JobState.SKIPPED


def test_outcomes_become_findings_failures_and_coverage(held: Holdings) -> None:
    bad = held.add(BAD)
    held.add(UNREADABLE)
    held.add(3)
    assert judge(held).detail.startswith("4 subjects looked at; findings: 2 new")
    assert states(held) == {
        "stub-unit": (bad, FindingState.OPEN),
        "stub-certificate": ("*", FindingState.OPEN),
    }
    assert coverage(held) == {
        "stub-unit": (1, 1, 1),
        "stub-certificate": (2, 1, 0),
        "stub-authority": (1, 0, 0),
    }
    with held.database.read() as session:
        (failure,) = session.exec(select(CheckFailureRow)).all()
    assert (failure.check_id, failure.reason) == ("stub-unit", "the serial is dead")


def test_what_was_judged_is_not_judged_again_until_the_rules_change(held: Holdings) -> None:
    held.add(1)
    judge(held)
    before = coverage(held)
    assert judge(held).detail.startswith("1 subjects")  # the CA certificate alone
    assert coverage(held) == before
    assert judge(held, make_registry(STUBS[:1])).detail.startswith("2 subjects")


def test_coverage_counts_all_units_and_not_the_last_run_alone(held: Holdings) -> None:
    for serial in (1, 2):
        held.add(serial)
    judge(held)
    held.add(4)
    judge(held)
    assert coverage(held)["stub-unit"] == (3, 0, 0)


def test_a_unit_that_grew_is_judged_again(held: Holdings) -> None:
    held.add(BAD, precertificate=True)
    judge(held)
    assert set(states(held)) == {"stub-unit"}
    held.add(BAD)
    judge(held)
    assert set(states(held)) == {"stub-unit", "stub-certificate"}


def test_a_certificate_harvested_during_the_judging_is_not_lost(
    held: Holdings, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = held.add(BAD, precertificate=True)
    original = checks_module._judge_units

    def judge_while_harvesting(registry: Registry, units: list[UnitFacts]):  # type: ignore[no-untyped-def]  # noqa: ANN202 - as the original
        found = list(original(registry, units))
        held.add(BAD)
        return iter(found)

    monkeypatch.setattr(checks_module, "_judge_units", judge_while_harvesting)
    judge(held)
    monkeypatch.undo()
    with held.database.read() as session:
        assert session.get_one(UnitRow, unit).checked_with is None
    judge(held)
    assert set(states(held)) == {"stub-unit", "stub-certificate"}


def test_unconfirmed_units_are_not_held_against_the_ca(held: Holdings) -> None:
    held.add(BAD, confirmed=False)
    judge(held)
    assert states(held) == {}


def test_expired_certificates_become_a_baseline_that_is_told_once(held: Holdings) -> None:
    held.add(BAD, not_after=NOW - timedelta(seconds=1))
    judge(held)
    with held.database.write() as session:
        assert session.exec(select(AlertEventRow)).all() == []  # the linters have not looked yet
        for certificate in session.exec(select(CertificateRow)):
            certificate.linted_with = "stub 1"
    for _ in range(2):
        judge(held)
    with held.database.read() as session:
        assert all(row.baseline for row in session.exec(select(FindingRow)))
        (event,) = session.exec(select(AlertEventRow)).all()
    assert (event.kind, event.severity) == ("baseline_recorded", "notice")
    assert event.text.startswith("2 findings on certificates that had expired")


def test_many_units_are_judged_in_batches(held: Holdings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks_module, "BATCH", 2)
    for serial in range(1, 6):
        held.add(serial)
    judge(held)
    assert coverage(held)["stub-unit"] == (5, 0, 0)


def test_a_retired_subordinates_units_are_still_judged(held: Holdings) -> None:
    held.add(BAD)
    with held.database.write() as session:
        register_subordinates(session, [], now=NOW)
    judge(held)
    assert "stub-unit" in states(held)


def test_the_shipped_checks_run_over_stored_certificates(held: Holdings) -> None:
    from subca_oversight.check.registry import load_registry  # noqa: PLC0415 - takes a while

    held.add(1)
    held.add(1, precertificate=True)
    judge(held, load_registry())
    with held.database.read() as session:
        looked = session.exec(
            select(CheckCoverageRow).where(col(CheckCoverageRow.could_not_run) == 0)
        ).all()
    assert {"key-size", "validity-limit", "serial-reuse"} <= {row.check_id for row in looked}
