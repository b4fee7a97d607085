"""One entry of a log list: a log with its key, URLs, state and interval.

An entry read too loosely would make the agent poll or trust what no log operator runs, so each
field is checked against the schema and the key against its id; unknown keys are accepted. Log list
schema v3 (`log_list_schema.json`), RFC 6962 sections 2.1.4 and 3.2.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from subca_oversight.model.log import HASH_LENGTH, FinalTreeHead, Log, LogApi, LogState
from subca_oversight.sources.canonical_base64 import decode

_MAX_TEXT = 512
_MIN_RSA_BITS = 2048
_MAX_INTEGER = 2**63 - 1
_INSTANT = re.compile(  # RFC 3339; fromisoformat alone takes much else
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII
)


class UnusableEntry(ValueError):  # noqa: N818 - what it is, not an error of ours
    """An entry of a list cannot be used; the text says why."""


def parse_log_entry(operator: str, api: LogApi, entry: dict[str, object]) -> Log:
    """Read one entry of ``logs`` or ``tiled_logs``; raise UnusableEntry with the reason."""
    key = _octets(entry.get("key"), "key")
    log_id = _octets(entry.get("log_id"), "log_id")
    if sha256(key).digest() != log_id:
        raise UnusableEntry("its log_id is not the SHA-256 of its key")
    _check_key(key)
    if api is LogApi.RFC6962:
        submission_url = monitoring_url = _url(entry.get("url"), "url")
    else:
        submission_url = _url(entry.get("submission_url"), "submission_url")
        monitoring_url = _url(entry.get("monitoring_url"), "monitoring_url")
    state, since, final_tree_head = _state(entry.get("state"))
    description = _optional_text(entry.get("description"), "description")
    log_type = _optional_text(entry.get("log_type"), "log_type")
    return Log(
        log_id=log_id,
        key=key,
        description=submission_url if description is None else description,
        operator=operator,
        api=api,
        submission_url=submission_url,
        monitoring_url=monitoring_url,
        mmd=_integer(entry.get("mmd"), "mmd"),
        state=state,
        state_since=since,
        interval=_interval(entry.get("temporal_interval")),
        final_tree_head=final_tree_head,
        log_type=None if log_type == "prod" else log_type,
    )


def find_log_id(entry: object) -> bytes | None:
    """The id that an entry states, be it usable or not; None where it states none."""
    if not isinstance(entry, dict):
        return None
    try:
        log_id = _octets(entry.get("log_id"), "log_id")
    except UnusableEntry:
        return None
    return log_id if len(log_id) == HASH_LENGTH else None


def _check_key(spki: bytes) -> None:
    """RFC 6962 section 2.1.4: ECDSA on P-256, or RSA of at least 2048 bits."""
    try:
        key = load_der_public_key(spki)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnusableEntry(f"its key cannot be read: {error}") from None
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _MIN_RSA_BITS:
        return
    raise UnusableEntry("its key is neither ECDSA on P-256 nor RSA of at least 2048 bits")


def _state(stated: object) -> tuple[LogState, datetime | None, FinalTreeHead | None]:
    if stated is None:
        return LogState.UNKNOWN, None, None
    if not isinstance(stated, dict) or len(stated) != 1:
        raise UnusableEntry("its state is not exactly one")
    [(name, details)] = stated.items()
    if name not in set(LogState) - {LogState.UNKNOWN}:
        raise UnusableEntry(f"its state {name!r:.40} is unknown")
    if not isinstance(details, dict):
        raise UnusableEntry("its state has no timestamp")
    since = parse_instant(details.get("timestamp"))
    stated_head = details.get("final_tree_head")
    if stated_head is None:
        return LogState(name), since, None
    if not isinstance(stated_head, dict):
        raise UnusableEntry("its final tree head is not an object")
    root_hash = _octets(stated_head.get("sha256_root_hash"), "final root hash")
    if len(root_hash) != HASH_LENGTH:
        raise UnusableEntry(f"its final root hash has {len(root_hash)} bytes")
    size = _integer(stated_head.get("tree_size"), "final tree size")
    return LogState(name), since, FinalTreeHead(size, root_hash)


def _interval(stated: object) -> tuple[datetime, datetime] | None:
    if stated is None:
        return None
    if not isinstance(stated, dict):
        raise UnusableEntry("its temporal interval is not an object")
    start, end = (
        parse_instant(stated.get("start_inclusive")),
        parse_instant(stated.get("end_exclusive")),
    )
    if start >= end:
        raise UnusableEntry("its temporal interval is empty")
    return start, end


def parse_instant(stated: object) -> datetime:
    """Read an RFC 3339 instant; raise UnusableEntry when it is none."""
    if not isinstance(stated, str) or _INSTANT.fullmatch(stated) is None:
        raise UnusableEntry(f"an instant is {stated!r:.40}, not RFC 3339")
    try:
        return datetime.fromisoformat(stated).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UnusableEntry(f"the instant {stated!r:.40} does not exist") from None


def _url(stated: object, name: str) -> str:
    """Return the URL with its final slash; some lists leave it out."""
    if not isinstance(stated, str) or len(stated) > _MAX_TEXT:
        raise UnusableEntry(f"its {name} is missing or no text")
    if not stated.isascii() or any(character <= " " or character == "\x7f" for character in stated):
        raise UnusableEntry(f"its {name} has characters that no URL has")
    try:
        parts = urlsplit(stated)
        has_port = parts.port is None or parts.port > 0
    except ValueError as error:
        raise UnusableEntry(f"its {name} is no URL: {error}") from None
    if (
        parts.scheme not in {"http", "https"}
        or parts.hostname in {None, ""}
        or not has_port
        or parts.username is not None
        or "?" in stated
        or "#" in stated
    ):
        raise UnusableEntry(f"its {name} is not the http(s) URL of a log")
    return stated if stated.endswith("/") else f"{stated}/"


def _octets(stated: object, name: str) -> bytes:
    if not isinstance(stated, str):
        raise UnusableEntry(f"its {name} is missing or no text")
    try:
        return decode(stated)
    except ValueError as error:
        raise UnusableEntry(f"its {name} is {error}") from None


def _integer(stated: object, name: str) -> int:
    if not isinstance(stated, int) or isinstance(stated, bool) or not 0 <= stated <= _MAX_INTEGER:
        raise UnusableEntry(f"its {name} is not a number")
    return stated


def _optional_text(stated: object, name: str) -> str | None:
    if stated is None:
        return None
    if not isinstance(stated, str) or len(stated) > _MAX_TEXT:
        raise UnusableEntry(f"its {name} is no text")
    return stated
