"""A real static-ct log beside ours: Sunlight and Skylight, built from the Go module proxy.

Built once into ``build/peers`` of the checkout. Each log has a throw-away key and lives in a folder
of its own.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import shutil
import socket
import sqlite3
import struct
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from subca_oversight.model.log import Log, LogApi

MODULE = "filippo.io/sunlight"
VERSION = "v0.8.0"
PROGRAMS = ("sunlight", "skylight")
FOLDER = Path(__file__).parents[2] / "build" / "peers"
BUILD_SECONDS = 1800
ANSWER_SECONDS = 30
_GET_FLAGS, _SET_FLAGS, _IMMUTABLE = 0x80086601, 0x40086602, 0x10


class CannotBuild(Exception):  # noqa: N818 - reads as the statement that it is
    """Go is missing, or the module cannot be had or built."""


def build() -> Path:
    """The folder with the programs; raises CannotBuild."""
    if all((FOLDER / name).exists() for name in PROGRAMS):
        return FOLDER
    if shutil.which("go") is None:
        raise CannotBuild("Go is not installed")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for left in ("go.mod", "go.sum"):
        (FOLDER / left).unlink(missing_ok=True)
    packages = [f"{MODULE}/cmd/{name}" for name in PROGRAMS]
    for command in (
        ["go", "mod", "init", "peers.invalid/log"],
        ["go", "mod", "edit", "-require", f"{MODULE}@{VERSION}"],
        ["go", "build", "-mod=mod", "-o", f"{FOLDER}{os.sep}", *packages],
    ):
        ran = subprocess.run(  # noqa: S603 - our own arguments
            command, cwd=FOLDER, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS
        )
        if ran.returncode != 0:
            raise CannotBuild(ran.stderr.strip()[-300:])
    return FOLDER


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@dataclass
class Accepted:
    """A submission that the log took, with the index that its SCT states."""

    index: int
    certificate: bytes


@dataclass
class Sunlight:
    """One log: a writer that sequences, and a reader that serves the files."""

    programs: Path
    folder: Path
    roots: Sequence[bytes]
    writer_port: int = field(default_factory=free_port)
    reader_port: int = field(default_factory=free_port)
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "data").mkdir(parents=True)
        (self.folder / "seed.bin").write_bytes(os.urandom(32))
        pem = "".join(
            f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(root).decode()}"
            "-----END CERTIFICATE-----\n"
            for root in self.roots
        )
        (self.folder / "roots.pem").write_text(pem)
        with contextlib.closing(sqlite3.connect(self.folder / "checkpoints.db")) as database:
            database.execute(
                "CREATE TABLE checkpoints (logID BLOB PRIMARY KEY, body BLOB NOT NULL) STRICT"
            )
            database.commit()
        writer = {
            "listen": [f"127.0.0.1:{self.writer_port}"],
            "checkpoints": "checkpoints.db",
            "logs": [
                {
                    "shortname": "demo",
                    "inception": datetime.now(UTC).astimezone().date().isoformat(),
                    "period": 100,
                    "submissionprefix": "https://127.0.0.1/demo",
                    "monitoringprefix": self.base.removesuffix("/"),
                    "roots": "roots.pem",
                    "secret": "seed.bin",
                    "cache": "cache.db",
                    "localdirectory": "data",
                    "notafterstart": "1990-01-01T00:00:00Z",
                    "notafterlimit": "2100-01-01T00:00:00Z",
                }
            ],
        }
        reader = {
            "listen": [f"127.0.0.1:{self.reader_port}"],
            "logs": [
                {
                    "shortname": "demo",
                    "monitoringprefix": "https://127.0.0.1/demo",
                    "localdirectory": "data",
                }
            ],
        }
        for name, configuration in (("sunlight", writer), ("skylight", reader)):
            (self.folder / f"{name}.yaml").write_text(json.dumps(configuration))  # YAML, too

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.reader_port}/demo/"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Both programs up, until the end of the context."""
        try:
            self._start("skylight", f"http://127.0.0.1:{self.reader_port}/logs.json")
            self._start("sunlight", f"http://127.0.0.1:{self.writer_port}/health")
            yield
        finally:
            for process in reversed(self._running):
                process.terminate()
                try:
                    process.wait(ANSWER_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            self._running.clear()

    def _start(self, name: str, url: str) -> None:
        output = self.folder / f"{name}.log"
        with output.open("ab") as written:
            process = subprocess.Popen(  # noqa: S603 - our own
                [str(self.programs / name), "-c", f"{name}.yaml"],
                cwd=self.folder,
                stdout=written,
                stderr=written,
            )
        self._running.append(process)
        until = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - loopback
                    return
            except OSError as error:
                is_over = process.poll() is not None or time.monotonic() > until
                if is_over:
                    raise AssertionError(f"{name}: {output.read_text()[-2000:]}") from error
                time.sleep(0.1)

    def log(self) -> Log:
        """What a list would say of it."""
        stated = json.loads((self.folder / "data" / "log.v3.json").read_bytes())
        return Log(
            log_id=base64.b64decode(stated["log_id"]),
            key=base64.b64decode(stated["key"]),
            description="Sunlight on loopback",
            operator="Test",
            api=LogApi.STATIC,
            submission_url=stated["submission_url"],
            monitoring_url=stated["monitoring_url"],
            mmd=stated["mmd"],
        )

    def submit(self, chains: Iterable[tuple[bool, Sequence[bytes]]]) -> list[Accepted | None]:
        """Submit (whether it is a precertificate, chain) each; None where the log refuses it."""
        with ThreadPoolExecutor(64) as pool:
            return list(pool.map(lambda one: self._submit(*one), chains))

    def _submit(self, is_precertificate: bool, chain: Sequence[bytes]) -> Accepted | None:
        call = "add-pre-chain" if is_precertificate else "add-chain"
        body = json.dumps({"chain": [base64.b64encode(one).decode() for one in chain]}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.writer_port}/demo/ct/v1/{call}",
            body,
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - loopback
                extensions = base64.b64decode(json.load(response)["extensions"])
        except urllib.error.HTTPError as error:
            with error:
                if error.code != 400:
                    raise
                return None
        assert extensions[:3] == b"\x00\x00\x05"
        return Accepted(int.from_bytes(extensions[3:8]), chain[0])

    def release(self) -> None:
        """Let the folder be deleted: Sunlight makes what must never change immutable."""
        for path in [self.folder, *self.folder.rglob("*")]:
            with contextlib.suppress(OSError):
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    flags = struct.unpack("l", fcntl.ioctl(descriptor, _GET_FLAGS, bytes(8)))[0]
                    if flags & _IMMUTABLE:
                        cleared = struct.pack("l", flags & ~_IMMUTABLE)
                        fcntl.ioctl(descriptor, _SET_FLAGS, cleared)
                finally:
                    os.close(descriptor)
