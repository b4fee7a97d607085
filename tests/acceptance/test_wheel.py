"""The wheel, installed into an empty environment far from the checkout, is the whole product."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.acceptance.agent import CHECKOUT

pytestmark = pytest.mark.slow

MINUTES = 600.0


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of an environment that holds the wheel, and sees this one's dependencies.

    The dependencies come from here, so that nothing is downloaded; the checkout itself does not,
    since a ``.pth`` file works in the folder where it lies and in no other.
    """
    folder = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=CHECKOUT)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    venv.create(environment, with_pip=False, symlinks=True)
    library = sysconfig.get_path("purelib", "venv", {"base": str(environment)})
    dependencies = sysconfig.get_path("purelib")
    (Path(library) / "dependencies.pth").write_text(f"{dependencies}\n", "utf-8")
    install = ("install", "--no-deps", "--no-index", "--ignore-installed", "--quiet")
    _run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(environment / "bin" / "python"),
        "--disable-pip-version-check",
        *install,
        str(wheel),
        cwd=folder,
    )
    return environment / "bin" / "subca-oversight"


def test_it_is_the_wheel_that_runs(installed: Path, tmp_path: Path) -> None:
    python = str(installed.parent / "python")
    code = "import subca_oversight; print(subca_oversight.__file__)"
    place = Path(_run(python, "-c", code, cwd=tmp_path).strip())
    assert place.is_relative_to(installed.parents[1])


def test_it_lists_the_checks_that_the_checkout_has(installed: Path, tmp_path: Path) -> None:
    listed = json.loads(_run(str(installed), "checks", "list", "--json", cwd=tmp_path))
    files = {path.stem.replace("_", "-") for path in (CHECKOUT / "checks").glob("*/[!_]*.py")}
    assert {check["id"] for check in listed} == files
    assert len(files) >= 15


def test_it_takes_the_demo_from_end_to_end(installed: Path, tmp_path: Path) -> None:
    told = _run(str(installed), "demo", "--output", "demo", cwd=tmp_path)
    assert "clean certificates flagged: 0 of" in told
    reports = list((tmp_path / "demo" / "state" / "reports").rglob("*.html"))
    assert len(reports) > 0
    for report in reports:
        assert report.name in told


def _run(*command: str, cwd: Path) -> str:
    """Run a command that must succeed; its standard output."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(  # noqa: S603 - built above
        command, cwd=cwd, env=clean, capture_output=True, text=True, timeout=MINUTES, check=False
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    return done.stdout
