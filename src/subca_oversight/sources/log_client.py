"""Choosing how a log is read: by tiles, by JSON, or by JSON with tiles for the bulk."""

from __future__ import annotations

from subca_oversight.http import Fetcher
from subca_oversight.model.log import Log, LogApi
from subca_oversight.sources.hybrid import HybridLog
from subca_oversight.sources.pacing import PacedClient
from subca_oversight.sources.rfc6962 import Rfc6962Log
from subca_oversight.sources.static_ct import StaticLog

LogClient = Rfc6962Log | StaticLog


def open_log(client: Fetcher, log: Log, *, page_entries: int) -> LogClient:
    """A reader of ``log``, which goes on from what a paced client knows of it."""
    if log.api is LogApi.STATIC:
        return StaticLog(client, log)
    pages = client.pages if isinstance(client, PacedClient) else None
    if log.serves_tiles is not True:
        return Rfc6962Log(client, log, page_entries=page_entries, pages=pages)
    issuers = client.issuers if isinstance(client, PacedClient) else None
    return HybridLog(client, log, page_entries=page_entries, pages=pages, issuers=issuers)
