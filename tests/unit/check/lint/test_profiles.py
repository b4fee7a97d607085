"""A certificate is linted as what it is for, and as what its CA stands to the signing CA."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.check.lint import profiles
from subca_oversight.check.lint.api import LintFamily, LintProfile
from subca_oversight.check.lint.profiles import choose_profile, lint_request, parse_profile
from subca_oversight.model.certificate import CertificateFacts, CertificateKind
from subca_oversight.model.subordinate import Relation

CLIENT_AUTH = "1.3.6.1.5.5.7.3.2"
CODE_SIGNING = "1.3.6.1.5.5.7.3.3"
OV_POLICY = "2.23.140.1.2.2"
SMIME_POLICY = "2.23.140.1.5.1.3"
OWN_POLICY = "1.3.6.1.4.1.99999.1"

LEAF = CertificateFacts(der=b"", sha256="00" * 32, kind=CertificateKind.FINAL)
TLS_LEAF = dataclasses.replace(LEAF, eku_oids=(profiles.SERVER_AUTH,), dns_names=("a.example",))
CA = dataclasses.replace(LEAF, is_ca=True, eku_oids=(profiles.SERVER_AUTH, CLIENT_AUTH))


def chosen(facts: CertificateFacts, relation: Relation | None = None) -> str:
    return str(choose_profile(facts, relation=relation))


def test_tls_leaves_are_linted_as_the_reserved_policy_says() -> None:
    for policy, level in profiles.TLS_POLICIES.items():
        facts = dataclasses.replace(TLS_LEAF, policy_oids=(OWN_POLICY, policy))
        assert chosen(facts) == f"serverauth:{level}-FINAL-CERTIFICATE"
    assert chosen(TLS_LEAF) == "serverauth:DV-FINAL-CERTIFICATE"


def test_a_poisoned_leaf_is_linted_as_a_precertificate() -> None:
    facts = dataclasses.replace(
        TLS_LEAF, policy_oids=(OV_POLICY,), extension_oids=(profiles.CT_POISON,)
    )
    assert chosen(facts) == "serverauth:OV-PRE-CERTIFICATE"


@pytest.mark.parametrize("purposes", [(CLIENT_AUTH,), (CODE_SIGNING,), (CLIENT_AUTH, CODE_SIGNING)])
def test_a_leaf_that_is_not_for_servers_is_never_linted_as_tls(purposes: tuple[str, ...]) -> None:
    facts = dataclasses.replace(
        TLS_LEAF, eku_oids=purposes, policy_oids=(OV_POLICY,), email_addresses=("a@b.example",)
    )
    assert chosen(facts) == "pkix"


def test_mail_leaves_are_linted_as_smime() -> None:
    facts = dataclasses.replace(LEAF, eku_oids=(profiles.EMAIL_PROTECTION, CLIENT_AUTH))
    assert chosen(facts) == "smime"


@pytest.mark.parametrize("purposes", [None, (), (profiles.ANY_EKU,)])
def test_without_stated_purpose_policies_and_names_decide(
    purposes: tuple[str, ...] | None,
) -> None:
    facts = dataclasses.replace(LEAF, eku_oids=purposes)
    assert chosen(facts) == "pkix"
    named = dataclasses.replace(facts, email_addresses=("a@b.example",))
    assert chosen(named) == "smime"
    assert chosen(dataclasses.replace(facts, policy_oids=(SMIME_POLICY,))) == "smime"
    for tls in (
        dataclasses.replace(facts, dns_names=("a.example",)),
        dataclasses.replace(facts, ip_addresses=("192.0.2.1",)),
        dataclasses.replace(facts, policy_oids=("2.23.140.1.2.1",)),
        dataclasses.replace(facts, extension_oids=(profiles.SCT_LIST,)),
    ):
        assert chosen(tls) == "serverauth:DV-FINAL-CERTIFICATE"


def test_a_self_issued_leaf_is_not_taken_for_a_root() -> None:
    facts = dataclasses.replace(TLS_LEAF, is_self_issued=True)
    assert chosen(facts) == "serverauth:DV-FINAL-CERTIFICATE"


def test_ocsp_responders_are_linted_as_such() -> None:
    facts = dataclasses.replace(LEAF, eku_oids=(profiles.OCSP_SIGNING,))
    assert chosen(facts) == "serverauth:OCSP-RESPONDER"


@pytest.mark.parametrize("relation", [Relation.EXTERNALLY_OPERATED, Relation.ON_PREMISES])
def test_external_subordinates_are_linted_as_external(relation: Relation) -> None:
    constrained = dataclasses.replace(CA, extension_oids=(profiles.NAME_CONSTRAINTS,))
    ev = dataclasses.replace(CA, policy_oids=(profiles.EV_POLICY,))
    assert chosen(CA, relation) == "serverauth:EXTERNAL-UNCONSTRAINED-TLS-CA"
    assert chosen(constrained, relation) == "serverauth:EXTERNAL-CONSTRAINED-TLS-CA"
    assert chosen(ev, relation) == "serverauth:EXTERNAL-UNCONSTRAINED-EV-TLS-CA"


def test_name_constraints_that_constrain_nothing_can_be_stated() -> None:
    facts = dataclasses.replace(CA, extension_oids=(profiles.NAME_CONSTRAINTS,))
    profile = choose_profile(facts, relation=Relation.EXTERNALLY_OPERATED, constrained=False)
    assert profile.type == "EXTERNAL-UNCONSTRAINED-TLS-CA"


def test_cross_certificates_are_linted_as_such() -> None:
    assert chosen(CA, Relation.CROSS_SIGNED) == "serverauth:EXTERNAL-CROSS-CA"
    issuing = choose_profile(CA, relation=Relation.CROSS_SIGNED, issues_to_subscribers=True)
    assert issuing.type == "EXTERNAL-SUBSCRIBER-ISSUING-CROSS-CA"


def test_a_self_issued_certificate_of_a_subordinate_is_no_root() -> None:
    facts = dataclasses.replace(CA, is_self_issued=True)
    for relation in Relation:
        assert chosen(facts, relation) == "serverauth:EXTERNAL-CROSS-CA"
    rollover = choose_profile(facts, self_signed=False)
    assert rollover.type == "INTERNAL-CROSS-CA"
    assert choose_profile(facts).type is None


@pytest.mark.parametrize("relation", [None, *Relation])
def test_a_ca_that_cannot_issue_for_tls_is_linted_as_non_tls(relation: Relation | None) -> None:
    facts = dataclasses.replace(CA, eku_oids=(profiles.EMAIL_PROTECTION,))
    assert chosen(facts, relation) == "serverauth:NON-TLS-CA"


def test_a_ca_below_the_subordinate_is_left_to_detection() -> None:
    assert choose_profile(CA) == LintProfile(LintFamily.SERVERAUTH)


def test_a_certificate_that_could_not_be_read_is_still_linted() -> None:
    facts = dataclasses.replace(LEAF, field_errors=(("certificate", "not DER"),))
    assert choose_profile(facts) == LintProfile(LintFamily.PKIX)


@given(
    st.sampled_from([None, *Relation]),
    st.sampled_from([None, True, False]),
    st.booleans(),
    st.sets(
        st.sampled_from(
            [
                profiles.SERVER_AUTH,
                profiles.EMAIL_PROTECTION,
                profiles.OCSP_SIGNING,
                profiles.ANY_EKU,
                profiles.PRECERT_SIGNING,
                CODE_SIGNING,
            ]
        )
    ),
    st.sets(st.sampled_from([*profiles.TLS_POLICIES, SMIME_POLICY, OWN_POLICY])),
    st.sets(st.sampled_from([profiles.NAME_CONSTRAINTS, profiles.CT_POISON])),
    st.booleans(),
    st.booleans(),
)
def test_every_choice_is_a_profile_that_can_be_typed(
    relation: Relation | None,
    known: bool | None,
    issues_to_subscribers: bool,
    purposes: set[str],
    policies: set[str],
    extensions: set[str],
    is_ca: bool,
    is_self_issued: bool,
) -> None:
    facts = dataclasses.replace(
        LEAF,
        eku_oids=tuple(purposes),
        policy_oids=tuple(policies),
        extension_oids=tuple(extensions),
        is_ca=is_ca,
        is_self_issued=is_self_issued,
    )
    profile = choose_profile(
        facts,
        relation=relation,
        constrained=known,
        issues_to_subscribers=issues_to_subscribers,
        self_signed=known,
    )
    assert parse_profile(str(profile)) == profile


def test_linters_are_given_the_later_of_not_before_and_the_latest_sct() -> None:
    profile = LintProfile(LintFamily.PKIX)
    early, late = datetime(2026, 3, 14, tzinfo=UTC), datetime(2026, 3, 16, tzinfo=UTC)
    for not_before, scts, expected in (
        (early, (), early),
        (early, (late, early), late),
        (late, (early,), late),
        (None, (early, late), late),
        (None, (), None),
    ):
        facts = dataclasses.replace(LEAF, not_before=not_before, sct_timestamps=scts)
        assert lint_request(facts, profile).issued_at == expected


def test_profiles_are_read_as_typed() -> None:
    assert parse_profile("pkix") == LintProfile(LintFamily.PKIX)
    assert parse_profile("ServerAuth:ev_final_certificate") == LintProfile(
        LintFamily.SERVERAUTH, "EV-FINAL-CERTIFICATE"
    )


@pytest.mark.parametrize("text", ["", "tls", "pkix:ROOT-CA", "serverauth:ROOT", "smime:MAILBOX"])
def test_a_profile_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"unknown (profile|type)"):
        parse_profile(text)
