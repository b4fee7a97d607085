"""Ways for a served world to go wrong: what logs and web servers are known to do.

Each function makes an interceptor for :meth:`ServedWorld.intercept`. Targets are matched by the
beginning of path and query. Bits are flipped in copies on their way out, never in the built world,
so that a log is right again as soon as the context ends.
"""

from __future__ import annotations

import gzip
import json
import threading
from base64 import b64decode, b64encode
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from subca_oversight.demo.world.ct_log import sign_tree_head
from subca_oversight.demo.world.log_list import world_logs
from subca_oversight.demo.world.randomness import Seed
from subca_oversight.demo.world.site import Answer, Interceptor

_WEB_PAGE = b"<!DOCTYPE html><title>One moment</title><p>Checking your connection.</p>\n"


def refusing(
    prefix: str, *, times: int, status: int = 429, retry_after: str | None = None
) -> Interceptor:
    """Refuse the first ``times`` requests, with a Retry-After header where one is given."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    remaining = [times]
    lock = threading.Lock()

    def intercept(target: str, answer: Answer) -> Answer:
        if not target.startswith(prefix):
            return answer
        with lock:
            remaining[0] -= 1
            if remaining[0] < 0:
                return answer
        return Answer(status, b"too many requests\n", "text/plain", headers)

    return intercept


def web_page(prefix: str) -> Interceptor:
    """Answer with a page for people and status 200, as proxies in front of logs do."""

    def intercept(target: str, answer: Answer) -> Answer:
        if not target.startswith(prefix):
            return answer
        return Answer(HTTPStatus.OK, _WEB_PAGE, "text/html; charset=utf-8")

    return intercept


def missing(prefix: str) -> Interceptor:
    """Answer that there is nothing, as for a partial tile that was cleaned up."""

    def intercept(target: str, answer: Answer) -> Answer:
        if not target.startswith(prefix):
            return answer
        return Answer(HTTPStatus.NOT_FOUND, b"not found\n", "text/plain")

    return intercept


def bomb(prefix: str, *, size: int = 1 << 30) -> Interceptor:
    """Answer with gzip that unpacks to ``size`` octets of zero."""
    packed = gzip.compress(bytes(1 << 20), mtime=0) * (size >> 20)

    def intercept(target: str, answer: Answer) -> Answer:
        if not target.startswith(prefix):
            return answer
        return Answer(HTTPStatus.OK, packed, headers={"Content-Encoding": "gzip"})

    return intercept


def hanging(prefix: str, released: threading.Event) -> Interceptor:
    """Keep the client waiting until ``released`` is set."""

    def intercept(target: str, answer: Answer) -> Answer:
        if target.startswith(prefix):
            released.wait()
        return answer

    return intercept


def flipped_entry(index: int, *, field: str = "leaf_input", octet: int = -40) -> Interceptor:
    """Flip one bit of an entry of the RFC 6962 log, in ``leaf_input`` or ``extra_data``."""

    def intercept(target: str, answer: Answer) -> Answer:
        if not target.startswith("/rfc6962/ct/v1/get-entries?") or answer.status != HTTPStatus.OK:
            return answer
        start = int(parse_qs(urlsplit(target).query)["start"][0])
        entries = json.loads(answer.body)["entries"]
        if not start <= index < start + len(entries):
            return answer
        entry = entries[index - start]
        entry[field] = b64encode(_flip(b64decode(entry[field]), octet)).decode()
        return replace(answer, body=json.dumps({"entries": entries}).encode())

    return intercept


def flipped_tile(prefix: str, octet: int) -> Interceptor:
    """Flip one bit of a tile, a data tile's before it is compressed."""

    def intercept(target: str, answer: Answer) -> Answer:
        if not target.startswith(prefix) or answer.status != HTTPStatus.OK:
            return answer
        if answer.headers.get("Content-Encoding") != "gzip":
            return replace(answer, body=_flip(answer.body, octet))
        content = _flip(gzip.decompress(answer.body), octet)
        return replace(answer, body=gzip.compress(content, mtime=0))

    return intercept


def forked_head(seed: int) -> Interceptor:
    """Have the RFC 6962 log sign another root for the size that it has."""
    log = world_logs(Seed(seed))["rfc6962"]

    def intercept(target: str, answer: Answer) -> Answer:
        if target != "/rfc6962/ct/v1/get-sth":
            return answer
        head = json.loads(answer.body)
        root = _flip(b64decode(head["sha256_root_hash"]), 0)
        signature = sign_tree_head(log, head["timestamp"], head["tree_size"], root)
        head["sha256_root_hash"] = b64encode(root).decode()
        head["tree_head_signature"] = b64encode(signature).decode()
        return replace(answer, body=json.dumps(head).encode())

    return intercept


def _flip(octets: bytes, at: int) -> bytes:
    changed = bytearray(octets)
    changed[at] ^= 1
    return bytes(changed)
