"""Log lines: key-value events on standard error, JSON unless a person is watching.

Secrets never reach a log, whoever logs them, and hostile text cannot forge lines or move the
terminal's cursor: what is not printable is shown escaped.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import TextIO

import structlog
from pydantic import SecretBytes, SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

REDACTED = "[redacted]"
_SECRET_KEY = re.compile(
    r"pass(word|wd|phrase)|secret|token|authorization|cookie|credential|api_?key|private_?key",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(
    r"whsec_[A-Za-z0-9+/=_-]+"
    r"|(?<=://)[^/\s@]+(?=@)"
    r"|\b(?:Bearer|Basic)\s+[A-Za-z0-9+/=._~-]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
# A deeper value is written as its text, which bounds the recursion.
_DEEPEST = 6
# The library's lines hold whole URLs, which may hold tokens.
_QUIET = ("httpx", "httpcore", "apscheduler", "alembic", "asyncio", "pkilint")


def configure_logging(
    *, level: int = logging.INFO, stream: TextIO | None = None, json: bool | None = None
) -> None:
    """Set up structlog and the standard library's logging alike; called once, at start.

    ``stream`` defaults to standard error, ``json`` to whether that is no terminal.
    """
    target = sys.stderr if stream is None else stream
    as_json = not target.isatty() if json is None else json
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
    ]
    finish: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        redact,
    ]
    if as_json:
        finish.append(structlog.processors.JSONRenderer(ensure_ascii=True))
    else:
        finish += [_escape, structlog.dev.ConsoleRenderer(colors=target.isatty())]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        # Loggers are made at import, before this runs, and tests configure more than once.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()], processors=finish
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take secrets out of a log event, by key, by type and by shape."""
    return {key: _redacted(key, value, 0) for key, value in event.items()}


def _redacted(key: str, value: object, depth: int) -> object:
    if isinstance(value, SecretStr | SecretBytes) or _SECRET_KEY.search(key) is not None:
        return REDACTED
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth < _DEEPEST:
        if isinstance(value, Mapping):
            inner = ((str(name), item) for name, item in value.items())
            return {name: _redacted(name, item, depth + 1) for name, item in inner}
        if isinstance(value, list | tuple | set | frozenset):
            return [_redacted("", item, depth + 1) for item in value]
    return _SECRET_TEXT.sub(REDACTED, str(value))


def _escape(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Show what would act on a terminal; a traceback keeps its line ends."""
    return {key: _escaped(key, value) for key, value in event.items()}


def _escaped(key: str, value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    kept = "\n" if key == "exception" else ""
    return "".join(
        character
        if character.isprintable() or character in kept
        else character.encode("unicode_escape").decode("ascii")
        for character in str(value)
    )
