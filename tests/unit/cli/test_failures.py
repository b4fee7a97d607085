"""What goes wrong is one line, with the right exit code, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlmodel import select

from subca_oversight.cli.root import COMMANDS, cli, main
from subca_oversight.store.lease import acquire_lease
from subca_oversight.store.tables import JobRunRow
from tests.unit.cli.installation import Installation, as_nobody
from tests.unit.evidence.issuing import Issuer, make_issuer

READING = ("findings", "list")
WORKING = ("run", "--once", "--job", "clocks")
both = pytest.mark.parametrize("words", [READING, WORKING], ids=["reading", "working"])


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return make_issuer()


def subordinate(name: str, path: str) -> str:
    return (
        f'[[subordinate]]\nname = "{name}"\noperator = "Acme"\nrelation = "cross-signed"\n'
        f'certificates = ["{path}"]\n'
    )


# The configuration: exit code 2


@both
def test_an_unknown_key_names_file_and_key(installed: Installation, words: tuple[str, ...]) -> None:
    installed.configure("[ct]\nlog_list = []\n")
    assert installed.refuse(*words) == (2, f"{installed.configuration}: ct.log_list: unknown key")


@both
def test_a_missing_configuration_is_named(installed: Installation, words: tuple[str, ...]) -> None:
    installed.configuration.unlink()
    code, line = installed.refuse(*words)
    assert (code, line) == (
        2,
        f"{installed.configuration}: cannot be read: No such file or directory",
    )


def test_no_contact_is_told(installed: Installation) -> None:
    installed.configure("", head="[agent]\n")
    code, line = installed.refuse("config", "check")
    assert code == 2
    assert line == f"{installed.configuration}: agent.contact: Field required"


@pytest.mark.parametrize("words", [("config", "check"), WORKING], ids=["check", "working"])
@pytest.mark.parametrize("wrong", ["missing", "garbage", "leaf", "shared"])
def test_a_wrong_certificate_names_subordinate_file_and_reason(
    installed: Installation, issuer: Issuer, words: tuple[str, ...], wrong: str
) -> None:
    path = installed.folder / "acme.pem"
    text = subordinate("acme", "acme.pem")
    reason = "cannot be read: No such file or directory"
    if wrong == "garbage":
        path.write_text("nothing of use")
        reason = "holds no certificate, neither PEM nor DER"
    elif wrong == "leaf":
        path.write_bytes(make_issuer(ca=False).pem)
        reason = "not a CA certificate (basicConstraints says no CA)"
    elif wrong == "shared":
        path.write_bytes(issuer.pem)
        text += subordinate("other", "acme.pem")
    installed.configure(text)
    code, line = installed.refuse(*words)
    assert code == 2
    if wrong == "shared":
        assert line.startswith('subordinate "other": its key ')
        assert 'already belongs to "acme"' in line
    else:
        assert line.startswith(f'subordinate "acme": {path}: {reason}')
    assert not installed.path.exists()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[http]\nca_bundle = "none.pem"\n', "http.ca_bundle"),
        ('[ccadb]\nrecords = "none.csv"\n', "ccadb.records"),
        ('[ct]\nlog_lists = [{ source = "none.json" }]\n', "ct.log_lists.source"),
        (
            '[ct]\nlog_lists = [{ source = "https://x.example/", public_key = "none.pem" }]\n',
            "ct.log_lists.public_key",
        ),
    ],
)
def test_a_file_that_the_configuration_names_and_that_is_missing_is_told(
    installed: Installation, text: str, key: str
) -> None:
    installed.configure(text)
    code, line = installed.refuse("config", "check")
    assert code == 2
    assert line.startswith(f"{key}: {installed.folder / 'none'}.")
    assert line.endswith("there is no such file")


def test_an_interval_of_no_job_is_told(installed: Installation) -> None:
    installed.configure("[daemon.intervals]\nharvests = 5\n")
    code, line = installed.refuse("config", "check")
    assert code == 2
    assert line.startswith("daemon.intervals.harvests: no job is called that")


def test_a_database_url_that_cannot_work_is_told_without_its_password(
    installed: Installation,
) -> None:
    installed.configure('[database]\nurl = "mysql://someone:secret@host/db"\n')
    code, line = installed.refuse(*READING)
    assert code == 2
    assert line == "database.url: use sqlite:///… or postgresql+psycopg://…"


def test_an_unknown_job_is_refused_with_those_known(installed: Installation) -> None:
    code, line = installed.refuse("run", "--once", "--job", "harvests")
    assert code == 2
    assert line.startswith("no job is called harvests; known: ")


@pytest.mark.parametrize(
    "words",
    [("nonsense",), ("run", "--job", "clocks"), ("findings", "show"), ("findings", "list", "--x")],
)
def test_a_command_line_that_cannot_be_understood_is_exit_code_2(
    installed: Installation, words: tuple[str, ...]
) -> None:
    code, out, error = installed.run(*words)
    assert (code, out) == (2, "")
    assert "Error: " in error


# The store: exit code 4


@both
def test_a_schema_of_the_future_is_refused(installed: Installation, words: tuple[str, ...]) -> None:
    installed.make_database()
    installed.execute("update alembic_version set version_num = '9999'")
    code, line = installed.refuse(*words)
    assert code == 4
    assert line.startswith(f"{installed.path}: its schema was made by a newer version")


@both
def test_another_programs_file_is_refused(installed: Installation, words: tuple[str, ...]) -> None:
    installed.state.mkdir()
    installed.execute("create table bookmarks (url)")
    code, line = installed.refuse(*words)
    assert code == 4
    assert line.startswith(f"{installed.path}: holds another program's tables")


@both
def test_a_file_that_is_no_database_is_refused_and_left_alone(
    installed: Installation, words: tuple[str, ...]
) -> None:
    installed.state.mkdir()
    content = b"this is a text file\n" * 1000
    installed.path.write_bytes(content)
    code, line = installed.refuse(*words)
    assert (code, line) == (
        4,
        f"{installed.path}: file is not a database; restore a backup",
    )
    assert installed.path.read_bytes() == content


def test_a_damaged_file_is_told_of(installed: Installation) -> None:
    installed.make_database()
    content = bytearray(installed.path.read_bytes())
    page = int.from_bytes(content[16:18])
    for start in range(page, len(content), page):
        content[start : start + 64] = b"\xff" * 64
    installed.path.write_bytes(content)
    code, line = installed.refuse(*READING)
    assert code == 4
    assert line == f"{installed.path}: database disk image is malformed; restore a backup"


@both
def test_a_folder_that_cannot_be_made_is_told(
    installed: Installation, words: tuple[str, ...]
) -> None:
    installed.state.write_text("a file is in the way")
    code, line = installed.refuse(*words)
    assert code == 4
    assert line.startswith(f"{installed.state}")


def test_a_read_only_folder_is_told(installed: Installation) -> None:
    installed.run(*WORKING)
    installed.path.with_name("oversight.db.writer-lock").unlink()
    with as_nobody(installed.folder):
        installed.state.chmod(0o500)
        code, line = installed.refuse(*WORKING)
        installed.state.chmod(0o700)
    assert code == 4
    assert str(installed.state) in line
    assert "permissions" in line or "writable" in line
    assert installed.run(*WORKING)[0] == 0


def test_a_read_only_database_is_told(installed: Installation) -> None:
    installed.run(*WORKING)
    with as_nobody(installed.folder):
        installed.path.chmod(0o400)
        code, line = installed.refuse(*WORKING)
        installed.path.chmod(0o600)
    assert code == 4
    assert "make the database and its folder writable for this user" in line
    assert installed.run(*WORKING)[0] == 0


def test_a_database_that_may_not_be_read_is_told(installed: Installation) -> None:
    installed.run(*WORKING)
    with as_nobody(installed.folder):
        installed.path.chmod(0)
        code, line = installed.refuse(*READING)
        installed.path.chmod(0o600)
    assert code == 4
    assert "unable to open database file" in line
    assert "permissions" in line


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:  # noqa: S603 - ours
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)  # noqa: S603, S607 - ours


def test_a_full_disk_is_told_and_work_goes_on_when_there_is_space(
    small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    installed = Installation(small_disk, capsys)
    assert installed.run(*WORKING)[0] == 0
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"0" * 4096)
    for _ in range(2):
        code, line = installed.refuse(*WORKING)
        assert code == 4
        assert line.startswith(f"{installed.path}: ")
        assert "free space" in line
    filler.unlink()
    assert installed.run(*WORKING)[0] == 0
    assert installed.run("db", "check")[0] == 0
    database = installed.open()
    with database.read() as session:
        outcomes = session.exec(select(JobRunRow.outcome)).all()
    database.close()
    assert outcomes.count("done") == 2


def test_a_write_that_the_kernel_refuses_is_told_and_loses_nothing(
    installed: Installation,
) -> None:
    """A file size limit stands in for the disk where none can be mounted."""
    installed.run(*WORKING)
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from subca_oversight.cli.root import main\n"
        "words = ['--config', sys.argv[1], 'run', '--once', '--job', 'clocks']\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))\n"
        "sys.exit(main(words))\n"
    )
    full = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", code, str(installed.configuration)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert full.returncode == 4
    lines = [line for line in full.stderr.splitlines() if "old_sqlite" not in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"subca-oversight: {installed.path}: ")
    assert "space" in lines[0]
    database = installed.open()
    with database.read() as session:
        runs = session.exec(select(JobRunRow.outcome)).all()
    database.close()
    assert runs == ["done"]
    assert installed.run(*WORKING)[0] == 0
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_a_server_that_does_not_answer_is_told_without_its_password(
    installed: Installation,
) -> None:
    installed.configure(
        '[database]\nurl = "postgresql+psycopg://someone:secret@127.0.0.1:1/oversight"\n'
    )
    code, line = installed.refuse(*READING)
    assert code == 4
    assert "secret" not in line
    assert line.endswith("start the server, or mend database.url")


def test_a_run_while_the_daemon_leads_is_refused(installed: Installation) -> None:
    installed.make_database()
    database = installed.open()
    acquire_lease(database, holder="ca1:77", time_to_live=timedelta(minutes=5))
    code, line = installed.refuse(*WORKING)
    database.close()
    assert code == 4
    assert line.startswith("the daemon is running: ca1:77 leads until ")


# A source: exit code 3, after everything else was done


def test_an_unreachable_list_is_told_and_the_other_jobs_are_done(installed: Installation) -> None:
    installed.configure(
        '[http]\nattempts = 1\n[ct]\nlog_lists = [{ source = "http://127.0.0.1:1/list.json" }]\n'
    )
    code, _, error = installed.run("run", "--once", "--job", "log-lists", "--job", "clocks")
    assert code == 3
    (line,) = [line for line in error.splitlines() if line.startswith("subca-oversight: ")]
    assert line.startswith("subca-oversight: log-lists: http://127.0.0.1:1/list.json: ")
    database = installed.open()
    with database.read() as session:
        runs = [(row.job, row.outcome) for row in session.exec(select(JobRunRow))]
    database.close()
    assert runs == [("log-lists", "done"), ("clocks", "done")]


# The root


def test_every_command_can_be_loaded_and_explains_itself() -> None:
    for name, (_, text) in COMMANDS.items():
        result = CliRunner().invoke(cli, [name, "--help"])
        assert result.exit_code == 0, (name, result.output, result.exception)
        assert len(text) > 10


def test_the_help_page_lists_every_command_without_loading_any() -> None:
    code = (
        "import sys; from subca_oversight.cli.root import main; main(['--help']);"
        "print('sqlalchemy' in sys.modules, 'pkilint' in sys.modules)"
    )
    shown = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert shown.stdout.splitlines()[-1] == "False False"
    assert all(f"  {name} " in shown.stdout for name in COMMANDS)


def test_a_traceback_is_shown_only_on_request(installed: Installation) -> None:
    installed.configuration.unlink()
    assert "Traceback" not in installed.run(*READING)[2]
    error = installed.run("--debug", *READING)[2]
    assert "Traceback" in error
    assert error.splitlines()[-1].startswith("subca-oversight: ")


def test_an_interrupted_command_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", interrupt)
    assert main(["findings", "list"]) == 130


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("subca-oversight, version ")


def test_the_module_runs_as_a_program() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "subca_oversight", "nonsense"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 2


def test_a_restored_backup_is_all_there_was(installed: Installation) -> None:
    """What the advice "restore a backup" promises."""
    installed.run(*WORKING)
    installed.run("db", "backup", str(installed.folder / "copy.db"))
    installed.path.write_bytes(b"damaged" * 1000)
    for stale in (Path(f"{installed.path}-wal"), Path(f"{installed.path}-shm")):
        stale.unlink(missing_ok=True)
    shutil.copy(installed.folder / "copy.db", installed.path)
    assert installed.run("db", "check")[0] == 0
    connection = sqlite3.connect(installed.path)
    assert connection.execute("select job from job_run").fetchall() == [("clocks",)]
    connection.close()
