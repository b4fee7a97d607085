"""One demo for the whole session, its world served again, and installations upon it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from subca_oversight.demo.server import ServedWorld, serve_world
from tests.acceptance.agent import Agent, open_agent
from tests.acceptance.world import Installation, Tour, install, take_tour


@pytest.fixture(scope="session")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Tour:
    """The demo, run once; what its tests say of it is in ``test_demo.py``."""
    return take_tour(tmp_path_factory.mktemp("tour") / "output")


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """The command line in processes of their own, without waiting for the interpreter."""
    with open_agent(tmp_path_factory.mktemp("agent")) as opened:
        yield opened


@pytest.fixture
def served(tour: Tour) -> Iterator[ServedWorld]:
    """The demo's world at its last stage, under an address of its own."""
    with serve_world(tour.world) as world:
        yield world


@pytest.fixture
def toured(tour: Tour, served: ServedWorld, agent: Agent, tmp_path: Path) -> Installation:
    """An installation that has seen everything: the demo's database under a new address."""
    return install(served, tmp_path / "state", agent, database=tour.state / "oversight.db")


@pytest.fixture
def install_fresh(
    served: ServedWorld, agent: Agent, tmp_path: Path
) -> Callable[[str], Installation]:
    """Installations that have not run yet, upon one world, by name."""

    def make(name: str) -> Installation:
        return install(served, tmp_path / name, agent)

    return make


@pytest.fixture
def fresh(install_fresh: Callable[[str], Installation]) -> Installation:
    """An installation that has not run yet."""
    return install_fresh("state")
