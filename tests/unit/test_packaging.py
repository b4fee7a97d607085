"""What the repository says of itself agrees with what it holds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from pydantic import BaseModel

from subca_oversight.cli.root import COMMANDS
from subca_oversight.errors import OversightError
from subca_oversight.settings import Settings, load_settings
from subca_oversight.telemetry import Metrics

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "config" / "oversight.toml"
README = (ROOT / "README.md").read_text("utf-8")
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
_PINNED = re.compile(r"^([a-z0-9][a-z0-9.-]*)==([^ ;\\]+)", re.MULTILINE)
_OPTIONAL_KEY = re.compile(r"^#(\[.*\]|[a-z_]+ = .*)$")


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted path of every key, as it is written in the file."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        sections = [part for part in _parts(field.annotation) if issubclass(part, BaseModel)]
        if len(sections) == 0:
            yield key
        for section in sections:
            yield from _keys(section, f"{key}.")


def _parts(annotation: Any) -> Iterator[type]:  # noqa: ANN401 - annotations have no type
    if get_origin(annotation) is None:
        if isinstance(annotation, type):
            yield annotation
        return
    for part in get_args(annotation):
        yield from _parts(part)


def _with_every_key() -> str:
    """The example with each optional key and table taken into use."""
    return "\n".join(
        line[1:] if _OPTIONAL_KEY.match(line) is not None else line
        for line in EXAMPLE.read_text("utf-8").splitlines()
    )


def _written(tables: object, prefix: str = "") -> Iterator[str]:
    if isinstance(tables, dict):
        for name, value in tables.items():
            yield f"{prefix}{name}"
            yield from _written(value, f"{prefix}{name}.")
    elif isinstance(tables, list):
        for value in tables:
            yield from _written(value, prefix)


def test_the_example_configuration_loads_as_it_is() -> None:
    settings = load_settings(EXAMPLE)
    assert settings.agent.contact == "oversight@ca.example"
    assert settings.subordinate == ()


def test_what_the_example_sets_is_the_default() -> None:
    example = load_settings(EXAMPLE).model_dump()
    default = Settings(agent={"contact": "oversight@ca.example"}).model_dump()
    assert example == default


def test_the_example_loads_with_every_optional_key_in_use(tmp_path: Path) -> None:
    path = tmp_path / "oversight.toml"
    path.write_text(_with_every_key())
    path.chmod(0o600)
    settings = load_settings(path)
    assert settings.alerts.smtp is not None
    assert settings.alerts.webhook is not None
    assert len(settings.ct.log_lists) == 1
    assert len(settings.subordinate) == 1


def test_every_setting_is_explained_in_the_example() -> None:
    keys = set(_keys(Settings))
    assert len(keys) > 40
    assert keys - set(_written(tomllib.loads(_with_every_key()))) == set()


def test_every_optional_key_of_the_example_stands_under_an_explanation() -> None:
    lines = EXAMPLE.read_text("utf-8").splitlines()
    tables = [number for number, line in enumerate(lines) if re.match(r"#?\[", line) is not None]
    undocumented = [lines[number] for number in tables if _lacks_comment(lines, number)]
    assert undocumented == []


def _lacks_comment(lines: list[str], number: int) -> bool:
    """Whether neither the line before nor the one after a table's head says anything."""
    around = (lines[number - 1], lines[number + 1])
    return not any(line.startswith("# ") for line in around) and lines[number] != "[database]"


def test_the_readmes_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    documents = [README, *(path.read_text("utf-8") for path in (ROOT / "docs").rglob("*.md"))]
    named = {name for text in documents for name in re.findall(r"\bmake ([a-z-]+)", text)}
    commands = {name for name in named if f"`make {name}" in README or f"\nmake {name}" in README}
    assert {"run", "test"} <= commands
    assert commands - targets == set()


def test_the_readmes_first_screen_says_what_it_is_and_gives_the_two_commands() -> None:
    screen = "\n".join(README.splitlines()[:24])
    assert "subordinate" in screen
    assert "\nmake run " in screen
    assert "\nmake test " in screen


def test_the_readme_lists_exactly_the_commands_there_are() -> None:
    table = README.split("| command | what it does |", 1)[1].split("\n\n", 1)[0]
    assert set(re.findall(r"^\| `([a-z]+)`", table, re.MULTILINE)) == set(COMMANDS)


def test_the_readmes_exit_codes_are_those_of_the_errors() -> None:
    table = README.split("| exit code | meaning |", 1)[1].split("\n\n", 1)[0]
    listed = {int(code) for code in re.findall(r"^\| ([0-9]) \|", table, re.MULTILINE)}

    def codes(error: type[OversightError]) -> Iterator[int]:
        yield error.exit_code
        for narrower in error.__subclasses__():
            yield from codes(narrower)

    assert listed == {0, *codes(OversightError)}


def test_every_metric_of_an_alert_exists() -> None:
    rules = (ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text("utf-8")
    exposition = Metrics().exposition().decode("utf-8")
    named = set(re.findall(r"subca_oversight_[a-z_]+", rules))
    assert len(named) > 4
    assert {name for name in named if f"# HELP {name} " not in exposition} == set()


def test_the_unit_starts_the_daemon_and_gives_it_time_to_drain() -> None:
    unit = (ROOT / "deploy" / "systemd" / "subca-oversight.service").read_text("utf-8")
    assert "subca-oversight --config /etc/subca-oversight/oversight.toml run\n" in unit
    stop = re.search(r"^TimeoutStopSec=([0-9]+)$", unit, re.MULTILINE)
    assert stop is not None
    assert int(stop[1]) > load_settings(EXAMPLE).daemon.drain_seconds


def test_the_lock_names_no_host_and_no_path() -> None:
    assert re.findall(r"://|^-|find-links|index-url| @ |\s/", LOCK, re.MULTILINE) == []


def test_every_locked_package_has_hashes() -> None:
    entries = re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert len(entries) > 50
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_lock_agrees_with_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    locked = {canonicalize_name(name): Version(version) for name, version in _PINNED.findall(LOCK)}
    asked = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    for extra in project["project"]["optional-dependencies"].values():
        asked += extra
    for group in project["dependency-groups"].values():
        asked += [entry for entry in group if isinstance(entry, str)]
    for text in asked:
        requirement = Requirement(text)
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{text}: not locked; run make lock"
        assert requirement.specifier.contains(version), f"{text}: run make lock"


def test_the_wheel_carries_the_checks_and_the_configuration(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)  # noqa: S603 - fixed arguments
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("checks", "config"):
        shipped = {
            f"subca_oversight/_shipped/{path.relative_to(ROOT).as_posix()}"
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert len(shipped) > 0
        assert shipped - names == set()
    assert not any("__pycache__" in name for name in names)


@pytest.mark.parametrize("name", ["LICENSE", "SECURITY.md", "CHANGELOG.md", "Makefile", ".ci/run"])
def test_what_people_look_for_is_there(name: str) -> None:
    assert (ROOT / name).stat().st_size > 0


def test_ci_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    text = (ROOT / ".ci" / "run").read_text("utf-8")
    assert "\nmake test\n" in text
