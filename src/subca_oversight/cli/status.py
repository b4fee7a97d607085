"""``status``: the state of logs, jobs and sources."""

from __future__ import annotations

import click

from subca_oversight.cli.invocation import invocation_of


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
@click.pass_context
def status(context: click.Context, *, as_json: bool) -> None:
    """State of logs, jobs and sources, and what is still to be acted on."""
    from subca_oversight.cli.output import print_json, print_table
    from subca_oversight.jobs.overview import load_overview
    from subca_oversight.jobs.reading import load_readings

    with invocation_of(context).open_database() as database:
        overview = load_overview(database)
        readings = load_readings(database)
    if as_json:
        print_json(
            {
                "logs": overview.log_status,
                "jobs": overview.jobs,
                "sources": overview.sources,
                "keys": readings,
                "open_findings": overview.open_findings,
                "notices": {"waiting": overview.waiting, "dead": overview.dead},
            }
        )
        return
    print_table(
        "Logs that are read",
        ("log", "state", "verified", "head", "backlog", "last success", "trouble"),
        [
            (
                log.description,
                log.state,
                log.verified_size,
                log.head_size,
                log.backlog,
                log.last_success,
                log.quarantine_reason if log.quarantined_at is not None else log.last_error,
            )
            for log in overview.log_status
            if log.monitored
        ],
    )
    missing = [one for one in readings if not one.is_complete]
    if len(missing) > 0:
        print_table(
            "Not read yet",
            ("subordinate", "issuer key", "log", "entries"),
            [
                (
                    one.subordinate,
                    one.issuer_key_sha256[:16]
                    + (" (proposed)" if one.provenance == "chain" else ""),
                    one.log,
                    "all" if one.unread_entries is None else f"{one.unread_entries:,}",
                )
                for one in missing
            ],
        )
    print_table(
        "Jobs",
        ("job", "last run", "outcome", "detail"),
        [(job.job, job.started_at, job.outcome, job.detail) for job in overview.jobs],
    )
    print_table(
        "Sources",
        ("source", "last success", "last error", "detail"),
        [(s.source, s.last_success, s.last_error, s.detail) for s in overview.sources],
    )
    counts = ", ".join(f"{count} {name}" for name, count in sorted(overview.open_findings.items()))
    click.echo(f"to be acted on: {counts if len(counts) > 0 else 'nothing'}")
    click.echo(f"notices: {overview.waiting} waiting, {overview.dead} given up")
