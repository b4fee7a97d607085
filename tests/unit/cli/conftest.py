"""The command line's tests start from an installation in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.installation import Installation


@pytest.fixture
def installed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Installation:
    return Installation(tmp_path, capsys)
