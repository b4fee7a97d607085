"""What every test starts from: a clean environment, and the same examples on each run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from subca_oversight.store.database import Database
from tests.databases import postgres_database, sqlite_database

settings.register_profile("project", derandomize=True, deadline=None)
settings.load_profile("project")

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the settings, credentials or proxies of the shell it was started from."""
    for name in tuple(os.environ):
        foreign = name.startswith("SUBCA_") and name != "SUBCA_TEST_POSTGRES"
        if foreign or name.lower() in _PROXIES or name == "CREDENTIALS_DIRECTORY":
            monkeypatch.delenv(name)


@pytest.fixture
def postgres_url() -> str:
    """URL of a PostgreSQL database whose schemas a test may create and drop."""
    url = os.environ.get("SUBCA_TEST_POSTGRES")
    if url is None:
        pytest.skip("SUBCA_TEST_POSTGRES names no server; .ci/run starts one")
    return url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database with the schema in place: each test that asks runs on both engines."""
    if request.param == "sqlite":
        with sqlite_database(tmp_path) as opened:
            yield opened
    else:
        with postgres_database(request.getfixturevalue("postgres_url")) as opened:
            yield opened
