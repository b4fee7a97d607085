"""What can go wrong at a CA, each told in one clear line with its exit code, and nothing lost.

Every command here runs in a process of its own, as an operator runs it.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.acceptance.agent import Agent, Answer
from tests.acceptance.disk import find_obstacle, take_steps
from tests.acceptance.world import Installation, copy_database, install, once

USAGE, SOURCE, STORE = 2, 3, 4
HARVESTING = ("log-lists", "ccadb", "harvest")


def assert_one_line(answer: Answer, code: int, *words: str) -> None:
    """One complaint, in which every one of ``words`` stands."""
    assert answer.code == code, answer.err
    assert "Traceback" not in answer.err
    assert len(answer.complaints) == 1, answer.err
    for word in words:
        assert word in answer.complaints[0], answer.complaints[0]


def _first_leaf(installation: Installation) -> bytes:
    """A final certificate that is no CA's, in PEM."""
    with installation.sql() as connection:
        row = connection.execute(
            "select c.der from certificate c join unit u on u.unit_id = c.unit_id"
            " where c.kind = 'final' and c.problem is null order by c.sha256 limit 1"
        ).fetchone()
    return x509.load_der_x509_certificate(row[0]).public_bytes(Encoding.PEM)


def _misspell_key(installation: Installation) -> str:
    installation.edit("contact =", 'kontact = "x"\ncontact =')
    return "oversight.toml: agent.kontact: unknown key"


def _misspell_table(installation: Installation) -> str:
    installation.edit("[ccadb]", "[ccadab]\n[ccadb]")
    return "oversight.toml: ccadab: unknown key"


def _break_syntax(installation: Installation) -> str:
    installation.edit("[ccadb]", "[ccadb")
    return "oversight.toml: not valid TOML"


def _start_somewhere(installation: Installation) -> str:
    installation.edit('start = "all"', 'start = "yesterday"')
    return "start"


def _lose_certificate_file(installation: Installation) -> str:
    installation.edit("campus-onprem.pem", "nowhere.pem")
    return "nowhere.pem: cannot be read: No such file or directory"


def _name_leaf(installation: Installation) -> str:
    leaf = installation.state / "leaf.pem"
    leaf.write_bytes(_first_leaf(installation))
    old = re.search(r'"([^"]*campus-onprem\.pem)"', installation.configuration.read_text("utf-8"))
    assert old is not None
    installation.edit(old[1], str(leaf))
    return "leaf.pem: not a CA certificate"


def _name_rubbish(installation: Installation) -> str:
    rubbish = installation.state / "rubbish.pem"
    rubbish.write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "utf-8")
    old = re.search(r'"([^"]*campus-onprem\.pem)"', installation.configuration.read_text("utf-8"))
    assert old is not None
    installation.edit(old[1], str(rubbish))
    return "rubbish.pem"


def _share_certificate(installation: Installation) -> str:
    installation.edit("campus-onprem.pem", "meridian-cross.pem")
    return "already belongs to"


def _expose_secret(installation: Installation) -> str:
    installation.configuration.chmod(0o644)
    return "chmod 600"


@pytest.mark.parametrize(
    "spoil",
    [
        _misspell_key,
        _misspell_table,
        _break_syntax,
        _start_somewhere,
        _lose_certificate_file,
        _name_leaf,
        _name_rubbish,
        _share_certificate,
        _expose_secret,
    ],
)
def test_a_wrong_configuration_is_refused_and_changes_nothing(
    toured: Installation, spoil: Callable[[Installation], str]
) -> None:
    good = toured.configuration.read_text("utf-8")
    before = toured.database.read_bytes()
    words = spoil(toured)
    answer = toured.run(*once("clocks"))
    assert_one_line(answer, USAGE, words)
    assert toured.database.read_bytes() == before
    toured.configuration.chmod(0o600)
    toured.configuration.write_text(good, "utf-8")
    assert toured.call(*once("clocks")).code == 0


def test_a_missing_configuration_is_named(agent: Agent, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere.toml"
    answer = agent.run("--config", str(nowhere), *once("clocks"))
    assert_one_line(answer, USAGE, str(nowhere), "No such file or directory")


def test_a_missing_export_stops_no_other_job(fresh: Installation) -> None:
    text = fresh.configuration.read_text("utf-8")
    missing = fresh.state / "export.csv"
    fresh.configuration.write_text(
        re.sub(r'(?m)^records = ".*"$', f'records = "{missing}"', text), "utf-8"
    )
    answer = fresh.run(*once("ccadb", "clocks"))
    assert_one_line(answer, USAGE, "ccadb.records", str(missing), "No such file or directory")
    outcomes = {row["job"]: row["outcome"] for row in fresh.status()["jobs"]}
    assert outcomes == {"ccadb": "failed", "clocks": "done"}
    missing.write_bytes((fresh.world.directory / "ccadb" / "records.csv").read_bytes())
    assert fresh.call(*once("ccadb")).code == 0


def test_an_unreachable_log_keeps_no_other_from_being_read(fresh: Installation) -> None:
    answered = fresh.world.get("/log_list.json")
    tables = json.loads(answered.body)
    operator = next(one for one in tables["operators"] if len(one["logs"]) > 0)
    log = next(one for one in operator["logs"] if "usable" in one["state"])
    port = _closed_port()
    log["url"] = f"http://127.0.0.1:{port}/"
    mended = fresh.configuration.read_text("utf-8")
    source = fresh.state / "log_list.json"
    source.write_text(json.dumps(tables), "utf-8")
    text = re.sub(r'(?m)^source = ".*"$', f'source = "{source}"', mended)
    text = re.sub(r'(?m)^public_key = ".*"\n', "", text)
    fresh.configuration.write_text(text.replace("[http]", "[http]\nattempts = 1"), "utf-8")

    answer = fresh.run(*once("log-lists", "harvest"))
    assert_one_line(answer, SOURCE, log["description"], f"port {port} cannot be reached")
    by_name = {row["description"]: row for row in fresh.status()["logs"] if row["monitored"]}
    unread = by_name.pop(log["description"])
    assert unread["verified_size"] is None
    assert f"port {port}" in unread["last_error"]
    assert len(by_name) > 0
    assert all(row["verified_size"] == row["head_size"] > 0 for row in by_name.values())

    fresh.configuration.write_text(mended, "utf-8")
    assert fresh.call(*once("log-lists", "harvest")).code == SOURCE  # its own misbehaving entry
    assert all(row["backlog"] == 0 for row in fresh.status()["logs"] if row["monitored"])
    with fresh.sql() as connection:
        told = connection.execute("select text from alert_event where kind = 'source_failed'")
        assert [f"port {port}" in text for (text,) in told] == [True]


def test_a_newer_schema_is_refused(toured: Installation) -> None:
    with toured.sql() as connection:
        (known,) = connection.execute("select version_num from alembic_version").fetchone()
        connection.execute("update alembic_version set version_num = '9999'")
    before = toured.database.read_bytes()
    for arguments in (once("clocks"), ["findings", "list"], ["db", "upgrade"]):
        answer = toured.run(*arguments)
        assert_one_line(answer, STORE, str(toured.database), "newer version")
    assert toured.database.read_bytes() == before
    with toured.sql() as connection:
        connection.execute("update alembic_version set version_num = ?", (known,))
    assert toured.call(*once("clocks")).code == 0


def test_a_damaged_database_is_refused(toured: Installation) -> None:
    whole = toured.database.read_bytes()
    toured.database.write_bytes(b"\x00" * 100 + whole[100:])
    answer = toured.run(*once("clocks"))
    assert_one_line(answer, STORE, str(toured.database), "restore a backup")
    toured.database.write_bytes(whole)
    assert toured.call(*once("clocks")).code == 0


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Where a small disk can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    obstacle = find_obstacle(folder)
    if obstacle is not None:
        pytest.skip(obstacle)
    return folder


def test_a_full_disk_loses_nothing(toured: Installation, disk: Path, tmp_path: Path) -> None:
    """Full in the middle of a harvest; once there is room, the same command ends as ever."""
    small = install(toured.world, disk, toured.agent)
    moved = tmp_path / "oversight.toml"
    small.configuration.rename(moved)
    options = ["run", "--config", str(moved), "--at", small.at.isoformat()]
    saved = tmp_path / "saved.db"
    full, again, mended, checked = take_steps(
        disk,
        [
            ["mount", "size=1500k"],
            [*options, *once(*HARVESTING)],
            [*options, *once(*HARVESTING)],
            ["remount", "size=200m"],
            [*options, *once(*HARVESTING)],
            [*options, "db", "check"],
            ["copy", str(small.database), str(saved)],
        ],
    )
    for answer in (full, again):
        assert_one_line(answer, STORE, str(small.database), "full", "free space")
    assert mended.code == SOURCE, mended.err  # the world's misbehaving entry
    assert checked.code == 0, checked.out
    moved.rename(small.configuration)
    copy_database(saved, small.database)
    for subordinate in small.world.manifest.subordinates:
        assert small.units(subordinate.name) == toured.units(subordinate.name)


def test_a_read_only_database_is_refused(toured: Installation, disk: Path, tmp_path: Path) -> None:
    findings = toured.call("findings", "list", "--json").out
    kept = install(toured.world, disk, toured.agent)
    moved = tmp_path / "oversight.toml"
    kept.configuration.rename(moved)
    options = ["run", "--config", str(moved), "--at", kept.at.isoformat()]
    refused, listed, mended, again = take_steps(
        disk,
        [
            ["mount", "size=200m"],
            ["copy", str(toured.database), str(kept.database)],
            ["remount", "ro"],
            [*options, *once("clocks")],
            [*options, "findings", "list", "--json"],
            ["remount", "rw"],
            [*options, *once("clocks")],
            [*options, "findings", "list", "--json"],
        ],
    )
    assert_one_line(refused, STORE, str(kept.database.parent), "ermission")
    assert_one_line(listed, STORE, str(kept.database))  # SQLite's own log needs a place to lie
    assert mended.code == 0, mended.err
    assert again.out == findings


def _closed_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
