"""Probes get an answer; everyone else gets a bound."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subca_oversight.errors import ConfigurationError
from subca_oversight.telemetry import Health, HealthServer, Metrics


def _server(health: Health | None = None) -> HealthServer:
    state = Health(ready=True) if health is None else health
    return HealthServer("127.0.0.1:0", metrics=Metrics().exposition, health=lambda: state)


async def _ask(server: HealthServer, octets: bytes) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection(*server.address)
    try:
        writer.write(octets)
        writer.write_eof()
        answer = await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body


def ask(octets: bytes, health: Health | None = None) -> tuple[int, bytes]:
    async def run() -> tuple[int, bytes]:
        async with _server(health) as server:
            return await _ask(server, octets)

    return asyncio.run(run())


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def test_metrics_are_served() -> None:
    status, body = ask(_get("/metrics"))
    assert status == 200
    assert b"subca_oversight_build_info" in body


def test_readiness_is_a_status_with_its_reasons() -> None:
    assert ask(_get("/healthz"))[0] == 200
    status, body = ask(_get("/healthz?x=1"), Health(ready=False, reasons=("no lease",)))
    assert status == 503
    assert json.loads(body) == {"ready": False, "reasons": ["no lease"]}


def test_a_daemon_that_is_not_ready_is_still_alive() -> None:
    assert ask(_get("/livez"), Health(ready=False)) == (200, b"alive\n")


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (_get("/"), 404),
        (_get("/metrics/../etc/passwd"), 404),
        (b"POST /metrics HTTP/1.1\r\n\r\n", 405),
        (b"GET /metrics\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n", 400),
        (b"", 400),
    ],
)
def test_other_requests_are_refused(octets: bytes, status: int) -> None:
    assert ask(octets)[0] == status


def test_a_head_request_gets_no_body() -> None:
    assert ask(b"HEAD /livez HTTP/1.0\r\n\r\n") == (200, b"")


def test_an_endless_request_is_cut_off_at_its_cap() -> None:
    async def run() -> bytes:
        async with _server() as server:
            reader, writer = await asyncio.open_connection(*server.address)
            writer.write(b"GET /" + b"a" * 20_000)
            line = await reader.readline()
            writer.close()
            return line

    assert asyncio.run(run()).split(b" ")[1] == b"400"


def test_silent_connections_do_not_shut_out_probes_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("subca_oversight.telemetry.health._SECONDS", 0.2)

    async def run() -> float:
        async with _server() as server:
            idle = [await asyncio.open_connection(*server.address) for _ in range(40)]
            began = time.monotonic()
            status = 0
            while status != 200:
                await asyncio.sleep(0.05)
                try:
                    status, _ = await _ask(server, _get("/livez"))
                except (IndexError, ConnectionError):
                    assert time.monotonic() - began < 5
            for _, writer in idle:
                writer.close()
            await asyncio.gather(*(w.wait_closed() for _, w in idle), return_exceptions=True)
            return time.monotonic() - began

    assert asyncio.run(run()) < 3


@settings(max_examples=50)
@given(st.binary(max_size=200))
def test_any_octets_get_an_answer_or_nothing(octets: bytes) -> None:
    status, _ = ask(octets + b"\r\n\r\n")
    assert status in {200, 400, 404, 405}


@pytest.mark.parametrize("listen", ["", "9464", "localhost", ":9464", "x:99999", "x:-1", "x:٣"])
def test_an_unusable_address_is_a_configuration_error(listen: str) -> None:
    with pytest.raises(ConfigurationError, match=r"daemon\.listen"):
        HealthServer(listen, metrics=bytes, health=lambda: Health(ready=True))


def test_a_taken_port_is_a_configuration_error() -> None:
    async def run() -> None:
        async with _server() as first:
            taken = f"127.0.0.1:{first.address[1]}"
            second = HealthServer(taken, metrics=bytes, health=lambda: Health(ready=True))
            async with second:
                pass

    with pytest.raises(ConfigurationError, match="cannot listen"):
        asyncio.run(run())
