"""One subject under its checks: three outcomes, and none ever lost.

A check that fails says nothing of its subject: whatever goes wrong in it becomes *could not run*
with the reason, never *clear* (DESIGN section 2). A unit's precertificates and finals are one
certificate to the rules, so that a breach in both is one breach of the unit (RSP 5.4).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from subca_oversight.check.api import (
    AuditFacts,
    AuthorityFacts,
    Breach,
    CannotJudge,
    Check,
    CheckOutcome,
    Subject,
)
from subca_oversight.check.registry import Registry
from subca_oversight.evidence.issuance import unit_id
from subca_oversight.model.certificate import CertificateFacts, CertificateKind, UnitFacts
from subca_oversight.model.finding import EvidenceItem, Outcome, Severity, SubjectKind

_MOST_SEVERE_FIRST = tuple(Severity)
_REASON_LIMIT = 300


def run_subject(registry: Registry, subject: Subject) -> list[CheckOutcome]:
    """Run every check that looks at this subject, one outcome a check, by check id."""
    match subject:
        case UnitFacts():
            return run_unit(registry, subject)
        case CertificateFacts():
            return run_unit(registry, unit_of(subject))
        case AuthorityFacts():
            return _run_authority(registry, subject)
        case AuditFacts():
            return _run_audit(registry, subject)


def run_unit(registry: Registry, unit: UnitFacts) -> list[CheckOutcome]:
    """Run the checks of units over the unit, and those of certificates over each it holds."""
    evidence = tuple(_certificate_evidence(certificate) for certificate in unit.certificates)
    outcomes = [
        _outcome(check, SubjectKind.UNIT, unit.unit_id, [_look(check, unit, evidence)])
        for check in registry.for_subject(UnitFacts)
    ]
    outcomes.extend(
        _over_certificates(check, SubjectKind.UNIT, unit.unit_id, unit.certificates)
        for check in registry.for_subject(CertificateFacts)
    )
    return sorted(outcomes, key=lambda outcome: outcome.check)


def unit_of(certificate: CertificateFacts) -> UnitFacts:
    """Make the unit of a certificate that stands alone, as a file does."""
    key, serial = certificate.issuer_key_sha256, certificate.serial
    alone = (certificate,)
    is_precertificate = certificate.kind is CertificateKind.PRECERTIFICATE
    return UnitFacts(
        unit_id=(
            certificate.sha256
            if key is None or serial is None
            else unit_id(bytes.fromhex(key), serial)
        ),
        issuer_key_sha256=key,
        serial_hex=certificate.serial_hex,
        precertificates=alone if is_precertificate else (),
        finals=() if is_precertificate else alone,
        first_logged=certificate.issued.not_after,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Look:
    """What a check said of one certificate, or of the subject as a whole."""

    breaches: tuple[Breach, ...] = ()
    reason: str = ""
    certificate: str | None = None


def _run_authority(registry: Registry, subject: AuthorityFacts) -> list[CheckOutcome]:
    certificate = subject.certificate
    evidence = (_certificate_evidence(certificate),)
    outcomes = [
        _outcome(
            check, SubjectKind.AUTHORITY, certificate.sha256, [_look(check, subject, evidence)]
        )
        for check in registry.for_subject(AuthorityFacts)
    ]
    outcomes.extend(
        _over_certificates(check, SubjectKind.AUTHORITY, certificate.sha256, (certificate,))
        for check in registry.for_subject(CertificateFacts)
    )
    return sorted(outcomes, key=lambda outcome: outcome.check)


def _run_audit(registry: Registry, subject: AuditFacts) -> list[CheckOutcome]:
    sha256 = subject.freshness.sha256
    evidence = (EvidenceItem("ccadb-record", sha256, subject.freshness.certificate_name),)
    return [
        _outcome(check, SubjectKind.AUTHORITY, sha256, [_look(check, subject, evidence)])
        for check in registry.for_subject(AuditFacts)
    ]


def _over_certificates(
    check: Check, kind: SubjectKind, subject: str, certificates: tuple[CertificateFacts, ...]
) -> CheckOutcome:
    looks = [
        dataclasses.replace(
            _look(check, certificate, (_certificate_evidence(certificate),)),
            certificate=certificate.sha256,
        )
        for certificate in certificates
    ]
    if len(looks) == 0:
        looks = [_Look(reason="the unit holds no certificate")]
    return _outcome(check, kind, subject, looks)


def _look(check: Check, subject: Subject, evidence: tuple[EvidenceItem, ...]) -> _Look:
    """Run a check to its end, its failure or its first breach that is none."""
    breaches: list[Breach] = []
    reason = ""
    try:
        for breach in check.function(subject):
            if not isinstance(breach, Breach):
                reason = f"the check yielded {type(breach).__name__} instead of a breach"
                break
            breaches.append(breach)
    except CannotJudge as missing:
        reason = str(missing)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a check does is its outcome
        reason = f"{type(error).__name__}: {error}"
    return _Look(
        breaches=tuple(
            breach if len(breach.evidence) > 0 else dataclasses.replace(breach, evidence=evidence)
            for breach in breaches
        ),
        reason=reason[:_REASON_LIMIT],
    )


def _outcome(check: Check, kind: SubjectKind, subject: str, looks: list[_Look]) -> CheckOutcome:
    """Merge what a check said of the parts of a subject: a breach counts before a failure."""
    breaches = _merge([breach for look in looks for breach in look.breaches], check.severity)
    reasons = [look.reason for look in looks if len(look.reason) > 0]
    if len(breaches) > 0:
        outcome = Outcome.BREACH
    elif len(reasons) > 0:
        outcome = Outcome.COULD_NOT_RUN
    else:
        outcome = Outcome.CLEAR
    concerned = [look for look in looks if len(look.breaches) > 0 or len(look.reason) > 0]
    named = concerned if len(concerned) > 0 else looks
    return CheckOutcome(
        check=check.id,
        subject_kind=kind,
        subject=subject,
        certificate=named[0].certificate if len(named) == 1 else None,
        outcome=outcome,
        breaches=breaches,
        reason="; ".join(dict.fromkeys(reasons)),
    )


def _merge(breaches: list[Breach], default: Severity) -> tuple[Breach, ...]:
    """One breach a key: of several, the most severe, with the messages of all as severe as it."""
    by_key: dict[str, list[Breach]] = {}
    for breach in breaches:
        by_key.setdefault(breach.key, []).append(breach)
    return tuple(_merge_equal(group, default) for _, group in sorted(by_key.items()))


def _merge_equal(group: list[Breach], default: Severity) -> Breach:
    def rank(breach: Breach) -> int:
        severity = default if breach.severity is None else breach.severity
        return _MOST_SEVERE_FIRST.index(severity)

    worst = min(group, key=rank)
    messages = dict.fromkeys(breach.message for breach in group if rank(breach) == rank(worst))
    evidence = dict.fromkeys(item for breach in group for item in breach.evidence)
    return dataclasses.replace(worst, message="; ".join(messages), evidence=tuple(evidence))


def refuse_subject(registry: Registry, subject: Subject, reason: str) -> list[CheckOutcome]:
    """Give the outcomes of a subject whose checks could not be run, for this reason."""

    def refuse(check: Check) -> Check:
        return dataclasses.replace(check, function=_refusing(reason))

    refusing = {kind: tuple(map(refuse, checks)) for kind, checks in registry.by_subject.items()}
    return run_subject(dataclasses.replace(registry, by_subject=refusing), subject)


def _refusing(reason: str) -> Callable[[Subject], Iterator[Breach]]:
    def refuse(_subject: Subject) -> Iterator[Breach]:
        raise CannotJudge(reason)

    return refuse


def _certificate_evidence(certificate: CertificateFacts) -> EvidenceItem:
    return EvidenceItem("certificate", certificate.sha256, certificate.kind.value)
