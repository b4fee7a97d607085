"""Opening sockets: resolve, check every address, connect to a checked one, check the peer.

The guard sits below the connection pool, so a name that answers differently the second time (DNS
rebinding) changes nothing: what was checked is what is connected. Behind a proxy the name is still
resolved and checked here, and the proxy is given the address; TLS and Host keep the name.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import unquote

import httpcore
import httpx

from subca_oversight.errors import SourceError
from subca_oversight.http.address import (
    IPAddress,
    IPNetwork,
    Origin,
    find_refusal,
    is_local_host,
)

# Where one of several addresses does not answer, the next gets its turn after this many seconds.
_CONNECT_PATIENCE = 4.0
# A proxy's answer to CONNECT is one line and a few headers.
_CONNECT_ANSWER_CAP = 16_384
# Resolvers may hang; they must not use up the threads that the database works in.
_RESOLVER_THREADS = 16
_SocketOptions = Iterable[
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
]


class Resolver(Protocol):
    """Turns a host into addresses."""

    async def __call__(self, host: str, port: int) -> Sequence[IPAddress]:
        """All addresses of ``host``, best first; raises OSError when there is none."""
        ...

    def close(self) -> None:
        """Let go of threads and sockets."""
        ...


class SystemResolver:
    """The machine's own resolver, in threads of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="resolver")

    async def __call__(self, host: str, port: int) -> Sequence[IPAddress]:
        """All addresses of ``host``, in the order of RFC 6724."""
        rows = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return tuple(dict.fromkeys(ip_address(str(row[4][0])) for row in rows))

    def close(self) -> None:
        """Abandon lookups that have not ended."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Opens connections for one kind of URL; the pool above it is never shared with the other."""

    def __init__(
        self,
        origin: Origin,
        *,
        resolver: Resolver,
        allowed: Sequence[IPNetwork],
        proxy: httpx.URL | None,
        tls: ssl.SSLContext,
    ) -> None:
        self._origin = origin
        self._resolver = resolver
        self._allowed = allowed
        self._proxy = proxy
        self._tls = tls
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: _SocketOptions | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A stream to ``host``, or to its address through the proxy; raises SourceError."""
        del timeout, local_address, socket_options
        if self._proxy is not None and not is_local_host(host):
            stream = await self._connect_through_proxy(self._proxy, host, port)
        else:
            addresses = await self._addresses(host, port)
            stream = await self._connect_to_any(host, port, addresses)
        return _ClosingStream(stream)

    async def sleep(self, seconds: float) -> None:
        """Wait, for the pool's own use."""
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> Sequence[IPAddress]:
        """Every address of ``host``, each allowed; one bad address refuses the name as a whole."""
        try:
            addresses = await self._resolver(host, port)
        except (OSError, UnicodeError, ValueError) as error:
            raise SourceError(f"{host}: the name does not resolve: {error}") from error
        if len(addresses) == 0:
            raise SourceError(f"{host}: the name has no address")
        for address in addresses:
            self._refuse(host, address, port)
        return addresses

    def _refuse(self, host: str, address: IPAddress, port: int) -> None:
        if self._origin is Origin.OPERATOR:
            return
        reason = find_refusal(address, port, self._allowed)
        if reason is not None:
            raise SourceError(
                f"{host}: refused: {reason}; if it is meant, add its network to"
                " http.allow_networks",
                retry=False,
            )

    async def _connect_to_any(
        self, host: str, port: int, addresses: Sequence[IPAddress]
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception | None = None
        for position, address in enumerate(addresses):
            last = position == len(addresses) - 1
            try:
                stream = await self._sockets.connect_tcp(
                    str(address), port, timeout=None if last else _CONNECT_PATIENCE
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            await self._check_peer(stream, host, port)
            return stream
        raise SourceError(f"{host}: port {port} cannot be reached: {failure}") from failure

    async def _check_peer(self, stream: httpcore.AsyncNetworkStream, host: str, port: int) -> None:
        """Ask the kernel whom the socket is really connected to, and check that too."""
        try:
            peer = stream.get_extra_info("server_addr")
            self._refuse(host, ip_address(str(peer[0])), port)
        except BaseException:
            await stream.aclose()
            raise

    async def _connect_through_proxy(
        self, proxy: httpx.URL, host: str, port: int
    ) -> httpcore.AsyncNetworkStream:
        # What the operator typed needs no check, and only the proxy may be able to resolve it.
        target = host
        if self._origin is Origin.FETCHED:
            target = str((await self._addresses(host, port))[0])
        proxy_port = proxy.port if proxy.port is not None else _default_port(proxy)
        try:
            stream = await self._sockets.connect_tcp(proxy.host, proxy_port)
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            raise SourceError(
                f"{host}: the proxy {proxy.host}:{proxy_port} cannot be reached: {error}"
            ) from error
        try:
            if proxy.scheme == "https":
                stream = await stream.start_tls(self._tls, server_hostname=proxy.host)
            await stream.write(_connect_request(proxy, target, port))
            status = await _connect_status(stream)
        except BaseException as error:
            with contextlib.suppress(Exception):
                await stream.aclose()
            if isinstance(error, httpcore.NetworkError | httpcore.ProtocolError):
                raise SourceError(f"{host}: the proxy failed: {error}") from error
            raise
        if status // 100 != 2:  # noqa: PLR2004 - the class of success
            await stream.aclose()
            raise SourceError(
                f"{host}: the proxy {proxy.host} refused CONNECT to {target} port {port}"
                f" with status {status}",
                retry=status // 100 == 5,  # noqa: PLR2004 - the class of server errors
                status=status,
            )
        return stream


class _ClosingStream(httpcore.AsyncNetworkStream):
    """A stream that lets go of its socket when a TLS handshake is cancelled.

    httpcore closes it on errors alone, so that each deadline met in a handshake would leak one.
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(
        self,
        max_bytes: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
    ) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def write(
        self,
        buffer: bytes,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
    ) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            with contextlib.suppress(Exception):
                await self._stream.aclose()
            raise

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def _default_port(url: httpx.URL) -> int:
    return 443 if url.scheme == "https" else 80


def _connect_request(proxy: httpx.URL, host: str, port: int) -> bytes:
    """RFC 9110, 9.3.6; CONNECT serves plain http too, as the Host header must keep the name."""
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if len(proxy.userinfo) > 0:
        credentials = unquote(proxy.userinfo.decode("ascii")).encode("utf-8")
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(credentials).decode('ascii')}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


async def _connect_status(stream: httpcore.AsyncNetworkStream) -> int:
    """Read the proxy's answer to the end of its headers and return the status."""
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        # One octet at a time, so that nothing of what follows the headers is swallowed.
        octet = await stream.read(1)
        if len(octet) == 0 or len(answer) >= _CONNECT_ANSWER_CAP:
            raise httpcore.RemoteProtocolError("no proper answer to CONNECT")
        answer += octet
    words = answer.split(b"\r\n", 1)[0].split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():  # noqa: PLR2004
        raise httpcore.RemoteProtocolError("no proper answer to CONNECT")
    return int(words[1][:4])
