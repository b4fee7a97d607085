"""The client against real sockets on loopback that misbehave."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from pathlib import Path

import httpx
import pytest
import respx

from subca_oversight import __version__
from subca_oversight.errors import ConfigurationError, SourceError
from subca_oversight.http import Client, Limits, Origin
from subca_oversight.settings import HttpSettings
from tests.unit.http.loopback import LOOPBACK, Naps, answering, client, serving

SMALL = Limits(total_seconds=5, body_bytes=10_000, decompressed_bytes=10_000, attempts=1)


def test_the_user_agent_carries_version_and_contact() -> None:
    async def run() -> bytes:
        async with serving(answering(b"ok")) as server, client() as http:
            await http.get(server.url)
            return server.heads[0]

    expected = f"User-Agent: subca-oversight/{__version__} (+mailto:oversight@ca.example)\r\n"
    assert expected.encode() in asyncio.run(run())


def test_a_contact_with_a_line_break_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match=r"agent\.contact"):
        Client(HttpSettings(), contact="a@ca.example\r\nX: y")


def test_connections_are_kept_alive_and_can_be_closed_by_the_caller() -> None:
    async def run(headers: dict[str, str]) -> int:
        async with serving(answering(b"ok")) as server, client() as http:
            for _ in range(3):
                await http.get(server.url, headers=headers)
            return server.connections

    assert asyncio.run(run({})) == 1
    assert asyncio.run(run({"Connection": "close"})) == 3


def test_headers_are_lower_case_and_repeated_ones_joined() -> None:
    async def run() -> dict[str, str]:
        async with serving(answering(b"", "X-Two: a", "x-TWO: b")) as server, client() as http:
            return dict((await http.get(server.url)).headers)

    assert asyncio.run(run())["x-two"] == "a, b"


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(b"tile") + gzip.compress(b"s")),
        ("X-GZip", gzip.compress(b"tiles")),
        ("deflate", zlib.compress(b"tiles")),
        ("deflate", zlib.compress(b"tiles", wbits=-15)),
        ("identity", b"tiles"),
    ],
)
def test_each_known_coding_is_decoded_asked_or_unasked(coding: str, body: bytes) -> None:
    async def run() -> bytes:
        answer = answering(body, f"Content-Encoding: {coding}")
        async with serving(answer) as server, client() as http:
            return (await http.get(server.url, headers={"Accept-Encoding": "identity"})).body

    assert asyncio.run(run()) == b"tiles"


@pytest.mark.parametrize(
    ("coding", "body", "reason"),
    [
        ("br", b"x", "not understood"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"x")), "not understood"),
        ("gzip", gzip.compress(bytes(100_000_000), 9), "decoded body is larger"),
        ("deflate", zlib.compress(bytes(10_001)), "decoded body is larger"),
        ("gzip", gzip.compress(b"x" * 500)[:-9], "cut short"),
        ("gzip", b"<html>not gzip", "broken"),
        ("gzip", gzip.compress(b"x") + b"trailing", "broken"),
        ("deflate", zlib.compress(b"x") + b"trailing", "broken"),
        ("identity", bytes(10_001), "body is larger"),
    ],
)
def test_a_body_that_cannot_be_decoded_within_its_caps_is_refused(
    coding: str, body: bytes, reason: str
) -> None:
    async def run() -> None:
        answer = answering(body, f"Content-Encoding: {coding}")
        limits = Limits(
            body_bytes=10_000 if coding == "identity" else 200_000,
            decompressed_bytes=10_000,
            attempts=1,
        )
        async with serving(answer) as server, client() as http:
            await http.get(server.url, limits=limits)

    with pytest.raises(SourceError, match=reason):
        asyncio.run(run())


def test_an_endless_body_ends_at_the_cap() -> None:
    async def endless(head: bytes, writer: asyncio.StreamWriter) -> None:
        del head
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"400\r\n" + bytes(1024) + b"\r\n")
            await writer.drain()

    async def run() -> None:
        async with serving(endless) as server, client() as http:
            await http.get(server.url, limits=SMALL)

    with pytest.raises(SourceError, match="larger than 10000 bytes") as caught:
        asyncio.run(run())
    assert not caught.value.retry


async def _silence(head: bytes, writer: asyncio.StreamWriter) -> None:
    del head, writer
    await asyncio.sleep(60)


async def _trickle(head: bytes, writer: asyncio.StreamWriter) -> None:
    del head
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _trickle_headers(head: bytes, writer: asyncio.StreamWriter) -> None:
    del head
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: y\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("answer", [_silence, _trickle, _trickle_headers])
def test_the_deadline_is_total_however_the_server_stalls(answer: object) -> None:
    async def run() -> None:
        async with serving(answer) as server, client() as http:  # type: ignore[arg-type]  # pytest's
            await http.get(server.url, limits=Limits(total_seconds=0.3, attempts=1))

    began = time.monotonic()
    with pytest.raises(SourceError, match=r"no full answer within 0\.3 s") as caught:
        asyncio.run(run())
    assert time.monotonic() - began < 2
    assert caught.value.retry


def test_the_deadline_spans_redirects() -> None:
    async def around(head: bytes, writer: asyncio.StreamWriter) -> None:
        del head
        await asyncio.sleep(0.1)
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")

    async def run() -> None:
        async with serving(around) as server, client() as http:
            limits = Limits(total_seconds=0.25, attempts=1, redirects=20)
            await http.get(server.url, limits=limits)

    with pytest.raises(SourceError, match="no full answer"):
        asyncio.run(run())


def test_hundreds_of_hanging_hosts_do_not_hold_up_a_healthy_one() -> None:
    async def run() -> float:
        async with (
            serving(_silence) as hanging,
            serving(answering(b"ok")) as healthy,
            client() as http,
        ):
            limits = Limits(total_seconds=2, attempts=1)
            stuck = [asyncio.create_task(http.get(hanging.url, limits=limits)) for _ in range(200)]
            await asyncio.sleep(0.5)
            began = time.monotonic()
            assert (await http.get(healthy.url)).body == b"ok"
            took = time.monotonic() - began
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)
            return took

    assert asyncio.run(run()) < 1


def test_a_hundred_thousand_headers_are_refused() -> None:
    headers = [f"X-{number}: y" for number in range(100_000)]

    async def run() -> None:
        async with serving(answering(b"", *headers)) as server, client() as http:
            await http.get(server.url, limits=SMALL)

    with pytest.raises(SourceError):
        asyncio.run(run())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_error_unless_allowed(status: int) -> None:
    async def run() -> None:
        answer = answering(b"", "Location: /elsewhere", status=f"{status} Moved")
        async with serving(answer) as server, client() as http:
            try:
                await http.get(server.url)
            finally:
                assert len(server.heads) == 1

    with pytest.raises(SourceError, match="refused to follow") as caught:
        asyncio.run(run())
    assert (caught.value.retry, caught.value.status) == (False, status)


def test_allowed_redirects_are_counted() -> None:
    async def run(redirects: int) -> str:
        async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
            step = int(head.split(b" ")[1].strip(b"/") or b"0")
            if step < 3:
                where = f"HTTP/1.1 302 Found\r\nLocation: /{step + 1}\r\nContent-Length: 0\r\n\r\n"
                writer.write(where.encode())
            else:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        async with serving(answer) as server, client() as http:
            got = await http.get(server.url, limits=Limits(redirects=redirects, attempts=1))
            return got.url.removeprefix(server.url)

    assert asyncio.run(run(3)) == "/3"
    with pytest.raises(SourceError, match="more than 2 redirects"):
        asyncio.run(run(2))


def test_a_redirect_to_another_host_loses_the_operators_trust_and_the_headers() -> None:
    async def run() -> None:
        async with serving(answering(b"secret")) as inner:
            away = answering(b"", f"Location: {inner.url}/", status="302 Found")
            async with serving(away) as outer, client(HttpSettings()) as http:
                try:
                    await http.get(
                        outer.url,
                        origin=Origin.OPERATOR,
                        limits=Limits(redirects=1, attempts=1),
                    )
                finally:
                    assert len(outer.heads) == 1
                    assert inner.connections == 0

    with pytest.raises(SourceError, match="not a public address"):
        asyncio.run(run())


def test_headers_for_the_first_host_do_not_travel_to_the_second() -> None:
    async def run() -> bytes:
        async with serving(answering(b"ok")) as second:
            away = answering(b"", f"Location: {second.url}/", status="302 Found")
            async with serving(away) as first, client() as http:
                await http.get(
                    first.url,
                    headers={"Authorization": "Bearer secret"},
                    limits=Limits(redirects=1),
                )
                assert b"Bearer secret" in first.heads[0]
                return second.heads[0]

    assert b"secret" not in asyncio.run(run())


@pytest.mark.parametrize("target", ["file:///etc/passwd", "gopher://x/", "ftp://x/", "//u:p@x/"])
def test_a_redirect_to_anything_but_the_web_is_refused(target: str) -> None:
    async def run() -> None:
        answer = answering(b"", f"Location: {target}", status="302 Found")
        async with serving(answer) as server, client() as http:
            await http.get(server.url, limits=Limits(redirects=3))

    with pytest.raises(SourceError) as caught:
        asyncio.run(run())
    assert not caught.value.retry


def _status_sequence(*statuses: tuple[int, str]) -> tuple[respx.MockRouter, list[float]]:
    router = respx.mock(assert_all_called=True)
    router.get("https://log.example/x").mock(
        side_effect=[
            httpx.Response(status, headers={"Retry-After": wait} if len(wait) > 0 else {})
            for status, wait in statuses
        ]
    )
    return router, []


def _waits(*statuses: tuple[int, str]) -> list[float]:
    router, _ = _status_sequence(*statuses)
    naps = Naps()

    async def run() -> None:
        async with client(sleep=naps) as http:
            await http.get("https://log.example/x")

    with router:
        asyncio.run(run())
    return naps.seconds


def test_429_and_5xx_are_tried_again_after_the_wait_the_server_asked_for() -> None:
    assert _waits((429, "7"), (503, "0"), (500, ""), (200, "")) == [7.0, 0.25, 4.0]


def test_the_last_failure_is_raised_with_its_status() -> None:
    with pytest.raises(SourceError, match="status 503") as caught:
        _waits((503, ""), (503, ""), (503, ""), (503, ""))
    assert (caught.value.retry, caught.value.status) == (True, 503)


def test_a_long_retry_after_is_handed_to_the_caller_and_clamped() -> None:
    with pytest.raises(SourceError) as caught:
        _waits((429, "86400"))
    assert (caught.value.retry, caught.value.retry_after) == (True, 600.0)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_not_tried_again(status: int) -> None:
    with pytest.raises(SourceError, match=f"status {status}") as caught:
        _waits((status, "1"))
    assert (caught.value.retry, caught.value.status) == (False, status)


def test_an_accepted_status_is_returned_whatever_it_is() -> None:
    async def run() -> int:
        async with client() as http:
            got = await http.get(
                "https://log.example/x", accept_status=frozenset({200, 304, 404, 503})
            )
            return got.status

    with respx.mock:
        respx.get("https://log.example/x").mock(return_value=httpx.Response(503))
        assert asyncio.run(run()) == 503


def test_a_post_is_sent_once() -> None:
    async def run() -> None:
        async with client() as http:
            await http.post("https://hook.example/x", b"{}", origin=Origin.OPERATOR)

    with respx.mock:
        route = respx.post("https://hook.example/x").mock(return_value=httpx.Response(503))
        with pytest.raises(SourceError) as caught:
            asyncio.run(run())
        assert route.call_count == 1
        assert route.calls[0].request.content == b"{}"
    assert caught.value.retry


def test_a_reset_connection_is_tried_again() -> None:
    asked = 0

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        del head
        nonlocal asked
        asked += 1
        if asked < 3:
            writer.transport.abort()
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def run() -> bytes:
        async with serving(answer) as server, client() as http:
            return (await http.get(server.url)).body

    assert asyncio.run(run()) == b"ok"


def test_a_closed_port_is_a_source_error_that_may_pass() -> None:
    async def run() -> None:
        async with serving(answering(b"")) as server:
            url = server.url
        async with client() as http:
            await http.get(url)

    with pytest.raises(SourceError, match="cannot be reached") as caught:
        asyncio.run(run())
    assert caught.value.retry


def test_offline_opens_no_socket() -> None:
    async def run() -> int:
        settings = HttpSettings(offline=True, allow_networks=LOOPBACK)
        async with serving(answering(b"ok")) as server, client(settings) as http:
            for origin in Origin:
                with pytest.raises(SourceError, match=r"http\.offline is set") as caught:
                    await http.get(server.url, origin=origin)
                assert not caught.value.retry
                with pytest.raises(SourceError, match=r"http\.offline is set"):
                    await http.post(server.url, b"", origin=origin)
            return server.connections

    assert asyncio.run(run()) == 0


def test_proxies_of_the_environment_are_not_honored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def run() -> bytes:
        async with serving(answering(b"ok")) as server, client() as http:
            return (await http.get(server.url)).body

    assert asyncio.run(run()) == b"ok"


def test_a_token_in_an_operators_url_stays_out_of_messages() -> None:
    token = "f3b0c442-98fc-1c14-9afb-f4c8996fb924"

    async def run() -> None:
        async with client(HttpSettings(offline=True)) as http:
            await http.get(f"https://ping.example/{token}?key={token}", origin=Origin.OPERATOR)

    with pytest.raises(SourceError, match=r"ping\.example") as caught:
        asyncio.run(run())
    assert token not in str(caught.value)
    assert caught.value.url is not None
    assert token not in caught.value.url


def test_an_unusable_ca_bundle_is_a_configuration_error(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate")
    for path in (empty, tmp_path / "missing.pem"):
        with pytest.raises(ConfigurationError, match=r"http\.ca_bundle"):
            client(HttpSettings(ca_bundle=path))
