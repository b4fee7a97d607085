"""Fetching under limits: one call, one answer within its caps, or a SourceError.

Sources and channels state what they want in a line and need not remember deadlines, caps, retries,
proxies or guards. Retries follow RFC 9110: only GET, on failures that may pass.
"""

from __future__ import annotations

import asyncio
import random as random_module
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol, Self

import httpcore
import httpx
import structlog

from subca_oversight.errors import SourceError
from subca_oversight.http.address import Origin, load_url, shown
from subca_oversight.http.body import Body
from subca_oversight.http.identity import load_proxy, load_tls, user_agent
from subca_oversight.http.network import GuardedNetwork, Resolver, SystemResolver
from subca_oversight.http.retry import PATIENCE, backoff, find_retry_after
from subca_oversight.settings import HttpSettings

_MEBIBYTE = 1024 * 1024
# Hundreds of hanging hosts must not keep the healthy ones waiting for a place in the pool.
_CONNECTIONS = 1000
_IDLE_CONNECTIONS = 64
_IDLE_SECONDS = 30.0
_TOO_MANY_REQUESTS = 429
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OK = frozenset({200})

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one fetch may cost."""

    total_seconds: float | None = None
    """From the first lookup to the last octet, redirects included, per attempt; the setting
    ``http.timeout_seconds`` when None."""
    body_bytes: int = 64 * _MEBIBYTE
    """Octets on the wire."""
    decompressed_bytes: int = 64 * _MEBIBYTE
    """Octets after content decoding."""
    attempts: int | None = None
    """The setting ``http.attempts`` when None."""
    redirects: int = 0


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer within its limits."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; values of repeated headers joined with a comma."""
    body: bytes
    """After content decoding."""
    url: str
    """Where the answer came from, after redirects."""


class Fetcher(Protocol):
    """Whatever fetches like a Client: the client itself, or one that asks more patiently."""

    async def get(
        self,
        url: str,
        *,
        limits: Limits = Limits(),
        headers: Mapping[str, str] | None = None,
        origin: Origin = Origin.FETCHED,
        accept_status: frozenset[int] = _OK,
    ) -> Response:
        """Fetch ``url``; raises SourceError."""
        ...


@dataclass(frozen=True, slots=True)
class _Ask:
    method: str
    url: httpx.URL
    headers: Mapping[str, str]
    content: bytes | None
    origin: Origin


class Client:
    """An asynchronous HTTP client; use it as a context manager, one per process.

    Connections are kept alive and pooled, apart for each origin, so that a connection which the
    operator's address was allowed to open never serves a URL out of fetched data. Send the header
    ``Connection: close`` to a server that does better without.
    """

    def __init__(
        self,
        settings: HttpSettings,
        *,
        contact: str,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: Callable[[], float] = random_module.random,
        resolver: Resolver | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``now`` only reads Retry-After dates; raises ConfigurationError for a bad CA bundle."""
        self._settings = settings
        self._sleep = sleep
        self._random = random
        self._now = now
        self._resolver = SystemResolver() if resolver is None else resolver
        tls = load_tls(settings)
        self._clients = {origin: self._client(origin, contact, tls) for origin in Origin}

    async def __aenter__(self) -> Self:
        """Ready for requests."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close every connection."""
        for client in self._clients.values():
            await client.aclose()
        self._resolver.close()

    async def get(
        self,
        url: str,
        *,
        limits: Limits = Limits(),
        headers: Mapping[str, str] | None = None,
        origin: Origin = Origin.FETCHED,
        accept_status: frozenset[int] = _OK,
    ) -> Response:
        """Fetch ``url``, trying again on failures that may pass.

        Raises SourceError; its ``retry_after`` is set where the server asked for a longer wait
        than a request should sleep through.
        """
        ask = _Ask("GET", load_url(url), dict(headers or {}), None, origin)
        attempts = self._settings.attempts if limits.attempts is None else limits.attempts
        attempt = 0
        while True:
            try:
                return await self._attempt(ask, limits, accept_status)
            except SourceError as error:
                attempt += 1
                if not error.retry or attempt >= attempts:
                    raise
                wait = error.retry_after
                if wait is None:
                    wait = backoff(attempt - 1, self._random)
                elif wait > PATIENCE:
                    raise
                _log.debug("request_retried", url=error.url, reason=str(error), wait=wait)
                await self._sleep(wait)

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        limits: Limits = Limits(),
        origin: Origin = Origin.FETCHED,
        accept_status: frozenset[int] = _OK,
    ) -> Response:
        """Send ``body`` once: whoever posts knows what a repetition would mean."""
        ask = _Ask("POST", load_url(url), dict(headers or {}), body, origin)
        return await self._attempt(ask, limits, accept_status)

    async def _attempt(self, ask: _Ask, limits: Limits, accept_status: frozenset[int]) -> Response:
        place = shown(ask.url, ask.origin)
        if self._settings.offline:
            raise SourceError(f"{place}: not fetched: http.offline is set", retry=False, url=place)
        seconds = limits.total_seconds
        if seconds is None:
            seconds = self._settings.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._follow(ask, limits, accept_status)
        except SourceError as error:
            if error.url is None:
                error.url = place
            raise
        except TimeoutError as error:
            raise SourceError(f"{place}: no full answer within {seconds:g} s", url=place) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise _as_source_error(error, place) from error

    async def _follow(self, ask: _Ask, limits: Limits, accept_status: frozenset[int]) -> Response:
        for _ in range(limits.redirects + 1):
            answer = await self._once(ask, limits, accept_status)
            if isinstance(answer, Response):
                return answer
            ask = answer
        place = shown(ask.url, ask.origin)
        raise SourceError(
            f"more than {limits.redirects} redirects, at last to {place}", retry=False
        )

    async def _once(
        self, ask: _Ask, limits: Limits, accept_status: frozenset[int]
    ) -> Response | _Ask:
        """The answer, or what to ask instead when it is a redirect that may be followed."""
        place = shown(ask.url, ask.origin)
        request = self._clients[ask.origin].build_request(
            ask.method, ask.url, headers=ask.headers, content=ask.content
        )
        response = await self._clients[ask.origin].send(request, stream=True)
        try:
            if response.status_code not in accept_status:
                if response.status_code in _REDIRECTS and limits.redirects > 0:
                    return _redirected(ask, response.headers.get("location"))
                raise self._unexpected(response, place)
            body = Body(
                response.headers.get("content-encoding", ""),
                url=place,
                wire_cap=limits.body_bytes,
                cap=limits.decompressed_bytes,
            )
            async for piece in response.aiter_raw():
                body.add(piece)
            return Response(
                status=response.status_code,
                headers={name.lower(): value for name, value in response.headers.items()},
                body=body.finish(),
                url=str(ask.url),
            )
        finally:
            await response.aclose()

    def _unexpected(self, response: httpx.Response, place: str) -> SourceError:
        status = response.status_code
        if status in _REDIRECTS:
            target = response.headers.get("location", "nowhere")
            return SourceError(
                f"{place}: refused to follow a redirect ({status}) to {target!r}",
                retry=False,
                url=place,
                status=status,
            )
        passing = status == _TOO_MANY_REQUESTS or status // 100 == 5  # noqa: PLR2004 - 5xx
        wait = find_retry_after(response.headers.get("retry-after"), self._now())
        return SourceError(
            f"{place}: status {status}",
            retry=passing,
            url=place,
            status=status,
            retry_after=wait if passing else None,
        )

    def _client(self, origin: Origin, contact: str, tls: ssl.SSLContext) -> httpx.AsyncClient:
        settings = self._settings
        transport = httpx.AsyncHTTPTransport(verify=tls, trust_env=False)
        # httpx has no public way to set the network below its pool; its version is pinned.
        transport._pool = httpcore.AsyncConnectionPool(  # noqa: SLF001
            ssl_context=tls,
            max_connections=_CONNECTIONS,
            max_keepalive_connections=_IDLE_CONNECTIONS,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=GuardedNetwork(
                origin,
                resolver=self._resolver,
                allowed=settings.allow_networks,
                proxy=load_proxy(settings.proxy),
                tls=tls,
            ),
        )
        return httpx.AsyncClient(
            transport=transport,
            trust_env=False,
            timeout=None,  # noqa: S113 - the total deadline covers every phase
            follow_redirects=False,
            headers={
                "User-Agent": user_agent(contact),
                "Accept": "*/*",
                "Accept-Encoding": "gzip",
            },
        )


def _redirected(ask: _Ask, location: str | None) -> _Ask:
    """Where a redirect leads; what the operator typed covers its own host and port alone."""
    place = shown(ask.url, ask.origin)
    if location is None:
        raise SourceError(f"{place}: a redirect to nowhere", retry=False, url=place)
    if ask.method != "GET":
        raise SourceError(f"{place}: a redirected POST is refused", retry=False, url=place)
    try:
        target = load_url(str(ask.url.join(location)))
    except httpx.InvalidURL as error:
        raise SourceError(f"{place}: a redirect to {location!r}", retry=False) from error
    if ask.url.scheme == "https" and target.scheme == "http":
        raise SourceError(f"{place}: a redirect away from TLS is refused", retry=False, url=place)
    if (target.scheme, target.host, target.port) == (ask.url.scheme, ask.url.host, ask.url.port):
        return _Ask("GET", target, ask.headers, None, ask.origin)
    # Another host gets neither the operator's trust nor headers meant for the first.
    return _Ask("GET", target, {}, None, Origin.FETCHED)


def _as_source_error(error: Exception, place: str) -> SourceError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = f"its TLS certificate does not verify: {cause.verify_message}"
            return SourceError(f"{place}: {reason}", retry=False, url=place)
        cause = cause.__cause__ if cause.__cause__ is not None else cause.__context__
    reason = str(error) if len(str(error)) > 0 else type(error).__name__
    permanent = isinstance(error, httpx.LocalProtocolError | httpx.InvalidURL)
    return SourceError(f"{place}: {reason}", retry=not permanent, url=place)
