"""Annexes: the rows of a report as CSV, and the report as JSON, with the hash of each file.

CSV after RFC 4180 in UTF-8, one line a row, cells guarded against formulas (``reports.text``).
Units and findings are written as they stream by; the hash is taken on the way.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from subca_oversight.reports.finding_rows import FindingEntry
from subca_oversight.reports.finding_section import turn_of
from subca_oversight.reports.population import IssuedUnit
from subca_oversight.reports.quarter import QuarterReport
from subca_oversight.reports.render import Annex, format_instant
from subca_oversight.reports.samples import DrawnEntry
from subca_oversight.reports.text import csv_cell, visible

Cell = str | int | date | datetime | None
CONTENTS = {
    "report.json": "every number of this page",
    "findings.csv": "all findings known, the baseline among them",
    "units.csv": "every unit first logged in the period",
    "coverage.csv": "how far each log was read, for each key",
    "audits.csv": "each audit of each CA certificate",
    "sample.csv": "the drawn units, with the findings on each",
}
"""The annexes, in the order of the cover."""
_FINDINGS = (
    "id,fingerprint,check,severity,state,subject_kind,subject,key,serial,requirement,revocation,"
    "message,first_seen,deadline,overdue,baseline,affected,new_in_period,closed_in_period,"
    "reopened_in_period,turn,last_step_by,last_step_reason,accepted_until"
)
_UNITS = (
    "unit_id,issuer_key_sha256,serial,kind,precertificates,finals,first_logged,logs,not_before,"
    "not_after,validity_days,profile,key,name,certificate_sha256"
)
_COVERAGE = (
    "log_id,log,operator,state,first_entry_read,verified_size,head_size,head_at,key_sha256,"
    "unread_from,unread_to,last_success,last_error,quarantined_at,observed_at"
)
_AUDITS = (
    "certificate_sha256,certificate_name,ca_owner,subordinate_ca_owner,certificate_state,"
    "exempt_reason,inherited_from,audit,start,end,statement,lag_days,next_end,due,state"
)
_SAMPLE = "draw,stratum,unit_id,serial,violations,other_findings"


class Table:
    """One CSV file under way."""

    def __init__(self, path: Path, columns: str) -> None:
        self._file = path.open("w", encoding="utf-8", newline="", errors="backslashreplace")
        self._writer = csv.writer(self._file, lineterminator="\r\n")
        self._writer.writerow(columns.split(","))

    def add(self, *cells: Cell) -> None:
        """Write one row."""
        self._writer.writerow([_cell(cell) for cell in cells])

    def close(self) -> None:
        """Write what is left."""
        self._file.close()


class Annexes:
    """The CSV files of one report in a folder; rows of units and findings come as they are made."""

    def __init__(self, folder: Path, as_of: datetime) -> None:
        self._folder = folder
        self._as_of = as_of
        self._units = Table(folder / "units.csv", _UNITS)
        self._findings = Table(folder / "findings.csv", _FINDINGS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._units.close()
        self._findings.close()

    def add_unit(self, unit: IssuedUnit) -> None:
        """One unit of the period."""
        self._units.add(
            unit.unit_id,
            unit.issuer_key_sha256,
            unit.serial_hex,
            unit.kind.value,
            unit.precertificates,
            unit.finals,
            unit.first_logged,
            unit.logs,
            unit.not_before,
            unit.not_after,
            unit.validity_days,
            unit.profile,
            unit.key,
            unit.name,
            unit.certificate_sha256,
        )

    def add_finding(self, entry: FindingEntry) -> None:
        """One finding known at the instant."""
        self._findings.add(
            entry.id,
            entry.fingerprint,
            entry.check,
            entry.severity.value,
            entry.state.value,
            entry.subject_kind.value,
            entry.subject,
            entry.key,
            entry.serial_hex,
            entry.requirement,
            entry.revocation.value,
            entry.message,
            entry.first_seen,
            entry.deadline,
            "yes" if entry.is_overdue(self._as_of) else "no",
            "yes" if entry.baseline else "no",
            entry.affected,
            "yes" if entry.opened else "no",
            entry.closed,
            entry.reopened,
            turn_of(entry.state),
            entry.decided_by,
            entry.decision,
            entry.expires,
        )

    def finish(self, report: QuarterReport, drawn: Iterable[DrawnEntry]) -> tuple[Annex, ...]:
        """Write the other annexes, and describe all of them."""
        self._units.close()
        self._findings.close()
        _write_coverage(self._folder / "coverage.csv", report)
        _write_audits(self._folder / "audits.csv", report)
        sample = Table(self._folder / "sample.csv", _SAMPLE)
        for one in drawn:
            sample.add(
                one.draw,
                one.stratum,
                one.unit_id,
                one.serial_hex,
                one.violations,
                one.other_findings,
            )
        sample.close()
        tables = [name for name in CONTENTS if name.endswith(".csv")]
        described = {name: describe(self._folder / name) for name in tables}
        (self._folder / "report.json").write_bytes(encode_report(report, described.values()))
        described["report.json"] = describe(self._folder / "report.json")
        return tuple(described[name] for name in CONTENTS)


def describe(path: Path) -> Annex:
    """A written file with its hash and size."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return Annex(path.name, digest.hexdigest(), path.stat().st_size, CONTENTS.get(path.name, ""))


def encode_report(report: QuarterReport, annexes: Iterable[Annex]) -> bytes:
    """The report as JSON; the same report gives the same bytes."""
    return orjson.dumps(
        {"report": _plain(report), "annexes": [_plain(annex) for annex in annexes]},
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )


def _write_coverage(path: Path, report: QuarterReport) -> None:
    table = Table(path, _COVERAGE)
    seen = report.unseen.observation
    for log in () if seen is None else seen.logs:
        stretches: Sequence[tuple[str | None, int | None, int | None]] = [
            (one.spki_sha256, one.first, one.end) for one in log.unread
        ]
        for key, first, end in stretches if len(stretches) > 0 else [(None, None, None)]:
            table.add(
                log.log_id,
                log.description,
                log.operator,
                log.state,
                log.start,
                log.verified,
                log.head_size,
                log.head_at,
                key,
                first,
                end,
                log.last_success,
                log.last_error,
                log.quarantined_at,
                None if seen is None else seen.at,
            )
    table.close()


def _write_audits(path: Path, report: QuarterReport) -> None:
    table = Table(path, _AUDITS)
    for entry in report.audits.entries:
        one = entry.freshness
        for period in entry.periods if len(entry.periods) > 0 else (None,):
            table.add(
                one.sha256,
                one.certificate_name,
                one.ca_owner,
                one.subordinate_ca_owner,
                one.state.value,
                None if one.exempt_reason is None else one.exempt_reason.value,
                one.inherited_from,
                None if period is None else period.type,
                None if period is None else period.start,
                None if period is None else period.end,
                None if period is None else period.statement,
                None if period is None else period.lag_days,
                None if period is None else period.next_end,
                None if period is None else period.due,
                None if period is None else period.state.value,
            )
    table.close()


def _cell(value: Cell) -> str | int:
    if value is None:
        return ""
    if isinstance(value, int):
        return value
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, date):
        return value.isoformat()
    return csv_cell(value)


def _plain(value: object) -> object:
    """What JSON can say: instants in RFC 3339, text with every character visible."""
    if isinstance(value, date):
        return format_instant(value) if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, timedelta):
        return int(value.total_seconds())
    if isinstance(value, str):
        return visible(str(value))
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    return value
