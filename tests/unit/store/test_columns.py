"""What is written is what is read, on both engines and for hostile values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlmodel import col, select

from subca_oversight.errors import StoreError
from subca_oversight.model.certificate import CertificateKind
from subca_oversight.model.subordinate import Relation
from subca_oversight.store.columns import escape_text
from subca_oversight.store.database import Database, upsert_ignoring
from subca_oversight.store.tables import (
    CertificateRow,
    LogListRow,
    LogRow,
    SightingRow,
    SourceRow,
    SubordinateRow,
    UnitRow,
)

NOW = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)
HOSTILE = "NUL \x00 lone \ud800 tail \udfff bell \x07 return \r bidi \u202e wide \U0001f512 \\x00"


def _subordinate(name: str, anchor: str = "aa" * 32, operator: str = "CA") -> SubordinateRow:
    return SubordinateRow(
        anchor=anchor,
        name=name,
        operator=operator,
        relation=Relation.CROSS_SIGNED,
        registered_at=NOW,
    )


@given(st.text(alphabet=st.characters()))
def test_escaped_text_holds_nothing_that_a_database_refuses_and_escapes_once(text: str) -> None:
    escaped = escape_text(text)
    escaped.encode("utf-8")
    assert "\x00" not in escaped
    assert escape_text(escaped) == escaped


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"])))
def test_ordinary_text_is_stored_as_it_is(text: str) -> None:
    assert escape_text(text) == text
    assert escape_text(f"a\t{text}\nb") == f"a\t{text}\nb"


def test_hostile_text_is_stored_escaped(database: Database) -> None:
    with database.write() as session:
        session.add(_subordinate("hostile", operator=HOSTILE))
    with database.read() as session:
        row = session.exec(select(SubordinateRow)).one()
    assert row.operator == escape_text(HOSTILE)
    assert row.operator.startswith("NUL \\x00 lone \\xd800 tail \\xdfff bell \\x07 return \\x0d")
    assert "\u202e wide \U0001f512" in row.operator


def test_text_of_any_length_from_a_list_is_stored(database: Database) -> None:
    url = "https://lists.example/" + "a" * 500
    with database.write() as session:
        session.add(LogListRow(source=url, version="7" * 300, sha256="", body=b"", fetched_at=NOW))
        session.add(SourceRow(source=f"log-list {url}", last_attempt=NOW))
    with database.read() as session:
        assert session.exec(select(LogListRow)).one().version == "7" * 300
        assert session.exec(select(SourceRow)).one().source.endswith(url)


@pytest.mark.parametrize("instant", [EARLIEST, LATEST, NOW], ids=["year-1", "year-9999", "now"])
def test_every_instant_comes_back_aware_and_exact(database: Database, instant: datetime) -> None:
    with database.write() as session:
        session.add(
            UnitRow(
                unit_id="u",
                issuer_key_sha256="k",
                not_before=instant,
                not_after=instant,
                confirmed=True,
                added_at=NOW,
            )
        )
    with database.read() as session:
        row = session.exec(select(UnitRow)).one()
        later = session.exec(select(UnitRow).where(col(UnitRow.not_after) < instant)).all()
    assert row.not_before == instant
    assert row.not_before is not None
    assert row.not_before.utcoffset() == timedelta(0)
    assert later == []


def test_a_naive_instant_is_refused(database: Database) -> None:
    with pytest.raises(StoreError), database.write() as session:
        session.add(SourceRow(source="x", last_attempt=NOW.replace(tzinfo=None)))


def test_sizes_indexes_and_times_are_64_bit(database: Database) -> None:
    largest = 2**63 - 1
    with database.write() as session:
        session.add(
            UnitRow(
                unit_id="u",
                issuer_key_sha256="k",
                first_logged_ms=largest,
                confirmed=True,
                added_at=NOW,
            )
        )
        session.flush()
        session.add(
            CertificateRow(
                sha256="c",
                unit_id="u",
                kind=CertificateKind.FINAL,
                der=bytes(range(256)),
                confirmed=True,
            )
        )
        session.flush()
        session.add(
            SightingRow(
                log_id="l",
                index=largest,
                timestamp_ms=largest,
                certificate_sha256="c",
                unit_id="u",
                added_at=NOW,
            )
        )
    with database.read() as session:
        sighting = session.exec(select(SightingRow)).one()
        certificate = session.exec(select(CertificateRow)).one()
    assert (sighting.index, sighting.timestamp_ms) == (largest, largest)
    assert certificate.der == bytes(range(256))
    assert certificate.kind is CertificateKind.FINAL


def test_enumerations_are_stored_by_value(database: Database) -> None:
    with database.write() as session:
        session.add(_subordinate("a"))
    with database.read() as session:
        stored = session.connection().execute(text("select relation from subordinate")).scalar()
    assert stored == "cross-signed"


def test_names_sort_by_code_point_whatever_the_collation(database: Database) -> None:
    names = ["b", "a-c", "ab", "a-b", "a", "B"]
    with database.write() as session:
        for number, name in enumerate(names):
            session.add(_subordinate(name, anchor=f"{number:064x}"))
    with database.read() as session:
        found = session.exec(select(SubordinateRow.name).order_by(col(SubordinateRow.name))).all()
    assert list(found) == sorted(names)


def test_a_bulk_insert_leaves_known_rows_alone(database: Database) -> None:
    rows = [
        {
            "unit_id": f"{number:04}",
            "issuer_key_sha256": "k",
            "confirmed": True,
            "baseline": False,
            "added_at": NOW,
            "first_logged_ms": number,
        }
        for number in range(2500)
    ]
    with database.write() as session:
        upsert_ignoring(session, UnitRow, rows[:10])
        upsert_ignoring(session, UnitRow, [])
    with database.write() as session:
        upsert_ignoring(session, UnitRow, [{**row, "first_logged_ms": -1} for row in rows])
    with database.read() as session:
        stored = {row.unit_id: row.first_logged_ms for row in session.exec(select(UnitRow))}
    assert len(stored) == 2500
    assert [stored[f"{number:04}"] for number in range(10)] == list(range(10))
    assert stored["0010"] == -1


def test_a_foreign_key_is_enforced(database: Database) -> None:
    with pytest.raises(StoreError), database.write() as session:
        session.add(
            CertificateRow(
                sha256="c", unit_id="none", kind=CertificateKind.FINAL, der=b"", confirmed=True
            )
        )


def test_a_log_keeps_its_key_as_bytes(database: Database) -> None:
    with database.write() as session:
        session.add(
            LogRow(
                log_id="l",
                description="L",
                operator="O",
                api="rfc6962",
                submission_url="",
                monitoring_url="",
                key=b"\x00\xff",
                mmd=86400,
                state="usable",
                log_type="x" * 200,
                monitored=True,
                first_seen=NOW,
                last_seen=NOW,
            )
        )
    with database.read() as session:
        assert session.exec(select(LogRow)).one().key == b"\x00\xff"
