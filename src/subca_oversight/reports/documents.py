"""CP and CPS: which documents CCADB names for each CA certificate, and how old they are.

BR 2.2 demands an update at least every 366 days. A document that is the same as the parent's takes
the date of the nearest ancestor that states one, as the audits do (DESIGN section 7).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlmodel import Session

from subca_oversight.clocks.calendar import DOCUMENT_DAYS, is_document_stale, utc_date
from subca_oversight.evidence.disclosure import load_disclosed
from subca_oversight.evidence.hierarchy import Hierarchy
from subca_oversight.model.audit import CertificateRecord, DocumentKind, PolicyDocument
from subca_oversight.reports.scope import Scope

_KINDS = {
    DocumentKind.CP: "CP",
    DocumentKind.CPS: "CPS",
    DocumentKind.CP_CPS: "CP/CPS",
    DocumentKind.MARKUP: "CP/CPS (Markdown or AsciiDoc)",
}


@dataclass(frozen=True, slots=True)
class DocumentEntry:
    """One policy document of one CA certificate."""

    certificate_sha256: str
    certificate_name: str
    kind: str
    url: str
    updated: date | None
    age_days: int | None
    due: date | None
    """The last day of the 366."""
    stale: bool
    inherited_from: str
    """Name of the CA certificate whose document it is; empty where it is its own."""


def load_documents(session: Session, scope: Scope, *, as_of: datetime) -> tuple[DocumentEntry, ...]:
    """The documents of every disclosed CA certificate, by its name, then by kind."""
    records = load_disclosed(session, as_of=as_of)
    own = {one.sha256 for one in scope.authorities}
    hierarchy = Hierarchy(records)
    entries = [
        _entry(record, document, hierarchy, utc_date(as_of))
        for record in records
        if record.sha256 in own
        for document in record.documents
    ]
    return tuple(
        sorted(entries, key=lambda e: (e.certificate_name, e.certificate_sha256, e.kind, e.url))
    )


def _entry(
    record: CertificateRecord, document: PolicyDocument, hierarchy: Hierarchy, today: date
) -> DocumentEntry:
    source, owner = document, ""
    if document.same_as_parent:
        for ancestor in hierarchy.climb(record).ancestors:
            stated = [
                one for one in ancestor.documents if one.kind is document.kind and one.is_stated
            ]
            if len(stated) > 0:
                source, owner = stated[0], ancestor.certificate_name
                break
    updated = source.updated
    return DocumentEntry(
        certificate_sha256=record.sha256,
        certificate_name=record.certificate_name,
        kind=_KINDS[document.kind],
        url=source.url,
        updated=updated,
        age_days=None if updated is None else (today - updated).days,
        due=None if updated is None else _due(updated),
        stale=updated is not None and is_document_stale(updated, today),
        inherited_from=owner,
    )


def _due(updated: date) -> date | None:
    try:
        return updated + timedelta(days=DOCUMENT_DAYS)
    except OverflowError:
        return None
