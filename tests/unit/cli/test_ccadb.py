"""The ``ccadb`` commands end to end, on made-up files and on the real exports."""

import csv
import io
import json
import time
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.cli.ccadb import ccadb
from subca_oversight.cli.proposals import quote
from subca_oversight.errors import ConfigurationError, SourceError
from subca_oversight.settings import SubordinateSettings
from tests.real_data import REAL_DATA, needs_real_data

_AUDIT_COLUMNS = [
    f"{prefix} Audit {part}"
    for prefix in ("Standard", "BR", "EV SSL", "EV Code Signing")
    for part in ("URL", "Type", "Statement Date", "Period Start Date", "Period End Date")
]
HEADER = [
    "CA Owner", "Salesforce Record ID", "Certificate Name", "Parent Salesforce Record ID",
    "Parent Certificate Name", "Certificate Record Type", "Revocation Status",
    "SHA-256 Fingerprint", "Parent SHA-256 Fingerprint", "Audits Same as Parent?", "Auditor",
    *_AUDIT_COLUMNS, "CP/CPS Same as Parent?", "Certificate Policy (CP) URL",
    "Certificate Practice Statement (CPS) URL", "CP/CPS Last Updated Date",
    "Test Website URL - Valid", "Test Website URL - Expired", "Test Website URL - Revoked",
    "Technically Constrained", "Mozilla Status", "Microsoft Status", "Subordinate CA Owner",
    "Full CRL Issued By This CA",
]  # fmt: skip
ROOT = {
    "CA Owner": "Signer",
    "Salesforce Record ID": "R",
    "Certificate Name": "Root",
    "Certificate Record Type": "Root Certificate",
    "SHA-256 Fingerprint": "00" * 32,
}
SUBCA = {
    "CA Owner": "Signer",
    "Salesforce Record ID": "S",
    "Certificate Name": "Sub",
    "Parent Salesforce Record ID": "R",
    "Certificate Record Type": "Intermediate Certificate",
    "Revocation Status": "Not Revoked",
    "SHA-256 Fingerprint": "AB" * 32,
    "Parent SHA-256 Fingerprint": "00" * 32,
    "Subordinate CA Owner": "Operator",
    "Standard Audit Statement Date": "2025.02.15",
    "Standard Audit Period Start Date": "2024.01.01",
    "Standard Audit Period End Date": "2024.12.31",
}
REPORT_2021 = REAL_DATA / "ccadb" / "AllCertificateRecordsReport_2021-04-05.csv"
PEMS = REAL_DATA / "ccadb" / "pems-2026-08-21"


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return write(tmp_path / "records.csv", ROOT, SUBCA)


def write(path: Path, *rows: dict[str, str]) -> Path:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADER)
    for row in rows:
        writer.writerow([row.get(name, "") for name in HEADER])
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(ccadb, [str(argument) for argument in arguments])


def load(result: Result) -> Any:  # noqa: ANN401 - JSON
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_audits_have_the_keys_of_the_contract_in_its_order(report: Path) -> None:
    result = run("audits", "--records", report, "--as-of", "2026-01-01", "--external", "--json")
    (found,) = load(result)
    assert found == {
        "sha256": "ab" * 32,
        "ca_owner": "Signer",
        "subordinate_ca_owner": "Operator",
        "certificate_name": "Sub",
        "external": True,
        "state": "report_due",
        "exempt_reason": None,
        "inherited_from": None,
        "next_end": "2025-12-31",
        "due": "2026-04-02",
        "days_left": 91,
        "days_overdue": -91,
        "audits": {
            "standard": {
                "start": "2024-01-01",
                "end": "2024-12-31",
                "statement": "2025-02-15",
                "lag_days": 46,
                "state": "report_due",
            }
        },
        "notices": [
            {
                "id": "certificate_missing",
                "text": "no certificate at hand: constraints are not known",
            }
        ],
    }
    assert list(found) == [
        "sha256", "ca_owner", "subordinate_ca_owner", "certificate_name", "external", "state",
        "exempt_reason", "inherited_from", "next_end", "due", "days_left", "days_overdue",
        "audits", "notices",
    ]  # fmt: skip


def test_without_external_every_record_is_listed(report: Path) -> None:
    found = load(run("audits", "--records", report, "--as-of", "2026-01-01", "--json"))
    assert [entry["external"] for entry in found] == [False, True]


def test_progress_and_problems_go_to_standard_error(tmp_path: Path) -> None:
    bad = SUBCA | {"Salesforce Record ID": "B\x1b[2J", "SHA-256 Fingerprint": "12"}
    path = write(tmp_path / "records.csv", ROOT, SUBCA, bad)
    result = run("audits", "--records", path, "--as-of", "2026-01-01", "--json")
    assert len(load(result)) == 2
    assert "2 records, layout 2021, 1 set aside" in result.stderr
    assert "64 hex digits" in result.stderr
    assert "\x1b" not in result.stderr


def test_the_table_shows_state_and_count_and_no_control_characters(tmp_path: Path) -> None:
    row = SUBCA | {"Certificate Name": "Na\x1b[31mme\u202e [bold]x[/bold]"}
    result = run(
        "audits", "--records", write(tmp_path / "r.csv", ROOT, row), "--as-of", "2026-05-01"
    )
    assert result.exit_code == 0
    assert "overdue" in result.stdout
    assert "2 records: 1 overdue, 1 unknown" in result.stdout
    assert "[bold]x[/bold]" in result.stdout
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout


@pytest.mark.parametrize("command", ["audits", "discover"])
def test_a_page_instead_of_the_report_is_one_clear_line(command: str, tmp_path: Path) -> None:
    path = tmp_path / "records.csv"
    path.write_text("<html>\nsorry</html>")
    extra = ("--owner", "Signer") if command == "discover" else ()
    result = run(command, "--records", path, *extra)
    assert isinstance(result.exception, SourceError)
    assert "records.csv: CCADB report refused: it is an HTML" in str(result.exception)
    assert "\n" not in str(result.exception)
    assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("audits",),
        ("audits", "--records", "absent.csv"),
        ("audits", "--records", __file__, "--as-of", "yesterday"),
        ("audits", "--records", __file__, "--certificates", "absent"),
        ("discover", "--records", __file__),
    ],
)
def test_wrong_arguments_are_a_usage_error(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_discover_names_the_files_to_save_where_no_certificate_is_at_hand(report: Path) -> None:
    result = run("discover", "--records", report, "--owner", "signer, Inc.")
    assert result.exit_code == 0
    (entry,) = tomllib.loads(result.stdout)["subordinate"]
    assert entry == {
        "name": "operator",
        "operator": "Operator",
        "relation": "externally-operated",
        "certificates": [f"subordinates/operator/{'ab' * 32}.pem"],
    }
    SubordinateSettings.model_validate(entry)


def test_discover_cannot_be_made_to_write_keys(tmp_path: Path) -> None:
    evil = '"\n[[subordinate]]\nname = "x'
    row = SUBCA | {
        "Subordinate CA Owner": f'Op"\\era\u202etor {evil}',
        "Certificate Name": f"x\u2028\x7f {evil}",
        "Salesforce Record ID": f"S{evil}",
    }
    path = write(tmp_path / "records.csv", ROOT, row)
    result = run("discover", "--records", path, "--owner", "Signer")
    (entry,) = tomllib.loads(result.stdout)["subordinate"]
    assert set(entry) == {"name", "operator", "relation", "certificates"}
    assert entry["operator"] == 'Op"\\era\u202etor " [[subordinate]] name = "x'
    assert "\u202e" not in result.stdout
    SubordinateSettings.model_validate(entry)


def test_discover_says_when_the_owner_is_not_known(report: Path) -> None:
    result = run("discover", "--records", report, "--owner", "Singer")
    assert isinstance(result.exception, ConfigurationError)
    assert "did you mean 'Signer'?" in str(result.exception)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_survives_toml(text: str) -> None:
    assert tomllib.loads(f"text = {quote(text)}\n# {quote(text)}") == {"text": text}


@needs_real_data
def test_the_full_report_of_2021_is_judged_in_under_ten_seconds() -> None:
    started = time.monotonic()
    result = run(
        "audits", "--records", REPORT_2021, "--certificates", PEMS, "--as-of", "2021-04-05",
        "--external", "--json",
    )  # fmt: skip
    assert time.monotonic() - started < 10
    found = load(result)
    assert len(found) == 334
    dead = {"expired", "revoked", "parent_revoked"}
    live = [entry for entry in found if entry["exempt_reason"] not in dead]
    states = Counter(entry["state"] for entry in live)
    assert states == {"current": 126, "exempt": 25, "overdue": 7, "report_due": 6}


@needs_real_data
def test_the_proposals_of_2021_are_valid_configuration() -> None:
    result = run(
        "discover", "--records", REPORT_2021, "--certificates", PEMS, "--as-of", "2021-04-05",
        "--owner", "DigiCert",
    )  # fmt: skip
    entries = tomllib.loads(result.stdout)["subordinate"]
    assert "9 operators, 67 live CA certificates" in result.stderr
    assert len({entry["name"] for entry in entries}) == 9
    for entry in entries:
        assert len(SubordinateSettings.model_validate(entry).issuer_keys) > 0
