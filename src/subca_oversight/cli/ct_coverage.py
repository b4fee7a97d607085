"""``ct coverage``: how much of the logs was read and verified, for whom, and what was not."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from subca_oversight.cli.invocation import invocation_of

if TYPE_CHECKING:
    from subca_oversight.jobs.log_coverage import CoverageLedger, LogCoverage


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
@click.option("--subordinate", help="Of this subordinate alone.")
@click.pass_context
def coverage(context: click.Context, *, as_json: bool, subordinate: str | None) -> None:
    """What was read and verified of each log for each watched key, and what was not."""
    from subca_oversight.cli.output import print_json
    from subca_oversight.jobs.log_coverage import load_coverage

    invocation = invocation_of(context)
    settings = invocation.load_settings()
    if subordinate is not None and subordinate not in {one.name for one in settings.subordinate}:
        raise click.UsageError(f"no subordinate is named {subordinate!r}")
    now = invocation.now()
    with invocation.open_database(settings) as database, database.read() as session:
        ledger = load_coverage(session, settings.ct, now, subordinate=subordinate)
    if as_json:
        print_json(_document(ledger, now))
    else:
        _print(ledger, now)


def _document(ledger: CoverageLedger, now: datetime) -> dict[str, object]:
    return {
        "subordinates": [
            {
                "subordinate": one.subordinate,
                "issuer_key_sha256": one.issuer_key_sha256,
                "logs": one.logs,
                "complete_logs": one.complete_logs,
                "known_entries": one.known_entries,
                "verified_entries": one.verified_entries,
                "share_of_known": round(one.share_of_known, 6),
                "share_since_start": round(one.share_since_start, 6),
            }
            for one in ledger.subordinates
        ],
        "logs": [
            {
                "subordinate": one.subordinate,
                "issuer_key_sha256": one.issuer_key_sha256,
                "log": one.log,
                "log_id": one.log_id,
                "start": one.start,
                "head_size": one.head_size,
                "verified_entries": one.verified_entries,
                "read": one.read,
                "gaps": one.gaps,
                "gap_since": one.gap_since,
                "unread_tail": one.unread_tail,
                "seconds_behind": _seconds(one, now),
            }
            for one in ledger.logs
        ],
        "canaries": [
            {
                "name": one.name,
                "seen": one.is_seen,
                "seen_at": one.seen_at,
                "log_id": one.log_id,
                "index": one.index,
            }
            for one in ledger.canaries
        ],
    }


def _print(ledger: CoverageLedger, now: datetime) -> None:
    from subca_oversight.cli.output import print_table

    print_table(
        "Read and verified, by key",
        ("subordinate", "issuer key", "logs", "complete", "since start", "of all entries"),
        [
            (
                one.subordinate,
                one.issuer_key_sha256[:16],
                one.logs,
                one.complete_logs,
                _percent(one.share_since_start),
                _percent(one.share_of_known),
            )
            for one in ledger.subordinates
        ],
    )
    print_table(
        "By log",
        ("subordinate", "log", "from", "head", "verified", "in gaps", "unread tail", "behind"),
        [
            (
                one.subordinate,
                one.log,
                "not begun" if one.start is None else f"{one.start:,}",
                f"{one.head_size:,}",
                f"{one.verified_entries:,}",
                f"{one.gap_entries:,}",
                f"{one.unread_tail:,}",
                _duration(_seconds(one, now)),
            )
            for one in ledger.logs
        ],
    )
    if len(ledger.canaries) > 0:
        print_table(
            "Canaries",
            ("canary", "last seen", "log", "entry"),
            [
                (one.name, one.seen_at or "not seen", (one.log_id or "")[:16], one.index)
                for one in ledger.canaries
            ],
        )


def _percent(share: float) -> str:
    """Rounded down, so that 100 % means all of it."""
    return f"{int(share * 10_000) / 100:.2f} %"


def _seconds(one: LogCoverage, now: datetime) -> int:
    """For how long the first unread entry of the tail is known to exist."""
    return 0 if one.behind_since is None else max(0, int((now - one.behind_since).total_seconds()))


def _duration(seconds: int) -> str:
    if seconds == 0:
        return ""
    hours, rest = divmod(seconds, 3600)
    return f"{hours} h {rest // 60} min" if hours > 0 else f"{rest // 60} min"
