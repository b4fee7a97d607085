from dataclasses import replace
from datetime import date

import pytest

from subca_oversight.errors import ConfigurationError
from subca_oversight.evidence.subordinates import propose_subordinates
from subca_oversight.model.audit import CertificateRecord, RecordType, RevocationStatus
from subca_oversight.model.subordinate import Relation

AS_OF = date(2026, 1, 1)
ROOT = CertificateRecord(
    record_id="R",
    sha256="00" * 32,
    certificate_name="Root",
    ca_owner="Signer, Inc.",
    type=RecordType.ROOT,
    revocation=RevocationStatus.NOT_STATED,
)
SUBCA = CertificateRecord(
    record_id="S",
    sha256="11" * 32,
    certificate_name="Subordinate",
    ca_owner="Signer, Inc.",
    subordinate_ca_owner="Größe & Söhne GmbH",
    type=RecordType.INTERMEDIATE,
    revocation=RevocationStatus.NOT_REVOKED,
    parent_record_id="R",
    valid_to=date(2030, 1, 1),
    subject_key_id="a2V5",
)


def test_certificates_are_grouped_by_operator_whatever_the_spelling() -> None:
    other = replace(SUBCA, record_id="T", sha256="22" * 32, subordinate_ca_owner="grösse söhne")
    (proposal,) = propose_subordinates([ROOT, SUBCA, other], {}, "signer", AS_OF)
    assert proposal.name == "grosse-sohne"
    assert proposal.operator == "Größe & Söhne GmbH"
    assert proposal.relation is Relation.EXTERNALLY_OPERATED
    assert [record.sha256 for record in proposal.records] == ["11" * 32, "22" * 32]
    assert proposal.issuer_keys == ()


@pytest.mark.parametrize(
    "dead",
    [
        replace(SUBCA, valid_to=date(2025, 12, 31)),
        replace(SUBCA, revocation=RevocationStatus.REVOKED),
        replace(SUBCA, revocation=RevocationStatus.PARENT_REVOKED),
        replace(SUBCA, subordinate_ca_owner=""),
        replace(SUBCA, subordinate_ca_owner="SIGNER"),
        replace(SUBCA, ca_owner="Another"),
    ],
)
def test_what_is_dead_or_not_external_or_not_ours_is_not_proposed(dead: CertificateRecord) -> None:
    assert propose_subordinates([ROOT, dead], {}, "Signer", AS_OF) == []


def test_what_stands_below_a_revoked_ca_is_not_proposed() -> None:
    revoked = replace(ROOT, revocation=RevocationStatus.REVOKED)
    assert propose_subordinates([revoked, SUBCA], {}, "Signer", AS_OF) == []


def test_a_key_that_is_the_operators_own_root_is_cross_signed() -> None:
    theirs = replace(
        ROOT,
        record_id="X",
        sha256="44" * 32,
        ca_owner="Größe & Söhne",
        subject_key_id="a2V5",
    )
    operated = replace(SUBCA, record_id="T", sha256="22" * 32, subject_key_id="b3RoZXI=")
    records = [ROOT, SUBCA, operated, theirs]
    proposals = propose_subordinates(records, {}, "Signer", AS_OF)
    assert [(proposal.name, proposal.relation) for proposal in proposals] == [
        ("grosse-sohne", Relation.CROSS_SIGNED),
        ("grosse-sohne-22222222", Relation.EXTERNALLY_OPERATED),
    ]


def test_a_name_without_latin_letters_still_gets_a_slug() -> None:
    record = replace(SUBCA, subordinate_ca_owner="行政院")
    (proposal,) = propose_subordinates([ROOT, record], {}, "Signer", AS_OF)
    assert proposal.name == "subordinate-11111111"


def test_an_unknown_owner_is_an_error_that_names_near_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"did you mean 'Signer, Inc\.'"):
        propose_subordinates([ROOT], {}, "Sinner", AS_OF)
    with pytest.raises(ConfigurationError, match=r"no record has the CA Owner 'zzz'$"):
        propose_subordinates([ROOT], {}, "zzz", AS_OF)
