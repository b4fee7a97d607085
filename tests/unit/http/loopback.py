"""Servers on loopback that answer octets exactly as a test wrote them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from subca_oversight.http import Client
from subca_oversight.http.address import IPAddress
from subca_oversight.settings import HttpSettings

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
LOOPBACK = (ip_network("127.0.0.0/8"),)


@dataclass
class Server:
    """A running loopback server, and what it was asked."""

    port: int = 0
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[Server]:
    """Read one request head after the other, and let ``answer`` write what it likes."""
    server = Server()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                server.heads.append(head)
                await answer(head, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answering(body: bytes, *headers: str, status: str = "200 OK") -> Answer:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    octets = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        del head
        writer.write(octets)

    return answer


@dataclass
class FixedResolver:
    """Answers each lookup with the next list, the last one for ever."""

    answers: list[Sequence[str]]
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str, port: int) -> Sequence[IPAddress]:
        del port
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [ip_address(text) for text in answer]

    def close(self) -> None:
        pass


@dataclass
class Naps:
    """A sleep that only remembers."""

    seconds: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def client(
    settings: HttpSettings | None = None,
    *,
    sleep: Callable[[float], Awaitable[object]] | None = None,
    resolver: FixedResolver | None = None,
) -> Client:
    """A client that may reach loopback and never really sleeps between attempts."""
    return Client(
        HttpSettings(allow_networks=LOOPBACK) if settings is None else settings,
        contact="oversight@ca.example",
        sleep=Naps() if sleep is None else sleep,
        random=lambda: 1.0,
        resolver=resolver,
    )
