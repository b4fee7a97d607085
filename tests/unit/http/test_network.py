"""TLS and proxies: who is asked for which name, and who learns which address."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from subca_oversight.errors import SourceError
from subca_oversight.http import Client, Limits, Origin
from subca_oversight.settings import HttpSettings
from tests.unit.http.loopback import LOOPBACK, FixedResolver, Naps, answering, serving

ONCE = Limits(total_seconds=5, attempts=1)


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    """A self-signed certificate for ``log.example`` and its key, valid around the real now."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "log.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("log.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "log.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@asynccontextmanager
async def tls_server(pem: Path) -> AsyncIterator[tuple[int, list[str | None], list[bytes]]]:
    """A TLS server; yields its port, the names asked for by SNI, and the request heads."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    names: list[str | None] = []
    heads: list[bytes] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], names, heads


@asynccontextmanager
async def connect_proxy(port: int, asked: list[bytes]) -> AsyncIterator[int]:
    """A proxy that joins every CONNECT to 127.0.0.1:``port``; remembers the heads."""
    serving_tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while len(octets := await reader.read(65_536)) > 0:
            writer.write(octets)
            await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving_tasks.add(task)
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n")
        back = asyncio.create_task(pump(inner_reader, writer))
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await pump(reader, inner_writer)
        finally:
            back.cancel()
            for end in (writer, inner_writer):
                end.close()
            await asyncio.gather(back, return_exceptions=True)
            # One turn of the loop, in which the transports let go of their sockets.
            await asyncio.sleep(0)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        # The client has closed its ends by now, or does so on leaving.
        for task in serving_tasks:
            task.cancel()
        await asyncio.gather(*serving_tasks, return_exceptions=True)


def _client(settings: HttpSettings, resolver: FixedResolver | None = None) -> Client:
    return Client(settings, contact="a@ca.example", sleep=Naps(), resolver=resolver)


def test_tls_and_host_keep_the_name_though_an_address_is_connected(pem: Path) -> None:
    async def run() -> tuple[list[str | None], bytes]:
        settings = HttpSettings(ca_bundle=pem, allow_networks=LOOPBACK)
        async with tls_server(pem) as (port, names, heads):
            async with _client(settings, FixedResolver([["127.0.0.1"]])) as http:
                got = await http.get(f"https://log.example:{port}/x", limits=ONCE)
                assert got.body == b"ok"
            return names, heads[0]

    names, head = asyncio.run(run())
    assert names == ["log.example"]
    assert b"Host: log.example:" in head


@pytest.mark.parametrize("trusted", [True, False])
def test_a_certificate_that_does_not_verify_is_refused_for_good(pem: Path, trusted: bool) -> None:
    async def run() -> None:
        settings = HttpSettings(ca_bundle=pem if trusted else None, allow_networks=LOOPBACK)
        resolver = FixedResolver([["127.0.0.1"]])
        async with tls_server(pem) as (port, _, heads), _client(settings, resolver) as http:
            host = "other.example" if trusted else "log.example"
            try:
                await http.get(f"https://{host}:{port}/", limits=Limits(total_seconds=5))
            finally:
                assert heads == []

    with pytest.raises(SourceError, match="TLS certificate does not verify") as caught:
        asyncio.run(run())
    assert not caught.value.retry


def test_a_tls_handshake_that_never_ends_is_cut_off_and_leaks_no_socket() -> None:
    closed = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Ends with the client's socket: should that leak, the wait below does not end.
        await reader.read()
        writer.close()
        closed.set()

    async def run() -> None:
        server = await asyncio.start_server(hang, "127.0.0.1", 0)
        async with server, _client(HttpSettings(allow_networks=LOOPBACK)) as http:
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            with pytest.raises(SourceError, match="no full answer"):
                await http.get(url, limits=Limits(total_seconds=0.3, attempts=1))
            gc.disable()
            try:
                await asyncio.wait_for(closed.wait(), 5)
            finally:
                gc.enable()

    asyncio.run(run())


def test_the_proxy_is_given_the_checked_address_and_the_server_the_name(pem: Path) -> None:
    asked: list[bytes] = []

    async def run() -> tuple[list[str | None], bytes]:
        async with (
            tls_server(pem) as (port, names, heads),
            connect_proxy(port, asked) as proxy,
        ):
            settings = HttpSettings(proxy=f"http://us%65r:pass@127.0.0.1:{proxy}", ca_bundle=pem)
            async with _client(settings, FixedResolver([["8.8.8.8"]])) as http:
                await http.get("https://log.example/x", limits=ONCE)
            return names, heads[0]

    names, head = asyncio.run(run())
    assert b"".join(asked) == (
        b"CONNECT 8.8.8.8:443 HTTP/1.1\r\nHost: 8.8.8.8:443\r\n"
        b"Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n"
    )
    assert names == ["log.example"]
    assert b"Host: log.example\r\n" in head


def test_plain_http_goes_through_the_proxy_with_its_name_kept() -> None:
    asked: list[bytes] = []

    async def run() -> bytes:
        async with (
            serving(answering(b"crl")) as server,
            connect_proxy(server.port, asked) as proxy,
        ):
            settings = HttpSettings(proxy=f"http://127.0.0.1:{proxy}")
            async with _client(settings, FixedResolver([["2606:4700::1111"]])) as http:
                await http.get("http://crl.example/x", limits=ONCE)
            return server.heads[0]

    assert b"Host: crl.example\r\n" in asyncio.run(run())
    assert asked[0].startswith(b"CONNECT [2606:4700::1111]:80 HTTP/1.1\r\n")


def test_behind_a_proxy_a_private_name_is_still_refused() -> None:
    asked: list[bytes] = []

    async def run() -> None:
        async with connect_proxy(1, asked) as proxy:
            settings = HttpSettings(proxy=f"http://127.0.0.1:{proxy}")
            async with _client(settings, FixedResolver([["10.0.0.1"]])) as http:
                await http.get("http://crl.example/x", limits=ONCE)

    with pytest.raises(SourceError, match="not a public address"):
        asyncio.run(run())
    assert asked == []


def test_what_the_operator_typed_is_resolved_by_the_proxy_alone() -> None:
    asked: list[bytes] = []

    async def run() -> list[str]:
        async with (
            serving(answering(b"ok")) as server,
            connect_proxy(server.port, asked) as proxy,
        ):
            settings = HttpSettings(proxy=f"http://127.0.0.1:{proxy}")
            resolver = FixedResolver([["10.0.0.1"]])
            async with _client(settings, resolver) as http:
                url = "http://hook.internal:8443/x"
                await http.get(url, limits=ONCE, origin=Origin.OPERATOR)
            return resolver.asked

    assert asyncio.run(run()) == []
    assert asked[0].startswith(b"CONNECT hook.internal:8443 HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("answer", "retry", "reason"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", False, "status 407"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", True, "status 502"),
        (b"SSH-2.0-x\r\n\r\n", True, "no proper answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000, True, "no proper answer"),
        (b"", True, "no proper answer"),
    ],
)
def test_a_proxy_that_refuses_or_babbles_is_a_source_error(
    answer: bytes, retry: bool, reason: str
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            resolver = FixedResolver([["8.8.8.8"]])
            async with _client(HttpSettings(proxy=proxy), resolver) as http:
                await http.get("http://crl.example/", limits=ONCE)

    with pytest.raises(SourceError, match=reason) as caught:
        asyncio.run(run())
    assert caught.value.retry is retry


def test_an_allowed_network_is_only_that_network() -> None:
    async def run() -> int:
        settings = HttpSettings(allow_networks=(ip_network("127.0.0.2/32"),))
        async with serving(answering(b"ok")) as server, _client(settings) as http:
            with pytest.raises(SourceError, match="allow_networks"):
                await http.get(server.url, limits=ONCE)
            return server.connections

    assert asyncio.run(run()) == 0
