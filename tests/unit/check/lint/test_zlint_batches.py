"""Whatever zlint does over a certificate, the others are judged and it is not called clean."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.check.lint.private_folder import private_folder
from subca_oversight.check.lint.zlint_batches import Answer, Refusal, ZlintBatches, open_batches
from subca_oversight.check.lint.zlint_program import ENVIRONMENT, Statement, find_zlint, read_line
from subca_oversight.errors import CheckError, ConfigurationError
from tests.unit.check.lint.made_zlint import runs_of, write_zlint

GOOD = b"0 a certificate"
BAD = b"error e_rfc"
SAID = (Statement("e_rfc", "error", ""),)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    folder = tmp_path / "program"
    folder.mkdir()
    return write_zlint(folder)


@pytest.fixture
def batches(program: Path) -> Iterator[ZlintBatches]:
    with open_batches(program, seconds_per_certificate=20) as opened:
        yield opened


@pytest.fixture
def hasty(program: Path) -> Iterator[ZlintBatches]:
    """With a limit that a loaded machine still keeps for a program that does not dawdle."""
    with open_batches(program, seconds_per_certificate=3) as opened:
        yield opened


def reason_of(answer: Answer) -> str:
    assert isinstance(answer, Refusal)
    return answer.reason


def details_of(answer: Answer) -> str:
    assert not isinstance(answer, Refusal)
    (statement,) = answer
    return statement.details


def refusal_between(batches: ZlintBatches, order: str) -> str:
    """Why the certificate between two others was refused, those having been judged."""
    before, between, after = batches.lint([BAD, order.encode(), BAD])
    assert before == after == SAID
    return reason_of(between)


def test_every_certificate_has_its_own_answer_in_order(batches: ZlintBatches) -> None:
    certificates = [GOOD, BAD, b"error w_rfc", GOOD, b"error n_rfc"]
    assert batches.lint(certificates) == [
        (),
        SAID,
        (Statement("w_rfc", "error", ""),),
        (),
        (Statement("n_rfc", "error", ""),),
    ]


def test_a_batch_is_one_run(program: Path, batches: ZlintBatches) -> None:
    batches.lint([GOOD] * 30)
    canary, *runs = runs_of(program)
    assert (canary, runs) == (1, [30])


def test_an_unparsable_file_is_refused_and_the_rest_taken_up_behind_it(
    program: Path, batches: ZlintBatches
) -> None:
    reason = refusal_between(batches, "parse")
    assert reason == 'parse error: unable to parse certificate: "odd" tag'
    assert runs_of(program)[1:] == [3, 1]


def test_unparsable_files_alone_are_each_refused(batches: ZlintBatches) -> None:
    answers = batches.lint([b"parse"] * 3)
    assert [reason_of(answer)[:11] for answer in answers] == ["parse error"] * 3


def test_what_is_linted_as_a_crl_is_not_a_clean_certificate(batches: ZlintBatches) -> None:
    assert "not taken for a certificate" in refusal_between(batches, "crl")


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ("segv", "killed by signal 11"),
        ("exit", "exit code 139: fatal error: stack overflow"),
        ("garbage", "its output is not a result"),
        ("empty", "no object of results"),
        ("unknown", "unknown result 'reserved'"),
        ("stop", "exit code 0"),
        ("hog", "exit code 1"),
    ],
)
def test_a_certificate_that_breaks_the_program_twice_is_to_blame(
    batches: ZlintBatches, order: str, reason: str
) -> None:
    assert reason in refusal_between(batches, order)


def test_a_death_with_an_outer_cause_is_forgiven(program: Path, batches: ZlintBatches) -> None:
    assert batches.lint([BAD, b"once", BAD]) == [SAID, (), SAID]
    assert (program.parent / "once").exists()


def test_a_certificate_that_takes_too_long_is_ended(hasty: ZlintBatches) -> None:
    started = time.monotonic()
    assert refusal_between(hasty, "sleep") == "time limit of 3 s exceeded"
    assert time.monotonic() - started < 30


def test_a_run_that_takes_too_long_is_taken_up_where_it_was(
    program: Path, batches: ZlintBatches
) -> None:
    batches._limits = dataclasses.replace(batches._limits, seconds=2.0)
    assert batches.lint([b"nap"] * 6) == [()] * 6
    first, second, *_ = runs_of(program)[1:]
    assert 0 < second < first == 6


def test_a_gigabyte_without_a_line_end_is_not_read(batches: ZlintBatches) -> None:
    assert "exceeds" in refusal_between(batches, "flood")


def test_a_flood_of_complaints_is_not_kept(batches: ZlintBatches) -> None:
    assert batches.lint([b"shout", GOOD]) == [SAID, ()]


def test_more_lines_than_files_are_told_apart_one_by_one(batches: ZlintBatches) -> None:
    assert refusal_between(batches, "babble") == "it printed more than one line"


def test_what_the_program_started_ends_with_it(program: Path, batches: ZlintBatches) -> None:
    assert batches.lint([BAD, b"fork", BAD]) == [SAID, (), SAID]
    child = Path("/proc") / (program.parent / "child").read_text() / "stat"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and child.exists():
        if child.read_text().rpartition(")")[2].split()[0] == "Z":
            break  # dead; whoever adopts orphans here has not looked yet
        time.sleep(0.01)
    else:
        assert not child.exists()


def test_the_program_sees_nothing_of_our_environment(
    batches: ZlintBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBCA_ALERTS__SMTP__PASSWORD", "secret")
    (answer,) = batches.lint([b"environment"])
    assert set(details_of(answer).split()) <= {*ENVIRONMENT, "LC_CTYPE"}


def test_a_program_that_breaks_for_good_is_not_blamed_on_certificates(
    batches: ZlintBatches,
) -> None:
    with pytest.raises(CheckError, match="does not lint a certificate known to be sound"):
        batches.lint([GOOD, b"break", GOOD])


def test_another_program_is_not_taken_for_zlint(tmp_path: Path) -> None:
    echo = tmp_path / "echo"
    echo.write_text("#!/bin/sh\necho ECHO version 1\n")
    echo.chmod(0o700)
    with pytest.raises(CheckError, match="not zlint"), open_batches(echo, 20):
        pass


def test_a_file_that_cannot_run_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "zlint"
    broken.write_text("#!/nowhere/at/all\n")
    broken.chmod(0o700)
    with pytest.raises(CheckError, match="cannot be run"), open_batches(broken, 20):
        pass


def test_a_build_that_does_not_know_its_version_is_asked_for_its_module(tmp_path: Path) -> None:
    module = "mod\tgithub.com/zmap/zlint/v3\tv3.8.1\th1:0="
    path = write_zlint(tmp_path, version="dev-unknown", comment=module)
    with open_batches(path, 20) as batches:
        version, build = batches.program.versions
    assert version == ("zlint", "v3.8.1")
    assert len(build[1]) == 12


def test_another_build_of_a_version_is_another_version(tmp_path: Path) -> None:
    builds = set()
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        with open_batches(write_zlint(folder, comment=f"build {number}"), 20) as batches:
            builds.add(batches.program.versions)
    assert len(builds) == 2


def test_the_folder_is_the_owners_alone_and_does_not_stay(program: Path) -> None:
    with open_batches(program, 20) as batches:
        (answer,) = batches.lint([b"folder"])
        mode, folder = details_of(answer).split()
        assert mode == "0o700"
        left = {path.name for path in Path(folder).iterdir()}
    assert left == {"cross.toml", "canary.der"}
    assert not Path(folder).exists()


def test_what_a_killed_run_left_is_removed_by_the_next(program: Path) -> None:
    script = (
        "import os, signal, sys, tempfile\n"
        "from pathlib import Path\n"
        "from subca_oversight.check.lint.zlint_batches import open_batches\n"
        "tempfile.tempdir = sys.argv[2]\n"
        "with open_batches(Path(sys.argv[1]), 20):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", script, str(program), tempfile.gettempdir()], check=False
    )
    assert ended.returncode == -signal.SIGKILL
    (abandoned,) = Path(tempfile.gettempdir()).iterdir()
    assert len(list(abandoned.iterdir())) > 0
    with open_batches(program, 20):
        assert not abandoned.exists()


def test_a_folder_in_use_is_left_to_its_user(tmp_path: Path) -> None:
    tempdir = tempfile.gettempdir()
    prefix = f"subca-test-{os.getpid()}-"
    with private_folder(prefix) as first:
        with private_folder(prefix) as second:
            assert first.exists()
            assert first != second
        assert first.exists()
    assert list(Path(tempdir).glob(f"{prefix}*")) == []


def test_zlint_is_found_where_the_setting_says(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(program.parent))
    assert find_zlint("") is None
    assert find_zlint("auto") == program
    assert find_zlint(str(program)) == program
    monkeypatch.setenv("PATH", str(program.parent / "nothing"))
    assert find_zlint("auto") is None
    with pytest.raises(ConfigurationError, match=r"lint\.zlint"):
        find_zlint(str(program.parent / "nothing"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["pass", "error", "NA", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["result", "details", "e_a", ""]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.binary() | JSON.map(orjson.dumps))
def test_a_line_is_results_or_refused(line: bytes) -> None:
    try:
        names, statements = read_line(line)
    except ValueError:
        return
    assert len(names) > 0
    assert {statement.lint for statement in statements} <= names
    assert {statement.status for statement in statements} <= {"info", "warn", "error", "fatal"}
