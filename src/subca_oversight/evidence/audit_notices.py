"""What deserves a second look about a record's audits, place in the hierarchy and documents.

A notice never changes a state: it tells what a fresh date hides, such as another organization's
audit, a statement that came late, or a parent that the report does not have (DESIGN section 7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from subca_oversight.clocks.calendar import (
    DOCUMENT_DAYS,
    UPLOAD_DAYS,
    is_document_stale,
    is_long_period,
    publication_due,
    utc_date,
)
from subca_oversight.evidence.constraints import CaConstraints
from subca_oversight.evidence.hierarchy import Lineage, LineageEnd
from subca_oversight.evidence.owners import is_same_owner
from subca_oversight.model.audit import (
    AuditState,
    AuditStatement,
    AuditType,
    CertificateRecord,
    DocumentKind,
    Notice,
    RecordType,
)

_DOCUMENT_NAMES: Mapping[DocumentKind, str] = {
    DocumentKind.CP: "CP",
    DocumentKind.CPS: "CPS",
    DocumentKind.CP_CPS: "CP/CPS",
    DocumentKind.MARKUP: "Markdown or AsciiDoc CP/CPS",
}
_BROKEN_LINEAGE: Mapping[LineageEnd, str] = {
    LineageEnd.MISSING: "a parent is not in the report",
    LineageEnd.CYCLE: "the parents form a cycle",
    LineageEnd.TOO_DEEP: "more ancestors than any real hierarchy has",
}
_TWIN_DIFFERENCES: Sequence[tuple[str, Callable[[CertificateRecord, CertificateRecord], bool]]] = (
    ("owner", lambda one, other: not is_same_owner(one.operator, other.operator)),
    ("revocation status", lambda one, other: one.revocation is not other.revocation),
    ("audits", lambda one, other: one.audits != other.audits),
)


@dataclass(frozen=True, slots=True)
class AuditSubject:
    """A record with all that its judgment needs."""

    record: CertificateRecord
    external: bool
    lineage: Lineage
    twins: tuple[CertificateRecord, ...]
    audited: CertificateRecord | None
    """The record whose audits count: itself, an ancestor, or nobody."""
    constraints: CaConstraints | None
    as_of: date

    @property
    def is_inherited(self) -> bool:
        """Whether an ancestor's audits count."""
        return self.audited is not None and self.audited is not self.record

    @property
    def audits(self) -> tuple[tuple[AuditType, AuditStatement], ...]:
        """The statements that count."""
        return () if self.audited is None else self.audited.audits

    @property
    def expires(self) -> date | None:
        """UTC date of notAfter: from the certificate, else as the report states it."""
        if self.constraints is not None and self.constraints.not_after is not None:
            return utc_date(self.constraints.not_after)
        return self.record.valid_to


def find_notices(subject: AuditSubject, state: AuditState) -> Iterator[Notice]:
    """Yield every notice of a record that was judged to be in ``state``."""
    for audit_type, statement in subject.audits:
        yield from _find_statement_notices(audit_type, statement, subject.as_of)
    yield from _find_lineage_notices(subject)
    if state is AuditState.UNKNOWN and len(subject.audits) == 0:
        yield Notice("audit_missing", "neither this record nor an ancestor it names dates an audit")
    yield from _find_certificate_notices(subject)
    yield from _find_document_notices(subject)


def _find_statement_notices(
    audit_type: AuditType, statement: AuditStatement, as_of: date
) -> Iterator[Notice]:
    start, end, issued = statement.start, statement.end, statement.statement
    if end is None:
        yield Notice("audit_undated", f"{audit_type}: no period end is stated")
        return
    if issued is not None:
        lag = (issued - end).days
        if lag > UPLOAD_DAYS:
            text = f"{audit_type}: statement dated {issued}, {lag} days after the period end {end}"
            yield Notice("late_92d", f"{text} (CCADB Policy 5.2: {UPLOAD_DAYS} days)")
        if issued > publication_due(end):
            yield Notice(
                "late_3m",
                f"{audit_type}: statement dated {issued}, more than three months after the"
                f" period end {end} (BR 8.6)",
            )
    if start is not None:
        if start > end:
            yield Notice("period_reversed", f"{audit_type}: period from {start} to {end}")
        elif start == end:
            yield Notice(
                "point_in_time",
                f"{audit_type}: point in time {end}, which does not satisfy the annual duty",
            )
        elif is_long_period(start, end):
            text = f"{audit_type}: period {start} to {end} is longer than a year (BR 8.1)"
            yield Notice("long_period", text)
    if end > as_of:
        yield Notice("period_ends_later", f"{audit_type}: period end {end} is after {as_of}")


def _find_lineage_notices(subject: AuditSubject) -> Iterator[Notice]:
    record, lineage = subject.record, subject.lineage
    if lineage.end is LineageEnd.MISSING:
        yield Notice("parent_missing", _BROKEN_LINEAGE[lineage.end])
    elif lineage.end is not LineageEnd.ROOT:
        yield Notice("parent_cycle", _BROKEN_LINEAGE[lineage.end])
    if record.type is RecordType.INTERMEDIATE and len(lineage.ancestors) > 0:
        parent = lineage.ancestors[0]
        if len(record.parent_sha256) > 0 and parent.sha256 != record.parent_sha256:
            yield Notice(
                "parent_mismatch",
                f"the parent's record has the fingerprint {parent.sha256},"
                f" this one states {record.parent_sha256}",
            )
    source = subject.audited
    if (
        source is not None
        and subject.is_inherited
        and subject.external
        and not is_same_owner(source.operator, record.operator)
    ):
        yield Notice(
            "inherits_foreign_audit",
            f"operated by {record.operator}, audits of {source.operator}"
            f" ({source.certificate_name})",
        )
    for twin in subject.twins:
        differing = [
            name
            for name, differs in _TWIN_DIFFERENCES
            if record.type is twin.type and differs(record, twin)
        ]
        if len(differing) > 0:
            text = f"record {twin.record_id} of the same certificate differs in"
            yield Notice("twin_differs", f"{text} {', '.join(differing)}")


def _find_certificate_notices(subject: AuditSubject) -> Iterator[Notice]:
    stated, read = subject.record, subject.constraints
    if read is None:
        yield Notice("certificate_missing", "no certificate at hand: constraints are not known")
        return
    if read.mrsp_constrained is None or read.not_after is None:
        yield Notice("certificate_unreadable", "the certificate could not be read in full")
    elif stated.technically_constrained not in (None, read.mrsp_constrained):
        found = "is" if read.mrsp_constrained else "is not"
        yield Notice(
            "constrained_flag_differs",
            f"the certificate {found} technically constrained (MRSP 5.3.1), CCADB's flag says"
            " otherwise",
        )
    if read.not_after is not None and stated.valid_to is not None:
        expires = utc_date(read.not_after)
        if expires != stated.valid_to:
            text = f"the certificate expires on {expires}, CCADB says {stated.valid_to}"
            yield Notice("validity_differs", text)


def _find_document_notices(subject: AuditSubject) -> Iterator[Notice]:
    for document in subject.record.documents:
        name = _DOCUMENT_NAMES[document.kind]
        source = document
        if document.same_as_parent:
            inherited = (
                candidate
                for ancestor in subject.lineage.ancestors
                for candidate in ancestor.documents
                if candidate.kind is document.kind and candidate.is_stated
            )
            source = next(inherited, document)
        updated = source.updated
        if updated is not None and is_document_stale(updated, subject.as_of):
            days = (subject.as_of - updated).days
            yield Notice(
                "cps_stale",
                f"{name}: last updated {updated}, {days} days ago"
                f" (BR 2.2: at least every {DOCUMENT_DAYS} days)",
            )
