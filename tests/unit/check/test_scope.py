from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.check import (
    Breach,
    CannotJudge,
    CertificateFacts,
    CertificateKind,
    IssuanceEvidence,
    Severity,
    dated,
    instant,
    is_tls_authority,
    is_tls_subscriber,
    issuance_window,
    verify_readable,
)
from subca_oversight.evidence.issuance import issuance_evidence

SERVER, CLIENT, EMAIL, OCSP = (f"1.3.6.1.5.5.7.3.{arc}" for arc in (1, 2, 4, 9))
ANY = "2.5.29.37.0"
SIGNED = datetime(2026, 6, 1, tzinfo=UTC)
CERTIFICATE = CertificateFacts(
    der=b"", sha256="00" * 32, kind=CertificateKind.FINAL, not_before=SIGNED
)
BREACH = Breach("broken")
moments = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"eku_oids": (SERVER,)}, True),
        ({"eku_oids": (CLIENT, SERVER)}, True),
        ({"eku_oids": (SERVER,), "is_ca": True}, False),
        ({"eku_oids": (CLIENT,), "dns_names": ("a.example",)}, False),
        ({"eku_oids": (EMAIL,), "dns_names": ("a.example",)}, False),
        ({"eku_oids": (OCSP,)}, False),
        ({"eku_oids": (ANY,), "email_addresses": ("a@example.com",)}, False),
        ({"eku_oids": (ANY,), "dns_names": ("a.example",)}, True),
        ({"eku_oids": None, "ip_addresses": ("192.0.2.1",)}, True),
        ({"eku_oids": None, "policy_oids": ("2.23.140.1.2.1",)}, True),
        ({"eku_oids": None, "policy_oids": ("2.23.140.1.5.1.1",)}, False),
        ({"eku_oids": (), "dns_names": ("a.example",)}, False),
    ],
)
def test_a_tls_certificate_is_one_that_can_authenticate_a_server(
    facts: dict[str, object], expected: bool
) -> None:
    assert is_tls_subscriber(replace(CERTIFICATE, **facts)) is expected  # type: ignore[arg-type] # a table of fields


def test_a_tls_authority_is_a_ca_not_restricted_to_other_purposes() -> None:
    authority = replace(CERTIFICATE, is_ca=True)
    assert is_tls_authority(authority)
    assert is_tls_authority(replace(authority, eku_oids=(SERVER, EMAIL)))
    assert not is_tls_authority(replace(authority, eku_oids=(EMAIL,)))
    assert not is_tls_authority(CERTIFICATE)


@pytest.mark.parametrize("field", ["is_ca", "eku_oids", "extensions", "certificate"])
def test_purposes_that_cannot_be_read_are_not_guessed(field: str) -> None:
    facts = replace(CERTIFICATE, eku_oids=(SERVER,), field_errors=((field, "cut off"),))
    with pytest.raises(CannotJudge, match=f"{field} could not be read: cut off"):
        is_tls_subscriber(facts)


def test_what_the_second_reader_alone_refuses_has_been_read() -> None:
    facts = replace(CERTIFICATE, field_errors=(("extensions", "cryptography refuses it: x"),))
    verify_readable(facts, "eku_oids")


def test_an_error_in_another_field_is_no_obstacle() -> None:
    verify_readable(replace(CERTIFICATE, field_errors=(("crl_urls", "cut off"),)), "dns_names")


@given(not_before=moments, logged=st.none() | moments, scts=st.lists(moments, max_size=3))
def test_the_window_is_never_empty_and_holds_every_proof(
    not_before: datetime, logged: datetime | None, scts: list[datetime]
) -> None:
    facts = replace(CERTIFICATE, not_before=not_before, sct_timestamps=tuple(scts))
    first, last = issuance_window(replace(facts, issued=issuance_evidence(facts, logged)))
    assert first <= last
    if logged is not None:
        assert last == logged or last in scts
        if not_before - logged > timedelta(hours=48):
            assert first == datetime.min.replace(tzinfo=UTC)
    elif len(scts) == 0:
        assert (first, last) == (
            not_before - timedelta(hours=48),
            not_before + timedelta(hours=48),
        )


def test_a_certificate_without_notbefore_has_no_window() -> None:
    with pytest.raises(CannotJudge, match="notBefore is not known"):
        issuance_window(replace(CERTIFICATE, not_before=None))


@given(first=moments, span=st.timedeltas(timedelta(0), timedelta(days=9)), since=moments)
def test_a_dated_rule_is_broken_only_if_it_is_at_every_instant(
    first: datetime, span: timedelta, since: datetime
) -> None:
    last = first + span
    facts = replace(
        CERTIFICATE,
        not_before=min(first + timedelta(hours=1), last),
        issued=IssuanceEvidence(first, last),
    )
    found = dated(facts, since, BREACH)
    if since <= first:
        assert found == (BREACH,)
    elif since > last:
        assert found == ()
    else:
        (notice,) = found
        assert notice.severity is Severity.NOTICE
        assert notice.key == "issuance_date_uncertain"
        assert instant(since) in notice.message


def test_instants_are_told_in_utc() -> None:
    local = datetime.fromisoformat("2026-06-01T02:00:00+02:00")
    assert instant(local) == "2026-06-01T00:00:00Z"
