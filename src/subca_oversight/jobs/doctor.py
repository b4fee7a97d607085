"""The examination before the daemon starts: what is reachable, what it will cost, what is missing.

Reads and asks, and changes nothing: no row is written, no notice is sent.
"""

from __future__ import annotations

import asyncio
import shutil
import smtplib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path

from subca_oversight.check.lint.keys import badkeys_version
from subca_oversight.check.lint.pkilint_adapter import versions
from subca_oversight.check.registry import load_registry
from subca_oversight.errors import ConfigurationError, OversightError
from subca_oversight.evidence.harvest.heads import load_head
from subca_oversight.evidence.registration import ConfiguredSubordinate, read_configured
from subca_oversight.http import Client, Limits, Origin
from subca_oversight.model.log import Log, LogApi
from subca_oversight.settings import Settings, Start
from subca_oversight.sources.log_list import fetch_log_list
from subca_oversight.sources.rfc6962 import Rfc6962Log
from subca_oversight.sources.static_ct import StaticLog
from subca_oversight.store.database import FIRST_SAFE_SQLITE, Database, sqlite_version
from subca_oversight.store.schema import check_database

ENTRY_BYTES = {LogApi.STATIC: 711, LogApi.RFC6962: 2160}
"""Compressed bytes on the wire for an entry, from real tiles and pages of 2026."""
ASSUMED_PER_SECOND = 100.0
"""Growth of one busy log, in entries, where only one head is at hand."""
CATCH_UP_PER_SECOND = 1000.0
"""Entries a log lets one reader have, as a rule of thumb."""
_LOW_DISK_BYTES = 2 * 1024**3


class Verdict(StrEnum):
    """How a point of the examination came out."""

    GOOD = "good"
    NOTICE = "notice"
    """Works, but is worth knowing."""
    MISSING = "missing"
    """A part of the work will be skipped."""
    BAD = "bad"
    """Must be mended before the daemon starts."""


@dataclass(frozen=True, slots=True)
class Point:
    """One thing examined."""

    topic: str
    verdict: Verdict
    text: str


async def examine(settings: Settings, *, now: Callable[[], datetime]) -> list[Point]:
    """Examine everything the configuration names; nothing that fails keeps the rest from it."""
    points = [*_store(settings), *_registry(settings), *_subordinates(settings)]
    async with Client(settings.http, contact=settings.agent.contact, now=now) as client:
        points += await _logs(settings, client)
        points += await _ccadb(settings, client)
        points += await _channels(settings)
    return points


def _store(settings: Settings) -> list[Point]:
    points: list[Point] = []
    folder = settings.agent.state_directory
    existing = next((one for one in (folder, *folder.parents) if one.is_dir()), Path("/"))
    free = shutil.disk_usage(existing).free
    points.append(
        Point(
            "disk",
            Verdict.GOOD if free > _LOW_DISK_BYTES else Verdict.NOTICE,
            f"{free / 1024**3:,.1f} GiB free at {existing}",
        )
    )
    try:
        database = Database(settings.database_url)
        if database.path is not None and not database.path.exists():
            points.append(
                Point("database", Verdict.GOOD, f"{database.location}: made at the first start")
            )
        else:
            problems = check_database(database)
            verdict = Verdict.GOOD if len(problems) == 0 else Verdict.BAD
            points.append(
                Point("database", verdict, f"{database.location}: {'; '.join(problems) or 'good'}")
            )
        if database.is_sqlite and sqlite_version() < FIRST_SAFE_SQLITE:
            version = ".".join(map(str, sqlite_version()))
            points.append(
                Point(
                    "database",
                    Verdict.NOTICE,
                    f"SQLite {version} is older than 3.51.3: let no other program write to the"
                    " file, or use PostgreSQL",
                )
            )
        database.close()
    except OversightError as error:
        points.append(Point("database", Verdict.BAD, str(error)))
    return points


def _registry(settings: Settings) -> list[Point]:
    try:
        registry = load_registry(settings.checks.directory)
    except OversightError as error:
        return [Point("checks", Verdict.BAD, str(error))]
    tools = ", ".join(f"{name} {version}" for name, version in versions())
    return [
        Point("checks", Verdict.GOOD, f"{len(registry.checks)} checks"),
        Point("linters", Verdict.GOOD, f"{tools}; badkeys {badkeys_version()}"),
    ]


def _subordinates(settings: Settings) -> list[Point]:
    if len(settings.subordinate) == 0:
        return [Point("subordinates", Verdict.MISSING, "none is configured: nothing is overseen")]
    try:
        configured = read_configured(settings.subordinate)
    except ConfigurationError as error:
        return [Point("subordinates", Verdict.BAD, str(error))]
    return [_subordinate(one) for one in configured]


def _subordinate(one: ConfiguredSubordinate) -> Point:
    if len(one.certificates) == 0:
        return Point(
            one.settings.name,
            Verdict.NOTICE,
            "unconfirmed: no certificate; signatures of its certificates cannot be verified until"
            " one is named or seen in a chain",
        )
    return Point(
        one.settings.name,
        Verdict.GOOD,
        f"{len(one.certificates)} CA certificates, {len(one.keys)} keys",
    )


async def _logs(settings: Settings, client: Client) -> list[Point]:
    if len(settings.ct.log_lists) == 0:
        return [Point("logs", Verdict.MISSING, "ct.log_lists is empty: no log is read")]
    points: list[Point] = []
    logs: dict[bytes, Log] = {}
    for entry in settings.ct.log_lists:
        key = entry.public_key
        try:
            fetched = await fetch_log_list(
                client, entry.source, key if key in (None, "google") else Path(str(key))
            )
        except OversightError as error:
            points.append(Point("log list", Verdict.BAD, f"{entry.source}: {error}"))
            continue
        read = [log for log in fetched.log_list.logs if log.is_monitored]
        logs.update({log.log_id: log for log in read})
        signed = "unsigned" if key is None else "signature verified"
        points.append(
            Point(
                "log list",
                Verdict.GOOD if key is not None else Verdict.NOTICE,
                f"{entry.source}: {signed}, {len(read)} logs to read",
            )
        )
    answers = await asyncio.gather(*(_log(settings, client, log) for log in logs.values()))
    points += [point for point, _ in answers]
    sizes = [size for _, size in answers]
    points.append(_cost(settings, list(zip(logs.values(), sizes, strict=True))))
    return points


async def _log(settings: Settings, client: Client, log: Log) -> tuple[Point, int | None]:
    reader = (
        StaticLog(client, log)
        if log.api is LogApi.STATIC
        else Rfc6962Log(client, log, page_entries=settings.ct.page_entries)
    )
    try:
        head = load_head(log, await reader.fetch_head())
    except OversightError as error:
        return Point(log.description, Verdict.BAD, str(error)), None
    return (
        Point(log.description, Verdict.GOOD, f"{head.tree_size:,} entries, head verified"),
        head.tree_size,
    )


def _cost(settings: Settings, sizes: list[tuple[Log, int | None]]) -> Point:
    known = [(log, size) for log, size in sizes if size is not None]
    unread = [_unread(settings.ct.start, size) for _, size in known]
    backlog, largest = sum(unread), max(unread, default=0)
    per_day = sum(ASSUMED_PER_SECOND * 86_400 * ENTRY_BYTES[log.api] for log, _ in known)
    first = sum(count * ENTRY_BYTES[log.api] for count, (log, _) in zip(unread, known, strict=True))
    return Point(
        "cost",
        Verdict.NOTICE,
        f"to catch up: {_at_most(settings.ct.start)}{backlog:,} entries, about"
        f" {first / 1024**3:,.1f} GiB, {largest / CATCH_UP_PER_SECOND / 3600:,.1f} h at"
        f" {CATCH_UP_PER_SECOND:,.0f} entries/s a"
        f" log; then at most {per_day / 1024**3:,.1f} GiB a day at {ASSUMED_PER_SECOND:,.0f}"
        " entries/s a log; disk: about 8 kB for each certificate of the subordinates",
    )


def _unread(start: Start, size: int) -> int:
    """Entries to be read of a log of ``size``; all of them where the date is not looked up."""
    if isinstance(start, int):
        return max(0, size - start)
    return 0 if start == "now" else size


def _at_most(start: Start) -> str:
    return "at most " if isinstance(start, date) else ""


async def _ccadb(settings: Settings, client: Client) -> list[Point]:
    source = settings.ccadb.records
    if len(source) == 0:
        return [Point("ccadb", Verdict.MISSING, "ccadb.records is empty: audits are not judged")]
    if "://" not in source:
        there = await asyncio.to_thread(Path(source).is_file)
        verdict = Verdict.GOOD if there else Verdict.BAD
        return [Point("ccadb", verdict, f"{source}: {'there' if there else 'no such file'}")]
    try:
        answer = await client.get(
            source, limits=Limits(total_seconds=120.0, attempts=1), origin=Origin.OPERATOR
        )
    except OversightError as error:
        return [Point("ccadb", Verdict.BAD, f"{source}: {error}")]
    return [Point("ccadb", Verdict.GOOD, f"{source}: {len(answer.body) / 1024**2:,.1f} MiB")]


async def _channels(settings: Settings) -> list[Point]:
    smtp, webhook = settings.alerts.smtp, settings.alerts.webhook
    points: list[Point] = []
    if smtp is None and webhook is None:
        points.append(
            Point("alerts", Verdict.MISSING, "no channel: notices are stored but not sent")
        )
    if smtp is not None:
        points.append(await asyncio.to_thread(_smtp, smtp.host, smtp.port))
    if webhook is not None:
        verdict = Verdict.BAD if webhook.secret is None else Verdict.GOOD
        text = "alerts.webhook.secret is missing" if webhook.secret is None else webhook.url
        points.append(Point("webhook", verdict, f"{text}; try it with: alerts test"))
    ping = settings.daemon.ping_url
    if len(ping) == 0:
        points.append(
            Point("ping", Verdict.MISSING, "daemon.ping_url is empty: nobody notices its silence")
        )
    return points


def _smtp(host: str, port: int) -> Point:
    try:
        with smtplib.SMTP(timeout=10.0) as server:
            code, _ = server.connect(host, port)
            return Point("smtp", Verdict.GOOD, f"{host}:{port} answers with {code}")
    except (OSError, smtplib.SMTPException) as error:
        return Point("smtp", Verdict.BAD, f"{host}:{port}: {error}")
