"""Which URLs and addresses may be reached at all.

A URL out of a certificate, log list or page is written by strangers: it must not turn this program
into a way into the signing CA's own network. Address classes follow the IANA special-purpose
registries (RFC 6890), seen through every IPv6 form that carries an IPv4 address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpx

from subca_oversight.errors import SourceError

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

# RFC 6052: a translator turns these into the IPv4 address of their last four octets.
_NAT64 = IPv6Network("64:ff9b::/96")
# RFC 4291, 2.5.5.1, deprecated, yet some stacks still route it to the IPv4 address.
_IPV4_COMPATIBLE = IPv6Network("::/96")
_WEB_PORTS = frozenset({80, 443})
_LAST_PORT = 65_535
# Longer URLs are not met in practice, and they end up in error messages and evidence.
_LONGEST_URL = 4096
# Tokens of webhooks and ping services look like this; file names have dots, API paths are short.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{20,}")


class Origin(StrEnum):
    """Who wrote a URL, which decides where it may lead."""

    OPERATOR = "operator"
    """Typed by the operator: that exact host and port are allowed though private."""
    FETCHED = "fetched"
    """Out of fetched data: public addresses on web ports only, or the allowed networks."""


def load_url(text: str) -> httpx.URL:
    """Parse a URL that may be fetched; raises SourceError, not to be retried, for any other."""
    if len(text) > _LONGEST_URL:
        raise SourceError(f"the URL is longer than {_LONGEST_URL} characters", retry=False)
    if not text.isprintable() or "\\" in text or " " in text:
        raise SourceError(f"not a usable URL: {text!r}", retry=False, url=text)
    try:
        url = httpx.URL(text)
        host = url.host.rstrip(".")
        url = url.copy_with(host=host, fragment=None) if host != url.host else url
    except (httpx.InvalidURL, ValueError) as error:
        raise SourceError(f"not a usable URL: {text!r}: {error}", retry=False, url=text) from error
    if url.scheme not in {"http", "https"}:
        raise SourceError(f"only http and https are fetched: {text!r}", retry=False, url=text)
    if len(host) == 0:
        raise SourceError(f"the URL names no host: {text!r}", retry=False, url=text)
    if url.port is not None and not 0 < url.port <= _LAST_PORT:
        raise SourceError(f"the URL names no usable port: {text!r}", retry=False, url=text)
    if len(url.userinfo) > 0:
        raise SourceError("a URL with user name or password is refused", retry=False)
    return url


def is_local_host(host: str) -> bool:
    """Whether ``host`` is written as this machine itself, which no proxy can reach for us."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def find_refusal(address: IPAddress, port: int, allowed: Iterable[IPNetwork]) -> str | None:
    """Why fetched data may not lead to ``address`` and ``port``, or None where it may."""
    faces = _faces(address)
    if any(face in network for network in allowed for face in faces):
        return None
    for face in faces:
        # Some multicast and reserved blocks count as global in the registries.
        if not face.is_global or face.is_multicast or face.is_reserved or face.is_unspecified:
            return f"{address} is not a public address"
    if port not in _WEB_PORTS:
        return f"port {port} is not a web port"
    return None


def _faces(address: IPAddress) -> tuple[IPAddress, ...]:
    """``address``, and each IPv4 address that it carries within."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        # The mapped form *is* the IPv4 address; its own class says nothing.
        return (address.ipv4_mapped,)
    carried: list[IPAddress] = [address]
    if address.sixtofour is not None:
        carried.append(address.sixtofour)
    if address.teredo is not None:
        carried.extend(address.teredo)
    if address in _NAT64 or address in _IPV4_COMPATIBLE:
        carried.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    return tuple(carried)


def shown(url: httpx.URL, origin: Origin) -> str:
    """``url`` for messages and logs: what the operator typed may hold a token in path or query."""
    if origin is Origin.FETCHED:
        return str(url)
    path = "/".join(
        "…" if _TOKEN.fullmatch(part) is not None else part for part in url.path.split("/")
    )
    return f"{url.scheme}://{url.netloc.decode('ascii')}{path}"
