"""Each unit is in one population only, and a draw that is due is not forgotten."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose
from cryptography.x509.oid import NameOID
from sqlalchemy import select
from sqlmodel import col

from subca_oversight.errors import ConfigurationError, StoreError
from subca_oversight.evidence.sampling import LATE
from subca_oversight.evidence.transcript import (
    SampleTranscript,
    make_transcript,
    verify_transcript,
)
from subca_oversight.evidence.transcript_json import encode_transcript, load_transcript
from subca_oversight.jobs import sample
from subca_oversight.jobs.context import JobState
from subca_oversight.jobs.sample import (
    draw_sample,
    find_draws,
    load_recorded_transcript,
    remind_of_samples,
)
from subca_oversight.model.certificate import CertificateKind
from subca_oversight.model.subordinate import KeyProvenance
from subca_oversight.store.database import Database
from subca_oversight.store.tables import (
    AlertEventRow,
    AuthorityCertificateRow,
    CertificateRow,
    DrawMemberRow,
    SubordinateRow,
    UnitRow,
    WatchedKeyRow,
)
from tests.unit.alerts.events import ACME, BOLT, NOW, add_subordinate
from tests.unit.jobs.contexts import run

KEY = ec.derive_private_key(7, ec.SECP256R1())
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Acme TLS CA 1")])
ISSUER_KEY = hashlib.sha256(b"issuer").hexdigest()


def certificate(
    purposes: Sequence[x509.ObjectIdentifier], *, ca: bool = False, ev: bool = False
) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(NAME)
        .issuer_name(NAME)
        .serial_number(1)
        .public_key(KEY.public_key())
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=90))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    )
    if ev:
        policy = x509.PolicyInformation(x509.ObjectIdentifier("2.23.140.1.1"), None)
        builder = builder.add_extension(x509.CertificatePolicies([policy]), critical=False)
    return builder.sign(KEY, SHA256()).public_bytes(Encoding.DER)


FRESH = (hashlib.sha256(f"unit {number}".encode()).hexdigest() for number in itertools.count())
TLS_LEAF = certificate([Purpose.SERVER_AUTH])
EV_LEAF = certificate([Purpose.SERVER_AUTH], ev=True)
MAIL_LEAF = certificate([Purpose.EMAIL_PROTECTION])
UNCONSTRAINED_CA = certificate([Purpose.SERVER_AUTH], ca=True)
CONSTRAINED_CA = certificate([Purpose.CLIENT_AUTH], ca=True)
"""BR 7.1.2.3: without serverAuth it is constrained in the BRs' sense."""


def register(database: Database, *, authority: bytes = UNCONSTRAINED_CA) -> None:
    with database.write() as session:
        add_subordinate(session, ACME, "acme-tls-1")
        session.flush()
        session.add(
            WatchedKeyRow(
                spki_sha256=ISSUER_KEY,
                anchor=ACME,
                provenance=KeyProvenance.CONFIGURATION,
                watched_since=NOW,
            )
        )
        session.add(
            AuthorityCertificateRow(
                sha256=hashlib.sha256(authority).hexdigest(),
                spki_sha256=ISSUER_KEY,
                anchor=ACME,
                der=authority,
                provenance=KeyProvenance.CONFIGURATION,
                first_seen=NOW,
            )
        )


def add_units(
    database: Database,
    count: int,
    *,
    logged: datetime | None,
    der: bytes = TLS_LEAF,
    issuer: str = ISSUER_KEY,
    confirmed: bool = True,
) -> set[str]:
    added: set[str] = set()
    with database.write() as session:
        for _ in range(count):
            unit_id = next(FRESH)
            session.add(
                UnitRow(
                    unit_id=unit_id,
                    issuer_key_sha256=issuer,
                    first_logged_ms=None if logged is None else int(logged.timestamp() * 1000),
                    confirmed=confirmed,
                    added_at=NOW,
                )
            )
            session.flush()
            session.add(
                CertificateRow(
                    sha256=next(FRESH),
                    unit_id=unit_id,
                    kind=CertificateKind.FINAL,
                    der=der,
                    confirmed=confirmed,
                )
            )
            added.add(unit_id)
    return added


def draw(database: Database, *, end: datetime = NOW, value: str = "round 1") -> SampleTranscript:
    return draw_sample(database, ACME, public_value=value, population_end=end, now=max(end, NOW))


def ids(transcript: SampleTranscript) -> set[str]:
    return {unit.unit_id for unit in transcript.units}


def test_the_population_is_what_was_first_logged_before_the_end(database: Database) -> None:
    register(database)
    before = add_units(database, 40, logged=NOW - timedelta(milliseconds=1))
    add_units(database, 1, logged=NOW)
    add_units(database, 1, logged=None)
    add_units(database, 1, logged=NOW - timedelta(days=1), confirmed=False)
    add_units(database, 1, logged=NOW - timedelta(days=1), issuer=BOLT)
    transcript = draw(database)
    assert ids(transcript) == before
    assert len(transcript.sample) == 2
    verify_transcript(load_transcript(encode_transcript(transcript)), public_value="round 1")


def test_no_unit_is_counted_twice_or_never(database: Database) -> None:
    register(database)
    first = add_units(database, 5, logged=NOW - timedelta(days=10))
    one = draw(database, end=NOW - timedelta(days=5))
    late = add_units(database, 3, logged=NOW - timedelta(days=7))
    fresh = add_units(database, 4, logged=NOW - timedelta(days=5))
    two = draw(database, end=NOW)
    assert ids(one) == first
    assert ids(two) == late | fresh
    assert {unit.unit_id for unit in two.units if unit.stratum == LATE} == late
    assert [(size.stratum, size.population, size.drawn) for size in two.sizes] == [
        (LATE, 3, 1),
        ("tls", 4, 1),
    ]
    assert two.previous_end == one.population_end
    with database.read() as session:
        members = session.scalars(select(DrawMemberRow)).all()
    assert {row.unit_id for row in members} == first | late | fresh
    assert {row.unit_id for row in members if row.drawn} == {
        unit.unit_id for unit in (*one.sample, *two.sample)
    }


def test_the_same_population_cannot_be_drawn_twice(database: Database) -> None:
    register(database)
    add_units(database, 40, logged=NOW - timedelta(days=1))
    draw(database)
    for end in (NOW, NOW - timedelta(hours=1), NOW + timedelta(milliseconds=900)):
        with pytest.raises(ConfigurationError, match="no population is drawn twice"):
            draw_sample(
                database,
                ACME,
                public_value="a better one",
                population_end=end,
                now=NOW + timedelta(days=1),
            )
    again = draw(database, end=NOW + timedelta(seconds=1), value="a better one")
    assert again.units == ()
    with database.read() as session:
        assert [one.population for one in find_draws(session)] == [40, 0]


def test_a_draw_that_came_between_stops_the_slower_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(database)
    add_units(database, 40, logged=NOW - timedelta(days=1))

    def slow(**arguments: object) -> SampleTranscript:
        monkeypatch.setattr(sample, "make_transcript", make_transcript)
        draw(database, value="faster")
        return make_transcript(**arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(sample, "make_transcript", slow)
    with pytest.raises(StoreError, match="another draw was recorded meanwhile"):
        draw(database, value="slower")
    with database.read() as session:
        assert [one.public_value for one in find_draws(session)] == ["faster"]


def test_profiles_make_strata_with_their_own_sizes(database: Database) -> None:
    register(database)
    logged = NOW - timedelta(days=1)
    add_units(database, 34, logged=logged)
    add_units(database, 2, logged=logged, der=EV_LEAF)
    add_units(database, 31, logged=logged, der=MAIL_LEAF)
    add_units(database, 1, logged=logged, der=b"not a certificate")
    assert [(size.stratum, size.drawn) for size in draw(database).sizes] == [
        ("ev", 1),
        ("other", 1),
        ("smime", 30),
        ("tls", 2),
    ]


@pytest.mark.parametrize(
    ("authority", "basis"), [(CONSTRAINED_CA, "br-8.7"), (UNCONSTRAINED_CA, "product-default")]
)
def test_the_basis_follows_from_the_ca_certificate(
    database: Database, authority: bytes, basis: str
) -> None:
    register(database, authority=authority)
    assert draw(database).basis == basis


def test_the_recorded_transcript_is_what_was_handed_out(database: Database) -> None:
    register(database)
    add_units(database, 3, logged=NOW - timedelta(days=1))
    transcript = draw(database, value="round ✓ \x00 1")
    with database.read() as session:
        [recorded] = find_draws(session, ACME)
        assert find_draws(session, BOLT) == []
        assert load_recorded_transcript(session, recorded.id) == encode_transcript(transcript)
        with pytest.raises(ConfigurationError, match="no draw 99"):
            load_recorded_transcript(session, 99)
    assert (recorded.subordinate, recorded.population, recorded.drawn) == ("acme-tls-1", 3, 1)
    assert recorded.commitment == transcript.commitment


@pytest.mark.parametrize("value", ["", "x" * 4097, "\ud800"])
def test_a_public_value_must_be_text(database: Database, value: str) -> None:
    register(database)
    with pytest.raises(ConfigurationError, match="public-value"):
        draw(database, value=value)


def test_a_population_cannot_end_in_the_future(database: Database) -> None:
    register(database)
    with pytest.raises(ConfigurationError, match="future"):
        draw_sample(
            database,
            ACME,
            public_value="x",
            population_end=NOW + timedelta(seconds=1),
            now=NOW,
        )


def reminders(database: Database) -> list[AlertEventRow]:
    with database.read() as session:
        return list(
            session.scalars(
                select(AlertEventRow)
                .where(col(AlertEventRow.kind) == "sample_due")
                .order_by(col(AlertEventRow.id))
            )
        )


def test_a_reminder_comes_once_a_quarter_after_three_calendar_months(database: Database) -> None:
    register(database)
    with database.write() as session:
        row = session.get_one(SubordinateRow, ACME)
        row.registered_at = datetime(2026, 5, 31, 12, tzinfo=UTC)
        session.add(row)
    on_time = datetime(2026, 8, 31, 23, 59, tzinfo=UTC)
    assert run(remind_of_samples, database, now=on_time).detail == "no sample is due"
    assert reminders(database) == []
    for day in (1, 2, 30):
        outcome = run(remind_of_samples, database, now=datetime(2026, 9, day, tzinfo=UTC))
        assert outcome.detail == "samples are due: acme-tls-1"
    assert len(reminders(database)) == 1
    run(remind_of_samples, database, now=datetime(2026, 10, 1, tzinfo=UTC))
    first, _ = reminders(database)
    assert (first.severity, first.anchor) == ("should", ACME)
    assert "no sample since it was registered on 2026-05-31" in first.text
    assert "not by the BRs" in first.text
    draw_sample(
        database,
        ACME,
        public_value="x",
        population_end=datetime(2026, 10, 1, tzinfo=UTC),
        now=datetime(2026, 10, 2, tzinfo=UTC),
    )
    outcome = run(remind_of_samples, database, now=datetime(2027, 1, 2, tzinfo=UTC))
    assert outcome.detail == "no sample is due"
    run(remind_of_samples, database, now=datetime(2027, 1, 3, tzinfo=UTC))
    assert "no sample since 2026-10-02" in reminders(database)[-1].text


def test_only_a_constrained_subordinate_is_reminded_of_as_a_br_duty(database: Database) -> None:
    register(database, authority=CONSTRAINED_CA)
    run(remind_of_samples, database, now=NOW + timedelta(days=200))
    [one] = reminders(database)
    assert one.severity == "violation"
    assert "BR 8.7 obliges" in one.text


def test_without_subordinates_or_with_retired_ones_nothing_is_due(database: Database) -> None:
    assert run(remind_of_samples, database, now=NOW).state is JobState.SKIPPED
    register(database)
    with database.write() as session:
        row = session.get_one(SubordinateRow, ACME)
        row.retired_at = NOW
        session.add(row)
    run(remind_of_samples, database, now=NOW + timedelta(days=200))
    assert reminders(database) == []
