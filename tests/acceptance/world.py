"""An installation as its operator has it: a configuration, a state directory, the command line.

The world behind it is built by the demo itself, once for the whole session, and served again here;
each test works on a copy of the database that the demo left, or on an empty one.
"""

from __future__ import annotations

import contextlib
import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from subca_oversight.cli.root import main
from subca_oversight.demo.server import ServedWorld
from tests.acceptance.agent import Agent, Answer, run_command


@dataclass(frozen=True, slots=True)
class Tour:
    """The demo, run once as a user runs it."""

    output: Path
    answer: Answer

    @property
    def world(self) -> Path:
        return self.output / "world"

    @property
    def state(self) -> Path:
        return self.output / "state"


def take_tour(output: Path) -> Tour:
    """Run ``demo --output``."""
    return Tour(output, run_command("demo", "--output", str(output)))


@dataclass(slots=True)
class Installation:
    """A configuration beside its state, pointed at a served world."""

    world: ServedWorld
    state: Path
    at: datetime
    agent: Agent

    @property
    def configuration(self) -> Path:
        return self.state / "oversight.toml"

    @property
    def database(self) -> Path:
        return self.state / "oversight.db"

    def call(self, *arguments: str) -> Answer:
        """Run the command line in this process: for speed, and nothing else."""
        out, err = io.StringIO(), io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main([*self.options, *arguments])
        finally:
            structlog.reset_defaults()
        return Answer(code, out.getvalue(), err.getvalue())

    def run(self, *arguments: str, kill_after: float | None = None) -> Answer:
        """Run the command line in a process of its own."""
        return self.agent.run(*self.options, *arguments, kill_after=kill_after)

    def jobs(self, *names: str) -> Answer:
        """Run the named jobs once, in this process."""
        return self.call(*once(*names))

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        """The objects that a listing prints."""
        answer = self.call(*arguments, "--json")
        assert answer.code == 0, answer.err
        rows = answer.json
        assert isinstance(rows, list)
        return rows

    def findings(self, subordinate: str | None = None) -> list[dict[str, Any]]:
        options = () if subordinate is None else ("--subordinate", subordinate)
        return self.rows("findings", "list", *options)

    def units(self, subordinate: str) -> list[dict[str, Any]]:
        return self.rows("certificates", "list", "--subordinate", subordinate)

    def status(self) -> Any:  # noqa: ANN401 - JSON
        answer = self.call("status", "--json")
        assert answer.code == 0, answer.err
        return answer.json

    def detail(self, job: str) -> str:
        """What the last run of a job said."""
        details = [row["detail"] for row in self.status()["jobs"] if row["job"] == job]
        assert len(details) == 1, f"{job} has not run"
        return str(details[0])

    def edit(self, old: str, new: str) -> None:
        """Change the configuration; ``old`` must be in it exactly once."""
        text = self.configuration.read_text("utf-8")
        assert text.count(old) == 1, f"{old!r} is in the configuration {text.count(old)} times"
        self.configuration.write_text(text.replace(old, new), "utf-8")

    def keep_subordinates(self, *entries: str) -> None:
        """Replace every [[subordinate]] of the configuration by these."""
        head = self.configuration.read_text("utf-8").split("[[subordinate]]", 1)[0]
        blocks = [f"[[subordinate]]\n{entry}\n" for entry in entries]
        self.configuration.write_text(head + "\n".join(blocks), "utf-8")

    def lint_with_one_worker(self) -> None:
        """Where few certificates are linted, starting a second one takes longer than they do."""
        self.edit("[lint]", "[lint]\nworkers = 1")

    @contextmanager
    def sql(self) -> Iterator[sqlite3.Connection]:
        """The database, for looking; writes are committed."""
        with closing(sqlite3.connect(self.database)) as connection:
            connection.execute("PRAGMA wal_autocheckpoint=0")
            yield connection
            connection.commit()

    def notices(self) -> list[str]:
        """The webhook-id of every delivery that arrived, repetitions kept."""
        return [one.headers["webhook-id"] for one in self.world.received_webhooks]

    @property
    def options(self) -> list[str]:
        """What stands before the command."""
        return ["--config", str(self.configuration), "--at", self.at.isoformat()]


def once(*jobs: str) -> list[str]:
    """The command that runs the named jobs, or all, once."""
    return ["run", "--once", *(word for job in jobs for word in ("--job", job))]


def install(
    world: ServedWorld, state: Path, agent: Agent, *, database: Path | None = None
) -> Installation:
    """Write a configuration for a served world; ``database`` is copied into the state."""
    state.mkdir(parents=True, exist_ok=True)
    world.write_configuration(state)
    if database is not None:
        copy_database(database, state / "oversight.db")
    return Installation(world, state, world.manifest.instants[world.stage], agent)


def copy_database(source: Path, target: Path) -> None:
    """Copy a database that nobody has open, with what its write-ahead log still holds."""
    with closing(sqlite3.connect(source)) as connection, closing(sqlite3.connect(target)) as copy:
        connection.backup(copy)
