"""Killed at any instant while harvesting, checking or delivering, the agent ends up the same.

Each life begins with an empty database. In each of its phases the agent is killed at random
instants, as often as chance has it, and then let run to the end; what it leaves is compared, row by
row and instant by instant, with what an undisturbed run left.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from subca_oversight.demo.server import ServedWorld, serve_world
from tests.acceptance.agent import Agent, Answer
from tests.acceptance.snapshot import Snapshot, find_differences, take_snapshot
from tests.acceptance.world import Installation, Tour, install, once

PHASES = {
    "harvesting": ("log-lists", "ccadb", "harvest"),
    "checking": ("lint", "checks", "clocks"),
    "delivering": ("deliver",),
}
DAEMON_JOBS = ("log-lists", "ccadb", "harvest", "lint", "checks", "deliver")
DAEMON_PATIENCE = 60.0
FEW_COMMITS = 8
"""A run without any work makes about as many: lease, registration, the jobs' own rows."""
KILLED = -9
FINE = (0, 3)
"""The world holds a log that misbehaves: who reads its entry first ends with 3."""


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What a run that nobody killed left, and how long each phase took."""

    snapshot: Snapshot
    notices: dict[str, set[bytes]]
    seconds: dict[str, float]


@dataclass(slots=True)
class Killer:
    """Draws the instants, and counts them by phase."""

    draw: random.Random
    wanted: dict[str, int]
    counts: Counter[str] = field(default_factory=Counter)
    paces: dict[str, float] = field(default_factory=dict)
    """How long the runs of each phase seem to take, in undisturbed ones."""

    def delay(self, phase: str, calm: Undisturbed) -> float:
        """Seconds from a run's start to the next instant."""
        return self.draw.random() * calm.seconds[phase] * self.paces.get(phase, 1.0)

    def learn(self, phase: str, *, is_through: bool) -> None:
        """Count a kill; and draw earlier or later from now on, as the machine's load may change."""
        self.counts[phase] += not is_through
        pace = self.paces.get(phase, 1.0) * (0.7 if is_through else 1.15)
        self.paces[phase] = min(max(pace, 0.1), 3.0)

    def is_wanted(self, phase: str) -> bool:
        return self.counts[phase] < self.wanted[phase]

    @property
    def is_done(self) -> bool:
        return not any(self.is_wanted(phase) for phase in PHASES)


def _seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - instants to kill at, and the same each time


def _assert_fine(answer: Answer) -> None:
    assert answer.code in FINE, answer.err[-2000:]


def _run_undisturbed(installation: Installation) -> Undisturbed:
    seconds: dict[str, float] = {}
    for phase, jobs in PHASES.items():
        started = time.monotonic()
        _assert_fine(installation.run(*once(*jobs)))
        seconds[phase] = time.monotonic() - started
    notices = _notices(installation)
    assert len(installation.notices()) == len(notices) > 0
    return Undisturbed(_snapshot(installation), notices, seconds)


def _snapshot(installation: Installation) -> Snapshot:
    return take_snapshot(f"sqlite:///{installation.database}")


def _notices(installation: Installation, first: int = 0) -> dict[str, set[bytes]]:
    """What arrived from delivery ``first`` on: bodies by webhook-id."""
    received: dict[str, set[bytes]] = {}
    for one in installation.world.received_webhooks[first:]:
        received.setdefault(one.headers["webhook-id"], set()).add(one.body)
    return received


def _live(installation: Installation, calm: Undisturbed, killer: Killer) -> None:
    """One life: every phase, killed until it got through or enough instants were had."""
    before = len(installation.notices())
    for phase, jobs in PHASES.items():
        is_through = False
        while killer.is_wanted(phase) and not is_through:
            answer = installation.run(*once(*jobs), kill_after=killer.delay(phase, calm))
            is_through = answer.code != KILLED
            killer.learn(phase, is_through=is_through)
            if is_through:
                _assert_fine(answer)
        if not is_through:
            _assert_fine(installation.run(*once(*jobs)))
    assert find_differences(_snapshot(installation), calm.snapshot) == []
    assert _notices(installation, before) == calm.notices


def _kill(make: Callable[[str], Installation], killer: Killer, calm: Undisturbed) -> int:
    """Live until enough instants were had; returns the number of lives."""
    lives = 0
    while not killer.is_done:
        lives += 1
        _live(make(f"life-{lives}"), calm, killer)
    return lives


def _entry_of(served: ServedWorld, name: str) -> str:
    """The [[subordinate]] entry of one subordinate of the world."""
    one = next(each for each in served.manifest.subordinates if each.name == name)
    pem = (served.directory / "subordinates" / f"{name}.pem").absolute()
    return (
        f'name = "{name}"\noperator = "{one.operator}"\nrelation = "{one.relation}"\n'
        f'certificates = ["{pem}"]'
    )


@pytest.fixture(scope="module")
def small(
    agent: Agent, tour: Tour, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Installation]]:
    """Installations in a tenth of the world: one subordinate, and the logs of two months before."""
    folder = tmp_path_factory.mktemp("small")
    with serve_world(tour.world, stage=1) as served:

        def make(name: str) -> Installation:
            installation = install(served, folder / name, agent)
            installation.keep_subordinates(_entry_of(served, "campus-onprem"))
            installation.lint_with_one_worker()
            return installation

        yield make


@pytest.fixture(scope="module")
def calm(small: Callable[[str], Installation]) -> Undisturbed:
    return _run_undisturbed(small("undisturbed"))


def test_killed_at_some_instants_the_agent_ends_up_the_same(
    small: Callable[[str], Installation], calm: Undisturbed
) -> None:
    wanted = {"harvesting": 4, "checking": 1, "delivering": 4}
    killer = Killer(_seeded(20261120), wanted)
    _kill(small, killer, calm)
    assert killer.counts == wanted


@pytest.mark.parametrize(
    "before",
    [pytest.param(True, marks=pytest.mark.slow, id="before"), pytest.param(False, id="after")],
)
def test_killed_at_each_commit_the_agent_ends_up_the_same(
    small: Callable[[str], Installation],
    calm: Undisturbed,
    request: pytest.FixtureRequest,
    before: bool,
) -> None:
    """One life: killed at its first commit, started again, killed at the second, and so on."""
    installation = small(request.node.callspec.id)
    first = len(installation.notices())
    for phase, jobs in PHASES.items():
        for number in itertools.count(1):
            child = installation.agent.start(
                *installation.options, *once(*jobs), dies_at=number, dies_before=before
            )
            answer = installation.agent.finish(child)
            if answer.code != KILLED:
                _assert_fine(answer)
                assert number > FEW_COMMITS, f"{phase} was hardly disturbed"
                break
    assert find_differences(_snapshot(installation), calm.snapshot) == []
    assert _notices(installation, first) == calm.notices


def test_a_killed_daemon_goes_on_where_it_was(
    small: Callable[[str], Installation], calm: Undisturbed
) -> None:
    """Its jobs overlap, so notices are grouped as chance has it; every event is told all the same.

    A killed daemon is followed by the next at once, although its lease has not run out.
    """
    installation = small("daemon")
    before = len(installation.notices())
    seconds = ", ".join(f'"{job}" = 1' for job in (*DAEMON_JOBS, "clocks"))
    installation.edit("[daemon]", f"[daemon]\nintervals = {{ {seconds} }}")
    draw = _seeded(20261121)
    for _ in range(2):
        delay = 0.5 + draw.random() * sum(calm.seconds.values())
        assert installation.run("run", kill_after=delay).code == KILLED
    _run_daemon_until_done(installation)
    installation.at += timedelta(hours=2)  # what waited because of an earlier notice of its kind
    assert installation.jobs("deliver").code == 0
    loose = {"alert_event": {"notice_id"}}
    apart = {"delivery", "observation", "report"}
    found = take_snapshot(f"sqlite:///{installation.database}", without=loose, apart=apart)
    expected = take_snapshot(
        f"sqlite:///{small('undisturbed').database}", without=loose, apart=apart
    )
    assert find_differences(found, expected) == []
    with installation.sql() as connection:
        untold = "select count(*) from alert_event where notice_id is null"
        assert connection.execute(untold).fetchone() == (0,)
        sent = connection.execute("select notice_id, state from delivery").fetchall()
    assert {state for _, state in sent} == {"delivered"}
    assert set(_notices(installation, before)) == {notice for notice, _ in sent}


def _run_daemon_until_done(installation: Installation) -> None:
    """Let the daemon finish what there is and run every job once more; stop it as systemd does."""
    child = installation.agent.start(*installation.options, "run")
    try:
        _await(installation, "select count(*) > 0 from unit")
        _await(
            installation,
            "select not exists (select 1 from unit where confirmed and checked_with is null)"
            " and not exists (select 1 from certificate where linted_with is null)",
        )
        with installation.sql() as connection:
            (last,) = connection.execute("select max(id) from job_run").fetchone()
        for job in DAEMON_JOBS:
            _await(
                installation,
                "select exists (select 1 from job_run where outcome = 'done'"
                f" and job = '{job}' and id > {last})",
            )
    finally:
        os.kill(child, signal.SIGTERM)
        answer = installation.agent.finish(child)
    assert answer.code == 0, answer.err[-2000:]


def _await(installation: Installation, question: str) -> None:
    """Wait until the database answers yes."""
    deadline = time.monotonic() + DAEMON_PATIENCE
    while True:
        with installation.sql() as connection:
            if connection.execute(question).fetchone() == (1,):
                return
        assert time.monotonic() < deadline, question
        time.sleep(0.1)


@pytest.mark.slow
def test_killed_at_200_instants_the_agent_ends_up_the_same(
    install_fresh: Callable[[str], Installation],
) -> None:
    wanted = {"harvesting": 80, "checking": 60, "delivering": 60}
    killer = Killer(_seeded(1120), wanted)
    lives = _kill(install_fresh, killer, _run_undisturbed(install_fresh("undisturbed")))
    sys.stdout.write(f"{killer.counts.total()} kills in {lives} lives: {dict(killer.counts)}\n")
    assert killer.counts == wanted
