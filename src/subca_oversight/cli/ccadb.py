"""The ``ccadb`` commands: audit freshness and proposals for the configuration, from files alone.

They need no configuration and no database, so that an analyst can look at an export before
anything is set up (DESIGN section 8).
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from subca_oversight.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from subca_oversight.model.audit import AuditFreshness
    from subca_oversight.sources.ccadb.records import RecordSet

_SHOWN_PROBLEMS = 5

_records_option = click.option(
    "--records",
    "records_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The All Certificate Records report (V5, V4, V2 or 2021 layout).",
)
_certificates_option = click.option(
    "--certificates",
    "certificate_paths",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help="A PEM export, a PEM or DER file, or a folder of them. May be repeated.",
)
_as_of_option = click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The date to judge by, YYYY-MM-DD (UTC); today when absent.",
)


@click.group()
def ccadb() -> None:
    """Read CCADB exports."""


@ccadb.command()
@_records_option
@_certificates_option
@_as_of_option
@click.option("--external", is_flag=True, help="Only what another organization operates.")
@click.option("--json", "as_json", is_flag=True, help="Write a JSON array.")
def audits(
    *,
    records_path: Path,
    certificate_paths: tuple[Path, ...],
    as_of: datetime | None,
    external: bool,
    as_json: bool,
) -> None:
    """Show how fresh the audits of each record are.

    Whether a certificate has expired or is technically constrained is read from the certificate:
    give the PEM exports with --certificates, or nothing counts as constrained.
    """
    from subca_oversight.evidence.audits import find_audit_freshness

    report = _load_report(records_path)
    found = find_audit_freshness(
        report.records,
        _load_certificates(certificate_paths),
        _as_of_date(as_of),
        only_external=external,
    )
    if as_json:
        from subca_oversight.cli.output import print_json

        print_json([_json_object(freshness) for freshness in found])
    else:
        _print_table(found)


@ccadb.command()
@_records_option
@_certificates_option
@_as_of_option
@click.option("--owner", required=True, help="The signing CA, as CCADB's column CA Owner names it.")
def discover(
    *,
    records_path: Path,
    certificate_paths: tuple[Path, ...],
    as_of: datetime | None,
    owner: str,
) -> None:
    """Propose [[subordinate]] entries for a signing CA's external subordinates.

    The entries go to standard output as TOML. Without --certificates each names the PEM files to be
    saved beside the configuration; with them it names the issuer keys.
    """
    from subca_oversight.cli.proposals import render_proposals
    from subca_oversight.evidence.subordinates import propose_subordinates

    report = _load_report(records_path)
    proposals = propose_subordinates(
        report.records, _load_certificates(certificate_paths), owner, _as_of_date(as_of)
    )
    count = sum(len(proposal.records) for proposal in proposals)
    click.echo(f"{len(proposals)} operators, {count} live CA certificates", err=True)
    click.echo(render_proposals(proposals), nl=False)


def _load_report(path: Path) -> RecordSet:
    from subca_oversight.cli.output import visible
    from subca_oversight.sources.ccadb.records import load_records

    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}", retry=False) from error
    try:
        report = load_records(content)
    except SourceError as error:
        raise SourceError(f"{path}: {error}", retry=False) from error
    click.echo(
        f"{len(report.records):,} records, layout {report.layout}, {report.set_aside} set aside",
        err=True,
    )
    for column in report.unknown_columns:
        click.echo(f"unknown column: {visible(column)}", err=True)
    for column in report.missing_columns:
        click.echo(f"missing column: {column}", err=True)
    for problem in report.problems[:_SHOWN_PROBLEMS]:
        place = f"line {problem.line}, {visible(problem.record_id)}, {problem.column}"
        click.echo(f"{place}: {problem.text}", err=True)
    if len(report.problems) > _SHOWN_PROBLEMS:
        click.echo(f"and {len(report.problems) - _SHOWN_PROBLEMS:,} more problems", err=True)
    return report


def _load_certificates(paths: Sequence[Path]) -> Mapping[str, bytes]:
    from subca_oversight.sources.ccadb.certificates import load_certificates

    if len(paths) == 0:
        return {}
    certificates = load_certificates(*paths)
    click.echo(f"{len(certificates):,} certificates", err=True)
    return certificates


def _as_of_date(as_of: datetime | None) -> date:
    return datetime.now(UTC).date() if as_of is None else as_of.date()


def _json_object(freshness: AuditFreshness) -> dict[str, object]:
    return {
        "sha256": freshness.sha256,
        "ca_owner": freshness.ca_owner,
        "subordinate_ca_owner": freshness.subordinate_ca_owner,
        "certificate_name": freshness.certificate_name,
        "external": freshness.external,
        "state": freshness.state,
        "exempt_reason": freshness.exempt_reason,
        "inherited_from": freshness.inherited_from,
        "next_end": freshness.next_end,
        "due": freshness.due,
        "days_left": freshness.days_left,
        "days_overdue": freshness.days_overdue,
        "audits": {
            audit.type.value: {
                "start": audit.start,
                "end": audit.end,
                "statement": audit.statement,
                "lag_days": audit.lag_days,
                "state": audit.state,
            }
            for audit in freshness.audits
        },
        "notices": [{"id": notice.id, "text": notice.text} for notice in freshness.notices],
    }


def _print_table(found: Sequence[AuditFreshness]) -> None:
    from collections import Counter

    from subca_oversight.cli.output import print_table

    states = Counter(freshness.state.value for freshness in found)
    summary = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    print_table(
        "Audit freshness",
        ("State", "Operator", "Certificate", "SHA-256", "Next end", "Due", "Days left", "Notices"),
        [_table_row(freshness) for freshness in found],
        caption=f"{len(found)} records: {summary}",
    )


def _table_row(freshness: AuditFreshness) -> tuple[object, ...]:
    from collections import Counter

    operator = freshness.subordinate_ca_owner
    counts = Counter(notice.id for notice in freshness.notices)
    return (
        freshness.exempt_reason or freshness.state,
        operator if len(operator) > 0 else freshness.ca_owner,
        freshness.certificate_name,
        freshness.sha256[:16],
        freshness.next_end,
        freshness.due,
        freshness.days_left,
        ", ".join(f"{count} {name}" for name, count in counts.items()),
    )
