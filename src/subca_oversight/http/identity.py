"""Who we are to servers, whom we trust, and through which proxy we go: the settings made usable.

Log operators ask their clients for a way to be reached, and throttle those without one
(``reference/ct.md`` 2.7). Everything unusable here is the operator's to mend.
"""

from __future__ import annotations

import ssl

import httpx

from subca_oversight import __version__
from subca_oversight.errors import ConfigurationError
from subca_oversight.settings import HttpSettings


def user_agent(contact: str) -> str:
    """Name, version and a way to reach the operator, as log operators ask of their clients."""
    if not contact.isascii() or not contact.isprintable():
        raise ConfigurationError("agent.contact: only printable ASCII fits into a User-Agent")
    address = contact if "://" in contact else f"mailto:{contact}"
    return f"subca-oversight/{__version__} (+{address})"


def load_proxy(proxy: str) -> httpx.URL | None:
    """The proxy's URL, None where none is set; raises ConfigurationError."""
    if len(proxy) == 0:
        return None
    try:
        url = httpx.URL(proxy)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"http.proxy: not a usable URL: {error}") from error
    if url.scheme not in {"http", "https"} or len(url.host) == 0:
        raise ConfigurationError("http.proxy: must be http://HOST:PORT or https://HOST:PORT")
    return url


def load_tls(settings: HttpSettings) -> ssl.SSLContext:
    """The trusted roots: ``http.ca_bundle`` alone where set; raises ConfigurationError."""
    if settings.ca_bundle is None:
        return httpx.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=str(settings.ca_bundle))
    except OSError as error:
        raise ConfigurationError(
            f"http.ca_bundle: {settings.ca_bundle}: cannot be used: {error}"
        ) from error
