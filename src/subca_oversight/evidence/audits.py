"""Audit freshness of CCADB records at a date.

Whether each audit is current, due or overdue, whose audit it is, and what about it deserves a
second look: DESIGN section 7, from BR 8.1 and 8.6, MRSP 3.1.3 and 5.3.1, and CCADB Policy 5.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

from subca_oversight.clocks.calendar import next_period_end, report_due
from subca_oversight.evidence.audit_notices import AuditSubject, find_notices
from subca_oversight.evidence.constraints import read_constraints
from subca_oversight.evidence.hierarchy import Hierarchy, Lineage
from subca_oversight.evidence.owners import is_external
from subca_oversight.model.audit import (
    AuditFreshness,
    AuditState,
    AuditStatement,
    AuditType,
    AuditTypeFreshness,
    CertificateRecord,
    ExemptReason,
    RevocationStatus,
)


def find_audit_freshness(
    records: Sequence[CertificateRecord],
    certificates: Mapping[str, bytes],
    as_of: date,
    *,
    only_external: bool = False,
    only: Collection[str] | None = None,
    registry: Mapping[str, bool] | None = None,
) -> list[AuditFreshness]:
    """Judge each record, in the order given.

    ``certificates`` is DER by SHA-256; where one is absent, nothing counts as constrained. The
    ``registry`` says by SHA-256 which certificates the configuration knows to be operated
    externally or not; it wins over the report. ``only`` names the certificates to judge.
    """
    hierarchy = Hierarchy(records)
    known = {} if registry is None else registry
    judged: list[AuditFreshness] = []
    for record in records:
        if only is not None and record.sha256 not in only:
            continue
        external = known.get(record.sha256, is_external(record))
        if external or not only_external:
            judged.append(_judge(_gather(record, external, hierarchy, certificates, as_of)))
    return judged


def find_audit_state(statement: AuditStatement, as_of: date) -> AuditState:
    """Judge one statement by its dates alone."""
    end = statement.end
    if end is None or statement.is_reversed:
        return AuditState.UNKNOWN
    if as_of <= next_period_end(end):
        return AuditState.CURRENT
    return AuditState.REPORT_DUE if as_of <= report_due(end) else AuditState.OVERDUE


def _gather(
    record: CertificateRecord,
    external: bool,  # noqa: FBT001 - private, and named at its one call
    hierarchy: Hierarchy,
    certificates: Mapping[str, bytes],
    as_of: date,
) -> AuditSubject:
    lineage = hierarchy.climb(record)
    der = certificates.get(record.sha256)
    return AuditSubject(
        record=record,
        external=external,
        lineage=lineage,
        twins=hierarchy.find_twins(record),
        audited=_find_audited(record, lineage),
        constraints=None if der is None else read_constraints(der),
        as_of=as_of,
    )


def _find_audited(record: CertificateRecord, lineage: Lineage) -> CertificateRecord | None:
    if record.audits_same_as_parent:
        for ancestor in lineage.ancestors:
            if ancestor.has_audit_dates:
                return ancestor
    return record if record.has_audit_dates else None


def _judge(subject: AuditSubject) -> AuditFreshness:
    reason = _find_exemption(subject)
    audits = tuple(
        _judge_type(audit_type, statement, subject.as_of, reason)
        for audit_type, statement in subject.audits
    )
    standard = next((audit for audit in audits if audit.type is AuditType.STANDARD), None)
    if reason is not None:
        state = AuditState.EXEMPT
    else:
        state = AuditState.UNKNOWN if standard is None else standard.state
    end = None if standard is None else standard.end
    due = None if end is None else report_due(end)
    record = subject.record
    return AuditFreshness(
        sha256=record.sha256,
        ca_owner=record.ca_owner,
        subordinate_ca_owner=record.subordinate_ca_owner,
        certificate_name=record.certificate_name,
        external=subject.external,
        state=state,
        exempt_reason=reason,
        inherited_from=(
            subject.audited.sha256 if subject.audited is not None and subject.is_inherited else None
        ),
        next_end=None if end is None else next_period_end(end),
        due=due,
        days_left=None if due is None else (due - subject.as_of).days,
        days_overdue=None if due is None else (subject.as_of - due).days,
        audits=audits,
        notices=tuple(find_notices(subject, state)),
    )


def _judge_type(
    audit_type: AuditType, statement: AuditStatement, as_of: date, reason: ExemptReason | None
) -> AuditTypeFreshness:
    issued, end = statement.statement, statement.end
    return AuditTypeFreshness(
        type=audit_type,
        start=statement.start,
        end=end,
        statement=issued,
        lag_days=None if issued is None or end is None else (issued - end).days,
        state=AuditState.EXEMPT if reason is not None else find_audit_state(statement, as_of),
    )


def _find_exemption(subject: AuditSubject) -> ExemptReason | None:
    if subject.expires is not None and subject.expires < subject.as_of:
        return ExemptReason.EXPIRED
    if subject.record.revocation is RevocationStatus.REVOKED:
        return ExemptReason.REVOKED
    if subject.record.revocation is RevocationStatus.PARENT_REVOKED or subject.lineage.is_revoked:
        return ExemptReason.PARENT_REVOKED
    if subject.constraints is not None and subject.constraints.mrsp_constrained is True:
        return ExemptReason.TECHNICALLY_CONSTRAINED
    return None
