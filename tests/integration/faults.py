"""What logs and the machines in front of them do wrong, as answers in the log's place."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qs, urlsplit

from tests.integration.log_server import FaultyLog, Instead

WEB_PAGE = b"<!DOCTYPE html><title>One moment</title><p>Checking your connection.</p>\n"
ENTRIES = "/ct/v1/get-entries?"
When = Callable[[str], bool]


def raw(status: int, body: bytes = b"no\n", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def begins(*prefixes: str) -> When:
    return lambda target: target.startswith(prefixes)


def answering(when: When, answer: bytes, *, times: int = 10**9) -> Instead:
    """The same answer for the first ``times`` of the requests that are meant."""
    left = [times]

    async def instead(target: str, writer: asyncio.StreamWriter) -> bool:
        if not when(target) or left[0] == 0:
            return False
        left[0] -= 1
        writer.write(answer)
        return True

    return instead


def every(count: int, when: When, answer: bytes) -> Instead:
    """The same answer for each ``count``-th of the requests that are meant."""
    seen = [0]

    async def instead(target: str, writer: asyncio.StreamWriter) -> bool:
        if not when(target):
            return False
        seen[0] += 1
        if seen[0] % count != 0:
            return False
        writer.write(answer)
        return True

    return instead


def in_seconds(seconds: int) -> str:
    return f"Retry-After: {seconds}"


def at_date(seconds: int) -> str:
    when = datetime.now(UTC) + timedelta(seconds=seconds)
    return f"Retry-After: {format_datetime(when, usegmt=True)}"


def hanging(when: When, *, times: int = 10**9) -> Instead:
    """The request is taken, and that is all."""
    left = [times]

    async def instead(target: str, writer: asyncio.StreamWriter) -> bool:
        if not when(target) or left[0] == 0:
            return False
        left[0] -= 1
        await asyncio.sleep(3600)
        return True

    return instead


def trickling(when: When) -> Instead:
    """An octet now and then: no single wait is long."""

    async def instead(target: str, writer: asyncio.StreamWriter) -> bool:
        if not when(target):
            return False
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    return instead


def dropping(when: When, *, times: int) -> Instead:
    """The connection is closed under the request."""
    left = [times]

    async def instead(target: str, writer: asyncio.StreamWriter) -> bool:
        if not when(target) or left[0] == 0:
            return False
        left[0] -= 1
        writer.close()
        return True

    return instead


def bomb(when: When) -> Instead:
    """8 KiB that unpack to 8 MiB; each request gets one."""
    body = gzip.compress(bytes(8 << 20))
    return answering(when, raw(200, body, "Content-Encoding: gzip"))


def asked(target: str) -> tuple[int, int]:
    """Start and end (inclusive) of a get-entries request."""
    query = parse_qs(urlsplit(target).query)
    return int(query["start"][0]), int(query["end"][0])


def serving_instead(log: FaultyLog, change: Callable[[int, int], tuple[int, int]]) -> Instead:
    """Entries of another range than the one asked for; both with an inclusive end."""

    async def instead(target: str, writer: asyncio.StreamWriter) -> bool:
        if not target.startswith(ENTRIES):
            return False
        start, end = change(*asked(target))
        if (start, end) == asked(target):
            return False
        status, body = log.answer(f"{ENTRIES}start={start}&end={end}")
        writer.write(raw(status, body))
        return True

    return instead


def refusing_pages_above(most: int, status: int, *, body: bytes = b"too many\n") -> Instead:
    """Pages of more than ``most`` entries are refused rather than cut."""

    async def instead(target: str, writer: asyncio.StreamWriter) -> bool:
        if not target.startswith(ENTRIES):
            return False
        start, end = asked(target)
        if end - start < most:
            return False
        writer.write(raw(status, body))
        return True

    return instead


def lagging(size: int, *, times: int = 10**9) -> Instead:
    """A replica that has ``size`` entries, for so many requests beyond them."""
    left = [times]

    async def instead(target: str, writer: asyncio.StreamWriter) -> bool:
        if not target.startswith(ENTRIES) or left[0] == 0:
            return False
        start, _ = asked(target)
        if start < size:
            return False
        left[0] -= 1
        text = {
            "error_message": f"need tree size: {start + 1} to get leaves but only got: {size}",
            "success": False,
        }
        writer.write(raw(400, json.dumps(text).encode()))
        return True

    return instead


def together(*faults: Instead) -> Instead:
    """The first of several faults that answers."""

    async def instead(target: str, writer: asyncio.StreamWriter) -> bool:
        for fault in faults:
            if await fault(target, writer):
                return True
        return False

    return instead
