"""``sample`` as a user meets it: draw, hand over, verify offline."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from subca_oversight.cli.root import main
from subca_oversight.model.certificate import CertificateKind
from subca_oversight.model.subordinate import KeyProvenance
from subca_oversight.store.database import Database
from subca_oversight.store.tables import CertificateRow, UnitRow, WatchedKeyRow
from tests.databases import sqlite_database
from tests.unit.alerts.events import ACME, NOW, add_subordinate

AT = "2026-11-24T12:00:00Z"


def add_unit(database: Database, number: int, logged: datetime) -> None:
    with database.write() as session:
        unit_id = hashlib.sha256(str(number).encode()).hexdigest()
        session.add(
            UnitRow(
                unit_id=unit_id,
                issuer_key_sha256=ACME,
                first_logged_ms=int(logged.timestamp() * 1000),
                confirmed=True,
                added_at=NOW,
            )
        )
        session.flush()
        session.add(
            CertificateRow(
                sha256=unit_id,
                unit_id=unit_id,
                kind=CertificateKind.FINAL,
                der=b"?",
                confirmed=True,
            )
        )


@pytest.fixture
def configuration(tmp_path: Path) -> str:
    with sqlite_database(tmp_path) as database:
        with database.write() as session:
            add_subordinate(session, ACME, "acme-tls-1")
            session.flush()
            session.add(
                WatchedKeyRow(
                    spki_sha256=ACME,
                    anchor=ACME,
                    provenance=KeyProvenance.CONFIGURATION,
                    watched_since=NOW,
                )
            )
        for number in range(40):
            add_unit(database, number, NOW - timedelta(days=1))
    path = tmp_path / "oversight.toml"
    path.write_text(
        '[agent]\ncontact = "oversight@ca.example"\n'
        f'[database]\nurl = "sqlite:///{tmp_path / "oversight.db"}"\n'
    )
    return str(path)


def draw(configuration: str, output: Path, *more: str) -> int:
    return main(
        [
            *("--config", configuration, "--at", AT, "sample", "draw"),
            *("--subordinate", "acme-tls-1", "--public-value", "round 7"),
            *("--output", str(output), *more),
        ]
    )


def test_a_draw_verifies_offline_and_is_listed(
    configuration: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "draw.json"
    assert draw(configuration, output) == 0
    assert "acme-tls-1: 2 of 40 units until 2026-11-24T12:00:00Z (product-default)" in (
        capsys.readouterr().out
    )
    # Without --config: nothing but the file is read.
    assert main(["sample", "verify", str(output), "--public-value", "round 7"]) == 0
    assert capsys.readouterr().out.startswith("verified: acme-tls-1: 2 of 40 units")
    assert main(["sample", "verify", str(output)]) == 0
    assert "compare it with its source" in capsys.readouterr().err
    assert main(["--config", configuration, "sample", "list", "--json"]) == 0
    [listed] = json.loads(capsys.readouterr().out)
    assert (listed["id"], listed["subordinate"]) == (1, "acme-tls-1")
    assert (listed["population"], listed["drawn"]) == (40, 2)
    assert listed["population_end"] == AT
    assert listed["commitment"] == json.loads(output.read_bytes())["commitment"]
    assert main(["--config", configuration, "sample", "list"]) == 0
    again = tmp_path / "again.json"
    arguments = ["--config", configuration, "sample", "export", "1", "--output", str(again)]
    assert main(arguments) == 0
    assert again.read_bytes() == output.read_bytes()


def test_a_changed_transcript_or_value_does_not_verify(
    configuration: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "draw.json"
    draw(configuration, output)
    assert main(["sample", "verify", str(output), "--public-value", "round 8"]) == 1
    assert "public_value: the transcript was drawn with 'round 7'" in capsys.readouterr().err
    content = json.loads(output.read_bytes())
    content["sample"][0]["unit_id"] = content["units"][0]["unit_id"]
    content["sample"][1]["unit_id"] = content["units"][0]["unit_id"]
    output.write_text(json.dumps(content))
    assert main(["sample", "verify", str(output)]) == 1
    error = capsys.readouterr().err
    assert f"{output}: does not verify: sample[" in error
    assert error.count("\n") == 1
    assert main(["sample", "verify", str(tmp_path / "none.json")]) == 2
    output.write_bytes(b"[]")
    assert main(["sample", "verify", str(output)]) == 1


def test_a_file_is_never_overwritten_and_no_draw_is_spent_on_it(
    configuration: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "draw.json"
    output.write_text("mine")
    assert draw(configuration, output) == 2
    assert draw(configuration, tmp_path / "nowhere" / "draw.json") == 2
    capsys.readouterr()
    assert main(["--config", configuration, "sample", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert output.read_text() == "mine"


def test_a_population_is_drawn_once(
    configuration: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert draw(configuration, tmp_path / "one.json", "--ev-by-ra") == 0
    assert draw(configuration, tmp_path / "two.json") == 2
    assert "no population is drawn twice" in capsys.readouterr().err
    assert not (tmp_path / "two.json").exists()


def test_an_unknown_subordinate_is_a_usage_error(
    configuration: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", configuration, "sample", "draw", "--subordinate", "bolt"]
    arguments += ["--public-value", "x", "--output", str(tmp_path / "x.json")]
    assert main(arguments) == 2
    assert "known: acme-tls-1" in capsys.readouterr().err
