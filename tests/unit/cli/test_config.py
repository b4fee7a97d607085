"""The configuration's published schema is the one that the program enforces."""

from __future__ import annotations

from pathlib import Path

import pytest

from subca_oversight.cli.root import main

CHECKOUT = Path(__file__).resolve().parents[3]


def test_the_published_schema_is_the_one_in_force(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    assert (CHECKOUT / "config" / "schema.json").read_text(encoding="utf-8") == (
        capsys.readouterr().out
    )
