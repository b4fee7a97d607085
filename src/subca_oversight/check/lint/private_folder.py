"""A temporary folder that only its owner can read, and that does not outlive a killed program.

Certificates that no log has shown yet may pass through it. Every folder in use is locked; the lock
ends with its holder, however that ended, so that the next run can tell what was left behind and
remove it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def private_folder(prefix: str) -> Iterator[Path]:
    """Make a folder of mode 0700 under the system's temporary one, and remove it in the end.

    Also removes folders of this prefix whose users were killed. Raises OSError.
    """
    _remove_abandoned(prefix)
    folder, lock = _make(prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _make(prefix: str) -> tuple[Path, int]:
    while True:
        # Until it is locked, another run may take the folder for abandoned and remove it.
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        try:
            lock = os.open(folder, _OPEN)
        except FileNotFoundError:
            continue
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder, lock
        os.close(lock)


def _remove_abandoned(prefix: str) -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        try:
            lock = os.open(folder, _OPEN)
        except OSError:  # gone, no folder, or not ours
            continue
        try:
            if os.fstat(lock).st_uid == os.geteuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
