"""Backups: consistent, dated, the last ones kept; and a failure that ends nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from subca_oversight.jobs.backup import KEPT, back_up
from subca_oversight.jobs.context import JobState
from subca_oversight.store.database import Database
from subca_oversight.store.schema import check_database
from tests.databases import postgres_database, sqlite_database
from tests.unit.jobs.contexts import run, settings_of

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def test_the_last_copies_are_kept(tmp_path: Path) -> None:
    settings = settings_of(agent={"contact": "a@b.example", "state_directory": tmp_path})
    with sqlite_database(tmp_path) as database:
        for days in range(KEPT + 3):
            outcome = run(back_up, database, now=NOW + timedelta(days=days), settings=settings)
            assert outcome.state is JobState.DONE
    copies = sorted((tmp_path / "backups").iterdir())
    assert [copy.name for copy in copies] == [
        f"oversight-{NOW + timedelta(days=days):%Y%m%dT%H%M%SZ}.db" for days in range(3, KEPT + 3)
    ]
    copy = Database(f"sqlite:///{copies[-1]}")
    assert check_database(copy) == []
    copy.close()


def test_a_copy_that_cannot_be_made_is_told_of_and_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "backups").write_text("in the way")
    settings = settings_of(agent={"contact": "a@b.example", "state_directory": tmp_path})
    with sqlite_database(tmp_path) as database:
        outcome = run(back_up, database, now=NOW, settings=settings)
    assert (outcome.state, outcome.exit_code) == (JobState.FAILED, 4)
    assert outcome.problems == (f"{tmp_path / 'backups'}: File exists",)


@pytest.mark.postgres
def test_postgresql_is_left_to_its_own_tools(postgres_url: str) -> None:
    with postgres_database(postgres_url) as database:
        assert run(back_up, database, now=NOW).state is JobState.SKIPPED
