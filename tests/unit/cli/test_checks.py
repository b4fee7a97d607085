from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from subca_oversight.check.registry import load_registry
from subca_oversight.cli.root import cli

NOWHERE = "/nonexistent/oversight.toml"


def test_the_catalogue_has_every_check_with_its_stable_keys() -> None:
    result = CliRunner().invoke(cli, ["checks", "list", "--json"])
    assert result.exit_code == 0, result.output
    listed = json.loads(result.stdout)
    assert [entry["id"] for entry in listed] == list(load_registry().checks)
    assert {tuple(entry) for entry in listed} == {
        (
            "id",
            "family",
            "subject",
            "severity",
            "requirement",
            "revocation",
            "covers",
            "title",
        )
    }
    (validity,) = [entry for entry in listed if entry["id"] == "validity-limit"]
    assert validity["covers"] == ["C03", "br-6.3.2-validity"]
    assert validity["subject"] == "certificate"
    assert validity["revocation"] == "5d"


def test_explaining_a_check_gives_its_reason_and_clause() -> None:
    result = CliRunner().invoke(cli, ["checks", "explain", "serial-reuse"])
    assert result.exit_code == 0, result.output
    assert "An issuer gives each serial number to one certificate" in result.output
    assert "RFC 5280 4.1.2.2" in result.output


def test_an_unknown_check_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["checks", "explain", "serial"])
    assert result.exit_code != 0
    assert "there is no check 'serial'" in result.output + str(result.exception)


def test_a_configuration_that_is_named_and_absent_is_an_error() -> None:
    result = CliRunner().invoke(cli, ["--config", NOWHERE, "checks", "list"])
    assert result.exit_code != 0


def test_the_sites_own_checks_are_listed_too(tmp_path: Path) -> None:
    folder = tmp_path / "site" / "certificate"
    folder.mkdir(parents=True)
    (folder / "local_rule.py").write_text(
        '"""The local rule."""\n'
        "from collections.abc import Iterator\n"
        "from subca_oversight.check import Breach, CertificateFacts, Severity, check\n"
        '@check(id="local-rule", severity=Severity.NOTICE, requirement="contract")\n'
        "def rule(certificate: CertificateFacts) -> Iterator[Breach]:\n"
        "    yield from ()\n"
    )
    for path in (folder.parent, folder, folder / "local_rule.py"):
        path.chmod(path.stat().st_mode & 0o755)
    configuration = tmp_path / "oversight.toml"
    configuration.write_text(
        '[agent]\ncontact = "oversight@ca.example"\nstate_directory = "state"\n'
        '[checks]\ndirectory = "site"\n'
    )
    result = CliRunner().invoke(cli, ["--config", str(configuration), "checks", "list", "--json"])
    assert result.exit_code == 0, result.output
    assert "local-rule" in {entry["id"] for entry in json.loads(result.stdout)}
