"""Which profile a certificate is linted against.

pkilint's own detection takes every leaf without a reserved policy for a DV TLS certificate, every
self-issued certificate for a root, and never sees that a subordinate CA is external or a
cross-certificate. Linting against the wrong profile accuses the innocent, so the family is chosen
by purpose first, and the type is stated wherever detection is known to be wrong.
(TLS BR 7.1.2; MRSP 1.1 on the scope of certificates without extendedKeyUsage.)
"""

from __future__ import annotations

from subca_oversight.check.lint.api import LintFamily, LintProfile, LintRequest
from subca_oversight.model.certificate import CertificateFacts
from subca_oversight.model.subordinate import Relation

SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4"
OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"
ANY_EKU = "2.5.29.37.0"
PRECERT_SIGNING = "1.3.6.1.4.1.11129.2.4.4"
NAME_CONSTRAINTS = "2.5.29.30"
CT_POISON = "1.3.6.1.4.1.11129.2.4.3"
SCT_LIST = "1.3.6.1.4.1.11129.2.4.2"

SMIME_POLICY_ARC = "2.23.140.1.5."
EV_POLICY = "2.23.140.1.1"
# The order is pkilint's: the first of these that a leaf asserts names its type.
TLS_POLICIES = {
    EV_POLICY: "EV",
    "2.23.140.1.2.3": "IV",
    "2.23.140.1.2.2": "OV",
    "2.23.140.1.2.1": "DV",
}

SERVERAUTH_TYPES = (
    "ROOT-CA",
    "INTERNAL-CROSS-CA",
    "EXTERNAL-CROSS-CA",
    "INTERNAL-SUBSCRIBER-ISSUING-CROSS-CA",
    "EXTERNAL-SUBSCRIBER-ISSUING-CROSS-CA",
    "NON-TLS-CA",
    "PRECERT-SIGNING-CA",
    "INTERNAL-UNCONSTRAINED-TLS-CA",
    "INTERNAL-CONSTRAINED-TLS-CA",
    "EXTERNAL-UNCONSTRAINED-TLS-CA",
    "EXTERNAL-UNCONSTRAINED-EV-TLS-CA",
    "EXTERNAL-CONSTRAINED-TLS-CA",
    "EXTERNAL-CONSTRAINED-EV-TLS-CA",
    "DV-FINAL-CERTIFICATE",
    "IV-FINAL-CERTIFICATE",
    "OV-FINAL-CERTIFICATE",
    "EV-FINAL-CERTIFICATE",
    "OCSP-RESPONDER",
    "DV-PRE-CERTIFICATE",
    "IV-PRE-CERTIFICATE",
    "OV-PRE-CERTIFICATE",
    "EV-PRE-CERTIFICATE",
)
SMIME_TYPES = tuple(
    f"{level}-{generation}"
    for level in ("MAILBOX", "ORGANIZATION", "SPONSORED", "INDIVIDUAL")
    for generation in ("LEGACY", "MULTIPURPOSE", "STRICT")
)
_TYPES = {
    LintFamily.SERVERAUTH: SERVERAUTH_TYPES,
    LintFamily.SMIME: SMIME_TYPES,
    LintFamily.PKIX: (),
}


def parse_profile(text: str) -> LintProfile:
    """Read ``family`` or ``family:TYPE``; raises ValueError naming what would be accepted."""
    word, _, type_word = text.partition(":")
    try:
        family = LintFamily(word.lower())
    except ValueError:
        raise ValueError(f"unknown profile {word!r}: one of {', '.join(LintFamily)}") from None
    if len(type_word) == 0:
        return LintProfile(family)
    type_option = type_word.upper().replace("_", "-")
    if type_option not in _TYPES[family]:
        accepted = ", ".join(_TYPES[family]) or "none"
        raise ValueError(f"unknown type {type_word!r} of {family.value}: one of {accepted}")
    return LintProfile(family, type_option)


def lint_request(facts: CertificateFacts, profile: LintProfile) -> LintRequest:
    """Make the request for a certificate, dated rules by evidence (DESIGN section 7).

    A linter takes one date: the later of notBefore and the latest embedded SCT, since a certificate
    cannot have been signed before its SCTs were given. Without either, the linter's own default.
    """
    dates = [*facts.sct_timestamps, *([] if facts.not_before is None else [facts.not_before])]
    return LintRequest(facts.sha256, facts.der, profile, max(dates, default=None))


def choose_profile(
    facts: CertificateFacts,
    *,
    relation: Relation | None = None,
    constrained: bool | None = None,
    issues_to_subscribers: bool = False,
    self_signed: bool | None = None,
) -> LintProfile:
    """Choose what to lint a certificate as.

    ``relation`` is given for a subordinate's own CA certificates, those the signing CA signed, and
    for nothing below them. ``constrained`` tells whether its name constraints are meant as those of
    BR 7.1.2.5; None takes any nameConstraints for that, as pkilint does. ``issues_to_subscribers``
    tells a cross-certificate for an issuing key from one for a root key. ``self_signed`` is whether
    the certificate's own key verifies it, where that is known.
    """
    if facts.is_ca:
        return LintProfile(
            LintFamily.SERVERAUTH,
            _authority_type(
                facts,
                relation=relation,
                constrained=constrained,
                issues_to_subscribers=issues_to_subscribers,
                self_signed=self_signed,
            ),
        )
    return _leaf_profile(facts)


def _leaf_profile(facts: CertificateFacts) -> LintProfile:
    purposes = frozenset(facts.eku_oids or ())
    if SERVER_AUTH in purposes:
        return LintProfile(LintFamily.SERVERAUTH, _subscriber_type(facts))
    if OCSP_SIGNING in purposes:
        return LintProfile(LintFamily.SERVERAUTH, "OCSP-RESPONDER")
    if EMAIL_PROTECTION in purposes:
        return LintProfile(LintFamily.SMIME)
    # Without extendedKeyUsage, or with any purpose, a leaf can serve TLS and S/MIME both; what its
    # policies and names say tells what it is for. An extension that could not be read is the same.
    if len(purposes) == 0 or ANY_EKU in purposes:
        if _looks_like_tls(facts):
            return LintProfile(LintFamily.SERVERAUTH, _subscriber_type(facts))
        if _looks_like_smime(facts):
            return LintProfile(LintFamily.SMIME)
    return LintProfile(LintFamily.PKIX)


def _looks_like_tls(facts: CertificateFacts) -> bool:
    return (
        any(oid in TLS_POLICIES for oid in facts.policy_oids)
        or CT_POISON in facts.extension_oids
        or SCT_LIST in facts.extension_oids
        or len(facts.dns_names) > 0
        or len(facts.ip_addresses) > 0
    )


def _looks_like_smime(facts: CertificateFacts) -> bool:
    return len(facts.email_addresses) > 0 or any(
        oid.startswith(SMIME_POLICY_ARC) for oid in facts.policy_oids
    )


def _subscriber_type(facts: CertificateFacts) -> str:
    """Stated in full, since detection takes a self-issued leaf for a root."""
    level = next((word for oid, word in TLS_POLICIES.items() if oid in facts.policy_oids), "DV")
    stage = "PRE" if CT_POISON in facts.extension_oids else "FINAL"
    return f"{level}-{stage}-CERTIFICATE"


def _authority_type(
    facts: CertificateFacts,
    *,
    relation: Relation | None,
    constrained: bool | None,
    issues_to_subscribers: bool,
    self_signed: bool | None,
) -> str | None:
    purposes = frozenset(facts.eku_oids or ())
    if PRECERT_SIGNING in purposes:
        return "PRECERT-SIGNING-CA"
    # A CA that cannot issue for TLS answers to BR 7.1.2.3 whoever operates it: the profiles of
    # external and cross-certified CAs would demand serverAuth of it.
    if len(purposes) > 0 and SERVER_AUTH not in purposes and ANY_EKU not in purposes:
        return "NON-TLS-CA"
    if relation is None:
        if facts.is_self_issued and self_signed is False:
            return "INTERNAL-CROSS-CA"
        return None
    if constrained is None:
        constrained = NAME_CONSTRAINTS in facts.extension_oids
    # A constrained cross-certificate goes by BR 7.1.2.5, for 7.1.2.2 only MAY be used, and pkilint
    # reads it as forbidding name constraints.
    if not constrained and (relation is Relation.CROSS_SIGNED or facts.is_self_issued):
        scope = "SUBSCRIBER-ISSUING-CROSS" if issues_to_subscribers else "CROSS"
        return f"EXTERNAL-{scope}-CA"
    scope = "CONSTRAINED" if constrained else "UNCONSTRAINED"
    level = "EV-TLS" if EV_POLICY in facts.policy_oids else "TLS"
    return f"EXTERNAL-{scope}-{level}-CA"
