"""``report quarter``: what it writes, and what it refuses in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from subca_oversight.cli.root import main
from subca_oversight.store.database import Database
from subca_oversight.store.schema import ensure_schema
from tests.unit.reports import world
from tests.unit.reports.world import DAY, LATER

AT = "2026-11-20T00:00:00Z"


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    path = tmp_path / "oversight.toml"
    path.write_text(
        f"""
        [agent]
        contact = "oversight@ca.example"
        state_directory = "{tmp_path}"
        """
    )
    return path


@pytest.fixture
def overseen(configuration: Path) -> Path:
    database = Database(f"sqlite:///{configuration.parent / 'oversight.db'}")
    ensure_schema(database)
    with database.write() as session:
        world.add_subordinate(session)
        world.add_log(session)
        world.add_unit(session, LATER - 60 * DAY)
    database.close()
    return configuration


def run(configuration: Path, *words: str, at: str = AT) -> int:
    return main(["--config", str(configuration), "--at", at, "report", "quarter", *words])


def test_all_files_are_written_and_named(
    overseen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(overseen, "2026Q3", "--output", str(tmp_path / "out")) == 0
    printed = [Path(line) for line in capsys.readouterr().out.splitlines()]
    folder = tmp_path / "out" / "acme-tls-1" / "2026Q3"
    assert sorted(printed) == sorted(folder.iterdir())
    assert {one.name for one in printed} == {
        "report.html", "report.json", "findings.csv", "units.csv", "coverage.csv", "audits.csv",
        "sample.csv", "manifest.json",
    }  # fmt: skip


def test_without_an_instant_that_of_the_first_making_holds(overseen: Path, tmp_path: Path) -> None:
    for name, at in (("one", AT), ("two", "2026-12-24T00:00:00Z")):
        assert run(overseen, "2026Q3", "--output", str(tmp_path / name), at=at) == 0
    page = Path("acme-tls-1") / "2026Q3" / "report.html"
    assert (tmp_path / "one" / page).read_bytes() == (tmp_path / "two" / page).read_bytes()


def test_only_the_wanted_formats_are_kept_and_the_hashes_stay(
    overseen: Path, tmp_path: Path
) -> None:
    assert run(overseen, "2026Q3", "--output", str(tmp_path / "all")) == 0
    assert run(overseen, "2026Q3", "--format", "html", "--output", str(tmp_path / "page")) == 0
    folder = Path("acme-tls-1") / "2026Q3"
    assert {one.name for one in (tmp_path / "page" / folder).iterdir()} == {
        "report.html",
        "manifest.json",
    }
    for name in ("report.html", "manifest.json"):
        whole, single = (tmp_path / part / folder / name for part in ("all", "page"))
        assert whole.read_bytes() == single.read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["2026Q5"], "no quarter"),
        (["2027Q1"], "has not begun"),
        (["2026Q3", "--as-of", "2026-06-30"], "has not begun"),
        (["2026Q3", "--format", "pdf"], "not in this version"),
        (["2026Q3", "--format", "docx"], "choose from html, json, csv"),
        (["2026Q3", "--format", ","], "choose from html, json, csv"),
        (["2026Q3", "--subordinate", "nobody"], "no subordinate is called nobody"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_line(
    overseen: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    assert run(overseen, *words, "--output", str(tmp_path / "out")) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_store_without_subordinates_says_what_to_do(
    configuration: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(configuration, "2026Q3", "--output", str(tmp_path / "out")) == 2
    assert "run --once" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_one_line(
    overseen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file stands here")
    assert run(overseen, "2026Q3", "--output", str(tmp_path / "out")) == 4
    error = capsys.readouterr().err
    assert "cannot be written" in error
    assert error.count("\n") == 1
