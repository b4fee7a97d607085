"""A dead holder is known to be dead, and a living or foreign one never taken for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from subca_oversight.jobs.holder import describe_holder, is_gone

TELL = "from subca_oversight.jobs.holder import describe_holder; print(describe_holder())"


def test_this_process_is_not_gone() -> None:
    assert not is_gone(describe_holder())


def test_an_ended_process_is_gone() -> None:
    ended = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", TELL], check=True, capture_output=True, text=True
    )
    assert is_gone(ended.stdout.strip())


def test_another_process_under_the_same_number_is_not_the_same() -> None:
    host, scope, start = describe_holder().split()
    assert is_gone(f"{host} {scope} {int(start) + 1}")


@pytest.mark.parametrize(
    "holder",
    ["", "host", "host:1", "host:x scope start", "host:999999999 other-boot/ns 1", "a b c d"],
)
def test_a_holder_that_this_kernel_does_not_know_is_not_gone(holder: str) -> None:
    assert not is_gone(holder)


def test_a_holder_on_another_host_is_not_gone() -> None:
    _, scope, start = describe_holder().split()
    assert not is_gone(f"elsewhere:999999999 {scope} {start}")
