"""``run --once``: every job in order, one exit code, and words on standard error only."""

from __future__ import annotations

from subca_oversight.jobs.catalogue import JOBS
from tests.unit.cli.installation import Installation


def test_every_job_runs_once_in_an_installation_that_has_nothing_yet(
    installed: Installation,
) -> None:
    code, out, error = installed.run("run", "--once")
    assert (code, out) == (0, "")
    lines = [line.partition(":")[0] for line in error.splitlines() if "old_sqlite" not in line]
    assert lines == list(JOBS)
    assert "log-lists: ct.log_lists is empty" in error


def test_only_the_named_jobs_run(installed: Installation) -> None:
    words = ("run", "--once", "--job", "backup", "--job", "clocks")
    code, _, error = installed.run(*words)
    assert code == 0
    lines = [line.partition(":")[0] for line in error.splitlines() if "old_sqlite" not in line]
    assert lines == ["clocks", "backup"]
    assert len(list((installed.state / "backups").iterdir())) == 1


def test_a_configuration_that_is_good_is_said_to_be(installed: Installation) -> None:
    code, out, error = installed.run("config", "check")
    assert (code, error) == (0, "")
    assert out.startswith(f"{installed.configuration}: good; 0 subordinates with 0 keys, ")
    assert not installed.state.exists()


def test_a_shown_configuration_hides_secrets(installed: Installation) -> None:
    installed.configure(
        '[database]\nurl = "postgresql://someone:verysecret@db.example/oversight"\n'
    )
    code, out, _ = installed.run("config", "show")
    assert code == 0
    assert "verysecret" not in out
    assert '"contact": "oversight@ca.example"' in out
