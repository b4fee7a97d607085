"""Receivers on loopback: an SMTP server and a webhook endpoint that answer as a test wishes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class SmtpServer:
    """What to answer, by command, and what came in. Silence is the answer ``hang``."""

    answers: dict[str, str] = field(default_factory=dict)
    offers: tuple[str, ...] = ()
    upgrade: ssl.SSLContext | None = None
    """Answers STARTTLS."""
    port: int = 0
    letters: list[bytes] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(text: str) -> None:
            writer.write(text.encode() + b"\r\n")

        if self.answers.get("CONNECT") == "hang":
            await asyncio.sleep(60)
        say(self.answers.get("CONNECT", "220 stub"))
        while True:
            line = (await reader.readline()).decode().strip()
            if len(line) == 0:
                return
            verb, blank, rest = line.partition(" ")
            verb = verb.upper()
            line = verb + blank + rest
            self.commands.append(line)
            answer = self.answers.get(line, self.answers.get(verb))
            if answer == "hang":
                await asyncio.sleep(60)
            elif answer == "close":
                return
            elif answer is not None:
                say(answer)
                if verb != "DATA" or not answer.startswith("354"):
                    continue
            elif verb == "EHLO":
                lines = ["stub", *self.offers]
                for position, offer in enumerate(lines):
                    say(f"250{'-' if position < len(lines) - 1 else ' '}{offer}")
                continue
            if verb == "DATA":
                if answer is None:
                    say("354 go on")
                await writer.drain()
                letter = await reader.readuntil(b"\r\n.\r\n")
                self.letters.append(letter.removesuffix(b".\r\n"))
                verdict = self.answers.get("END", "250 taken")
                if verdict == "hang":
                    await asyncio.sleep(60)
                if verdict == "close":
                    return
                say(verdict)
            elif verb == "QUIT":
                say("221 bye")
                return
            elif verb == "STARTTLS" and self.upgrade is not None:
                say("220 go on")
                await writer.drain()
                await writer.start_tls(self.upgrade)
            elif verb == "AUTH":
                say("235 welcome")
            else:
                say("250 fine")


@asynccontextmanager
async def smtp_server(
    server: SmtpServer, tls: ssl.SSLContext | None = None
) -> AsyncIterator[SmtpServer]:
    async with _listening(server.converse, tls) as port:
        server.port = port
        yield server


@dataclass
class Hook:
    """What to answer, request by request (the last one for ever), and what came in."""

    statuses: list[str] = field(default_factory=lambda: ["204 No Content"])
    headers: tuple[str, ...] = ()
    port: int = 0
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    break_after_reading: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/in"

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value
                for name, _, value in (line.partition(": ") for line in head[1:] if len(line) > 0)
            }
            body = await reader.readexactly(int(headers["content-length"]))
            self.requests.append((headers, body))
            if self.break_after_reading:
                return
            status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
            lines = [f"HTTP/1.1 {status}", *self.headers]
            if not status.startswith("204"):
                lines.append("Content-Length: 0")
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
            await writer.drain()


@asynccontextmanager
async def webhook(hook: Hook) -> AsyncIterator[Hook]:
    async with _listening(hook.converse, None) as port:
        hook.port = port
        yield hook


@asynccontextmanager
async def _listening(
    converse: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    tls: ssl.SSLContext | None,
) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await converse(reader, writer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield int(listener.sockets[0].getsockname()[1])
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
