"""The database's commands: upgrade, check, backup, copy."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlmodel import select

from subca_oversight.store.tables import SourceRow
from tests.databases import postgres_database
from tests.unit.cli.installation import Installation

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def add_source(installed: Installation, name: str = "x") -> None:
    database = installed.open()
    with database.write() as session:
        session.add(SourceRow(source=name, last_attempt=NOW))
    database.close()


def test_upgrade_makes_a_database_where_there_is_none(installed: Installation) -> None:
    assert installed.run("db", "upgrade") == (
        0,
        f"{installed.path}: schema is up to date\n",
        "",
    )
    assert installed.run("db", "check") == (0, f"{installed.path}: good\n", "")
    assert installed.run("db", "upgrade")[1] == f"{installed.path}: schema is up to date\n"


@pytest.mark.parametrize("command", ["check", "backup", "copy"])
def test_what_needs_a_database_does_not_make_one(installed: Installation, command: str) -> None:
    words = {
        "check": (),
        "backup": (str(installed.folder / "copy.db"),),
        "copy": ("--to", f"sqlite:///{installed.folder / 'copy.db'}"),
    }[command]
    code, line = installed.refuse("db", command, *words)
    assert (code, line) == (4, f"{installed.path}: there is no database; mend database.url")
    assert not installed.path.exists()
    assert not (installed.folder / "copy.db").exists()


def test_check_tells_damage_with_exit_code_4(installed: Installation) -> None:
    installed.make_database()
    installed.execute(
        "insert into finding_unit (fingerprint, unit_id, first_seen) values ('x', 'y', 'z')"
    )
    code, out, _ = installed.run("db", "check")
    assert code == 4
    assert out.startswith("foreign_key_check: ('finding_unit'")


def test_a_backup_is_a_database_and_overwrites_nothing(installed: Installation) -> None:
    installed.make_database()
    add_source(installed)
    target = installed.folder / "copy.db"
    assert installed.run("db", "backup", str(target)) == (0, f"copied to {target}\n", "")
    content = target.read_bytes()
    code, line = installed.refuse("db", "backup", str(target))
    assert (code, line) == (2, f"{target}: exists already; name a new file")
    assert target.read_bytes() == content


def test_a_backup_into_nowhere_is_told(installed: Installation) -> None:
    installed.make_database()
    code, line = installed.refuse("db", "backup", str(installed.folder / "none" / "copy.db"))
    assert code == 4
    assert "the backup failed" in line


def test_a_copy_holds_everything_and_is_made_once(installed: Installation) -> None:
    installed.make_database()
    for name in ("x", "y"):
        add_source(installed, name)
    target = installed.folder / "copy.db"
    url = f"sqlite:///{target}"
    assert installed.run("db", "copy", "--to", url) == (0, f"2 rows copied to {target}\n", "")
    code, line = installed.refuse("db", "copy", "--to", url)
    assert (code, line) == (4, f"{target}: source has rows; name an empty database")


def test_a_copy_to_a_bad_url_is_a_configuration_error(installed: Installation) -> None:
    installed.make_database()
    code, line = installed.refuse("db", "copy", "--to", "nonsense")
    assert (code, line) == (2, "database.url: not a database URL")


@pytest.mark.postgres
def test_sqlite_is_outgrown_by_a_copy_to_postgresql(
    installed: Installation, postgres_url: str
) -> None:
    installed.make_database()
    add_source(installed)
    with postgres_database(postgres_url) as target:
        url = target.engine.url.render_as_string(hide_password=False)
        code, out, _ = installed.run("db", "copy", "--to", url)
        assert code == 0
        assert out.startswith("1 rows copied to postgresql+psycopg://")
        with target.read() as session:
            assert session.exec(select(SourceRow.source)).one() == "x"
        installed.configure(f'[database]\nurl = "{url}"\n')
        assert installed.run("db", "check")[0] == 0
        code, line = installed.refuse("db", "backup", str(installed.folder / "copy.db"))
        assert code == 4
        assert "use pg_dump" in line
        assert installed.run("run", "--once", "--job", "clocks", "--job", "backup")[0] == 0


def test_a_copy_leaves_the_source_as_it_is(installed: Installation) -> None:
    installed.make_database()
    add_source(installed)
    before = Path(installed.path).read_bytes()
    installed.run("db", "copy", "--to", f"sqlite:///{installed.folder / 'copy.db'}")
    assert Path(installed.path).read_bytes() == before
