"""The interval of signing, and the identity of a unit."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.evidence.issuance import issuance_evidence, unit_id, unit_id_without_serial
from subca_oversight.model.certificate import CertificateFacts, CertificateKind

NOT_BEFORE = datetime(2026, 3, 16, tzinfo=UTC)
EARLY, LATE = NOT_BEFORE + timedelta(hours=1), NOT_BEFORE + timedelta(hours=2)
LOGGED = NOT_BEFORE + timedelta(hours=3)
FINAL = CertificateFacts(
    der=b"",
    sha256="",
    kind=CertificateKind.FINAL,
    not_before=NOT_BEFORE,
    sct_timestamps=(LATE, EARLY),
)
PRECERTIFICATE = replace(FINAL, kind=CertificateKind.PRECERTIFICATE, sct_timestamps=())


def test_a_final_was_signed_after_its_latest_sct_and_before_it_was_logged() -> None:
    evidence = issuance_evidence(FINAL, LOGGED)
    assert (evidence.not_before, evidence.not_after) == (LATE, LOGGED)


def test_the_claim_bounds_a_final_where_it_is_later_than_its_scts() -> None:
    ahead = replace(FINAL, not_before=LATE + timedelta(hours=49))
    assert issuance_evidence(ahead, None).not_before == LATE + timedelta(hours=1)


def test_a_precertificate_alone_has_the_allowance_of_48_hours() -> None:
    evidence = issuance_evidence(PRECERTIFICATE, LOGGED)
    assert evidence.not_before == NOT_BEFORE - timedelta(hours=48)
    assert evidence.not_after == LOGGED


def test_scts_inside_a_precertificate_prove_nothing() -> None:
    odd = replace(PRECERTIFICATE, sct_timestamps=(LATE,))
    assert issuance_evidence(odd, None).not_before == NOT_BEFORE - timedelta(hours=48)


def test_what_is_unknown_bounds_nothing() -> None:
    unknown = replace(PRECERTIFICATE, not_before=None)
    evidence = issuance_evidence(unknown, None)
    assert (evidence.not_before, evidence.not_after) == (None, None)
    only_scts = replace(FINAL, not_before=None)
    assert issuance_evidence(only_scts, None).not_before == LATE


def test_a_log_entry_proves_against_a_claim_of_later_signing() -> None:
    postdated = replace(PRECERTIFICATE, not_before=LOGGED + timedelta(days=30))
    evidence = issuance_evidence(postdated, LOGGED)
    assert (evidence.not_before, evidence.not_after) == (LOGGED, LOGGED)


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_the_interval_never_ends_before_it_begins(claimed: datetime, logged: datetime) -> None:
    evidence = issuance_evidence(replace(PRECERTIFICATE, not_before=claimed), logged)
    assert evidence.not_before is not None
    assert evidence.not_before <= logged
    assert evidence.not_before <= claimed


def test_a_unit_is_the_issuer_key_hash_and_the_serial_octets() -> None:
    key = bytes(range(32))
    expected = hashlib.sha256(key + b"\x00\x8f").hexdigest()
    assert unit_id(key, b"\x00\x8f") == expected
    assert unit_id(key, b"\x8f") != expected


def test_a_key_hash_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 octets"):
        unit_id(b"short", b"\x01")


def test_without_a_serial_the_certificate_is_its_own_unit() -> None:
    assert unit_id_without_serial(b"junk") == hashlib.sha256(b"junk").hexdigest()
