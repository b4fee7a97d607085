"""Keys outlive lists, and each program's word on a log is taken from its own list."""

from __future__ import annotations

import dataclasses
import zlib
from datetime import UTC, datetime, timedelta

from subca_oversight.evidence.harvest import sync_logs
from subca_oversight.evidence.known_logs import know_logs, load_known_logs
from subca_oversight.evidence.sct_audit import KnownLogs
from subca_oversight.evidence.units import load_units
from subca_oversight.model.certificate import CertificateKind
from subca_oversight.model.log import Log, LogApi, LogState
from subca_oversight.model.sct import RootProgram, SctDefect, SctStanding
from subca_oversight.sources.log_list import LogList
from subca_oversight.store.database import Database
from subca_oversight.store.tables import CertificateRow, LogListRow, SightingRow, UnitRow
from tests.real_data import needs_real_data
from tests.real_logs import APPLE, AS_OF, GOOGLE, LISTS, every_log, known_logs, real_list
from tests.unit.evidence.made_scts import (
    INDEX,
    ISSUED,
    ISSUER,
    OLD,
    STATIC,
    facts_of,
    issue_sct,
    leaf_index,
)

NOW = datetime(2026, 11, 24, tzinfo=UTC)
STAMPED = datetime(2026, 11, 1, tzinfo=UTC)


def log_list(
    *logs: Log, timestamp: datetime | None = STAMPED, version: str | None = "1"
) -> LogList:
    return LogList(version=version, timestamp=timestamp, logs=logs, problems=())


def words(known: KnownLogs, log: Log) -> dict[RootProgram, tuple[str, LogState]]:
    return {
        one.program: (one.operator, one.state) for one in known.by_id[log.log_id].facts.listings
    }


USABLE = dataclasses.replace(OLD, state=LogState.USABLE, operator="IPng Networks")
REJECTED = dataclasses.replace(OLD, state=LogState.REJECTED, operator="IPng GmbH")


def test_each_program_speaks_for_itself() -> None:
    lists = [log_list(REJECTED), log_list(USABLE, timestamp=None)]
    assert words(know_logs([OLD], lists, as_of=NOW), OLD) == {
        RootProgram.CHROME: ("IPng GmbH", LogState.REJECTED),
        RootProgram.MOZILLA: ("IPng GmbH", LogState.REJECTED),
        RootProgram.APPLE: ("IPng Networks", LogState.USABLE),
    }


def test_a_log_that_a_list_dropped_keeps_its_key_and_loses_its_standing() -> None:
    known = know_logs([OLD, STATIC], [log_list(STATIC)], as_of=NOW)
    assert known.by_id[OLD.log_id].log.key == OLD.key
    assert words(known, OLD) == {}
    assert set(words(known, STATIC)) == set(RootProgram)


def test_the_later_list_of_a_program_counts() -> None:
    earlier = log_list(USABLE, timestamp=STAMPED - timedelta(days=1))
    for lists in ([earlier, log_list(REJECTED)], [log_list(REJECTED), earlier]):
        states = {state for _, state in words(know_logs([OLD], lists, as_of=NOW), OLD).values()}
        assert states == {LogState.REJECTED}


def test_a_single_list_speaks_for_all_programs() -> None:
    for lists in ([log_list(USABLE)], [log_list(USABLE, timestamp=None)]):
        assert set(words(know_logs([OLD], lists, as_of=NOW), OLD)) == set(RootProgram)


def test_the_list_of_a_monitor_is_no_programs_word() -> None:
    monitors = log_list(OLD, timestamp=None, version=None)
    known = know_logs([OLD, USABLE], [monitors, log_list(STATIC)], as_of=NOW)
    assert words(known, OLD) == {}


@needs_real_data
def test_the_real_lists_agree_where_they_overlap_and_differ_where_they_do() -> None:
    known = known_logs()
    by_name = {one.facts.name: one.facts for one in known.by_id.values()}
    approved = {
        program: {
            name
            for name, facts in by_name.items()
            if (listing := facts.find_listing(program)) is not None
            and listing.state in {LogState.QUALIFIED, LogState.USABLE, LogState.READONLY}
        }
        for program in RootProgram
    }
    assert approved[RootProgram.CHROME] == approved[RootProgram.MOZILLA]
    assert len(approved[RootProgram.CHROME]) == 45
    assert len(approved[RootProgram.APPLE]) == 57
    assert len(approved[RootProgram.CHROME] | approved[RootProgram.APPLE]) == 64
    assert len(known.by_id) == len(every_log()) > 300


def store_lists(database: Database) -> None:
    with database.write() as session:
        for name in (GOOGLE, APPLE):
            listed = real_list(name)
            sync_logs(session, listed, AS_OF)
            body = zlib.compress((LISTS / name).read_bytes())
            row = LogListRow(source=name, version="", sha256="0" * 64, body=body, fetched_at=AS_OF)
            session.add(row)
        sync_logs(session, log_list(OLD, STATIC), AS_OF)


@needs_real_data
def test_stored_logs_are_known_with_their_lists(database: Database) -> None:
    store_lists(database)
    with database.read() as session:
        stored = load_known_logs(session, as_of=AS_OF)
    expected = known_logs()
    assert stored.as_of == AS_OF
    for log_id, one in stored.by_id.items():
        if log_id not in {OLD.log_id, STATIC.log_id}:
            assert one.facts.listings == expected.by_id[log_id].facts.listings
            assert one.log.key == expected.by_id[log_id].log.key
    assert stored.by_id[STATIC.log_id].log.api is LogApi.STATIC


def test_final_certificates_of_stored_units_come_with_their_verdicts(database: Database) -> None:
    """The unit's own log entry tells which leaf_index was stripped."""
    known = know_logs([OLD, STATIC], (), as_of=NOW)
    stripped = issue_sct(STATIC, extensions=leaf_index(INDEX), embedded=b"")
    final = facts_of(issue_sct(OLD), stripped)
    logged = ISSUED + timedelta(hours=2)
    sightings = ((STATIC, INDEX, ISSUED, "ef" * 32), (OLD, 7, logged, final.sha256))
    with database.write() as session:
        session.add(
            UnitRow(
                unit_id="ab" * 32,
                issuer_key_sha256=ISSUER.hex(),
                confirmed=True,
                added_at=NOW,
            )
        )
        session.flush()
        for sha256, kind, der in (
            ("ef" * 32, CertificateKind.PRECERTIFICATE, b"\x30\x00"),
            (final.sha256, CertificateKind.FINAL, final.der),
        ):
            session.add(
                CertificateRow(sha256=sha256, unit_id="ab" * 32, kind=kind, der=der, confirmed=True)
            )
        session.flush()
        for log, index, at, sha256 in sightings:
            session.add(
                SightingRow(
                    log_id=log.log_id.hex(),
                    index=index,
                    timestamp_ms=int(at.timestamp() * 1000),
                    certificate_sha256=sha256,
                    unit_id="ab" * 32,
                )
            )
    with database.read() as session:
        row = session.get(UnitRow, "ab" * 32)
        assert row is not None
        [unit] = load_units(session, [row], {}, known)
        [plain] = load_units(session, [row], {})
    [precertificate], [audited] = unit.precertificates, unit.finals
    assert precertificate.sct_audit is None
    assert plain.finals[0].sct_audit is None
    audit = audited.sct_audit
    assert audit is not None
    assert audit.existed_by == logged
    assert [(one.standing, one.defect) for one in audit.verdicts] == [
        (SctStanding.VALID, None),
        (SctStanding.INVALID_SIGNATURE, SctDefect.EXTENSIONS),
    ]
