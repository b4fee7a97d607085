"""A paced client asks in its turn, waits as it is told, and leaves an ill log alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import pytest

from subca_oversight.errors import SourceError
from subca_oversight.http import Limits, Origin, Response
from subca_oversight.model.log import Log, LogApi
from subca_oversight.sources.pace import FIRST_REST, MOST_AT_ONCE, TRIP
from subca_oversight.sources.pacing import HeldBack, PacedClient, Pacer
from tests.integration.log_server import FaultyLog

GOOD = Response(200, {}, b"{}", "https://log.example/")
WEB_PAGE = Response(200, {}, b"\r\n<!DOCTYPE html><p>One moment", "https://log.example/")
URL = "https://log.example/ct/v1/get-sth"
Answer = Response | SourceError


@dataclass
class Time:
    """A clock that moves when somebody sleeps."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@dataclass
class Server:
    """Gives the next answer, the last one for ever, and counts."""

    answers: list[Answer]
    asked: list[dict[str, str]] = field(default_factory=list)
    limits: list[Limits] = field(default_factory=list)
    busy: int = 0
    most_busy: int = 0
    pause: Callable[[], Awaitable[object]] | None = None

    async def get(
        self,
        url: str,
        *,
        limits: Limits = Limits(),  # noqa: B008 - as the client has it
        headers: Mapping[str, str] | None = None,
        origin: Origin = Origin.FETCHED,
        accept_status: frozenset[int] = frozenset({200}),
    ) -> Response:
        del url, origin, accept_status
        self.asked.append(dict(headers or {}))
        self.limits.append(limits)
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            if self.pause is not None:
                await self.pause()
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, SourceError):
                raise answer
            return answer
        finally:
            self.busy -= 1


def refusal(status: int = 429, retry_after: float | None = None) -> SourceError:
    return SourceError(f"status {status}", status=status, retry_after=retry_after)


def timeout() -> SourceError:
    error = SourceError("no full answer within 30 s")
    error.__cause__ = TimeoutError()
    return error


def some_log(name: str = "one", *, host: str = "log.example", operator: str = "Example") -> Log:
    url = f"https://{host}/"
    log = FaultyLog([], LogApi.RFC6962, name).log()
    return replace(log, operator=operator, submission_url=url, monitoring_url=url)


@dataclass
class Bench:
    """A paced client in front of a server of canned answers."""

    server: Server
    time: Time = field(default_factory=Time)
    pacer: Pacer = field(init=False)
    client: PacedClient = field(init=False)

    def __post_init__(self) -> None:
        self.pacer = make_pacer(self.time)
        self.client = self.pacer.client(self.server, some_log())

    def get(self, limits: Limits | None = None) -> Response:
        return asyncio.run(self.client.get(URL, limits=Limits() if limits is None else limits))


def make_pacer(time: Time, rate: float = 1000, without_keep_alive: Iterable[str] = ()) -> Pacer:
    return Pacer(
        requests_per_second=rate,
        without_keep_alive=without_keep_alive,
        clock=time,
        sleep=time.sleep,
        random=lambda: 1.0,
    )


def test_a_good_answer_costs_one_attempt_and_no_sleep() -> None:
    bench = Bench(Server([GOOD]))
    assert bench.get(Limits(body_bytes=7, attempts=3)) is GOOD
    assert bench.time.slept == []
    assert bench.server.limits == [Limits(body_bytes=7, attempts=1)]


def test_as_long_as_the_log_asks_for_is_waited_and_no_other_request_goes_meanwhile() -> None:
    bench = Bench(Server([refusal(retry_after=17.0), GOOD]))
    assert bench.get() is GOOD
    assert sum(bench.time.slept) == pytest.approx(17.0)
    assert len(bench.server.asked) == 2


def test_a_wish_longer_than_patience_is_handed_on_and_kept() -> None:
    bench = Bench(Server([refusal(503, retry_after=300.0), GOOD]))
    with pytest.raises(SourceError) as first:
        bench.get()
    assert first.value.retry_after == 300.0
    bench.time.now += 200
    with pytest.raises(HeldBack) as second:
        bench.get()
    assert second.value.retry_after == pytest.approx(100.0)
    assert len(bench.server.asked) == 1
    bench.time.now += 100
    assert bench.get() is GOOD


def test_refusals_without_a_wish_are_waited_out_ever_longer() -> None:
    bench = Bench(Server([refusal(), refusal(), refusal(), GOOD]))
    assert bench.get() is GOOD
    assert len(bench.server.asked) == 4
    waits = bench.time.now - 1000
    assert waits >= 1 + 2 + 4


def test_a_log_that_fails_and_fails_is_left_alone_and_then_probed_once() -> None:
    bench = Bench(Server([refusal(500)]))
    for _ in range(2):
        with pytest.raises(SourceError):
            bench.get()
    assert len(bench.server.asked) == TRIP
    for _ in range(50):
        with pytest.raises(HeldBack, match="5 failures; the last: status 500"):
            bench.get()
    assert len(bench.server.asked) == TRIP
    bench.time.now += FIRST_REST
    with pytest.raises(HeldBack):
        bench.get()
    assert len(bench.server.asked) == TRIP + 1
    bench.time.now += FIRST_REST
    with pytest.raises(HeldBack):
        bench.get()
    assert len(bench.server.asked) == TRIP + 1
    bench.time.now += FIRST_REST
    bench.server.answers = [GOOD]
    assert bench.get() is GOOD
    assert bench.get() is GOOD


def test_a_web_page_with_status_200_is_a_failure() -> None:
    bench = Bench(Server([WEB_PAGE, WEB_PAGE, GOOD]))
    assert bench.get() is GOOD
    bench.server.answers = [WEB_PAGE]
    with pytest.raises(SourceError, match="web page"):
        bench.get()
    with pytest.raises(HeldBack):
        bench.get()
    assert len(bench.server.asked) == 3 + TRIP - 1


def test_a_hanging_log_is_asked_twice_at_most() -> None:
    bench = Bench(Server([timeout()]))
    with pytest.raises(SourceError, match="no full answer"):
        bench.get()
    assert len(bench.server.asked) == 2


def test_what_no_repetition_mends_is_asked_for_once_and_slows_nothing_down() -> None:
    bench = Bench(Server([SourceError("status 404", retry=False, status=404)]))
    for _ in range(20):
        with pytest.raises(SourceError, match="404"):
            bench.get()
    assert len(bench.server.asked) == 20
    assert bench.time.slept == []


def test_one_attempt_is_one_attempt() -> None:
    bench = Bench(Server([refusal()]))
    with pytest.raises(SourceError, match="429"):
        bench.get(Limits(attempts=1))
    assert len(bench.server.asked) == 1


def test_the_logs_of_an_operator_share_one_bucket() -> None:
    time = Time()
    server = Server([GOOD])
    pacer = make_pacer(time, rate=5)
    names = [("a", "Example"), ("b", " EXAMPLE"), ("c", "Another")]
    clients = [pacer.client(server, some_log(name, operator=of)) for name, of in names]

    async def ask() -> None:
        for _ in range(50):
            await clients[0].get(URL)
            await clients[1].get(URL)

    asyncio.run(ask())
    assert time.now - 1000 == pytest.approx((100 - 5) / 5, abs=0.5)
    asyncio.run(clients[2].get(URL))
    before = time.now
    asyncio.run(clients[2].get(URL))
    assert time.now == before


def test_a_log_on_this_machine_draws_on_no_bucket() -> None:
    time = Time()
    client = make_pacer(time, rate=1).client(Server([GOOD]), some_log(host="127.0.0.1"))

    async def ask() -> None:
        for _ in range(100):
            await client.get(URL)

    asyncio.run(ask())
    assert time.slept == []


def test_what_is_learned_serves_the_next_client_of_the_same_log() -> None:
    bench = Bench(Server([refusal(500)]))
    for _ in range(2):
        with pytest.raises(SourceError):
            bench.get()
    again = bench.pacer.client(bench.server, some_log())
    with pytest.raises(HeldBack):
        asyncio.run(again.get(URL))
    assert again.pages is bench.client.pages
    [row] = bench.pacer.pacing()
    assert row.held_back_seconds == pytest.approx(FIRST_REST)
    assert row.requests_at_once == 1


def test_connections_are_not_kept_where_the_settings_say_so() -> None:
    server = Server([GOOD])
    pacer = make_pacer(Time(), without_keep_alive=["Log.Example"])
    asyncio.run(pacer.client(server, some_log()).get(URL))
    assert server.asked == [{"Connection": "close"}]


def test_a_log_that_refuses_without_a_word_gets_new_connections() -> None:
    bench = Bench(Server([refusal(), refusal(), refusal(), GOOD]))
    bench.get()
    assert [("Connection" in headers) for headers in bench.server.asked] == [False] * 3 + [True]


def test_a_log_that_drops_kept_connections_gets_new_ones() -> None:
    dropped = SourceError("server disconnected without sending a response")
    bench = Bench(Server([dropped, GOOD, dropped, GOOD, dropped, GOOD, GOOD]))
    for _ in range(4):
        bench.get()
    assert [("Connection" in headers) for headers in bench.server.asked] == [False] * 6 + [True]


def test_no_more_requests_are_under_way_than_the_log_bears_and_none_is_forgotten() -> None:
    server = Server([GOOD], pause=lambda: asyncio.sleep(0))
    client = make_pacer(Time()).client(server, some_log())

    async def ask() -> None:
        await asyncio.gather(*(client.get(URL) for _ in range(200)))

    asyncio.run(ask())
    assert len(server.asked) == 200
    assert server.most_busy == MOST_AT_ONCE


def test_a_request_given_up_while_it_waits_leaves_its_turn_to_others() -> None:
    async def ask() -> int:
        held = asyncio.Event()
        server = Server([GOOD], pause=held.wait)
        client = make_pacer(Time()).client(server, some_log())
        tasks = [asyncio.create_task(client.get(URL)) for _ in range(12)]
        await asyncio.sleep(0)
        for task in tasks[:8]:
            task.cancel()
        await asyncio.sleep(0)
        held.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.wait_for(client.get(URL), 1)
        return sum(answer is GOOD for answer in answers)

    assert asyncio.run(ask()) == 4
