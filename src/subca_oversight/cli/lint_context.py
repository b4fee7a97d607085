"""What is known around a certificate file: who issued it, and which subordinate it belongs to.

Some rules can only be judged in context: a CA certificate by its relation to the signing CA, a
leaf by the validity of the CA that issued it. Context that the certificate's own signature does not
bear out is not used, and said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from subca_oversight.check.api import AuthorityFacts, Subject
from subca_oversight.check.execution import unit_of
from subca_oversight.check.lint.api import LintProfile
from subca_oversight.check.lint.profiles import choose_profile
from subca_oversight.cli.certificate_files import load_certificate_file
from subca_oversight.errors import ConfigurationError
from subca_oversight.evidence.constraints import read_constraints
from subca_oversight.evidence.issuance import issuance_evidence
from subca_oversight.evidence.x509 import parse_certificate
from subca_oversight.model.certificate import AuthoritySpan, CertificateFacts
from subca_oversight.settings import Settings, SubordinateSettings


@dataclass(frozen=True, slots=True)
class LintContext:
    """What the command line says of every file."""

    issuers: tuple[CertificateFacts, ...] = ()
    """CA certificates that may have issued the files."""
    subordinate: SubordinateSettings | None = None
    own_certificates: frozenset[str] = frozenset()
    """SHA-256 of the subordinate's own CA certificates."""
    logged_at: datetime | None = None
    as_of: datetime | None = None

    def place(self, certificate: bytes) -> PlacedCertificate:
        """Put a certificate in its context."""
        facts = parse_certificate(certificate)
        issuers = [
            issuer
            for issuer in self.issuers
            if issuer.subject_name is not None
            and issuer.subject_name == facts.issuer_name
            and is_signed_by(certificate, issuer)
        ]
        notes: tuple[str, ...] = ()
        if len(issuers) > 0:
            facts = replace(facts, issuer_key_sha256=_key_hash(issuers[0]))
        elif len(self.issuers) > 0 and not self._is_own(facts):
            notes = ("none of the issuers given signed it: judged without an issuer",)
        facts = replace(facts, issued=issuance_evidence(facts, self.logged_at))
        return PlacedCertificate(facts, self._subject(facts, issuers), self._profile(facts), notes)

    def _is_own(self, facts: CertificateFacts) -> bool:
        return facts.sha256 in self.own_certificates

    def _subject(self, facts: CertificateFacts, issuers: Iterable[CertificateFacts]) -> Subject:
        if self.subordinate is not None and self.as_of is not None and self._is_own(facts):
            key_hash = _key_hash(facts)
            return AuthorityFacts(
                anchor=facts.sha256 if key_hash is None else key_hash,
                subordinate=self.subordinate.name,
                relation=self.subordinate.relation,
                certificate=facts,
                as_of=self.as_of,
            )
        spans = tuple(
            AuthoritySpan(issuer.sha256, issuer.not_before, issuer.not_after)
            for issuer in issuers
            if issuer.not_before is not None and issuer.not_after is not None
        )
        return replace(unit_of(facts), issuer_validity=spans)

    def _profile(self, facts: CertificateFacts) -> LintProfile:
        relation = None
        if self.subordinate is not None and self._is_own(facts):
            relation = self.subordinate.relation
        constrained = read_constraints(facts.der).br_constrained if facts.is_ca else None
        self_signed = is_signed_by(facts.der, facts) if facts.is_self_issued else None
        return choose_profile(
            facts, relation=relation, constrained=constrained, self_signed=self_signed
        )


@dataclass(frozen=True, slots=True)
class PlacedCertificate:
    """A certificate with what its context says of it."""

    facts: CertificateFacts
    subject: Subject
    """What own checks look at."""
    profile: LintProfile
    """What linters take it for."""
    notes: tuple[str, ...]
    """What of the context could not be used."""


def load_context(
    issuer_files: Iterable[Path],
    *,
    settings: Settings | None,
    subordinate: str | None,
    logged_at: datetime | None,
    as_of: datetime,
) -> LintContext:
    """Read the context's files. Raises ConfigurationError for one that cannot be used."""
    issuers = [
        parse_certificate(der) for path in issuer_files for der in load_certificate_file(path)
    ]
    entry = None
    own: list[CertificateFacts] = []
    if settings is not None and subordinate is not None:
        entry = _find_subordinate(settings, subordinate)
        own = [
            parse_certificate(der)
            for path in entry.certificates
            for der in load_certificate_file(path)
        ]
    return LintContext(
        issuers=(*issuers, *own),
        subordinate=entry,
        own_certificates=frozenset(facts.sha256 for facts in own),
        logged_at=logged_at,
        as_of=as_of,
    )


def is_signed_by(certificate: bytes, issuer: CertificateFacts) -> bool:
    """Whether the issuer's key verifies the certificate's signature; False if it cannot be told."""
    try:
        x509.load_der_x509_certificate(certificate).verify_directly_issued_by(
            x509.load_der_x509_certificate(issuer.der)
        )
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _find_subordinate(settings: Settings, name: str) -> SubordinateSettings:
    for entry in settings.subordinate:
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in settings.subordinate) or "none"
    raise ConfigurationError(f"no subordinate is named {name!r}; configured: {known}")


def _key_hash(facts: CertificateFacts) -> str | None:
    return None if facts.spki is None else hashlib.sha256(facts.spki).hexdigest()
