"""``ct logs`` as a user meets it: every log, every list's word on it, and every change."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from subca_oversight.cli.ct import COMMANDS, ct
from subca_oversight.cli.root import main
from subca_oversight.evidence.logs.listings import record_list
from subca_oversight.evidence.logs.precedence import Voice, merge_listings
from subca_oversight.model.log import LogState
from tests.databases import sqlite_database
from tests.unit.evidence.listed_logs import NOW, listed, made_log


@pytest.fixture
def configuration(tmp_path: Path) -> str:
    ended = made_log(2, LogState.RETIRED)
    with sqlite_database(tmp_path) as database, database.write() as session:
        record_list(session, "https://a.test/list.json", listed(made_log(1), ended), NOW)
        later = NOW + timedelta(days=1)
        moved = made_log(1, LogState.READONLY, monitoring_url="https://moved.test/")
        record_list(session, "https://a.test/list.json", listed(moved, version="2"), later)
        record_list(session, "https://b.test/list.json", listed(made_log(1)), later)
        merge_listings(session, [Voice("https://a.test/list.json", is_signed=True)], later)
    path = tmp_path / "oversight.toml"
    path.write_text(f'[agent]\ncontact = "oversight@ca.example"\nstate_directory = "{tmp_path}"\n')
    return str(path)


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main([*words]) == 0
    return capsys.readouterr().out


def test_every_log_is_listed_with_what_each_list_says(
    configuration: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(printed(capsys, "--config", configuration, "ct", "logs", "--json"))
    one, two = found
    assert (one["description"], one["state"], one["polling"]) == ("Log 1", "usable", "followed")
    assert one["log_id"] == made_log(1).log_id.hex()
    assert one["url"] == "https://moved.test/"
    assert [(word["list"], word["state"]) for word in one["lists"]] == [
        ("https://a.test/list.json", "readonly"),
        ("https://b.test/list.json", "usable"),
    ]
    assert one["disagreements"] == ["state", "url"]
    assert [event["kind"] for event in one["events"]] == [
        "appeared",
        "url_changed",
        "state_changed",
        "appeared",
    ]
    assert (two["state"], two["monitored"], two["polling"]) == ("retired", False, "stopped")
    assert two["lists"][0]["vanished_at"] == "2026-11-25T12:00:00Z"


def test_every_change_is_listed_in_its_order(
    configuration: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--config", configuration, "ct", "logs", "--events", "--json")
    found = json.loads(printed(capsys, *words))
    assert [(event["description"], event["kind"], event["version"]) for event in found] == [
        ("Log 1", "appeared", "1"),
        ("Log 2", "appeared", "1"),
        ("Log 1", "state_changed", "2"),
        ("Log 1", "url_changed", "2"),
        ("Log 2", "vanished", "2"),
        ("Log 1", "appeared", "1"),
    ]
    assert found[2]["before"] == "usable since 2026-01-01T00:00:00Z"
    assert found[2]["at"] == "2026-11-25T12:00:00Z"


def test_people_get_tables_and_see_where_the_lists_disagree(
    configuration: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, "--config", configuration, "ct", "logs")
    assert "2 logs, 1 of them followed" in text
    assert "Where the lists disagree" in text
    assert "none any more" in text
    events = printed(capsys, "--config", configuration, "ct", "logs", "--events")
    assert "6 changes" in events
    assert "state changed" in events


def test_the_group_names_its_commands_without_loading_them() -> None:
    result = CliRunner().invoke(ct, ["--help"])
    assert result.exit_code == 0
    assert set(COMMANDS) <= set(result.output.split())
    assert CliRunner().invoke(ct, ["nothing"]).exit_code == 2
