"""Reading a log over the JSON interface of RFC 6962.

Only tree heads, entries and the two inclusion proofs are asked for. Answers are taken strictly (no
more entries than asked for, at least one), yet in every form that logs owe nobody to avoid: short
pages, aligned pages, pages refused for their size. RFC 6962 sections 4.3 to 4.8.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import quote

import orjson
import pybase64

from subca_oversight.errors import NotYetServed, SourceError
from subca_oversight.http import Fetcher, Limits, Response
from subca_oversight.model.log import HASH_LENGTH, Log
from subca_oversight.sources.log_entries import (
    BODY_AT,
    PRECERT_ENTRY,
    TBS_AT,
    ChainFlaw,
    EntryPage,
    FirstIssuer,
    ServedPage,
    decode_base64,
    final_certificate_of,
    find_flaw,
    issuer_key_of,
)
from subca_oversight.sources.page_size import SMALLEST, PageSize

_MEBIBYTE = 1024 * 1024
_SMALL = Limits(body_bytes=_MEBIBYTE, decompressed_bytes=_MEBIBYTE)
_PAGE = Limits(body_bytes=64 * _MEBIBYTE, decompressed_bytes=64 * _MEBIBYTE)
_MAX_PATH = 64
"""Hashes of an audit path: a tree of 2^63 leaves has no longer one."""
_TOO_LARGE = frozenset({400, 403, 413, 414, 422, 500, 502, 504})
"""Answers that logs have given to pages beyond their own limits (``reference/ct.md`` 2.7)."""
_ANSWERS = frozenset({200, 400})
_PAGE_ANSWERS = _ANSWERS | {413, 500, 502, 504}
"""Taken as they come, not asked for again, where a smaller page may be had instead."""
_LAGGING = b"need tree size"
"""What Trillian's front end says, with status 400, for a replica behind the head asked about."""
_WITHOUT_PROOF = frozenset({400, 404, 405, 501})
"""Answers of logs that do not offer get-entry-and-proof."""

# Base64 gives four characters for three octets, so the two lengths before the first chain
# certificate are exactly the first eight characters of extra_data.
_LENGTHS_TEXT = 8
_LENGTHS = 6
_LENGTH = 3


@dataclass(frozen=True, slots=True)
class ProvenLeaf:
    """A leaf of a tree, with the path that proves it."""

    leaf: bytes
    path: tuple[bytes, ...]
    body: bytes
    """The answer as served."""


class Rfc6962Log:
    """One log; learns how many entries it gives at once."""

    def __init__(
        self, client: Fetcher, log: Log, *, page_entries: int, pages: PageSize | None = None
    ) -> None:
        """``page_entries`` is the largest page asked for, ``pages`` what was learned before."""
        self._client = client
        self._log = log
        self._base = f"{log.monitoring_url}ct/v1/"
        self._pages = PageSize(page_entries) if pages is None else pages

    @property
    def page_entries(self) -> int:
        """The page size as learned so far."""
        return self._pages.size

    async def fetch_head(self) -> bytes:
        """The get-sth answer as served."""
        return (await self._get(f"{self._base}get-sth", _SMALL)).body

    def next_end(self, first: int, end: int) -> int:
        """Where a page that starts at ``first`` should stop, so that later ones are aligned."""
        return self._pages.next_end(first, end)

    async def fetch_range(self, first: int, end: int) -> list[ServedPage]:
        """All entries from ``first`` up to before ``end``, in as many pages as the log gives."""
        pages: list[ServedPage] = []
        while first < end:
            served = await self._fetch_page(first, end)
            pages.append(served)
            first = served.page.end
        return pages

    async def fetch_leaf(self, index: int, size: int) -> ProvenLeaf:
        """A leaf of the tree of ``size`` leaves and its audit path."""
        url = f"{self._base}get-entry-and-proof?leaf_index={index}&tree_size={size}"
        try:
            response = await self._get(url, _SMALL)
        except SourceError as error:
            if isinstance(error, NotYetServed) or error.status not in _WITHOUT_PROOF:
                raise
            return await self._find_leaf(index, size)
        answer = _object(response)
        return ProvenLeaf(
            leaf=_octets(answer.get("leaf_input"), "leaf_input", url),
            path=_hashes(answer.get("audit_path"), "audit_path", url),
            body=response.body,
        )

    async def fetch_consistency(self, first: int, second: int) -> tuple[bytes, ...]:
        """The consistency proof between two sizes, of which the first is not 0."""
        url = f"{self._base}get-sth-consistency?first={first}&second={second}"
        answer = _object(await self._get(url, _SMALL))
        return _hashes(answer.get("consistency"), "consistency", url)

    async def _find_leaf(self, index: int, size: int) -> ProvenLeaf:
        [served] = await self.fetch_range(index, index + 1)
        preimage = served.page.preimages[0]
        digest = pybase64.b64encode(sha256(preimage).digest()).decode("ascii")
        url = f"{self._base}get-proof-by-hash?hash={quote(digest, safe='')}&tree_size={size}"
        response = await self._get(url, _SMALL)
        answer = _object(response)
        return ProvenLeaf(
            leaf=preimage[1:],
            path=_hashes(answer.get("audit_path"), "audit_path", url),
            body=response.body,
        )

    async def _fetch_page(self, first: int, end: int) -> ServedPage:
        while True:
            stop = self._pages.next_end(first, end)
            asked = stop - first
            url = f"{self._base}get-entries?start={first}&end={stop - 1}"
            accepted = _PAGE_ANSWERS if asked > SMALLEST else _ANSWERS
            try:
                response = await self._get(url, _PAGE, accepted)
            except SourceError as error:
                if not _is_too_large(error) or not self._pages.refuse(asked):
                    raise
                continue
            page = parse_entries(response.body, first, stop, url=url)
            self._pages.served(first, asked, len(page))
            return ServedPage(page, url, response.body)

    async def _get(self, url: str, limits: Limits, accepted: frozenset[int] = _ANSWERS) -> Response:
        response = await self._client.get(url, limits=limits, accept_status=accepted)
        status, body = response.status, response.body
        if status == 400 and _LAGGING in body:  # noqa: PLR2004 - Bad Request
            text = body[:200].decode("ascii", "backslashreplace")
            raise NotYetServed(f"{url}: its replica lags: {text}", url=url, status=status)
        if status != 200:  # noqa: PLR2004 - OK
            raise SourceError(f"{url}: status {status}", url=url, status=status, retry=status > 499)  # noqa: PLR2004 - 5xx
        if body[:64].lstrip().startswith(b"<"):
            raise SourceError(f"{url}: answered with a web page", url=url, status=status)
        return response


def parse_entries(body: bytes, first: int, end: int, *, url: str) -> EntryPage:
    """Decode a get-entries answer; raises SourceError when it is none.

    Of each entry the leaf is decoded, and of ``extra_data`` no more than the first certificate of a
    final certificate's chain.
    """
    try:
        entries = orjson.loads(body)["entries"]
        served = len(entries)
        if not isinstance(entries, list) or not 0 < served <= end - first:
            raise SourceError(f"{url}: {served} entries, asked for {end - first}", url=url)
        texts = [entry["extra_data"] for entry in entries]
        preimages = [b"\0" + decode_base64(entry["leaf_input"]) for entry in entries]
        "".join(texts)  # raises where one is no text
    except (ValueError, TypeError, KeyError) as error:
        raise SourceError(f"{url}: not a get-entries answer: {error}", url=url) from None
    issuer_keys: list[bytes | None] = []
    finals: list[tuple[int, FirstIssuer]] = []
    malformed: list[tuple[int, str]] = []
    for offset, preimage in enumerate(preimages):
        flaw = find_flaw(preimage)
        if flaw is not None:
            malformed.append((offset, flaw))
            issuer_keys.append(issuer_key_of(preimage))
            if final_certificate_of(preimage) is not None:
                finals.append((offset, _first_issuer(texts[offset])))
        elif preimage[12] == PRECERT_ENTRY:
            issuer_keys.append(preimage[BODY_AT:TBS_AT])
        else:
            issuer_keys.append(None)
            finals.append((offset, _first_issuer(texts[offset])))
    return EntryPage(
        first=first,
        preimages=preimages,
        issuer_keys=issuer_keys,
        finals=finals,
        malformed=malformed,
        unhashed=lambda offset: _extra(texts[offset]),
    )


def _extra(text: str) -> bytes:
    """The octets of ``extra_data``; where it is not base64, the text itself, as evidence."""
    try:
        return decode_base64(text)
    except ValueError:
        return text.encode("utf-8", "backslashreplace")


def _first_issuer(text: str) -> FirstIssuer:
    try:
        lengths = decode_base64(text[:_LENGTHS_TEXT])
        if lengths == b"\0\0\0":
            return ChainFlaw.EMPTY
        total = int.from_bytes(lengths[:_LENGTH])
        length = int.from_bytes(lengths[_LENGTH:_LENGTHS])
        stop = _LENGTHS_TEXT + (length + 2) // 3 * 4
        certificate = decode_base64(text[_LENGTHS_TEXT:stop])[:length]
    except ValueError:
        return ChainFlaw.UNREADABLE
    if len(lengths) != _LENGTHS or len(certificate) != length or length + _LENGTH > total:
        return ChainFlaw.UNREADABLE
    return sha256(certificate).digest()


def chain_of(extra: bytes, *, precertificate: bool) -> tuple[bytes | None, tuple[bytes, ...]]:
    """The precertificate (None for a final) and the chain in ``extra_data``; raises ValueError."""
    first = None
    if precertificate:
        first, extra = _vector(extra)
    chain, rest = _vector(extra)
    if len(rest) > 0:
        raise ValueError(f"{len(rest)} octets follow the chain")
    certificates: list[bytes] = []
    while len(chain) > 0:
        certificate, chain = _vector(chain)
        certificates.append(certificate)
    return first, tuple(certificates)


def first_of_chain(extra: bytes) -> bytes:
    """The first certificate in the ``extra_data`` of a final certificate's entry."""
    stop = _LENGTHS + int.from_bytes(extra[_LENGTH:_LENGTHS])
    return extra[_LENGTHS:stop]


def _vector(octets: bytes) -> tuple[bytes, bytes]:
    stop = _LENGTH + int.from_bytes(octets[:_LENGTH])
    if len(octets) < max(stop, _LENGTH):
        raise ValueError("a length reaches beyond the extra data")
    return octets[_LENGTH:stop], octets[stop:]


def _is_too_large(error: SourceError) -> bool:
    """Whether fewer entries may be had where these were not: refused, over a cap, or too slow."""
    if isinstance(error, NotYetServed):
        return False
    if error.status is not None:
        return error.status in _TOO_LARGE
    return not error.retry or isinstance(error.__cause__, TimeoutError)


def _object(response: Response) -> dict[str, object]:
    try:
        answer = orjson.loads(response.body)
    except orjson.JSONDecodeError as error:
        raise SourceError(f"{response.url}: not JSON: {error}", url=response.url) from None
    if not isinstance(answer, dict):
        raise SourceError(f"{response.url}: not a JSON object", url=response.url)
    return answer


def _octets(value: object, name: str, url: str) -> bytes:
    try:
        if isinstance(value, str):
            return decode_base64(value)
    except ValueError:
        pass
    raise SourceError(f"{url}: {name} is missing or not base64", url=url)


def _hashes(value: object, name: str, url: str) -> tuple[bytes, ...]:
    if not isinstance(value, list) or len(value) > _MAX_PATH:
        raise SourceError(f"{url}: {name} is not a list of hashes", url=url)
    hashes = tuple(_octets(item, name, url) for item in value)
    if any(len(item) != HASH_LENGTH for item in hashes):
        raise SourceError(f"{url}: {name} has a hash that is not {HASH_LENGTH} octets", url=url)
    return hashes
