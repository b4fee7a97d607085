"""The pool answers every request exactly once, whatever a certificate does to its worker."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from subca_oversight.check.lint.api import LintFamily, LintOutcome, LintProfile, LintRequest
from subca_oversight.check.lint.pool import LintPool
from subca_oversight.errors import CheckError

PKIX = LintProfile(LintFamily.PKIX)
ADAPTER = "misbehaving_adapter"


@pytest.fixture(autouse=True)
def _adapters_are_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    # Spawned processes take over the module search path.
    monkeypatch.syspath_prepend(Path(__file__).parent)


def request(text: str) -> LintRequest:
    der = text.encode()
    return LintRequest(hashlib.sha256(der).hexdigest(), der, PKIX)


def fine(count: int) -> list[LintRequest]:
    return [request(f"fine:{number}") for number in range(count)]


def answered_once(requests: list[LintRequest], outcomes: list[LintOutcome]) -> bool:
    return sorted(r.sha256 for r in requests) == sorted(o.sha256 for o in outcomes)


def reason_of(culprit: LintRequest, outcomes: list[LintOutcome]) -> str:
    """Give the culprit's tool error, having seen that nobody else has one."""
    errors = {o.sha256: o.error for o in outcomes if o.error is not None}
    assert list(errors) == [culprit.sha256]
    return errors[culprit.sha256].reason


def test_every_request_of_a_long_stream_is_answered_once() -> None:
    requests = fine(300)
    with LintPool(2, adapter=ADAPTER) as pool:
        outcomes = list(pool.lint(requests))
    assert answered_once(requests, outcomes)
    assert all(outcome.is_complete for outcome in outcomes)
    assert {outcome.versions for outcome in outcomes} == {(("misbehaving", "1"),)}


@pytest.mark.parametrize("word", ["hang", "hang-in-c"])
def test_a_hanging_certificate_is_a_tool_error_and_its_chunk_is_redone(word: str) -> None:
    culprit = request(f"{word}:")
    requests = [*fine(5), culprit, *fine(40)[5:]]
    with LintPool(1, seconds_per_certificate=2, adapter=ADAPTER) as pool:
        outcomes = list(pool.lint(requests))
    assert answered_once(requests, outcomes)
    assert reason_of(culprit, outcomes) == "time limit of 2 s exceeded"


def test_a_certificate_that_kills_its_worker_twice_is_a_tool_error() -> None:
    culprit = request("die:")
    requests = [*fine(5), culprit, *fine(40)[5:]]
    with LintPool(2, adapter=ADAPTER) as pool:
        outcomes = list(pool.lint(requests))
    assert answered_once(requests, outcomes)
    assert reason_of(culprit, outcomes) == "the worker died on it 2 times, last with exit code -9"


def test_a_worker_that_dies_once_costs_no_result(tmp_path: Path) -> None:
    requests = [*fine(5), request(f"die-once:{tmp_path / 'died'}"), *fine(40)[5:]]
    with LintPool(2, adapter=ADAPTER) as pool:
        outcomes = list(pool.lint(requests))
    assert answered_once(requests, outcomes)
    assert (tmp_path / "died").exists()
    assert all(outcome.is_complete for outcome in outcomes)


def test_workers_killed_from_outside_cost_no_result() -> None:
    requests = [request(f"slow:0.0{number}") for number in range(100, 160)]
    outcomes = []
    with LintPool(2, adapter=ADAPTER) as pool:
        for number, outcome in enumerate(pool.lint(requests)):
            outcomes.append(outcome)
            if number in {10, 30}:
                for worker in list(pool._workers):
                    assert worker.process.pid is not None
                    os.kill(worker.process.pid, signal.SIGKILL)
    assert answered_once(requests, outcomes)
    assert all(outcome.is_complete for outcome in outcomes)


def test_a_memory_hog_is_a_tool_error() -> None:
    culprit = request("memory:")
    requests = [*fine(5), culprit, *fine(20)[5:]]
    with LintPool(1, memory_bytes=512 * 2**20, adapter=ADAPTER) as pool:
        outcomes = list(pool.lint(requests))
    assert answered_once(requests, outcomes)
    assert reason_of(culprit, outcomes) == "memory limit of 512 MiB exceeded"


@pytest.mark.parametrize(
    ("word", "reason"), [("raise", "RuntimeError: as told"), ("exit", "SystemExit: 1")]
)
def test_an_exception_of_the_linter_is_a_tool_error(word: str, reason: str) -> None:
    culprit = request(f"{word}:")
    requests = [culprit, *fine(3)]
    with LintPool(1, adapter=ADAPTER) as pool:
        outcomes = list(pool.lint(requests))
    assert answered_once(requests, outcomes)
    assert reason_of(culprit, outcomes) == reason


def test_a_tool_error_names_tool_version_and_profile() -> None:
    with LintPool(1, adapter=ADAPTER) as pool:
        (outcome,) = pool.lint([request("raise:")])
    assert outcome.error is not None
    assert (outcome.error.tool, outcome.error.tool_version) == ("misbehaving", "1")
    assert outcome.error.profile == "pkix"
    assert outcome.results == ()


def test_large_certificates_do_not_hold_up_small_ones() -> None:
    large = request("slow:1.5" + "0" * 70_000)
    requests = [large, *fine(100)]
    with LintPool(2, adapter=ADAPTER) as pool:
        order = [outcome.sha256 for outcome in pool.lint(requests)]
    assert order[-1] == large.sha256
    assert len(order) == 101


def test_requests_are_drawn_as_they_are_answered() -> None:
    drawn = itertools.count()
    last = 0

    def stream() -> Iterator[LintRequest]:
        nonlocal last
        for last in drawn:
            if last == 2000:
                return
            yield request(f"fine:{last}")

    ahead = 0
    with LintPool(2, adapter=ADAPTER) as pool:
        for answered, _ in enumerate(pool.lint(stream()), start=1):
            ahead = max(ahead, last - answered)
    assert answered == 2000
    assert ahead < 250


def test_an_abandoned_run_leaves_nothing_for_the_next() -> None:
    with LintPool(2, adapter=ADAPTER) as pool:
        run = pool.lint(fine(100))
        next(run)
        run.close()  # type: ignore[attr-defined]  # an Iterator by contract, a generator in fact
        second = [request(f"fine:again{number}") for number in range(50)]
        assert answered_once(second, list(pool.lint(second)))


def test_one_run_at_a_time() -> None:
    with LintPool(1, adapter=ADAPTER) as pool:
        run = pool.lint(fine(40))
        next(run)
        with pytest.raises(RuntimeError, match="already linting"):
            next(pool.lint(fine(1)))
        assert len(list(run)) == 39


def test_workers_are_reused_between_runs() -> None:
    with LintPool(1, adapter=ADAPTER) as pool:
        list(pool.lint(fine(3)))
        first = [worker.process.pid for worker in pool._workers]
        list(pool.lint(fine(3)))
        assert [worker.process.pid for worker in pool._workers] == first


def test_closing_leaves_no_process() -> None:
    pool = LintPool(2, adapter=ADAPTER)
    run = pool.lint([request("hang:"), *fine(40)])
    next(run)
    pids = [worker.process.pid for worker in pool._workers]
    pool.close()
    assert len(pids) > 0
    for pid in pids:
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_worker_ends_by_itself_when_its_owner_is_gone() -> None:
    pool = LintPool(1, adapter=ADAPTER)
    list(pool.lint(fine(1)))
    (worker,) = pool._workers
    worker.connection.close()  # what the kernel does for a killed owner
    worker.process.join(10)
    assert worker.process.exitcode == 0
    pool.close()


OWNER = """
import os, signal
from subca_oversight.check.lint.api import LintFamily, LintProfile, LintRequest
from subca_oversight.check.lint.pool import LintPool

profile = LintProfile(LintFamily.PKIX)
pool = LintPool(1, seconds_per_certificate=1, adapter="misbehaving_adapter")
outcomes = pool.lint([LintRequest(word, word.encode(), profile) for word in ("fine", "hang-in-c")])
next(outcomes)
print(pool._workers[0].process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_hanging_worker_of_a_killed_owner_ends_by_its_own_alarm() -> None:
    owner = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", OWNER],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        stdout=subprocess.PIPE,
        check=False,
    )
    assert owner.returncode == -signal.SIGKILL
    worker = Path("/proc") / owner.stdout.decode().strip()
    assert worker.exists()
    for _ in range(200):
        if not worker.exists() or "State:\tZ" in (worker / "status").read_text():
            return
        time.sleep(0.1)
    pytest.fail("the worker lives on")


def test_the_pool_works_from_a_thread_of_an_event_loop() -> None:
    requests = fine(40)

    async def main() -> list[LintOutcome]:
        with LintPool(1, adapter=ADAPTER) as pool:
            return await asyncio.to_thread(lambda: list(pool.lint(requests)))

    assert answered_once(requests, asyncio.run(main()))


def test_workers_that_cannot_start_end_the_run() -> None:
    with (
        LintPool(2, adapter="broken_adapter") as pool,
        pytest.raises(CheckError, match="cannot be started: exit code 7"),
    ):
        list(pool.lint(fine(3)))


def test_an_error_of_the_source_is_not_swallowed() -> None:
    def stream() -> Iterator[LintRequest]:
        yield from fine(3)
        raise OSError("the source broke")

    with LintPool(1, adapter=ADAPTER) as pool:
        with pytest.raises(OSError, match="the source broke"):
            list(pool.lint(stream()))
        assert len(list(pool.lint(fine(2)))) == 2


def test_a_consumer_that_pauses_causes_no_time_limit() -> None:
    outcomes = []
    with LintPool(1, seconds_per_certificate=2, adapter=ADAPTER) as pool:
        for number, outcome in enumerate(pool.lint(fine(40))):
            outcomes.append(outcome)
            if number == 5:
                time.sleep(2.5)
    assert all(outcome.is_complete for outcome in outcomes)
