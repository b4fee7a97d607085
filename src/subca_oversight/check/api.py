"""The check API: what a check file imports, and all that it needs.

A check is one generator function in one file. The annotation of its first parameter names the kind
of subject it looks at, its docstring is the help page, and its decorator carries what the register
prints. It yields a :class:`Breach` for everything wrong, yields nothing where all is well, and
raises :class:`CannotJudge` where the facts it needs are missing: silence means "looked, found
nothing", never "did not look".
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from subca_oversight.model.audit import AuditFreshness
from subca_oversight.model.certificate import CertificateFacts, UnitFacts
from subca_oversight.model.finding import EvidenceItem, Outcome, Revocation, Severity, SubjectKind
from subca_oversight.model.subordinate import Relation


class CannotJudge(Exception):  # noqa: N818 - an outcome, not a failure of this program
    """A check lacks a fact it needs; its text says which."""


@dataclass(frozen=True, slots=True)
class Breach:
    """One thing wrong with a subject. Fields left None take the check's own."""

    message: str
    """One sentence with the observed value and the limit, in UTC where it names an instant."""
    key: str = ""
    """Tells several breaches of one check on one subject apart; part of the finding's identity."""
    severity: Severity | None = None
    requirement: str | None = None
    revocation: Revocation | None = None
    evidence: tuple[EvidenceItem, ...] = ()


@dataclass(frozen=True, slots=True)
class AuthorityRecord:
    """Where a CA certificate was met with, and who has named it."""

    first_seen: datetime
    """When it became known here."""
    first_logged: datetime | None = None
    """Earliest log entry that was read; None where it was only seen in chains or exports."""
    is_configured: bool = False
    is_disclosed: bool | None = None
    """Whether the last CCADB export names it; None where no export was imported."""
    is_issuer_disclosed: bool | None = None
    """Whether that export names a certificate of the key that signed it; None where unknown."""
    export_of: datetime | None = None
    """When that export was last seen to be the current one."""


@dataclass(frozen=True, slots=True)
class CrossCertificate:
    """A certificate of a subordinate's key that no watched key signed."""

    certificate: CertificateFacts
    record: AuthorityRecord


@dataclass(frozen=True, slots=True)
class AuthorityFacts:
    """A CA certificate of a subordinate, on a day."""

    anchor: str
    subordinate: str
    relation: Relation
    certificate: CertificateFacts
    as_of: datetime
    record: AuthorityRecord | None = None
    cross_certificates: tuple[CrossCertificate, ...] | None = None
    """Of the same key, each at one of the key's configured certificates only."""


@dataclass(frozen=True, slots=True)
class AuditFacts:
    """What CCADB says of the audits and documents of one CA certificate of a subordinate."""

    anchor: str
    subordinate: str
    relation: Relation
    freshness: AuditFreshness
    as_of: datetime


Subject = CertificateFacts | UnitFacts | AuthorityFacts | AuditFacts
SUBJECT_TYPES: tuple[type[Subject], ...] = (
    CertificateFacts,
    UnitFacts,
    AuthorityFacts,
    AuditFacts,
)
CheckFunction = Callable[[typing.Any], Iterator[Breach]]
Fact = typing.TypeVar("Fact")


@dataclass(frozen=True, slots=True)
class Check:
    """A registered check."""

    id: str
    subject: type[Subject]
    severity: Severity
    requirement: str
    revocation: Revocation
    covers: tuple[str, ...]
    version: int
    """Raised whenever the check may judge differently: its subjects are then looked at again."""
    title: str
    documentation: str
    function: CheckFunction
    family: str = ""
    """Name of the folder the file lies in; the registry fills it in."""


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What one check said of one subject."""

    check: str
    subject_kind: SubjectKind
    subject: str
    """Unit id, certificate SHA-256 or anchor."""
    certificate: str | None
    """SHA-256 of the certificate looked at, where the subject is one of a unit's certificates."""
    outcome: Outcome
    breaches: tuple[Breach, ...] = ()
    reason: str = ""
    """Why it could not run. On a breach: why it may not have seen everything, so that only the
    breaches named here are known, and nothing else may be taken for mended."""


def known(value: Fact | None, name: str) -> Fact:
    """Return a fact, or raise CannotJudge naming it where it is missing."""
    if value is None:
        raise CannotJudge(f"{name} is not known")
    return value


def check(
    *,
    id: str,  # noqa: A002 - the word the register and the files use
    severity: Severity,
    requirement: str,
    revocation: Revocation | str = Revocation.NONE,
    covers: tuple[str, ...] = (),
    version: int = 1,
) -> Callable[[CheckFunction], Check]:
    """Declare the decorated generator function a check.

    Raises TypeError where the function's first parameter is not annotated with a kind of subject,
    or where it has no docstring and its module has none either.
    """

    def declare(function: CheckFunction) -> Check:
        subject = _subject_type(function)
        text = inspect.getdoc(function) or inspect.getdoc(inspect.getmodule(function)) or ""
        module_text = function.__globals__.get("__doc__") or ""
        documentation = inspect.cleandoc(module_text) if len(module_text) > 0 else text
        if len(documentation) == 0:
            raise TypeError(f"check {id} has no docstring")
        return Check(
            id=id,
            subject=subject,
            severity=severity,
            requirement=requirement,
            revocation=Revocation(revocation),
            covers=covers,
            version=version,
            title=documentation.splitlines()[0].rstrip("."),
            documentation=documentation,
            function=function,
        )

    return declare


def _subject_type(function: CheckFunction) -> type[Subject]:
    parameters = list(inspect.signature(function).parameters)
    hints = typing.get_type_hints(function)
    if len(parameters) != 1 or hints.get(parameters[0]) not in SUBJECT_TYPES:
        names = ", ".join(kind.__name__ for kind in SUBJECT_TYPES)
        raise TypeError(f"{function.__name__}: annotate its one parameter with one of {names}")
    return typing.cast("type[Subject]", hints[parameters[0]])
