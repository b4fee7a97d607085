"""What a built world is known to contain: the answers that a run over it is measured against."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

FILE_NAME = "manifest.json"
_LISTS = ("issuer_keys", "descendant_keys", "certificates")
INSTANT = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
"""The world's present."""
INSTANTS = {1: datetime(2026, 9, 24, 12, 0, 0, tzinfo=UTC), 2: INSTANT}
"""The present of each stage at which the logs can be served."""


@dataclass(frozen=True, slots=True)
class LogStage:
    """A log's tree at one stage."""

    size: int
    root: str


@dataclass(frozen=True, slots=True)
class LogSummary:
    """A log that the world serves."""

    slug: str
    description: str
    api: str
    """``rfc6962`` or ``static-ct``."""
    log_id: str
    stages: Mapping[int, LogStage]


@dataclass(frozen=True, slots=True)
class SubordinateSummary:
    """A subordinate CA and how much of it the logs show.

    ``units`` counts what can be confirmed and was issued by the keys in the configuration;
    ``descendant_units`` what a CA below them issued. Both by the last stage; the stage 1 counts are
    what a harvest of the first stage sees.
    """

    name: str
    operator: str
    relation: str
    contact: str
    anchor: str
    issuer_keys: tuple[str, ...]
    descendant_keys: tuple[str, ...]
    certificates: tuple[str, ...]
    """SHA-256 of its CA certificates, as in its PEM file."""
    units: int
    units_stage_1: int
    descendant_units: int
    descendant_units_stage_1: int


@dataclass(frozen=True, slots=True)
class PlantedFault:
    """Something wrong on purpose, and its twin that differs in that one respect."""

    check: str
    """Id of the check that must find it, or ``pkilint``."""
    subordinate: str
    subject_kind: str
    """``unit``, ``authority`` or ``record``."""
    subject: str
    """Unit id, or SHA-256 of the CA certificate."""
    label: str
    description: str
    twin: str
    """Unit id or SHA-256 of the clean twin."""
    code: str
    """A linter's own name for it, where only that linter sees it; otherwise empty."""
    stage: int
    """First stage whose logs show it whole; 1 for what is not in the logs."""


@dataclass(frozen=True, slots=True)
class UnconfirmedEntry:
    """A log entry whose unauthenticated part contradicts the hashed leaf: the log is to blame."""

    log_id: str
    index: int
    subordinate: str
    unit: str
    description: str
    stage: int


@dataclass(frozen=True, slots=True)
class WorldManifest:
    """Everything that a built world promises."""

    seed: int
    instants: Mapping[int, datetime]
    webhook_secret: str
    subordinates: tuple[SubordinateSummary, ...]
    planted: tuple[PlantedFault, ...]
    unconfirmed: tuple[UnconfirmedEntry, ...]
    clean_units: tuple[str, ...]
    """Units of the subordinates without a planted fault, sorted; the twins are among them.

    No MUST is broken in them. Some do what is merely advised against: a commonName, or the last
    permitted day of validity.
    """
    clean_authorities: tuple[str, ...]
    """SHA-256 of CA certificates that no check may report, nor their CCADB records."""
    malformed_entries: tuple[tuple[str, int], ...]
    """(log id, index) of entries of an unknown type."""
    logs: tuple[LogSummary, ...]

    @property
    def instant(self) -> datetime:
        """The present of the last stage."""
        return self.instants[max(self.instants)]

    def write(self, directory: Path) -> None:
        """Write it beside the world it describes."""
        tables = asdict(self)
        tables["instants"] = {stage: each.isoformat() for stage, each in self.instants.items()}
        text = json.dumps(tables, indent=1, sort_keys=True, ensure_ascii=False)
        (directory / FILE_NAME).write_text(text + "\n", encoding="utf-8")


def load_manifest(directory: Path) -> WorldManifest:
    """Read the manifest of the world built in ``directory``; raises OSError where there is none."""
    tables = json.loads((directory / FILE_NAME).read_text(encoding="utf-8"))
    return WorldManifest(
        seed=tables["seed"],
        instants={
            int(stage): datetime.fromisoformat(each) for stage, each in tables["instants"].items()
        },
        webhook_secret=tables["webhook_secret"],
        subordinates=tuple(
            SubordinateSummary(**{**each, **{name: tuple(each[name]) for name in _LISTS}})
            for each in tables["subordinates"]
        ),
        planted=tuple(PlantedFault(**each) for each in tables["planted"]),
        unconfirmed=tuple(UnconfirmedEntry(**each) for each in tables["unconfirmed"]),
        clean_units=tuple(tables["clean_units"]),
        clean_authorities=tuple(tables["clean_authorities"]),
        malformed_entries=tuple((log, index) for log, index in tables["malformed_entries"]),
        logs=tuple(
            LogSummary(
                slug=each["slug"],
                description=each["description"],
                api=each["api"],
                log_id=each["log_id"],
                stages={int(stage): LogStage(**at) for stage, at in each["stages"].items()},
            )
            for each in tables["logs"]
        ),
    )
