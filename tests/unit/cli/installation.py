"""An installation in a folder: a configuration, a database, and the real command line."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from subca_oversight.cli.root import main
from subca_oversight.store.database import Database
from tests.databases import sqlite_database

NOBODY = 65534
HEAD = '[agent]\ncontact = "oversight@ca.example"\n'


class Installation:
    """Runs commands as a person would, and tells what they printed."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.configuration = folder / "oversight.toml"
        self._capsys = capsys
        self.configure("")

    @property
    def path(self) -> Path:
        return self.state / "oversight.db"

    def configure(self, text: str, head: str = HEAD) -> None:
        self.configuration.write_text(f'{head}state_directory = "state"\n{text}')

    def make_database(self) -> None:
        self.state.mkdir(mode=0o700, exist_ok=True)
        with sqlite_database(self.state):
            pass

    def open(self) -> Database:
        return Database(f"sqlite:///{self.path}")

    def run(self, *words: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self._capsys.readouterr()
        code = main(["--config", str(self.configuration), *words])
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def refuse(self, *words: str) -> tuple[int, str]:
        """Exit code and the one line of a command that cannot do its work."""
        code, out, error = self.run(*words)
        assert out == ""
        assert "Traceback" not in error
        lines = [line for line in error.splitlines() if "old_sqlite" not in line]
        (line,) = lines
        assert line.startswith("subca-oversight: ")
        return code, line.removeprefix("subca-oversight: ")

    def execute(self, statement: str) -> None:
        """Change the database behind the program's back."""
        connection = sqlite3.connect(self.path)
        connection.execute(statement)
        connection.commit()
        connection.close()


@contextlib.contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Act without root's power over permissions, ``folder`` belonging to whom we then are."""
    if os.geteuid() != 0:
        yield
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    for parent in folder.parents:
        if parent.stat().st_mode & 0o011 != 0o011:
            parent.chmod(parent.stat().st_mode | 0o011)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
