"""The one HTTP client: the only place where bytes of the outside world come in.

Everything it fetches is taken for hostile: total deadlines, size caps, no surprise redirects, and
an address guard on the socket that is really connected (design, section 10).
"""

from __future__ import annotations

from subca_oversight.http.address import Origin
from subca_oversight.http.client import Client, Fetcher, Limits, Response
from subca_oversight.http.network import Resolver, SystemResolver

__all__ = ["Client", "Fetcher", "Limits", "Origin", "Resolver", "Response", "SystemResolver"]
