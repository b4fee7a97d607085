"""A linter adapter that does what each certificate's bytes tell it: for the pool's tests."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from subca_oversight.check.lint.api import LintOutcome, LintRequest

TOOL = "misbehaving"


def versions() -> tuple[tuple[str, str], ...]:
    return ((TOOL, "1"),)


def load() -> Callable[[LintRequest], LintOutcome]:
    return lint


def lint(request: LintRequest) -> LintOutcome:
    word, _, argument = request.der.partition(b":")
    if word == b"hang":
        time.sleep(600)
    elif word == b"hang-in-c":
        # A signal handler written in Python would never run here.
        sum(range(10**12))
    elif word == b"die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif word == b"die-once" and not Path(argument.decode()).exists():
        Path(argument.decode()).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    elif word == b"memory":
        hoard = [bytearray(64 * 2**20) for _ in range(10**6)]
        raise AssertionError(len(hoard))
    elif word == b"exit":
        sys.exit(1)
    elif word == b"raise":
        raise RuntimeError("as told")
    elif word == b"slow":
        time.sleep(float(argument))
    return LintOutcome(request.sha256, request.profile, (), None, versions())
