"""Serves a built world on loopback: its logs, log list, CCADB exports, CRLs and policy pages.

It also receives the agent's webhooks, switches between the world's stages, and lets a test spoil
any answer, so that everything a source can do wrong can be done here on purpose.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from subca_oversight.demo.world.configuration import write_configuration
from subca_oversight.demo.world.manifest import WorldManifest, load_manifest
from subca_oversight.demo.world.site import Answer, Interceptor, Site, refusal

RECEIVED = "received.jsonl"
_BODY_LIMIT = 4 << 20


@dataclass(frozen=True, slots=True)
class ReceivedWebhook:
    """One delivery as it arrived; a repeated delivery repeats its webhook-id."""

    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class ServedWorld:
    """A world that is being served."""

    def __init__(self, directory: Path, base_url: str, stage: int) -> None:
        self.directory = directory
        self.base_url = base_url
        self.manifest: WorldManifest = load_manifest(directory)
        self.stage = stage
        self.requests: list[str] = []
        """Path and query of every GET, in order of arrival."""
        self._webhooks: list[ReceivedWebhook] = []
        self._interceptors: list[Interceptor] = []
        self._lock = threading.Lock()
        self._site = Site(directory, self.manifest, base_url)

    @property
    def received_webhooks(self) -> tuple[ReceivedWebhook, ...]:
        """Every delivery so far, repetitions kept."""
        with self._lock:
            return tuple(self._webhooks)

    def write_configuration(self, state_directory: Path) -> Path:
        """Write ``oversight.toml`` for this world into the agent's state directory."""
        path = state_directory / "oversight.toml"
        write_configuration(path, self.directory, self.manifest, self.base_url, state_directory)
        return path

    @contextmanager
    def intercept(self, interceptor: Interceptor) -> Iterator[None]:
        """Let ``interceptor`` change the answers to GET requests while the context lasts."""
        self._interceptors.append(interceptor)
        try:
            yield
        finally:
            self._interceptors.remove(interceptor)

    def get(self, target: str) -> Answer:
        """The answer to a GET, interceptors applied."""
        with self._lock:
            self.requests.append(target)
        answer = self._site.answer(self.stage, target)
        for interceptor in tuple(self._interceptors):
            answer = interceptor(target, answer)
        return answer

    def post(self, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer to a POST."""
        if target == "/webhook":
            self._keep_webhook(ReceivedWebhook(headers, body))
            return Answer(HTTPStatus.NO_CONTENT, b"")
        if target == "/stage":
            return self._switch_stage(body)
        return refusal(HTTPStatus.NOT_FOUND, "no such address")

    def _keep_webhook(self, delivery: ReceivedWebhook) -> None:
        body = delivery.body.decode("utf-8", "backslashreplace")
        line = json.dumps({"headers": dict(delivery.headers), "body": body})
        with self._lock:
            self._webhooks.append(delivery)
            with (self.directory / RECEIVED).open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def _switch_stage(self, body: bytes) -> Answer:
        try:
            stage = json.loads(body)["stage"]
        except (ValueError, KeyError, TypeError):
            return refusal(HTTPStatus.BAD_REQUEST, 'the body must be {"stage": 1} or {"stage": 2}')
        if stage not in self.manifest.instants:
            return refusal(HTTPStatus.BAD_REQUEST, "the world has no such stage")
        self.stage = stage
        return Answer(HTTPStatus.NO_CONTENT, b"")


@contextmanager
def serve_world(directory: Path, *, port: int = 0, stage: int = 2) -> Iterator[ServedWorld]:
    """Serve the world built in ``directory`` on 127.0.0.1 until the context ends.

    ``port`` 0 takes a free one. Raises OSError where the port is taken or nothing is built there.
    """
    server = _Server(("127.0.0.1", port), _Handler)
    try:
        base_url = f"http://127.0.0.1:{server.server_address[1]}"
        server.world = ServedWorld(directory, base_url, stage)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="demo-world")
        thread.start()
        try:
            yield server.world
        finally:
            server.shutdown()
            thread.join()
    finally:
        server.close_connections()
        server.server_close()


class _Server(ThreadingHTTPServer):
    """Knows its connections, so that no idle one outlives the context."""

    daemon_threads = True
    request_queue_size = 64
    world: ServedWorld

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - base
        with self._connections_lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - base
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - base
        """A client that went away is no news."""

    def close_connections(self) -> None:
        with self._connections_lock:
            remaining = tuple(self._connections)
        for connection in remaining:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._send(self.server.world.get(self.path))

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > _BODY_LIMIT:
            self.close_connection = True
            self._send(
                refusal(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "send a Content-Length of at most 4 MiB"
                )
            )
            return
        body = self.rfile.read(int(length))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(self.server.world.post(self.path, headers, body))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        if len(answer.body) > 0:
            self.send_header("Content-Type", answer.content_type)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in answer.headers and answer.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def version_string(self) -> str:
        """The Server header; the standard one would name the interpreter."""
        return "demo-world"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - base class
        """Say nothing: the agent's own output is what a tour is about."""
