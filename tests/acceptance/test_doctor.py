"""``doctor`` says what is reachable, what it costs and what is missing, and writes nothing."""

from __future__ import annotations

from typing import Any

from tests.acceptance.world import Installation


def examine(installation: Installation) -> dict[str, list[dict[str, Any]]]:
    """The points of an examination, by topic."""
    points: dict[str, list[dict[str, Any]]] = {}
    for point in installation.call("doctor", "--json").json:
        points.setdefault(point["topic"], []).append(point)
    return points


def test_a_sound_installation_is_found_sound(fresh: Installation) -> None:
    answer = fresh.call("doctor", "--json")
    assert answer.code == 0, answer.err
    verdicts = {point["topic"]: point["verdict"] for point in answer.json}
    assert verdicts["log list"] == "good"
    assert verdicts["ccadb"] == "good"
    assert {"harbor-tls", "meridian-cross", "campus-onprem"} <= set(verdicts)
    assert "bad" not in verdicts.values()


def test_an_examination_writes_nothing(fresh: Installation) -> None:
    fresh.call("doctor")
    assert not fresh.database.exists()


def test_it_tells_the_cost_of_catching_up(fresh: Installation) -> None:
    (cost,) = examine(fresh)["cost"]
    assert "to catch up: 2,632 entries" in cost["text"]
    assert "a day" in cost["text"]


def test_what_is_missing_is_named_and_is_no_failure(fresh: Installation) -> None:
    points = examine(fresh)
    assert [point["verdict"] for point in points["ping"]] == ["missing"]


def test_an_unreachable_list_must_be_mended(fresh: Installation) -> None:
    fresh.edit("/log_list.json", "/no_such_list.json")
    answer = fresh.call("doctor", "--json")
    assert answer.code == 1
    assert [p["verdict"] for p in answer.json if p["topic"] == "log list"] == ["bad"]
