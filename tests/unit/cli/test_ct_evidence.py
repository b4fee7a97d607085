"""``ct evidence`` as its users meet it: the observer exports, a third party verifies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from subca_oversight.cli.root import main
from subca_oversight.errors import LogMisbehaved
from subca_oversight.model.log import LogApi
from tests.databases import sqlite_database
from tests.integration.harvesting import run_harvest, watch
from tests.integration.log_server import FaultyLog, flip
from tests.integration.made_entries import Authority, mixed

ACME = Authority("Acme CA")


@pytest.fixture
def configuration(tmp_path: Path) -> str:
    with sqlite_database(tmp_path) as database:
        watch(database, certificates=[ACME.certificate])
        log = FaultyLog(mixed(ACME, 300), LogApi.STATIC)
        log.leaf_mutations[123] = flip(60)
        with pytest.raises(LogMisbehaved):
            run_harvest(database, log)
        url = database.engine.url.render_as_string()
    path = tmp_path / "oversight.toml"
    path.write_text(
        f'[agent]\ncontact = "a@ca.example"\nstate_directory = "{tmp_path}"\n'
        f'[database]\nurl = "{url}"\n'
    )
    return str(path)


def test_evidence_is_listed_exported_and_verified_without_us(
    configuration: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--config", configuration, "ct", "evidence", "list", "--json"]) == 0
    [listed] = json.loads(capsys.readouterr().out)
    assert (listed["kind"], listed["log"]) == ("corruption", "test static")
    file = tmp_path / "evidence.json"
    export = ["ct", "evidence", "export", str(listed["id"]), "--output", str(file)]
    assert main(["--config", configuration, *export]) == 0
    capsys.readouterr()
    assert main(["--config", "/nowhere", "ct", "evidence", "verify", str(file)]) == 0
    assert "proven: the served entries 123 to 123 hash" in capsys.readouterr().out
    assert main(["--config", "/nowhere", "ct", "evidence", "verify", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["log_id"] == listed["log_id"]
    assert main(["--config", configuration, "ct", "evidence", "list"]) == 0
    assert "corruption" in capsys.readouterr().out


def test_a_file_that_proves_nothing_ends_with_exit_code_1(
    configuration: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "evidence.json"
    export = ["ct", "evidence", "export", "1", "--output", str(file)]
    assert main(["--config", configuration, *export]) == 0
    document = json.loads(file.read_text())
    document["proof"]["end_proof"][0] = "00" * 32
    file.write_text(json.dumps(document))
    assert main(["ct", "evidence", "verify", str(file)]) == 1
    assert "does not lead to the root" in capsys.readouterr().err
    file.write_text("{}")
    assert main(["ct", "evidence", "verify", str(file)]) == 1
    export[3] = "99"
    assert main(["--config", configuration, *export]) == 1
