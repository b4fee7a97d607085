"""The numbers of a report, and that they stay what they were as of an instant."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose
from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.check.registry import Registry, load_registry
from subca_oversight.findings.decisions import decide
from subca_oversight.findings.lifecycle import Decision, Verb
from subca_oversight.http import Client
from subca_oversight.jobs.context import JobContext
from subca_oversight.jobs.report import make_reports
from subca_oversight.jobs.sample import draw_sample
from subca_oversight.model.audit import AuditState
from subca_oversight.model.certificate import CertificateKind
from subca_oversight.model.finding import FindingState, Revocation, Severity, SubjectKind
from subca_oversight.model.subordinate import Relation
from subca_oversight.reports.observation import record_observation
from subca_oversight.reports.period import Quarter
from subca_oversight.reports.publication import folder_of, is_published, publish
from subca_oversight.reports.quarter import (
    QuarterReport,
    ReportRequest,
    keep_instant,
    load_quarter,
    settle_instant,
)
from subca_oversight.reports.summary import Light
from subca_oversight.settings import Settings
from subca_oversight.store.database import Database
from subca_oversight.store.tables import (
    CheckFailureRow,
    FindingRow,
    LogRow,
    SubordinateRow,
    WindowRow,
)
from tests.databases import postgres_database, sqlite_database
from tests.unit.reports import world
from tests.unit.reports.world import ANCHOR, AS_OF, DAY, LATER, REGISTERED

Q3 = Quarter(2026, 3)
JULY = datetime(2026, 7, 1, tzinfo=UTC)
REQUEST = ReportRequest(ANCHOR, Q3, AS_OF, "Root Operator")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with sqlite_database(tmp_path) as opened:
        yield opened


def load(database: Database, registry: Registry, request: ReportRequest = REQUEST) -> QuarterReport:
    with database.read() as session:
        return load_quarter(session, request, registry)


def fill(database: Database) -> dict[str, str]:
    """A world with something in every section, as it stood at AS_OF."""
    with database.write() as session:
        authority = world.add_subordinate(session)
        world.add_log(session, unread=40)
        world.add_log(session, log_id=world.OTHER_LOG, description="Reef2026")
        units = [world.add_unit(session, JULY + number * 5 * DAY) for number in range(12)]
        world.add_unit(session, JULY - DAY, kinds=[CertificateKind.FINAL])
        alone = world.add_unit(
            session, JULY + DAY, kinds=[CertificateKind.PRECERTIFICATE], days=400
        )
        session.flush()
        world.judge(session, units[0], JULY + 10 * DAY)
        world.judge(session, units[1], AS_OF - DAY)
        world.judge(session, units[2], JULY + 20 * DAY, baseline=True)
        world.judge(session, units[3], JULY - 3 * DAY)
        world.judge(session, units[3], JULY + 3 * DAY, message=None)
        for unit in units[4:8]:
            world.judge(
                session, unit, JULY + 6 * DAY, severity=Severity.SHOULD, check="advice",
                revocation=Revocation.NONE,
            )  # fmt: skip
        world.judge(
            session, authority, JULY + 30 * DAY, check="audit-overdue",
            kind=SubjectKind.AUTHORITY, revocation=Revocation.DAYS_7_DECISION, message="5 days",
        )  # fmt: skip
        world.add_snapshot(session, authority, JULY)
        world.add_unconfirmed(session, JULY + DAY)
        world.add_malformed(session, JULY + DAY)
        world.add_source(session, "refused: 0 rows")
        for day in range(0, 90, 3):
            world.add_run(session, "harvest", JULY + day * DAY)
        world.add_run(session, "lint", JULY + DAY, outcome="failed")
        session.add(
            CheckFailureRow(
                check_id="key-size", subject=units[5], anchor=ANCHOR, reason="no key", at=JULY
            )
        )
    draw_sample(
        database, ANCHOR, public_value="beacon", population_end=JULY + 80 * DAY, now=JULY + 81 * DAY
    )
    with database.write() as session:
        record_observation(session, ANCHOR, now=AS_OF)
    return {"authority": authority, "first": units[0], "alone": alone}


def grow(database: Database, known: dict[str, str]) -> None:
    """Weeks of further work: everything that can change does."""
    with database.write() as session:
        first = known["first"]
        for kind in CertificateKind:
            world.add_certificate(session, known["alone"], kind, JULY - 9 * DAY, added=LATER)
        world.add_unit(session, JULY + 7 * DAY, added=LATER)
        session.flush()
        world.judge(session, first, LATER, message="valid for 401 days")
        world.judge(session, first, LATER + DAY, message=None)
        world.judge(session, first, LATER + 2 * DAY, message="found again")
        world.judge(
            session, known["authority"], LATER, check="audit-overdue", message="51 days",
            kind=SubjectKind.AUTHORITY, severity=Severity.NOTICE, revocation=Revocation.NONE,
        )  # fmt: skip
        world.add_snapshot(session, known["authority"], LATER, audit_end="2026-06-30")
        world.add_unconfirmed(session, LATER)
        world.add_malformed(session, LATER)
        world.add_source(session, None)
        world.add_run(session, "harvest", LATER)
        world.add_log(session, log_id="ff" * 32, description="New2027")
        for log in session.scalars(select(LogRow)):
            log.description = f"{log.description} renamed"
            log.quarantined_at, log.quarantine_reason = LATER, "fork"
        for window in session.scalars(select(WindowRow)):
            window.verified = window.position = 1000
        for failure in session.scalars(select(CheckFailureRow)):
            session.delete(failure)
        finding = session.scalars(
            select(FindingRow).where(col(FindingRow.check_id) == "validity-limit")
        ).first()
        assert finding is not None
        decision = Decision(Verb.CONFIRM, "analyst", "seen")
        decide(session, finding.fingerprint, decision, now=LATER + 3 * DAY)
    draw_sample(database, ANCHOR, public_value="next", population_end=LATER, now=LATER)
    with database.write() as session:
        record_observation(session, ANCHOR, now=LATER)


def test_the_numbers_are_those_of_the_store(database: Database, registry: Registry) -> None:
    fill(database)
    report = load(database, registry)
    assert (report.issuance.total, report.issuance.previous_total) == (13, 1)
    assert sum(week.total for week in report.issuance.weeks) == 13
    assert report.issuance.weeks[0].week == date(2026, 6, 29)
    assert [(one.label, one.count) for one in report.issuance.kinds] == [
        ("precertificate and final certificate", 12),
        ("precertificate alone", 1),
    ]
    assert [(one.label, one.count) for one in report.issuance.validities] == [
        ("48 to 100 days", 12),
        ("more than 398 days", 1),
    ]
    assert [(one.label, one.count) for one in report.issuance.keys] == [("EC P-384", 13)]
    violations = report.findings.of(Severity.VIOLATION)
    assert (violations.new, violations.closed, violations.open, violations.overdue) == (2, 1, 3, 2)
    assert report.findings.of(Severity.SHOULD).open == 1
    advice = next(one for one in report.findings.by_check if one.check == "advice")
    assert advice.affected == 4
    assert (report.findings.baseline_total, report.findings.total) == (1, 6)
    unseen = report.unseen
    assert (unseen.unconfirmed_total, unseen.malformed_total, unseen.incomplete_logs) == (1, 1, 1)
    assert unseen.observation is not None
    assert [log.unread_entries for log in unseen.observation.logs] == [40, 0]
    assert {one.job: (one.done, one.failed) for one in unseen.work}["lint"] == (0, 1)
    harvest = next(one for one in unseen.work if one.job == "harvest")
    assert harvest.longest_silence is not None
    assert harvest.longest_silence >= timedelta(days=3)
    (draw,) = report.samples.draws
    assert (draw.population, draw.drawn, draw.is_duty, draw.problem) == (14, 1, False, "")
    (audit,) = report.audits.entries
    assert audit.freshness.state is AuditState.OVERDUE
    (document,) = report.documents
    assert (document.stale, document.age_days) == (True, 399)
    lights = {area.name: area.light for area in report.summary.areas}
    assert lights["Violations"] is Light.ACTION
    assert lights["Audits"] is Light.ACTION
    assert lights["What could be seen"] is Light.ATTENTION
    assert [action.is_overdue for action in report.actions] == sorted(
        (action.is_overdue for action in report.actions), reverse=True
    )


def test_the_same_instant_gives_the_same_bytes_however_the_store_grows(
    database: Database, registry: Registry, tmp_path: Path
) -> None:
    known = fill(database)
    before = publish(database, registry, REQUEST, tmp_path / "before")
    grow(database, known)
    after = publish(database, registry, REQUEST, tmp_path / "after")
    later = ReportRequest(ANCHOR, Q3, LATER + 9 * DAY, "Root Operator")
    moved = publish(database, registry, later, tmp_path / "moved")
    assert [file.name for file in before.files] == [file.name for file in after.files]
    for one, other, different in zip(before.files, after.files, moved.files, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
        assert one.read_bytes() != different.read_bytes() or one.name == "sample.csv", one.name


@pytest.mark.postgres
def test_both_stores_give_the_same_report(
    postgres_url: str, registry: Registry, tmp_path: Path
) -> None:
    with postgres_database(postgres_url) as database:
        known = fill(database)
        first = publish(database, registry, REQUEST, tmp_path / "first")
        grow(database, known)
        second = publish(database, registry, REQUEST, tmp_path / "second")
        assert first.report == second.report
        assert first.report.issuance.total == 13


def test_what_nobody_recorded_is_not_known_rather_than_in_order(
    database: Database, registry: Registry
) -> None:
    with database.write() as session:
        world.add_subordinate(session)
        record_observation(session, ANCHOR, now=LATER)
    report = load(database, registry)
    assert report.unseen.observation is None
    lights = {area.name: area.light for area in report.summary.areas}
    assert lights["What could be seen"] is Light.UNKNOWN
    assert lights["Violations"] is Light.UNKNOWN
    assert lights["Audits"] is Light.UNKNOWN
    assert lights["CP and CPS"] is Light.UNKNOWN


def test_a_missing_sample_is_a_duty_only_where_the_brs_say_so(
    tmp_path: Path, registry: Registry
) -> None:
    shown: dict[bool, QuarterReport] = {}
    for is_duty, purpose in ((True, Purpose.CLIENT_AUTH), (False, Purpose.SERVER_AUTH)):
        folder = tmp_path / str(is_duty)
        folder.mkdir()
        with sqlite_database(folder) as database:
            with database.write() as session:
                world.add_subordinate(session, purposes=[purpose])
            shown[is_duty] = load(database, registry)
    for is_duty, report in shown.items():
        assert report.samples.is_duty is is_duty
        assert report.samples.is_late
        light = {area.name: area.light for area in report.summary.areas}["Sample"]
        assert light is (Light.ACTION if is_duty else Light.ATTENTION)
    assert not any("BR 8.7" in text for text in shown[False].summary.decisions)
    assert any("BR 8.7" in text for text in shown[True].summary.decisions)


def test_a_unit_counts_where_it_was_first_logged_as_far_as_was_known(
    database: Database, registry: Registry
) -> None:
    with database.write() as session:
        world.add_subordinate(session)
        world.add_log(session)
        unit = world.add_unit(session, JULY + 10 * DAY, kinds=[CertificateKind.FINAL])
        session.flush()
        sha256 = world.add_certificate(
            session, unit, CertificateKind.PRECERTIFICATE, JULY - 10 * DAY, added=LATER
        )
        world.add_sighting(session, unit, sha256, JULY - 9 * DAY, added=LATER)
    assert load(database, registry).issuance.total == 1
    later = ReportRequest(ANCHOR, Q3, LATER)
    assert load(database, registry, later).issuance.total == 0


def test_a_period_begins_with_its_first_instant_and_ends_before_the_next(
    database: Database, registry: Registry
) -> None:
    with database.write() as session:
        world.add_subordinate(session)
        world.add_log(session)
        instants = (Q3.start - timedelta(milliseconds=1), Q3.start, Q3.end, Q3.end - DAY)
        for instant in instants:
            world.add_unit(session, instant, kinds=[CertificateKind.FINAL])
    assert load(database, registry).issuance.total == 2


def test_a_state_is_that_of_the_last_transition_by_the_instant(
    database: Database, registry: Registry
) -> None:
    known = fill(database)
    with database.write() as session:
        finding = session.scalars(
            select(FindingRow).where(col(FindingRow.subject) == known["first"])
        ).one()
        for verb, at in ((Verb.CONFIRM, AS_OF - DAY), (Verb.REMEDIATE, AS_OF + DAY)):
            decide(session, finding.fingerprint, Decision(verb, "analyst", "why"), now=at)
    shown = {
        one.entry.subject: one.entry.state for one in load(database, registry).findings.violations
    }
    assert shown[known["first"]] is FindingState.CONFIRMED


def test_a_finished_quarter_keeps_the_instant_of_its_first_making(database: Database) -> None:
    with database.write() as session:
        world.add_subordinate(session)
        assert settle_instant(session, ANCHOR, Q3, now=AS_OF) == AS_OF
    with database.write() as session:
        assert settle_instant(session, ANCHOR, Q3, now=LATER) == AS_OF
        present = Q3.following
        assert settle_instant(session, ANCHOR, present, now=AS_OF) == AS_OF
        assert settle_instant(session, ANCHOR, present, now=LATER) == LATER
        keep_instant(session, ANCHOR, Q3, as_of=LATER)
        assert settle_instant(session, ANCHOR, Q3, now=LATER) == AS_OF


def test_a_name_that_is_no_slug_names_no_folder(tmp_path: Path) -> None:
    for name in (
        "../../x",
        "/etc/x",
        "C:\\x",
        "..%2f",
        "a\0b",
        "\u202ex",
        "x" * 4000,
        "",
        "CON/..",
    ):
        folder = folder_of(tmp_path, name, REQUEST)
        assert folder == tmp_path / ANCHOR[:16] / "2026Q3"


def test_a_report_that_stands_is_recognized_and_a_changed_one_is_not(
    database: Database, registry: Registry, tmp_path: Path
) -> None:
    fill(database)
    folder = publish(database, registry, REQUEST, tmp_path / "out").folder
    assert is_published(folder, registry, AS_OF)
    assert not is_published(folder, registry, LATER)
    (folder / "units.csv").write_text("changed")
    assert not is_published(folder, registry, AS_OF)


def test_nothing_is_left_beside_the_report(
    database: Database, registry: Registry, tmp_path: Path
) -> None:
    fill(database)
    publish(database, registry, REQUEST, tmp_path / "out")
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["acme-tls-1"]


def test_another_subordinates_trouble_is_not_shown(database: Database, registry: Registry) -> None:
    other = "ab" * 32
    with database.write() as session:
        world.add_subordinate(session)
        _add_other(session, other)
        world.add_log(session)
        unit = world.add_unit(session, JULY + DAY)
        session.flush()
        world.judge(session, unit, JULY + 2 * DAY)
    report = load(database, registry, ReportRequest(other, Q3, AS_OF))
    assert (report.findings.total, report.issuance.total) == (0, 0)
    assert report.scope.name == "bolt"


def _add_other(session: Session, anchor: str) -> None:
    session.add(
        SubordinateRow(
            anchor=anchor,
            name="bolt",
            operator="Bolt",
            relation=Relation.CROSS_SIGNED,
            registered_at=REGISTERED,
        )
    )


def test_the_job_writes_the_last_quarter_once_and_the_present_one_again(
    database: Database, registry: Registry, tmp_path: Path
) -> None:
    fill(database)
    agent = {"contact": "oversight@ca.example", "state_directory": str(tmp_path / "state")}
    settings = Settings.model_validate({"agent": agent})

    async def run(now: datetime) -> str:
        async with Client(settings.http, contact="oversight@ca.example") as client:
            outcome = await make_reports(
                JobContext(settings, database, client, registry, now=lambda: now)
            )
        return outcome.detail

    assert asyncio.run(run(AS_OF)).startswith("2 reports written")
    folder = tmp_path / "state" / "reports" / "acme-tls-1"
    page = (folder / "2026Q3" / "report.html").read_bytes()
    to_date = (folder / "2026Q4" / "report.html").read_bytes()
    assert asyncio.run(run(AS_OF + DAY)).startswith("1 reports written")
    assert (folder / "2026Q3" / "report.html").read_bytes() == page
    assert (folder / "2026Q4" / "report.html").read_bytes() != to_date
