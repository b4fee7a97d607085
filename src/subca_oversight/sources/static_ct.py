"""Reading a log over its tiles (C2SP static-ct-api v1.1.0, tlog-tiles).

Tiles are cheap to serve and to read, so this is the preferred interface; full tiles never change,
partial ones may vanish as soon as the full one exists, and the chain of an entry is only named by
fingerprints. Entries are cut out of a data tile in one pass.
"""

from __future__ import annotations

import struct
from hashlib import sha256

from subca_oversight.errors import LogMisbehaved, NotYetServed, SourceError
from subca_oversight.http import Fetcher, Limits, Response
from subca_oversight.model.log import HASH_LENGTH, Log
from subca_oversight.sources.log_entries import (
    PRECERT_ENTRY,
    X509_ENTRY,
    ChainFlaw,
    EntryPage,
    FirstIssuer,
    ServedPage,
)
from subca_oversight.sources.web_page import is_web_page

TILE_WIDTH = 256

_MEBIBYTE = 1024 * 1024
_SMALL = Limits(body_bytes=_MEBIBYTE, decompressed_bytes=_MEBIBYTE)
_DATA = Limits(body_bytes=16 * _MEBIBYTE, decompressed_bytes=16 * _MEBIBYTE)
_MISSING = frozenset({404, 410})

_HEADER = struct.Struct(">QH")
"""Timestamp and entry type."""
_LENGTH = 3
_LEAF_INDEX = 0
_LEAF_INDEX_OCTETS = 5
_LEAF_INDEX_MASK = (1 << 40) - 1
_ONLY_LEAF_INDEX = b"\x00\x08\x00\x00\x05"
"""Length of the extensions, then type and length of a leaf_index that stands alone."""
_SIGN_BIT = 0x80


class UnreadableTile(LogMisbehaved):
    """A data tile cannot be cut into the entries that the log signed for; ``body`` is the tile."""

    def __init__(self, message: str, *, body: bytes, url: str | None = None) -> None:
        super().__init__(message, url=url)
        self.body = body


class WrongIssuer(LogMisbehaved):
    """What is served as an issuer does not hash to the fingerprint that names it."""

    def __init__(self, message: str, *, body: bytes, url: str | None = None) -> None:
        super().__init__(message, url=url)
        self.body = body


class StaticLog:
    """One log."""

    def __init__(self, client: Fetcher, log: Log) -> None:
        self._client = client
        self._log = log
        self._base = log.monitoring_url

    async def fetch_head(self) -> bytes:
        """The checkpoint as served."""
        return (await self._get(f"{self._base}checkpoint", _SMALL)).body

    def next_end(self, first: int, end: int) -> int:
        """Where the tile that holds entry ``first`` stops, at most at ``end``."""
        return min(end, first - first % TILE_WIDTH + TILE_WIDTH)

    async def fetch_range(self, first: int, end: int) -> list[ServedPage]:
        """The entries from ``first`` up to before ``end``, all of which lie in one tile."""
        number = first // TILE_WIDTH
        begin = number * TILE_WIDTH
        response = await self._fetch_tile("data", number, end - begin, _DATA)
        try:
            page = parse_data_tile(response.body, begin, end, skip=first - begin)
        except ValueError as error:
            message = f"{response.url}: not a data tile: {error}"
            raise UnreadableTile(message, body=response.body, url=response.url) from None
        return [ServedPage(page, response.url, response.body)]

    async def fetch_hash_tile(self, level: int, number: int, width: int) -> bytes:
        """The first ``width`` hashes of a tile."""
        response = await self._fetch_tile(str(level), number, width, _SMALL)
        needed = width * HASH_LENGTH
        if len(response.body) < needed or len(response.body) % HASH_LENGTH != 0:
            raise SourceError(f"{response.url}: {len(response.body)} bytes", url=response.url)
        return response.body[:needed]

    async def find_issuer(self, fingerprint: bytes) -> bytes | None:
        """The issuer certificate with this SHA-256; None where the log does not have it.

        Raises WrongIssuer where it serves another one.
        """
        url = f"{self._base}issuer/{fingerprint.hex()}"
        try:
            response = await self._client.get(url, limits=_SMALL)
        except SourceError as error:
            if error.status in _MISSING:
                return None
            raise
        if sha256(response.body).digest() != fingerprint:
            if is_web_page(response.body):
                raise SourceError(f"{url}: answered with a web page", url=url)
            message = f"{url}: the certificate has another hash"
            raise WrongIssuer(message, body=response.body, url=url)
        return response.body

    async def _fetch_tile(self, level: str, number: int, width: int, limits: Limits) -> Response:
        """A partial tile, or the full one where the partial one is gone already."""
        path = f"{self._base}tile/{level}/{tile_number(number)}"
        if width < TILE_WIDTH:
            try:
                return await self._get(f"{path}.p/{width}", limits)
            except SourceError as error:
                if error.status not in _MISSING:
                    raise
        try:
            return await self._get(path, limits)
        except SourceError as error:
            if error.status not in _MISSING:
                raise
            # A replica may lag behind the checkpoint for some minutes.
            raise NotYetServed(
                f"{path}: not there yet (status {error.status})", url=path, status=error.status
            ) from error

    async def _get(self, url: str, limits: Limits) -> Response:
        response = await self._client.get(url, limits=limits)
        if is_web_page(response.body):
            raise SourceError(f"{url}: answered with a web page", url=url, status=response.status)
        return response


def tile_number(number: int) -> str:
    """The number of a tile as a path: groups of three digits, all but the last after an ``x``."""
    path = f"{number % 1000:03}"
    while number >= 1000:  # noqa: PLR2004 - three digits
        number //= 1000
        path = f"x{number % 1000:03}/{path}"
    return path


def parse_data_tile(  # noqa: C901 - one pass, tens of thousands of entries a second
    tile: bytes, first: int, end: int, *, skip: int = 0
) -> EntryPage:
    """Cut the entries ``first`` to ``end`` out of a tile that starts with ``first``.

    The page begins ``skip`` entries later. A tile may hold more entries than that, for a full tile
    stands in for a partial one, but must hold whole ones: what follows the last entry would else
    hide that its chain was cut short. Raises ValueError.
    """
    preimages: list[bytes] = []
    issuer_keys: list[bytes | None] = []
    finals: list[tuple[int, FirstIssuer]] = []
    malformed: list[tuple[int, str]] = []
    rests: list[tuple[int, int]] = []
    unpack = _HEADER.unpack_from
    octets = int.from_bytes
    begin = first + skip
    index = first
    at = 0
    try:
        for index in range(first, end):
            start = at
            _timestamp, entry_type = unpack(tile, at)
            at += 10
            if entry_type == PRECERT_ENTRY:
                key = tile[at : at + HASH_LENGTH]
                at += HASH_LENGTH
            elif entry_type == X509_ENTRY:
                key = None
            else:
                raise ValueError(f"entry {index} has type {entry_type}")
            at += _LENGTH + octets(tile[at : at + _LENGTH])
            extensions = at
            at += 2 + (tile[at] << 8 | tile[at + 1])
            leaf_end = at
            if key is not None:
                at += _LENGTH + octets(tile[at : at + _LENGTH])
            chain = at + 2
            at = chain + (tile[at] << 8 | tile[at + 1])
            if at > len(tile) or (at - chain) % HASH_LENGTH != 0:
                raise ValueError(f"entry {index} does not end with its chain")
            if index < begin:
                continue
            preimages.append(b"\0\0\0" + tile[start:leaf_end])
            issuer_keys.append(key)
            rests.append((leaf_end, at))
            if key is None:
                issuer = tile[chain : chain + HASH_LENGTH] if at > chain else ChainFlaw.EMPTY
                finals.append((index - begin, issuer))
            usual = _ONLY_LEAF_INDEX + (index & _LEAF_INDEX_MASK).to_bytes(_LEAF_INDEX_OCTETS)
            if tile[extensions:leaf_end] != usual or tile[start] >= _SIGN_BIT:
                flaw = _find_flaw(tile[start], tile[extensions + 2 : leaf_end], index)
                if flaw is not None:
                    malformed.append((index - begin, flaw))
    except (struct.error, IndexError):
        raise ValueError(f"it ends within entry {index}") from None
    if at != len(tile) and not _holds_entries(tile, at, TILE_WIDTH - (end - first)):
        raise ValueError(f"{len(tile) - at} octets follow the last entry")
    return EntryPage(
        first=begin,
        preimages=preimages,
        issuer_keys=issuer_keys,
        finals=finals,
        malformed=malformed,
        unhashed=lambda offset: tile[rests[offset][0] : rests[offset][1]],
    )


def _holds_entries(tile: bytes, at: int, most: int) -> bool:
    """Whether the octets from ``at`` on are whole entries, ``most`` of them at most."""
    for _ in range(most):
        if at == len(tile):
            break
        entry_type = int.from_bytes(tile[at + 8 : at + 10])
        if entry_type not in (X509_ENTRY, PRECERT_ENTRY) or at + 10 > len(tile):
            return False
        at += 10 + HASH_LENGTH * entry_type
        at += _LENGTH + int.from_bytes(tile[at : at + _LENGTH])
        at += 2 + int.from_bytes(tile[at : at + 2])
        if entry_type == PRECERT_ENTRY:
            at += _LENGTH + int.from_bytes(tile[at : at + _LENGTH])
        chain = int.from_bytes(tile[at : at + 2])
        at += 2 + chain
        if at > len(tile) or chain % HASH_LENGTH != 0:
            return False
    return at == len(tile)


def _find_flaw(first_octet: int, extensions: bytes, position: int) -> str | None:
    """What is wrong with an entry that begins with ``first_octet`` and has these extensions.

    Logs that were archived as tiles have no leaf_index: its absence is no flaw, a wrong one is.
    """
    if first_octet >= _SIGN_BIT:
        return "the timestamp is beyond every calendar"
    seen: set[int] = set()
    at = 0
    while at < len(extensions):
        kind = extensions[at]
        length = int.from_bytes(extensions[at + 1 : at + 3])
        content = extensions[at + 3 : at + 3 + length]
        at += 3 + length
        if at > len(extensions):
            return "an extension reaches beyond the extensions"
        if kind in seen:
            return f"extension {kind} appears twice"
        seen.add(kind)
        if kind != _LEAF_INDEX:
            continue
        if length != _LEAF_INDEX_OCTETS:
            return f"a leaf_index of {length} octets"
        if int.from_bytes(content) != position:
            return f"leaf_index {int.from_bytes(content)} at position {position}"
    return None


def fingerprints_of(
    extra: bytes, *, precertificate: bool
) -> tuple[bytes | None, tuple[bytes, ...]]:
    """The precertificate (None for a final) and the chain's fingerprints in a TileLeaf's rest."""
    first = None
    if precertificate:
        stop = _LENGTH + int.from_bytes(extra[:_LENGTH])
        first, extra = extra[_LENGTH:stop], extra[stop:]
    chain = extra[2:]
    if len(extra) < 2 or int.from_bytes(extra[:2]) != len(chain):  # noqa: PLR2004 - a u16
        raise ValueError("the chain does not end with the entry")
    if len(chain) % HASH_LENGTH != 0:
        raise ValueError("a fingerprint is cut short")
    return first, tuple(chain[at : at + HASH_LENGTH] for at in range(0, len(chain), HASH_LENGTH))
