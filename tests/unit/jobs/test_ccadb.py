"""An export is kept whole when it is good, and refused whole when it is not."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import col, select

from subca_oversight.errors import ConfigurationError, OversightError
from subca_oversight.evidence.disclosure import find_snapshot, load_audits, load_disclosed
from subca_oversight.evidence.registration import load_subordinates
from subca_oversight.jobs.ccadb import import_ccadb
from subca_oversight.jobs.context import JobState
from subca_oversight.model.audit import AuditState
from subca_oversight.settings import Settings
from subca_oversight.store.database import Database
from subca_oversight.store.tables import AlertEventRow, CcadbSnapshotRow, SourceRow
from tests.unit.evidence.issuing import Issuer, make_issuer
from tests.unit.jobs.contexts import run, settings_of
from tests.unit.jobs.holdings import Holdings
from tests.unit.sources.ccadb.test_records import ROW, V5

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def export(*rows: dict[str, str]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(V5)
    for row in rows:
        writer.writerow([row.get(name, "") for name in V5])
    return text.getvalue().encode()


def rows(count: int, **first: str) -> list[dict[str, str]]:
    made = [
        ROW | {"SHA-256 Fingerprint": f"{number:064X}", "Salesforce Record ID": f"A{number}"}
        for number in range(count)
    ]
    made[0] |= first
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.csv"


@pytest.fixture
def settings(path: Path) -> Settings:
    return settings_of(ccadb={"records": str(path)})


def snapshots(database: Database) -> list[CcadbSnapshotRow]:
    with database.read() as session:
        return list(session.exec(select(CcadbSnapshotRow).order_by(col(CcadbSnapshotRow.id))))


def test_without_a_source_there_is_nothing_to_import(database: Database) -> None:
    assert run(import_ccadb, database, now=NOW).state is JobState.SKIPPED


def test_the_same_bytes_are_kept_once(database: Database, settings: Settings, path: Path) -> None:
    path.write_bytes(export(*rows(3)))
    for days in range(2):
        run(import_ccadb, database, now=NOW + days * DAY, settings=settings)
    (snapshot,) = snapshots(database)
    assert (snapshot.rows, snapshot.imported_at) == (3, NOW)
    assert snapshot.last_seen_at == NOW + DAY
    path.write_bytes(export(*rows(4)))
    run(import_ccadb, database, now=NOW + 2 * DAY, settings=settings)
    assert [one.rows for one in snapshots(database)] == [3, 4]


def test_each_instant_is_judged_by_the_export_of_its_time(
    database: Database, settings: Settings, path: Path
) -> None:
    for days, count in ((0, 3), (10, 4)):
        path.write_bytes(export(*rows(count)))
        run(import_ccadb, database, now=NOW + days * DAY, settings=settings)
    with database.read() as session:
        assert find_snapshot(session, as_of=NOW - DAY) is None
        assert load_disclosed(session, as_of=NOW - DAY) == ()
        assert len(load_disclosed(session, as_of=NOW + 9 * DAY)) == 3
        assert len(load_disclosed(session, as_of=NOW + 10 * DAY)) == 4


@pytest.mark.parametrize(
    "bad", [b"", b"<html>sign in</html>", export(*rows(3))], ids=["empty", "html", "lost-rows"]
)
def test_a_refused_file_keeps_the_last_good_export_and_is_told_once(
    database: Database, settings: Settings, path: Path, bad: bytes
) -> None:
    path.write_bytes(export(*rows(40)))
    run(import_ccadb, database, now=NOW, settings=settings)
    path.write_bytes(bad)
    for days in (1, 2):
        with pytest.raises(OversightError):
            run(import_ccadb, database, now=NOW + days * DAY, settings=settings)
    assert [one.rows for one in snapshots(database)] == [40]
    with database.read() as session:
        source = session.get_one(SourceRow, "ccadb records")
        (event,) = session.exec(select(AlertEventRow)).all()
    assert source.last_error is not None
    assert (source.last_success, source.last_attempt) == (NOW, NOW + 2 * DAY)
    assert event.kind == "source_failed"


def test_a_missing_file_is_the_configurations_fault(database: Database, settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match=r"^ccadb\.records: .*: No such file"):
        run(import_ccadb, database, now=NOW, settings=settings)


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return make_issuer()


def test_a_subordinates_audits_are_those_of_its_own_certificates(
    database: Database, settings: Settings, path: Path, tmp_path: Path, issuer: Issuer
) -> None:
    Holdings(database, issuer, tmp_path).register()
    audit = {
        "SHA-256 Fingerprint": issuer.sha256.upper(),
        "Standard Audit Period Start Date": "2025-10-01",
        "Standard Audit Period End Date": "2026-09-30",
        "Standard Audit Statement Date": "2026-11-01",
        "Subordinate CA Owner": "",
    }
    path.write_bytes(export(*rows(3, **audit)))
    run(import_ccadb, database, now=NOW, settings=settings)
    with database.read() as session:
        (subordinate,) = load_subordinates(session)
        (freshness,) = load_audits(session, subordinate, as_of=NOW)
        assert load_audits(session, subordinate, as_of=NOW - DAY) == []
    assert freshness.sha256 == issuer.sha256
    assert freshness.external  # the registry wins over the export's empty owner
    assert (freshness.state, freshness.due) == (AuditState.CURRENT, date(2027, 12, 31))
