"""Charts as geometry: where each bar, line and label stands; the templates draw them as SVG.

No chart library: two small pictures that print in black and white, repeat their numbers in a table
beside them, and are the same bytes every time. Units are those of the view box.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from subca_oversight.model.audit import AuditState
from subca_oversight.reports.audit_section import AuditEntry, AuditPeriod
from subca_oversight.reports.issuance import WeekCount
from subca_oversight.reports.text import shortened

WIDTH = 760
MAX_AUDIT_ROWS = 28
_TICKS = 4
_MARGIN = 10
_YEAR = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle with the class that gives it color and pattern, and its tooltip."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Label:
    """Text at a point."""

    x: float
    y: float
    text: str
    kind: str = "tick"


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    kind: str = "grid"


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    labels: tuple[Label, ...]


def weekly_chart(weeks: Sequence[WeekCount]) -> Chart:
    """Units per week, stacked by kind."""
    left, top, height = 52, 22, 250
    bottom = height - 34
    step, steps = _scale(max((week.total for week in weeks), default=0))
    limit = step * steps
    slot = (WIDTH - left - _MARGIN) / max(len(weeks), 1)
    boxes: list[Box] = []
    labels: list[Label] = []
    lines: list[Line] = []
    for tick in range(steps + 1):
        y = _round(bottom - (bottom - top) * tick / steps)
        lines.append(Line(left, y, WIDTH - _MARGIN, y, "axis" if tick == 0 else "grid"))
        labels.append(Label(left - 8, y + 4, f"{tick * step:,}", "tick end"))
    for number, week in enumerate(weeks):
        x = _round(left + slot * number + slot * 0.16)
        width = _round(slot * 0.68)
        base = float(bottom)
        for count, kind, words in (
            (week.pairs, "pair", "as a pair"),
            (week.precertificates, "precertificate", "as a precertificate alone"),
            (week.finals, "final", "as a final certificate alone"),
        ):
            if count == 0:
                continue
            tall = (bottom - top) * count / limit
            title = f"week of {week.week}: {count:,} {words}"
            boxes.append(Box(x, _round(base - tall), width, _round(tall), kind, title))
            base -= tall
        middle = _round(x + width / 2)
        labels.append(Label(middle, bottom + 16, f"{week.week:%m-%d}", "tick middle"))
        if week.total > 0:
            labels.append(Label(middle, _round(base - 5), f"{week.total:,}", "value middle"))
    return Chart(WIDTH, height, tuple(boxes), tuple(lines), tuple(labels))


def audit_chart(entries: Iterable[AuditEntry], today: date) -> Chart | None:
    """Audit periods on a time line with today, the next statement's day, and what is not covered.

    None where no audit has dates that can be drawn.
    """
    groups: list[tuple[AuditEntry, list[AuditPeriod]]] = []
    drawn = 0
    for entry in entries:
        periods = [one for one in entry.periods if one.end is not None and one.due is not None]
        periods = periods[: MAX_AUDIT_ROWS - drawn]
        if len(periods) > 0:
            groups.append((entry, periods))
            drawn += len(periods)
    if drawn == 0:
        return None
    first, last = _span([one for _, periods in groups for one in periods], today)
    left, row, top = 150, 24, 34
    height = top + row * (drawn + len(groups)) + 22
    total = (last - first).days

    def at(day: date) -> float:
        inside = min(max(day, first), last)
        return _round(left + (WIDTH - left - _MARGIN) * (inside - first).days / total)

    boxes: list[Box] = []
    lines: list[Line] = []
    labels: list[Label] = []
    for year in range(first.year, last.year + 1):
        for month in (1, 7):
            day = date(year, month, 1)
            if first <= day <= last:
                lines.append(Line(at(day), top - 8, at(day), height - 20))
                labels.append(Label(at(day), top - 14, f"{day:%Y-%m}", "tick middle"))
    y = float(top)
    for entry, periods in groups:
        is_exempt = entry.freshness.state is AuditState.EXEMPT
        name = shortened(entry.freshness.certificate_name, 80) + (" (exempt)" if is_exempt else "")
        labels.append(Label(_MARGIN, y + 15, name, "group"))
        y += row
        for period in periods:
            labels.append(Label(left - 8, y + 15, period.type, "tick end"))
            drawings = list(_audit_boxes(period, today, y + 4, row - 8, at))
            boxes += drawings[:1] if is_exempt else drawings
            y += row
    lines.append(Line(at(today), top - 8, at(today), height - 16, "today"))
    labels.append(Label(at(today), height - 4, f"as of {today}", "today-label middle"))
    return Chart(WIDTH, height + 4, tuple(boxes), tuple(lines), tuple(labels))


def _audit_boxes(
    period: AuditPeriod, today: date, y: float, height: float, at: Callable[[date], float]
) -> Iterable[Box]:
    if period.end is None or period.next_end is None or period.due is None:
        return
    start = period.end if period.start is None else min(period.start, period.end)
    covered = f"{period.type}: audited {start} to {period.end}"
    width = max(_round(at(period.end) - at(start)), 3.0)
    yield Box(at(start), y, width, height, "audited", covered)
    yield Box(
        at(period.end),
        y,
        _round(at(period.next_end) - at(period.end)),
        height,
        "next",
        f"next period, to {period.next_end} at the latest",
    )
    yield Box(
        at(period.next_end),
        y,
        _round(at(period.due) - at(period.next_end)),
        height,
        "grace",
        f"92 days for the statement, due {period.due}",
    )
    if period.state is AuditState.OVERDUE and today > period.due:
        late = _round(at(today) - at(period.due))
        yield Box(at(period.due), y, late, height, "late", f"overdue since {period.due}")


def _span(periods: Sequence[AuditPeriod], today: date) -> tuple[date, date]:
    """What the time line shows: every period, but no more than four years back and two ahead."""
    starts = [one.start for one in periods if one.start is not None]
    ends = [one.due for one in periods if one.due is not None]
    first = max(min([*starts, today]), today - 4 * _YEAR)
    last = min(max([*ends, today]), today + 2 * _YEAR)
    margin = timedelta(days=20)
    return first - margin, last + margin


def _scale(largest: int) -> tuple[int, int]:
    """(step, number of steps) of an axis from zero that holds ``largest`` in round numbers."""
    step = 1
    while step * _TICKS < largest:
        digits = str(step)
        step = step * 5 // 2 if digits[0] == "2" else step * 2
    return step, max(1, -(-largest // step))


def _round(value: float) -> float:
    return round(value, 1)
