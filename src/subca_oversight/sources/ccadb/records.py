"""The All Certificate Records report, from bytes to records.

Read strictly, because every later judgment rests on it: a file that is not whole is refused, a row
that cannot be identified is set aside, a cell that cannot be read is reported and left empty.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from subca_oversight.errors import SourceError
from subca_oversight.model.audit import (
    AuditStatement,
    AuditType,
    CertificateRecord,
    DocumentKind,
    PolicyDocument,
    RecordType,
    RevocationStatus,
)
from subca_oversight.sources.ccadb.cells import (
    MAX_CELL_CHARACTERS,
    Cells,
    RowProblem,
    is_sha256,
)
from subca_oversight.sources.ccadb.layout import Columns, Layout, read_columns

MAX_REPORT_BYTES = 256 * 2**20
MAX_ROWS = 200_000
MAX_SET_ASIDE = 0.05
"""Share of rows set aside above which the file itself is taken to be damaged."""
MIN_SUCCESSOR = 0.8
"""Share of the last good snapshot's rows that a new one must exceed."""

_RECORD_TYPES = {
    "root certificate": RecordType.ROOT,
    "intermediate certificate": RecordType.INTERMEDIATE,
}
_REVOCATIONS = {
    "": RevocationStatus.NOT_STATED,
    "not revoked": RevocationStatus.NOT_REVOKED,
    "revoked": RevocationStatus.REVOKED,
    "parent cert revoked": RevocationStatus.PARENT_REVOKED,
}


@dataclass(frozen=True, slots=True)
class RecordSet:
    """One snapshot of the report."""

    layout: Layout
    records: tuple[CertificateRecord, ...]
    problems: tuple[RowProblem, ...]
    unknown_columns: tuple[str, ...]
    missing_columns: tuple[str, ...]
    """Optional columns of this layout that the file lacks."""
    sha256: str
    """Of the file, lower-case hex."""

    @property
    def set_aside(self) -> int:
        """Rows that are in the file but not in ``records``."""
        return sum(problem.set_aside for problem in self.problems)


def load_records(content: bytes) -> RecordSet:
    """Parse a report in any known layout; raises SourceError for a file that is not whole."""
    rows = _read_rows(_decode(content))
    _, header = next(rows, (0, []))
    columns = read_columns(header)
    records: list[CertificateRecord] = []
    problems: list[RowProblem] = []
    total = 0
    last_is_short = False
    for line, row in rows:
        total += 1
        if total > MAX_ROWS:
            raise SourceError(f"CCADB report refused: more than {MAX_ROWS:,} rows")
        last_is_short = len(row) < columns.width
        cells = Cells(columns, row, line)
        record = _read_record(cells, columns)
        problems.extend(cells.problems)
        if record is not None:
            records.append(record)
    if total == 0:
        raise SourceError("CCADB report refused: it has a header and no rows")
    if last_is_short:
        raise SourceError(f"CCADB report refused: cut off in its last row, row {total:,}")
    result = RecordSet(
        layout=columns.layout,
        records=tuple(records),
        problems=(*problems, *_repeated_ids(records)),
        unknown_columns=columns.unknown,
        missing_columns=columns.missing,
        sha256=hashlib.sha256(content).hexdigest(),
    )
    if len(records) == 0 or result.set_aside > max(5, MAX_SET_ASIDE * total):
        first = next(problem for problem in problems if problem.set_aside)
        raise SourceError(
            f"CCADB report refused: {result.set_aside:,} of {total:,} rows cannot be used,"
            f" the first in line {first.line}: {first.text}"
        )
    return result


def check_plausible_successor(new: RecordSet, old_count: int) -> None:
    """Refuse a snapshot that lost a fifth of its rows: a cut export, not a fifth of all CAs.

    ``old_count`` is the number of records in the last good snapshot. Raises SourceError.
    """
    if len(new.records) <= MIN_SUCCESSOR * old_count and old_count > 0:
        raise SourceError(
            f"CCADB report refused: {len(new.records):,} records where the last good one had"
            f" {old_count:,}; the last good one stays in use"
        )


def _decode(content: bytes) -> str:
    if len(content) > MAX_REPORT_BYTES:
        raise SourceError(f"CCADB report refused: larger than {MAX_REPORT_BYTES >> 20} MiB")
    start = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    if len(start) == 0:
        raise SourceError("CCADB report refused: it is empty")
    if start.startswith(b"<"):
        raise SourceError("CCADB report refused: it is an HTML or XML page, not the CSV report")
    return content.decode("utf-8-sig", errors="replace")


def _read_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the row's last line, cells) for every row that is not blank."""
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL_CHARACTERS))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if _longest_cell(row, reader.line_num) > 0:
                yield reader.line_num, row
    except csv.Error as error:
        raise SourceError(
            f"CCADB report refused: line {reader.line_num}: {error}; it may be cut off"
        ) from error


def _longest_cell(row: list[str], line: int) -> int:
    """The characters of the longest cell; the reader's own limit is the whole process's."""
    longest = max(map(len, row), default=0)
    if longest > MAX_CELL_CHARACTERS:
        raise SourceError(
            f"CCADB report refused: line {line}: field larger than field limit"
            f" ({MAX_CELL_CHARACTERS}); it may be cut off"
        )
    return longest


def _read_record(cells: Cells, columns: Columns) -> CertificateRecord | None:
    if not cells.has_right_width():
        return None
    sha256 = cells.text("sha256").lower()
    record_type = _RECORD_TYPES.get(cells.text("record_type").casefold())
    record_id = cells.text("record_id")
    if not is_sha256(sha256):
        cells.set_aside("sha256", "the SHA-256 fingerprint is not 64 hex digits")
        return None
    if record_type is None:
        cells.set_aside("record_type", "neither a root nor an intermediate certificate")
        return None
    if len(record_id) == 0:
        cells.set_aside("record_id", "the record has no id")
        return None
    parent_sha256 = cells.text("parent_sha256").lower()
    if len(parent_sha256) > 0 and not is_sha256(parent_sha256):
        cells.report("parent_sha256", "the parent's fingerprint is not 64 hex digits")
        parent_sha256 = ""
    revocation = _REVOCATIONS.get(cells.text("revocation").casefold())
    if revocation is None:
        cells.report("revocation", "a revocation status that is not known")
        revocation = RevocationStatus.NOT_STATED
    return CertificateRecord(
        record_id=record_id,
        sha256=sha256,
        certificate_name=cells.text("certificate_name"),
        ca_owner=cells.text("ca_owner"),
        type=record_type,
        revocation=revocation,
        subordinate_ca_owner=cells.text("subordinate_ca_owner"),
        parent_record_id=cells.text("parent_record_id"),
        parent_sha256=parent_sha256,
        parent_name=cells.text("parent_name"),
        valid_from=cells.validity("valid_from"),
        valid_to=cells.validity("valid_to"),
        technically_constrained=cells.flag("technically_constrained"),
        audits_same_as_parent=cells.flag("audits_same_as_parent") is True,
        auditor=cells.text("auditor"),
        audits=tuple(_read_audits(cells)),
        documents=tuple(_read_documents(cells, columns.layout)),
        crl_urls=cells.urls("crl_urls"),
        partitioned_crl_urls=cells.urls("partitioned_crl_urls"),
        trust_bits=cells.listed("trust_bits"),
        derived_trust_bits=cells.listed("derived_trust_bits"),
        ev_oids=cells.listed("ev_oids"),
        status_of_root=cells.text("status_of_root"),
        apple_status=cells.text("apple_status"),
        chrome_status=cells.text("chrome_status"),
        microsoft_status=cells.text("microsoft_status"),
        mozilla_status=cells.text("mozilla_status"),
        tls_capable=cells.flag("tls_capable"),
        tls_ev_capable=cells.flag("tls_ev_capable"),
        code_signing_capable=cells.flag("code_signing_capable"),
        smime_capable=cells.flag("smime_capable"),
        authority_key_id=cells.text("authority_key_id"),
        subject_key_id=cells.text("subject_key_id"),
        policy_documentation=cells.text("policy_documentation"),
        document_repository=cells.text("document_repository"),
        country=cells.text("country"),
    )


def _read_audits(cells: Cells) -> Iterator[tuple[AuditType, AuditStatement]]:
    for audit_type in AuditType:
        statement = AuditStatement(
            start=cells.audit_date(f"{audit_type}.start"),
            end=cells.audit_date(f"{audit_type}.end"),
            statement=cells.audit_date(f"{audit_type}.statement"),
            url=cells.text(f"{audit_type}.url"),
            scheme=cells.text(f"{audit_type}.type"),
        )
        if statement.is_reversed:
            cells.report(f"{audit_type}.end", "the audit period ends before it starts")
        if statement.has_dates or len(statement.url) > 0 or len(statement.scheme) > 0:
            yield audit_type, statement


def _read_documents(cells: Cells, layout: Layout) -> Iterator[PolicyDocument]:
    if layout is Layout.REPORT_2021:
        # One date and one flag covered the CP and the CPS together.
        addresses = (cells.text("cps.url"), cells.text("cp.url"))
        combined = PolicyDocument(
            kind=DocumentKind.CP_CPS,
            url=next((address for address in addresses if len(address) > 0), ""),
            updated=cells.audit_date("cp_cps.date"),
            same_as_parent=cells.flag("cp_cps.same") is True,
        )
        if combined.is_stated or combined.same_as_parent:
            yield combined
        return
    for kind in DocumentKind:
        document = PolicyDocument(
            kind=kind,
            url=cells.text(f"{kind}.url"),
            updated=cells.audit_date(f"{kind}.date"),
            same_as_parent=cells.flag(f"{kind}.same") is True,
        )
        if document.is_stated or document.same_as_parent:
            yield document


def _repeated_ids(records: Sequence[CertificateRecord]) -> Iterator[RowProblem]:
    seen: set[str] = set()
    for record in records:
        if record.record_id in seen:
            yield RowProblem(0, record.record_id, "record_id", "two rows have this record id")
        seen.add(record.record_id)
