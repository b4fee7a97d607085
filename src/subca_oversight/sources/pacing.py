"""Asking logs no faster than they bear: one pacer for the process, one paced client for each log.

A bucket of tokens is shared by the logs of an operator, for behind many names there is one machine
room; what a log can bear beneath that is learned from its answers (``sources.pace``), and kept for
as long as the process runs. Every attempt is paced, so repetitions are made here, not in the HTTP
client below (``reference/ct.md`` 2.7 and 6.4).
"""

from __future__ import annotations

import asyncio
import random as random_module
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from math import inf
from urllib.parse import urlsplit

import structlog

from subca_oversight.errors import SourceError
from subca_oversight.http import Fetcher, Limits, Origin, Response
from subca_oversight.http.address import is_local_host
from subca_oversight.http.retry import PATIENCE, backoff
from subca_oversight.model.log import Log
from subca_oversight.sources.pace import Bucket, Pace
from subca_oversight.sources.page_size import PageSize
from subca_oversight.sources.web_page import is_web_page
from subca_oversight.telemetry import LogPacing

REQUESTS_PER_SECOND = 20.0
ATTEMPTS = 4
PAGE_ENTRIES = 1000
_MOST_REFUSALS = 12
"""Times that one request may be told to come back later: that is no failure of the request."""
_MOST_TIMEOUTS = 2
_UNKIND_ANSWERS = 3
"""Refusals without a Retry-After, or connections dropped under a request that a new one served,
from which on a log gets a new connection for each request. Such logs were seen to refuse those who
keep connections open, and one that is asked so seldom loses nothing by it."""
_AT_ONCE = 1e-6
"""Seconds: what is less is rounding, and no clock can be slept forward by it."""
_MOST_ISSUERS = 20_000
_OK = frozenset({HTTPStatus.OK.value})

_log = structlog.get_logger(__name__)


class HeldBack(SourceError):  # noqa: N818 - reads as the statement that it is
    """A log is not asked for now: it failed too often, or asked to be left alone."""


@dataclass(slots=True)
class _Ledger:
    """What is kept of one log."""

    description: str
    pages: PageSize
    bucket: Bucket | None
    pace: Pace = field(default_factory=Pace)
    keep_alive: bool = True
    unkind: int = 0
    under_way: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    reason: str = ""
    """The last failure."""

    def wait(self, now: float) -> float:
        wait = self.pace.wait(now)
        return wait if self.bucket is None else max(wait, self.bucket.wait(now))


class Pacer:
    """All that is known of how fast logs may be asked; make one for the life of the process.

    A log on this very machine is nobody's burden but its owner's, so it draws on no bucket; what
    it refuses slows it down like any other. It serves one event loop.
    """

    def __init__(
        self,
        *,
        requests_per_second: float = REQUESTS_PER_SECOND,
        attempts: int = ATTEMPTS,
        page_entries: int = PAGE_ENTRIES,
        without_keep_alive: Iterable[str] = (),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        """``requests_per_second`` holds for each operator; ``without_keep_alive`` names hosts."""
        self.attempts = attempts
        self.clock = clock
        self.sleep = sleep
        self.random = random
        self.issuers: dict[bytes, bytes] = {}
        """Certificates by SHA-256 that logs served beside their tiles, shared by all logs."""
        self._requests_per_second = requests_per_second
        self._page_entries = page_entries
        self._without_keep_alive = frozenset(host.lower() for host in without_keep_alive)
        self._buckets: dict[str, Bucket] = {}
        self._ledgers: dict[bytes, _Ledger] = {}

    def client(self, client: Fetcher, log: Log) -> PacedClient:
        """A client for requests to ``log`` alone."""
        ledger = self._ledgers.get(log.log_id)
        if ledger is None:
            host = urlsplit(log.monitoring_url).hostname or ""
            ledger = self._ledgers[log.log_id] = _Ledger(
                description=log.description,
                pages=PageSize(self._page_entries),
                bucket=None if is_local_host(host) else self._bucket(log.operator),
                keep_alive=host not in self._without_keep_alive,
            )
        if len(self.issuers) > _MOST_ISSUERS:
            self.issuers.clear()
        return PacedClient(client, self, ledger)

    def pacing(self) -> list[LogPacing]:
        """Where each log stands, for the metrics."""
        now = self.clock()
        return [
            LogPacing(
                log=one.description,
                requests_per_second=inf if one.pace.rate is None else one.pace.rate,
                requests_at_once=int(one.pace.window),
                page_entries=one.pages.size,
                held_back_seconds=one.pace.wait(now),
                keep_alive=one.keep_alive,
            )
            for one in self._ledgers.values()
        ]

    def _bucket(self, operator: str) -> Bucket:
        name = operator.strip().casefold()
        return self._buckets.setdefault(name, Bucket(self._requests_per_second))


class PacedClient:
    """Asks one log when it is time; in all else like the client beneath it."""

    def __init__(self, client: Fetcher, pacer: Pacer, ledger: _Ledger) -> None:
        self._client = client
        self._pacer = pacer
        self._ledger = ledger

    @property
    def pages(self) -> PageSize:
        """What was learned of the log's page size."""
        return self._ledger.pages

    @property
    def issuers(self) -> dict[bytes, bytes]:
        """Certificates by SHA-256, kept between the readings of logs."""
        return self._pacer.issuers

    async def get(
        self,
        url: str,
        *,
        limits: Limits = Limits(),  # noqa: B008 - as the client has it
        headers: Mapping[str, str] | None = None,
        origin: Origin = Origin.FETCHED,
        accept_status: frozenset[int] = _OK,
    ) -> Response:
        """Fetch ``url`` in its turn, again and again while that may help.

        Raises HeldBack where the log is to be left alone for longer than a request should wait, and
        SourceError as the client does. A page for people is no answer, whatever its status.
        """
        attempts = self._pacer.attempts if limits.attempts is None else limits.attempts
        once = replace(limits, attempts=1)
        failed = refused = timed_out = 0
        was_dropped = False
        while True:
            try:
                response = await self._ask(url, once, headers, origin, accept_status)
            except SourceError as error:
                if isinstance(error, HeldBack) or not error.retry:
                    raise
                if error.retry_after is not None and error.retry_after > PATIENCE:
                    raise
                if error.status == HTTPStatus.TOO_MANY_REQUESTS and attempts > 1:
                    refused += 1
                else:
                    failed += 1
                    timed_out += _is_timeout(error)
                if failed >= attempts or refused > _MOST_REFUSALS or timed_out >= _MOST_TIMEOUTS:
                    raise
                was_dropped = error.status is None and not _is_timeout(error)
                _log.debug("log_asked_again", url=url, reason=str(error))
            else:
                if was_dropped:
                    self._note_unkindness()
                return response

    async def _ask(
        self,
        url: str,
        limits: Limits,
        headers: Mapping[str, str] | None,
        origin: Origin,
        accept_status: frozenset[int],
    ) -> Response:
        """One attempt in its turn, from which is learned."""
        await self._enter()
        try:
            ticket = await self._turn(url)
            asked = dict(headers or {})
            if not self._ledger.keep_alive:
                asked["Connection"] = "close"
            try:
                response = await self._client.get(
                    url, limits=limits, headers=asked, origin=origin, accept_status=accept_status
                )
            except SourceError as error:
                self._judge_error(ticket, error)
                raise
            if is_web_page(response.body):
                reason = f"{url}: answered with a web page"
                self._fail(ticket, reason, None)
                raise SourceError(reason, url=url, status=response.status)
            self._judge_status(ticket, response.status, url)
            return response
        finally:
            self._leave()

    async def _enter(self) -> None:
        """Wait until another request may be under way."""
        ledger = self._ledger
        while ledger.under_way >= int(ledger.pace.window):
            waiter = asyncio.get_running_loop().create_future()
            ledger.waiting.append(waiter)
            try:
                await waiter
            except BaseException:
                ledger.waiting.remove(waiter)
                self._wake()  # it may have been this one's turn already
                raise
            ledger.waiting.remove(waiter)
        ledger.under_way += 1

    def _leave(self) -> None:
        self._ledger.under_way -= 1
        self._wake()

    def _wake(self) -> None:
        """Wake as many as may go; each looks for itself, so one too many does no harm."""
        ledger = self._ledger
        free = int(ledger.pace.window) - ledger.under_way
        for waiter in list(ledger.waiting)[: max(0, free)]:
            if not waiter.done():
                waiter.set_result(None)

    async def _turn(self, url: str) -> int:
        """Wait until a request may be sent, and count it as sent."""
        ledger, pacer = self._ledger, self._pacer
        while True:
            now = pacer.clock()
            wait = ledger.wait(now)
            if wait <= _AT_ONCE:
                if ledger.bucket is not None:
                    ledger.bucket.take(now)
                return ledger.pace.begin(now)
            if ledger.pace.rest(now) > 0 or wait > PATIENCE:
                raise HeldBack(
                    f"{ledger.description}: not asked for another {wait:.0f} s, after"
                    f" {ledger.pace.failures} failures; the last: {ledger.reason}",
                    url=url,
                    retry_after=wait,
                )
            await pacer.sleep(wait)

    def _judge_error(self, ticket: int, error: SourceError) -> None:
        if error.status is not None and not _is_failure(error.status):
            self._ledger.pace.answer()
            return
        self._fail(ticket, str(error), error.retry_after)
        if error.status == HTTPStatus.TOO_MANY_REQUESTS and error.retry_after is None:
            self._note_unkindness()

    def _judge_status(self, ticket: int, status: int, url: str) -> None:
        if _is_failure(status):
            self._fail(ticket, f"{url}: status {status}", None)
        elif status in _OK:
            self._ledger.pace.succeed()
        else:
            self._ledger.pace.answer()

    def _fail(self, ticket: int, reason: str, retry_after: float | None) -> None:
        ledger, pacer = self._ledger, self._pacer
        silence = retry_after
        if silence is None:
            silence = backoff(ledger.pace.failures, pacer.random)
        ledger.reason = reason
        ledger.pace.fail(ticket, pacer.clock(), silence=silence)

    def _note_unkindness(self) -> None:
        self._ledger.unkind += 1
        if self._ledger.unkind == _UNKIND_ANSWERS:
            self._ledger.keep_alive = False
            _log.info("log_connections_not_kept", log=self._ledger.description)


def _is_failure(status: int) -> bool:
    """Whether an answer says that less should be asked: a refusal, a failure, or a way elsewhere.

    403 is what firewalls in front of logs say to those who ask too much.
    """
    return (
        status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.FORBIDDEN}
        or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        or status // 100 == 3  # noqa: PLR2004 - 3xx
    )


def _is_timeout(error: SourceError) -> bool:
    return isinstance(error.__cause__, TimeoutError)
