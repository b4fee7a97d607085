"""Word to the service manager: ready, still alive, stopping (sd_notify(3)).

Without it systemd calls a daemon ready that still migrates its database, and never restarts one
whose event loop has stopped.
"""

from __future__ import annotations

import os
import socket

READY = "READY=1"
STOPPING = "STOPPING=1"
WATCHDOG = "WATCHDOG=1"


def notify(*states: str) -> bool:
    """Send ``states``; False where no service manager listens, which is no error."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.connect("\0" + address[1:] if address.startswith("@") else address)
        channel.sendall("\n".join(states).encode())
    return True


def find_watchdog_seconds() -> float | None:
    """How often WATCHDOG must be sent, half the manager's limit; None where it is not asked for."""
    limit = os.environ.get("WATCHDOG_USEC", "")
    asked = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not limit.isdecimal() or int(limit) == 0 or asked != str(os.getpid()):
        return None
    return int(limit) / 2_000_000
