"""Where URLs out of fetched data may lead, class by class and on real sockets."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.errors import SourceError
from subca_oversight.http import Limits, Origin, SystemResolver
from subca_oversight.http.address import find_refusal, load_url
from subca_oversight.settings import HttpSettings
from tests.unit.http.loopback import FixedResolver, answering, client, serving

ONCE = Limits(total_seconds=5, attempts=1)

FORBIDDEN = [
    "0.0.0.0",  # noqa: S104 - an address to refuse, not to bind
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "224.0.0.251",
    "239.1.2.3",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%1",
    "ff02::1",
    "2001:db8::1",
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_no_address_of_a_special_purpose_may_be_reached(address: str) -> None:
    assert find_refusal(ip_address(address), 443, ()) is not None


@pytest.mark.parametrize("address", ["8.8.8.8", "::ffff:8.8.8.8", "2606:4700::1111"])
def test_public_addresses_may_be_reached_on_web_ports_alone(address: str) -> None:
    assert [find_refusal(ip_address(address), port, ()) for port in (80, 443)] == [None, None]
    for port in (22, 25, 8080, 6379):
        assert find_refusal(ip_address(address), port, ()) == f"port {port} is not a web port"


def test_an_allowed_network_is_allowed_on_any_port_and_in_mapped_form() -> None:
    allowed = (ip_network("127.0.0.0/8"),)
    assert find_refusal(ip_address("127.0.0.1"), 8080, allowed) is None
    assert find_refusal(ip_address("::ffff:127.0.0.1"), 8080, allowed) is None
    assert find_refusal(ip_address("10.0.0.1"), 80, allowed) is not None


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_is_judged_alike_in_every_ipv6_form(number: int) -> None:
    plain = find_refusal(IPv4Address(number), 443, ())
    for face in (0xFFFF << 32 | number, 0x64_FF9B << 96 | number, 0x2002 << 112 | number << 80):
        if plain is not None:
            assert find_refusal(IPv6Address(face), 443, ()) is not None


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://ca.example/crl",
        "gopher://ca.example/",
        "ldap://ca.example/cn=x",
        "ca.example/crl",
        "http:///crl",
        "http://user@ca.example/",
        "http://user:secret@ca.example/",
        "http://ca.example\\@evil.example/",
        "http://ca.example/\r\nX: y",
        "http://ca.example/\x00",
        "http://ca .example/",
        "http://[::1/",
        "http://ca.example:99999/",
        "http://ca\u202e.example/",
        "http://" + "a" * 5000,
        "",
    ],
)
def test_anything_but_a_plain_web_url_is_refused_for_good(url: str) -> None:
    with pytest.raises(SourceError) as caught:
        load_url(url)
    assert not caught.value.retry
    assert "secret" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_a_url_or_a_source_error(text: str) -> None:
    for url in (text, f"http://{text}/", f"https://ca.example/{text}"):
        try:
            loaded = load_url(url)
        except SourceError:
            continue
        assert loaded.scheme in {"http", "https"}
        assert len(loaded.host) > 0
        assert len(loaded.userinfo) == 0


def test_a_trailing_dot_names_the_same_host() -> None:
    assert load_url("http://ca.example./crl").host == "ca.example"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "0",
        "localhost",
        "localhost.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::]",
        "①②⑦.⓪.⓪.①",
    ],
)
def test_no_spelling_of_loopback_reaches_a_listening_server(host: str) -> None:
    async def run() -> int:
        async with serving(answering(b"secret")) as server, client(HttpSettings()) as http:
            with pytest.raises(SourceError):
                await http.get(f"http://{host}:{server.port}/", limits=ONCE)
            return server.connections

    assert asyncio.run(run()) == 0


def test_what_the_operator_typed_may_be_private() -> None:
    async def run() -> bytes:
        async with serving(answering(b"ok")) as server, client(HttpSettings()) as http:
            return (await http.get(server.url, origin=Origin.OPERATOR)).body

    assert asyncio.run(run()) == b"ok"


def test_a_connection_opened_for_the_operator_serves_no_fetched_url() -> None:
    async def run() -> int:
        async with serving(answering(b"ok")) as server, client(HttpSettings()) as http:
            await http.get(server.url, origin=Origin.OPERATOR)
            with pytest.raises(SourceError, match="not a public address"):
                await http.get(server.url, limits=ONCE)
            return len(server.heads)

    assert asyncio.run(run()) == 1


def test_one_private_address_among_public_ones_refuses_the_name() -> None:
    async def run() -> None:
        resolver = FixedResolver([["8.8.8.8", "192.168.0.1"]])
        async with client(HttpSettings(), resolver=resolver) as http:
            await http.get("http://ca.example/", limits=ONCE)

    with pytest.raises(SourceError, match=r"ca\.example: refused: 192\.168\.0\.1") as caught:
        asyncio.run(run())
    assert not caught.value.retry
    assert caught.value.url == "http://ca.example/"


def test_a_name_that_turns_private_is_refused_at_the_next_connection() -> None:
    """DNS rebinding: each connection is made to an address of the lookup that was checked."""

    async def run() -> tuple[list[str], int]:
        async with serving(answering(b"secret")) as server:
            resolver = FixedResolver([["127.0.0.1"], ["10.0.0.1"]])
            async with client(resolver=resolver) as http:
                close = {"Connection": "close"}
                await http.get(f"http://ca.example:{server.port}/", headers=close)
                with pytest.raises(SourceError, match=r"10\.0\.0\.1 is not a public"):
                    await http.get(f"http://ca.example:{server.port}/", headers=close)
            return resolver.asked, server.connections

    assert asyncio.run(run()) == (["ca.example", "ca.example"], 1)


def test_an_address_that_does_not_answer_gives_way_to_the_next() -> None:
    async def run() -> bytes:
        async with serving(answering(b"ok")) as server:
            resolver = FixedResolver([["127.9.9.9", "127.0.0.1"]])
            async with client(resolver=resolver) as http:
                return (await http.get(f"http://ca.example:{server.port}/", limits=ONCE)).body

    assert asyncio.run(run()) == b"ok"


def test_a_name_that_does_not_resolve_is_a_source_error_that_may_pass() -> None:
    class Failing(SystemResolver):
        async def __call__(self, host: str, port: int) -> list[IPv4Address | IPv6Address]:
            raise OSError(f"no such name: {host} {port}")

    async def run() -> None:
        async with client(HttpSettings()) as http:
            # An empty label cannot be looked up at all, with or without a network.
            await http.get("http://a..example/", limits=ONCE)

    async def run_failing() -> None:
        from subca_oversight.http import Client  # noqa: PLC0415

        async with Client(HttpSettings(), contact="a@ca.example", resolver=Failing()) as http:
            await http.get("http://ca.example/", limits=ONCE)

    with pytest.raises(SourceError):
        asyncio.run(run())
    with pytest.raises(SourceError, match="does not resolve") as caught:
        asyncio.run(run_failing())
    assert caught.value.retry
