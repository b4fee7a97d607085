"""The health endpoint: three paths, read only, for probes and Prometheus.

It runs on the daemon's own event loop, so that a loop which has stopped cannot answer that it is
well. It speaks just enough HTTP/1.1 (RFC 9112) for a probe, with every input bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self

from subca_oversight.errors import ConfigurationError
from subca_oversight.telemetry.metrics import EXPOSITION_TYPE

# A probe's request is some hundred octets, sent at once.
_HEAD_CAP = 8192
_SECONDS = 5.0
_CONNECTIONS = 32
_LAST_PORT = 65_535
_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the daemon does its work, and what stands in the way."""

    ready: bool
    reasons: tuple[str, ...] = ()


class HealthServer:
    """Serves ``/metrics``, ``/healthz`` (200 when ready, else 503) and ``/livez`` (always 200)."""

    def __init__(
        self, listen: str, *, metrics: Callable[[], bytes], health: Callable[[], Health]
    ) -> None:
        """``listen`` is HOST:PORT, port 0 for any; raises ConfigurationError for other text."""
        self._host, self._port = _load_listen(listen)
        self._metrics = metrics
        self._health = health
        self._places = asyncio.Semaphore(_CONNECTIONS)
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port really listened on."""
        if self._server is None:
            return (self._host, self._port)
        name = self._server.sockets[0].getsockname()
        return (str(name[0]), int(name[1]))

    async def __aenter__(self) -> Self:
        """Listen; raises ConfigurationError when the address cannot be had."""
        try:
            self._server = await asyncio.start_server(
                self._serve, self._host, self._port, limit=_HEAD_CAP
            )
        except OSError as error:
            raise ConfigurationError(
                f"daemon.listen: cannot listen on {self._host}:{self._port}: {error.strerror}"
            ) from error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop listening; answers under way end at their own deadline."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.CancelledError):
            if not self._places.locked():
                async with self._places, asyncio.timeout(_SECONDS):
                    writer.write(self._answer(await _read_head(reader)))
                    await writer.drain()
        writer.close()

    def _answer(self, head: bytes | None) -> bytes:
        words = b"" if head is None else head.split(b"\r\n", 1)[0]
        method, _, rest = words.partition(b" ")
        target, _, version = rest.partition(b" ")
        if head is None or not version.startswith(b"HTTP/1."):
            return _octets(HTTPStatus.BAD_REQUEST, _TEXT, b"bad request\n")
        if method not in {b"GET", b"HEAD"}:
            return _octets(HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"read only\n", "Allow: GET, HEAD")
        status, kind, body = self._page(target.split(b"?", 1)[0])
        return _octets(status, kind, body, with_body=method == b"GET")

    def _page(self, path: bytes) -> tuple[HTTPStatus, str, bytes]:
        if path == b"/metrics":
            return HTTPStatus.OK, EXPOSITION_TYPE, self._metrics()
        if path == b"/livez":
            return HTTPStatus.OK, _TEXT, b"alive\n"
        if path == b"/healthz":
            health = self._health()
            body = json.dumps({"ready": health.ready, "reasons": list(health.reasons)}) + "\n"
            status = HTTPStatus.OK if health.ready else HTTPStatus.SERVICE_UNAVAILABLE
            return status, _JSON, body.encode("ascii")
        return HTTPStatus.NOT_FOUND, _TEXT, b"try /metrics, /healthz or /livez\n"


def _load_listen(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    usable = len(colon) > 0 and len(host) > 0 and port.isascii() and port.isdecimal()
    if not usable or int(port) > _LAST_PORT:
        raise ConfigurationError(f"daemon.listen: {listen!r} is not HOST:PORT")
    return host, int(port)


async def _read_head(reader: asyncio.StreamReader) -> bytes | None:
    """The request's head, None where it is too long or cut short."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return None


def _octets(
    status: HTTPStatus, kind: str, body: bytes, *headers: str, with_body: bool = True
) -> bytes:
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
        *headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii") + (body if with_body else b"")
