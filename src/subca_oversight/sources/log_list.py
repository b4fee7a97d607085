"""Log lists: version 3 of Google's schema, and Apple's version 5, which extends it.

The list says which logs there are, where, and under which keys. It is read only after its signature
was verified, never replaced by an older one, and an entry that cannot be used becomes a problem to
report instead of hiding its neighbors. Log list schema v3 (`log_list_schema.json`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import orjson

from subca_oversight.errors import ConfigurationError, SourceError
from subca_oversight.http import Client, Limits, Origin, Response
from subca_oversight.model.log import Log, LogApi
from subca_oversight.sources.list_signature import GOOGLE_LOG_LIST_KEY, verify_log_list
from subca_oversight.sources.log_list_entry import (
    UnusableEntry,
    find_log_id,
    parse_instant,
    parse_log_entry,
)

MAX_LIST_BYTES = 16 * 1024 * 1024
_MAX_SIGNATURE_BYTES = 4096
_MAX_LOGS = 10_000
_MAX_NAME = 512
_VERSION = re.compile(r"\d{1,9}(\.\d{1,9}){0,3}", re.ASCII)
_VALIDATOR = re.compile(r"[\x20-\x7e]{1,512}", re.ASCII)
_OK = 200
_NOT_MODIFIED = 304


@dataclass(frozen=True, slots=True)
class LogList:
    """A log list as read; ``problems`` has one line for each part that could not be used."""

    version: str | None
    timestamp: datetime | None
    """None for lists that state none: Apple's (see ``version``) and those made by monitors."""
    logs: tuple[Log, ...]
    problems: tuple[str, ...]
    unusable: frozenset[bytes] = frozenset()
    """Ids of logs that it names in a way that cannot be used: they have not vanished."""
    is_whole: bool = True
    """Whether every part that could not be used was told by its id."""


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells a server which version of a list is held (RFC 9110 section 8.8)."""

    etag: str | None = None
    last_modified: str | None = None
    verified_with: str | None = None
    """SHA-256 of the key file that the held version was verified with; None when unsigned."""


@dataclass(frozen=True, slots=True)
class FetchedLogList:
    """A log list with the bytes that it was read from; ``signature`` is None when unsigned."""

    source: str
    content: bytes
    signature: bytes | None
    log_list: LogList
    validators: Validators = Validators()


def parse_log_list(content: bytes) -> LogList:
    """Read a log list; raise SourceError when its frame is not that of a list."""
    if len(content) > MAX_LIST_BYTES:
        raise SourceError(f"a log list of {len(content)} bytes", retry=False)
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise SourceError(f"the log list is not JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("operators"), list):
        raise SourceError("the log list has no list of operators", retry=False)
    problems: list[str] = []
    version, timestamp = _parse_header(document, problems)
    about_header = len(problems)
    logs: dict[bytes, Log] = {}
    unusable: set[bytes] = set()
    identified = 0
    for where, entry in _entries(document["operators"], problems):
        if len(logs) + len(problems) >= _MAX_LOGS:
            raise SourceError(f"the log list has more than {_MAX_LOGS} logs", retry=False)
        try:
            log = parse_log_entry(where.operator, where.api, entry)
        except UnusableEntry as error:
            problems.append(f"{where.operator}, {_name_of(entry)}: {error}")
            log_id = find_log_id(entry)
            if log_id is not None:
                unusable.add(log_id)
                identified += 1
            continue
        if log.log_id in logs:
            problems.append(f"{where.operator}, {_name_of(entry)}: it stands in the list twice")
            identified += 1
            continue
        logs[log.log_id] = log
    if len(logs) + len(problems) == about_header:
        # Taken at its word, an empty list would end all monitoring in silence.
        raise SourceError("the log list names no log", retry=False)
    return LogList(
        version=version,
        timestamp=timestamp,
        logs=tuple(logs.values()),
        problems=tuple(problems),
        unusable=frozenset(unusable - logs.keys()),
        is_whole=len(problems) == about_header + identified,
    )


def check_supersedes(new: LogList, old: LogList) -> None:
    """Raise SourceError when ``new`` is older than ``old``, of the same source.

    A signature does not expire: whoever serves the list could roll it back to one with other logs.
    """
    if old.timestamp is not None:
        if new.timestamp is None:
            raise SourceError("the log list no longer states its timestamp", retry=False)
        if new.timestamp < old.timestamp:
            raise SourceError(
                f"the log list of {new.timestamp:%Y-%m-%d %H:%M:%S} UTC is older than the one of "
                f"{old.timestamp:%Y-%m-%d %H:%M:%S} UTC held already",
                retry=False,
            )
    if old.version is not None:
        if new.version is None:
            raise SourceError("the log list no longer states its version", retry=False)
        if _ordinal(new.version) < _ordinal(old.version):
            raise SourceError(
                f"the log list's version {new.version} is older than {old.version}, held already",
                retry=False,
            )


async def fetch_log_list(
    client: Client, source: str, public_key: str | Path | None
) -> FetchedLogList:
    """Fetch (a URL) or read (a path) a list, verify its signature where a key is given, parse it.

    ``public_key`` is ``google`` or the path of a PEM file. The signature of ``list.json`` is
    ``list.sig`` beside it, for a file also ``list.json.sig``. Raises SourceError,
    VerificationError, or ConfigurationError when a path cannot be read.
    """
    key_pem = _load_key(public_key)
    if source.startswith(("https://", "http://")):
        response = await _get(client, source, MAX_LIST_BYTES)
        return await _verified(client, source, response, key_pem)
    content = _read(Path(source), MAX_LIST_BYTES)
    signature = None
    if key_pem is not None:
        signature = _read(_signature_path(Path(source)), _MAX_SIGNATURE_BYTES)
        verify_log_list(content, signature, key_pem)
    return FetchedLogList(
        source,
        content,
        signature,
        parse_log_list(content),
        Validators(verified_with=_digest(key_pem)),
    )


async def fetch_changed_log_list(
    client: Client, source: str, public_key: str | Path | None, held: Validators
) -> FetchedLogList | None:
    """As ``fetch_log_list``; None where the source says that it still is the version held.

    A version that was verified with another key, or not at all, is fetched again whatever the
    server thinks of it.
    """
    conditions = {
        name: value
        for name, value in (
            ("If-None-Match", held.etag),
            ("If-Modified-Since", held.last_modified),
        )
        if value is not None
    }
    key_pem = _load_key(public_key)
    is_url = source.startswith(("https://", "http://"))
    if not is_url or len(conditions) == 0 or held.verified_with != _digest(key_pem):
        return await fetch_log_list(client, source, public_key)
    response = await client.get(
        source,
        limits=Limits(body_bytes=MAX_LIST_BYTES, decompressed_bytes=MAX_LIST_BYTES),
        headers=conditions,
        origin=Origin.OPERATOR,
        accept_status=frozenset({_OK, _NOT_MODIFIED}),
    )
    if response.status == _NOT_MODIFIED:
        return None
    return await _verified(client, source, response, key_pem)


async def _verified(
    client: Client, url: str, response: Response, key_pem: bytes | None
) -> FetchedLogList:
    signature = None
    if key_pem is not None:
        beside = url.removesuffix(".json") + ".sig"
        signature = (await _get(client, beside, _MAX_SIGNATURE_BYTES)).body
        verify_log_list(response.body, signature, key_pem)
    return FetchedLogList(
        url,
        response.body,
        signature,
        parse_log_list(response.body),
        Validators(
            etag=_validator(response, "etag"),
            last_modified=_validator(response, "last-modified"),
            verified_with=_digest(key_pem),
        ),
    )


def _parse_header(
    document: dict[str, object], problems: list[str]
) -> tuple[str | None, datetime | None]:
    version = document.get("version")
    if not isinstance(version, str) or _VERSION.fullmatch(version) is None:
        if version is not None:
            problems.append(f"the list's version is {version!r:.40}, not numbers and dots")
        version = None
    try:
        stated = document.get("log_list_timestamp")
        timestamp = None if stated is None else parse_instant(stated)
    except UnusableEntry as error:
        raise SourceError(f"the log list's timestamp is {error}", retry=False) from None
    return version, timestamp


def _load_key(public_key: str | Path | None) -> bytes | None:
    if public_key is None:
        return None
    if public_key == "google":
        return GOOGLE_LOG_LIST_KEY
    return _read(Path(public_key), _MAX_SIGNATURE_BYTES)


def _digest(key_pem: bytes | None) -> str | None:
    return None if key_pem is None else sha256(key_pem).hexdigest()


def _validator(response: Response, name: str) -> str | None:
    """A header that can be sent back as it came; None where it is missing or odd."""
    value = response.headers.get(name, "")
    return value if _VALIDATOR.fullmatch(value) is not None else None


async def _get(client: Client, url: str, size: int) -> Response:
    limits = Limits(body_bytes=size, decompressed_bytes=size)
    return await client.get(url, limits=limits, origin=Origin.OPERATOR)


def _signature_path(path: Path) -> Path:
    beside = path.with_name(path.name + ".sig")
    return beside if beside.exists() else path.with_suffix(".sig")


def _read(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(size + 1)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > size:
        raise ConfigurationError(f"{path} is larger than {size} bytes")
    return content


@dataclass(frozen=True, slots=True)
class _Place:
    operator: str
    api: LogApi


def _entries(
    operators: list[object], problems: list[str]
) -> Iterator[tuple[_Place, dict[str, object]]]:
    for number, operator in enumerate(operators, 1):
        if not isinstance(operator, dict):
            problems.append(f"operator {number}: not an object")
            continue
        name = operator.get("name")
        if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME:
            problems.append(f"operator {number}: it has no usable name, its logs are left out")
            continue
        for key, api in (("logs", LogApi.RFC6962), ("tiled_logs", LogApi.STATIC)):
            entries = operator.get(key)
            if entries is None:
                continue
            if not isinstance(entries, list):
                problems.append(f"{name}: {key} is not a list")
                continue
            for entry in entries:
                if isinstance(entry, dict):
                    yield _Place(name, api), entry
                else:
                    problems.append(f"{name}: an entry of {key} is not an object")


def _name_of(entry: dict[str, object]) -> str:
    for key in ("description", "url", "submission_url", "log_id"):
        name = entry.get(key)
        if isinstance(name, str) and len(name) > 0:
            return f"{name:.80}"
    return "an unnamed log"


def _ordinal(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
