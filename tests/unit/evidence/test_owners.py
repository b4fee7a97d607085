import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.evidence.owners import is_external, is_same_owner, normalize_owner
from subca_oversight.model.audit import CertificateRecord, RecordType, RevocationStatus


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Microsec Ltd.", "Microsec"),
        ("KPN b.v.", "KPN B.V."),
        ("DigiCert, Inc.", "Digicert"),
        ("Sectigo Limited", " sectigo "),
        ("TRUST ITALIA S.p.A.", "Trust Italia SpA"),
        ("Krajowa Izba Rozliczeniowa S.A.", "Krajowa Izba Rozliczeniowa"),
        ("Asseco Data Systems Sp. z o.o.", "Asseco Data Systems"),
        ("MSC Trustgate.com Sdn. Bhd.", "MSC Trustgate.com"),
        ("LAW Trusted Third Party (Pty) Ltd", "LAW Trusted Third Party"),
        ("I.CA a.s.", "I.CA"),
        ("D-TRUST GmbH", "D-Trust"),
        ("Cybertrust Japan Co., Ltd.", "CYBERTRUST JAPAN"),
        ("Ministry\nof Health", "Ministry of Health"),
    ],
)
def test_spellings_of_one_organization_are_equal(one: str, other: str) -> None:
    assert is_same_owner(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Sectigo", "Sectigo (Europe) SL"),
        ("DigiCert", "DigiCert Europe Netherlands B.V."),
        ("SA", "SE"),
        ("Ltd.", "Limited"),
        ("IdenTrust", "IdenTrust Commercial Root CA 1"),
        ("行政院", "內政部"),
    ],
)
def test_different_organizations_stay_different(one: str, other: str) -> None:
    assert not is_same_owner(one, other)


@given(st.text(max_size=60))
def test_normalizing_twice_changes_nothing_and_a_name_never_vanishes(name: str) -> None:
    normalized = normalize_owner(name)
    assert normalize_owner(normalized) == normalized
    assert (len(normalized) == 0) == (len(name.split()) == 0)


@pytest.mark.parametrize(
    ("owner", "external"),
    [("", False), ("Root Operator, Inc.", False), ("root operator", False), ("Other", True)],
)
def test_external_needs_another_owner(owner: str, *, external: bool) -> None:
    record = CertificateRecord(
        record_id="A1",
        sha256="00" * 32,
        certificate_name="CA",
        ca_owner="Root Operator",
        type=RecordType.INTERMEDIATE,
        revocation=RevocationStatus.NOT_REVOKED,
        subordinate_ca_owner=owner,
    )
    assert is_external(record) is external
