"""Stored certificates and sightings come back as facts, in order and with their dates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import col, select

from subca_oversight.evidence.registration import load_authority_spans
from subca_oversight.evidence.units import instant_of, load_units
from subca_oversight.model.certificate import AuthoritySpan, UnitFacts
from subca_oversight.store.database import Database
from subca_oversight.store.tables import CertificateRow, UnitRow
from tests.unit.evidence.issuing import NOT_BEFORE, Issuer, make_issuer
from tests.unit.jobs.holdings import LIVE, LOG, Holdings

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return make_issuer()


@pytest.fixture
def held(database: Database, issuer: Issuer, tmp_path: Path) -> Holdings:
    holdings = Holdings(database, issuer, tmp_path)
    holdings.register()
    return holdings


def load(held: Holdings) -> list[UnitFacts]:
    with held.database.read() as session:
        rows = session.exec(select(UnitRow).order_by(col(UnitRow.unit_id).desc())).all()
        spans = {held.issuer.key_sha256: load_authority_spans(session, held.issuer.key_sha256)}
        return load_units(session, rows, spans)


def test_a_unit_holds_its_precertificates_finals_sightings_and_issuer(held: Holdings) -> None:
    held.add(5)
    held.add(5, precertificate=True)
    (unit,) = load(held)
    (final,), (precertificate,) = unit.finals, unit.precertificates
    assert (final.serial_hex, precertificate.serial_hex) == ("05", "05")
    assert final.not_after == LIVE
    assert unit.first_logged == NOT_BEFORE + timedelta(milliseconds=5)
    assert [(seen.log_id, seen.index) for seen in unit.sightings] == [(LOG, 10), (LOG, 11)]
    assert unit.issuer_validity == (
        AuthoritySpan(
            held.issuer.sha256,
            held.issuer.certificate.not_valid_before_utc,
            held.issuer.certificate.not_valid_after_utc,
        ),
    )


def test_issuance_evidence_reaches_from_the_claim_to_the_first_log_entry(held: Holdings) -> None:
    held.add(5)
    (unit,) = load(held)
    issued = unit.finals[0].issued
    assert issued.not_after == unit.first_logged
    assert issued.not_before == NOT_BEFORE - timedelta(hours=48)


def test_units_keep_the_order_asked_for(held: Holdings) -> None:
    for serial in (3, 1, 2):
        held.add(serial)
    assert [unit.unit_id for unit in load(held)] == [f"{serial:064x}" for serial in (3, 2, 1)]


def test_bytes_that_cannot_be_parsed_are_still_a_certificate_of_the_unit(held: Holdings) -> None:
    unit_id = held.add(1)
    with held.database.write() as session:
        row = session.exec(select(CertificateRow)).one()
        row.der = b"\x30\x03nonsense"
        session.add(row)
    (unit,) = load(held)
    assert unit.unit_id == unit_id
    assert len(unit.finals) == 1
    assert unit.finals[0].not_before is None


def test_a_unit_without_certificates_or_sightings_is_loaded(held: Holdings) -> None:
    with held.database.write() as session:
        session.add(
            UnitRow(
                unit_id="e" * 64, issuer_key_sha256="f" * 64, confirmed=False, added_at=NOT_BEFORE
            )
        )
    (unit,) = load(held)
    assert (unit.certificates, unit.sightings, unit.first_logged) == ((), (), None)
    assert unit.issuer_validity == ()


@given(st.integers(0, 2**64))
def test_every_timestamp_of_a_log_has_an_instant(milliseconds: int) -> None:
    found = instant_of(milliseconds)
    assert found.utcoffset() == timedelta(0)
    if milliseconds < 253_402_300_800_000:
        assert (found - EPOCH) // timedelta(milliseconds=1) == milliseconds
    else:
        assert found.year == 9999
