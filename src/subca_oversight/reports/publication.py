"""Publication: a report's files made in a folder of their own, and put in place whole.

Files are written beside their destination and renamed, the page last, so that a reader never finds
half a file, and a page never without its annexes. Folders are named by our own slugs and quarters;
no name out of fetched data reaches the file system (DESIGN section 10).
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import orjson

from subca_oversight import __version__
from subca_oversight.check.registry import Registry
from subca_oversight.errors import StoreError
from subca_oversight.reports.export import CONTENTS, Annexes, describe
from subca_oversight.reports.quarter import QuarterReport, ReportRequest, load_quarter
from subca_oversight.reports.render import format_instant, render_html
from subca_oversight.reports.samples import find_drawn
from subca_oversight.store.database import Database

PAGE = "report.html"
MANIFEST = "manifest.json"
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", re.ASCII)


class Format(StrEnum):
    """What a report can be written as."""

    HTML = "html"
    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Publication:
    """A report that was put in place."""

    folder: Path
    files: tuple[Path, ...]
    report: QuarterReport


def folder_of(root: Path, name: str, request: ReportRequest) -> Path:
    """Where a subordinate's report of a quarter lies below ``root``."""
    slug = name if _SLUG.fullmatch(name) is not None else request.anchor[:16]
    return root / slug / str(request.quarter)


def publish(
    database: Database,
    registry: Registry,
    request: ReportRequest,
    root: Path,
    *,
    formats: Iterable[Format] = tuple(Format),
) -> Publication:
    """Make a report and put its files in place below ``root``.

    The hashes on the page are those of all annexes, whichever are kept. Raises StoreError where
    the files cannot be written.
    """
    wanted = frozenset(formats)
    try:
        root.mkdir(mode=0o750, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".making-") as name:
            making = Path(name)
            report = _make(database, registry, request, making)
            folder = folder_of(root, report.scope.name, request)
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            files = tuple(_put(making / file, folder / file) for file in _chosen(wanted))
    except OSError as error:
        where = root if error.filename is None else error.filename
        raise StoreError(
            f"{where}: the report cannot be written: {error.strerror}; free space or mend its"
            " permissions"
        ) from error
    return Publication(folder, files, report)


def is_published(folder: Path, registry: Registry, as_of: datetime) -> bool:
    """Whether the folder holds the whole report that would be made again, byte for byte."""
    try:
        stated = orjson.loads((folder / MANIFEST).read_bytes())
        head = {"as_of", "generator", "rules", "files"}
        if not isinstance(stated, dict) or set(stated) != head:
            return False
        return stated == {
            **_head(registry, as_of),
            "files": {file: describe(folder / file).sha256 for file in (*CONTENTS, PAGE)},
        }
    except (OSError, orjson.JSONDecodeError):
        return False


def _make(
    database: Database, registry: Registry, request: ReportRequest, folder: Path
) -> QuarterReport:
    quarter = request.quarter
    with database.read() as session, Annexes(folder, request.as_of) as annexes:
        report = load_quarter(session, request, registry, annexes)
        drawn = find_drawn(session, request.anchor, quarter.start, quarter.end, as_of=request.as_of)
        described = annexes.finish(report, drawn)
    (folder / PAGE).write_text(
        render_html(report, described), encoding="utf-8", errors="backslashreplace", newline="\n"
    )
    files = {file: describe(folder / file).sha256 for file in (*CONTENTS, PAGE)}
    (folder / MANIFEST).write_bytes(
        orjson.dumps(
            {**_head(registry, request.as_of), "files": files},
            option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
        )
    )
    return report


def _head(registry: Registry, as_of: datetime) -> dict[str, str]:
    return {
        "as_of": format_instant(as_of),
        "generator": f"subca-oversight {__version__}",
        "rules": registry.digest,
    }


def _chosen(wanted: frozenset[Format]) -> list[str]:
    """The files of the wanted formats; manifest and page last."""
    chosen = [
        file
        for file in CONTENTS
        if (Format.JSON if file.endswith(".json") else Format.CSV) in wanted
    ]
    return [*chosen, MANIFEST, PAGE] if Format.HTML in wanted else [*chosen, MANIFEST]


def _put(source: Path, target: Path) -> Path:
    """Flush a file to the disk and rename it into place."""
    with source.open("rb") as file:
        os.fsync(file.fileno())
    source.replace(target)
    return target
