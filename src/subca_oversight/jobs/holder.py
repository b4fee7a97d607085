"""Who holds the lease, told so that its end can be recognized: host, process and its start.

A process that was killed gives nothing up, and until its lease runs out nobody could lead. On the
same host the kernel knows better: process ids are reused, but never together with the start time,
within one boot and one process namespace. Where any of these is not known, only the lease decides.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

_PROC = Path("/proc")
_START_TIME = 19
"""Field of ``/proc/PID/stat`` after the command's name: clock ticks since boot (proc(5))."""
_DEAD = ("Z", "X")


def describe_holder() -> str:
    """This process: ``host:pid``, a blank, and what tells it from all others of that number."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{pid} {_scope()} {_start_of(pid)}".rstrip()


def is_gone(holder: str) -> bool:
    """Whether the process that described itself as ``holder`` has certainly ended."""
    parts = holder.split()
    if len(parts) != 3 or parts[1] != _scope():  # noqa: PLR2004 - as written above
        return False
    host, _, pid = parts[0].rpartition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    return _start_of(int(pid)) != parts[2]


def _scope() -> str:
    """The boot and the process namespace; a dash where the system does not tell."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return "-"


def _start_of(pid: int) -> str:
    """When the process started; empty where there is none, or it has died already."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in _DEAD else fields[_START_TIME]
