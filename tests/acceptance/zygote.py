"""A process that has imported everything and forks the agent on demand.

Run as ``python -m tests.acceptance.zygote``. Each line on standard input is one run: a JSON object
with the command line and the files for its output. It answers with the run's process id, and when
the run has ended with its exit code, negative where a signal ended it. Without it, most of the
instants at which a test kills would fall into the interpreter's start, and most of a test's time.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from sqlalchemy.engine.default import DefaultDialect
    from sqlalchemy.pool import PoolProxiedConnection

_PRELOADED = (
    "subca_oversight.cli.certificates",
    "subca_oversight.cli.db",
    "subca_oversight.cli.findings",
    "subca_oversight.cli.progress",
    "subca_oversight.cli.run",
    "subca_oversight.cli.status",
    "subca_oversight.jobs.once",
    "subca_oversight.jobs.surroundings",
)
_CONTACTS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")


def preload() -> None:
    """Import what commands import when they run."""
    for name in _PRELOADED:
        importlib.import_module(name)


@dataclass(frozen=True, slots=True)
class Order:
    """One run of the command line."""

    arguments: list[str]
    out: str
    err: str
    contacts: str | None = None
    """File that every network contact is written to."""
    dies_at: int | None = None
    """Commit at which the process kills itself, counted from 1."""
    dies_before: bool = False
    """Whether it dies before that commit rather than after it."""


def fork_agent(order: Order) -> int:
    """Run the command line in a process and session of its own; returns its id."""
    child = os.fork()
    if child == 0:
        _become_agent(order)
    return child


def _become_agent(order: Order) -> NoReturn:
    code = 70
    try:
        os.setsid()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(order.out, flags, 0o600), 1)
        os.dup2(os.open(order.err, flags, 0o600), 2)
        if order.contacts is not None:
            _watch_network(order.contacts)
        if order.dies_at is not None:
            _die_at_commit(order.dies_at, before=order.dies_before)
        from subca_oversight.cli.root import main  # noqa: PLC0415 - spawned workers import this

        code = main(order.arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _die_at_commit(number: int, *, before: bool) -> None:
    """Kill this process around one commit, in whichever thread it happens."""
    from sqlalchemy.engine.default import DefaultDialect  # noqa: PLC0415 - spawned workers

    commit = DefaultDialect.do_commit
    count = itertools.count(1)

    def die_at_commit(dialect: DefaultDialect, connection: PoolProxiedConnection) -> None:
        is_last = next(count) == number
        if is_last and before:
            os.kill(os.getpid(), signal.SIGKILL)
        commit(dialect, connection)  # type: ignore[no-untyped-call]  # so in SQLAlchemy
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)

    DefaultDialect.do_commit = die_at_commit  # type: ignore[method-assign]  # in this process alone


def _watch_network(contacts: str) -> None:
    """Write a line for each lookup and connection; audit hooks see them below every library."""
    written = os.open(contacts, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in _CONTACTS:
            os.write(
                written, f"{event} {arguments[-1 if event == 'socket.connect' else 0]}\n".encode()
            )

    sys.addaudithook(hook)


def _say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def _serve() -> None:
    for line in sys.stdin:
        child = fork_agent(Order(**json.loads(line)))
        _say(child)
        _, status = os.waitpid(child, 0)
        _say(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    preload()
    _say("ready")
    _serve()
