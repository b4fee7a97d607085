"""``ct``: what there is to know of Certificate Transparency logs, one module a command."""

from __future__ import annotations

import click

from subca_oversight.cli.lazy import LazyGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "coverage": (
        "subca_oversight.cli.ct_coverage:coverage",
        "What was read and verified of the logs, and what was not.",
    ),
    "harvest": (
        "subca_oversight.cli.ct_harvest:harvest",
        "Read logs now, history included.",
    ),
    "evidence": ("subca_oversight.cli.ct_evidence:evidence", "Evidence against logs, as files."),
    "logs": ("subca_oversight.cli.ct_logs:logs", "Every log ever seen, and every change of it."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def ct() -> None:
    """Certificate Transparency logs, and what is known of them."""
