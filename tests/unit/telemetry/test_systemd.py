"""The datagrams that systemd reads."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from subca_oversight.telemetry import find_watchdog_seconds, notify
from subca_oversight.telemetry.systemd import READY, WATCHDOG


@pytest.mark.parametrize("abstract", [True, False])
def test_states_arrive_as_one_datagram(
    abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"@subca-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        assert notify(READY, WATCHDOG) is True
        assert manager.recv(100) == b"READY=1\nWATCHDOG=1"


def test_without_a_manager_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert notify(READY) is False


@pytest.mark.parametrize(
    ("limit", "pid", "seconds"),
    [
        ("30000000", None, 15.0),
        ("30000000", str(os.getpid()), 15.0),
        ("30000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_the_watchdog_is_fed_at_half_its_limit_and_only_by_the_process_it_names(
    limit: str | None, pid: str | None, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WATCHDOG_USEC", limit), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert find_watchdog_seconds() == seconds
