"""Names of subjects: what a person calls a unit or CA certificate that a finding is about."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import func, select
from sqlmodel import Session, col

from subca_oversight.evidence.x509 import parse_certificate
from subca_oversight.model.finding import SubjectKind
from subca_oversight.reports.finding_rows import FindingEntry
from subca_oversight.reports.population import first_name
from subca_oversight.store.tables import AuthorityCertificateRow, CertificateRow, SightingRow


def name_subjects(session: Session, entries: Iterable[FindingEntry]) -> dict[str, str]:
    """The name of each subject that bears one, by unit id or SHA-256; made for a page's worth."""
    names: dict[str, str] = {}
    for entry in entries:
        if entry.subject in names:
            continue
        if entry.subject_kind is SubjectKind.UNIT:
            names[entry.subject] = _unit_name(session, entry.subject)
        elif entry.subject_kind is SubjectKind.AUTHORITY:
            names[entry.subject] = _authority_name(session, entry.subject)
    return names


def _unit_name(session: Session, unit_id: str) -> str:
    """From the certificate that was read first: what is read later must not change it."""
    row = session.execute(
        select(col(CertificateRow.der), col(CertificateRow.kind))
        .join(SightingRow, col(SightingRow.certificate_sha256) == col(CertificateRow.sha256))
        .where(col(SightingRow.unit_id) == unit_id)
        .group_by(col(CertificateRow.sha256), col(CertificateRow.der), col(CertificateRow.kind))
        .order_by(func.min(col(SightingRow.added_at)), col(CertificateRow.sha256))
        .limit(1)
    ).first()
    return "" if row is None else first_name(parse_certificate(row.der, kind=row.kind))


def _authority_name(session: Session, sha256: str) -> str:
    row = session.get(AuthorityCertificateRow, sha256)
    if row is None:
        return ""
    facts = parse_certificate(row.der)
    return facts.common_names[0] if len(facts.common_names) > 0 else first_name(facts)
