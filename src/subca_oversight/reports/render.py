"""Rendering: the report as one self-contained HTML page.

Nothing is loaded and nothing runs: style is inline, there is no script, and a content security
policy forbids both. Every value is escaped by the templates and made visible here, whichever
template prints it (DESIGN section 10).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jinja2 import Environment, PackageLoader, StrictUndefined

from subca_oversight.clocks.calendar import utc_date
from subca_oversight.reports.charts import audit_chart, weekly_chart
from subca_oversight.reports.quarter import QuarterReport
from subca_oversight.reports.text import shortened, visible

_PIECE = re.compile(r"[^_.:]+[_.:]*|[_.:]+")
"""Where a long code may be broken: after the signs that join its words."""


@dataclass(frozen=True, slots=True)
class Annex:
    """A file that belongs to the report."""

    name: str
    sha256: str
    size: int
    content: str
    """What it holds, in a few words."""


def render_html(report: QuarterReport, annexes: tuple[Annex, ...]) -> str:
    """The page; the same report and annexes give the same text."""
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            annexes=annexes,
            weekly=weekly_chart(report.issuance.weeks),
            periods=audit_chart(
                (entry for entry in report.audits.entries), utc_date(report.cover.as_of)
            ),
        )
    )


def format_instant(instant: datetime) -> str:
    """RFC 3339 in UTC, with a fraction only where there is one: typed back, it is the same."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("subca_oversight.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters.update(
        instant=lambda value: "–" if value is None else format_instant(value),  # noqa: RUF001 - a dash for nothing
        minute=lambda value: "–" if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M}",  # noqa: RUF001 - the same
        day=lambda value: "–" if value is None else f"{value:%Y-%m-%d}",  # noqa: RUF001 - the same
        number=lambda value: "–" if value is None else f"{value:,}",  # noqa: RUF001 - the same
        words=lambda value: str(value).replace("_", " "),
        pieces=_PIECE.findall,
        plural=lambda count, one, many: f"{count:,} {one if count == 1 else many}",
        shortened=shortened,
        duration=_duration,
    )
    return environment


def _finalize(value: object) -> object:
    """Applied to every printed value: None is nothing, and text hides no character."""
    if value is None:
        return ""
    return visible(value) if type(value) is str else value


def _duration(value: timedelta | None) -> str:
    """Days and hours, or hours and minutes."""
    if value is None:
        return "–"  # noqa: RUF001 - a dash for nothing
    minutes = int(value.total_seconds()) // 60
    days, hours = minutes // 1440, minutes % 1440 // 60
    return f"{days} d {hours} h" if days > 0 else f"{hours} h {minutes % 60} min"
