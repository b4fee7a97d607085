"""One world, built once, for all tests of the demo world."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from subca_oversight.demo.world import WorldManifest, build_world
from tests.unit.demo.log_reading import Entry, read_rfc6962, read_static
from tests.unit.demo.units import Unit, gather_units


@dataclass(frozen=True)
class Built:
    directory: Path
    manifest: WorldManifest
    entries: dict[str, list[Entry]]
    cpu_seconds: float


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    directory = tmp_path_factory.mktemp("demo") / "world"
    started = time.process_time()
    manifest = build_world(directory, seed=1)
    seconds = time.process_time() - started
    entries = {
        "rfc6962": read_rfc6962(directory / "rfc6962"),
        "static": read_static(directory / "static", 2),
    }
    return Built(directory, manifest, entries, seconds)


@pytest.fixture(scope="session")
def units(built: Built) -> dict[str, Unit]:
    """Every confirmed unit of the subordinates, by unit id."""
    entries = [entry for entries in built.entries.values() for entry in entries]
    return gather_units(built.manifest, entries)
