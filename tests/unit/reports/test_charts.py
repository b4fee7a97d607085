"""Charts stay inside their frame and show what the table shows, whatever the dates."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.clocks.calendar import next_period_end, report_due
from subca_oversight.model.audit import AuditFreshness, AuditState
from subca_oversight.reports.audit_section import AuditEntry, AuditPeriod
from subca_oversight.reports.charts import Chart, audit_chart, weekly_chart
from subca_oversight.reports.issuance import WeekCount

TODAY = date(2026, 10, 5)
COUNTS = st.integers(0, 10**7)


def entry(*periods: AuditPeriod, state: AuditState = AuditState.CURRENT) -> AuditEntry:
    freshness = AuditFreshness(
        sha256="ab" * 32,
        ca_owner="Root",
        subordinate_ca_owner="Acme",
        certificate_name="Acme CA",
        external=True,
        state=state,
        exempt_reason=None,
        inherited_from=None,
        next_end=None,
        due=None,
        days_left=None,
        days_overdue=None,
    )
    return AuditEntry(freshness, periods)


def period(start: date, end: date, state: AuditState = AuditState.CURRENT) -> AuditPeriod:
    return AuditPeriod("Standard", start, end, end, 0, next_period_end(end), report_due(end), state)


def assert_inside(chart: Chart) -> None:
    for box in chart.boxes:
        assert box.x >= 0
        assert box.y >= 0
        assert box.width >= 0
        assert box.height >= 0
        assert box.x + box.width <= chart.width
        assert box.y + box.height <= chart.height


@given(st.lists(st.tuples(COUNTS, COUNTS, COUNTS), min_size=1, max_size=15))
def test_weekly_bars_are_as_tall_as_their_numbers(counts: list[tuple[int, int, int]]) -> None:
    weeks = [
        WeekCount(TODAY + timedelta(weeks=number), *count, sum(count))
        for number, count in enumerate(counts)
    ]
    chart = weekly_chart(weeks)
    assert_inside(chart)
    assert len(chart.boxes) == sum(part > 0 for count in counts for part in count)
    tallest = max(sum(count) for count in counts)
    drawn = [
        sum(box.height for box in chart.boxes if f"week of {week.week}:" in box.title)
        for week in weeks
    ]
    if tallest > 0:
        scale = max(drawn) / tallest
        for week, height in zip(weeks, drawn, strict=True):
            assert abs(height - week.total * scale) < 1


DATES = st.dates(date(1, 1, 2), date(9990, 1, 1))


@given(st.lists(st.tuples(DATES, DATES), min_size=1, max_size=40), DATES)
def test_audit_bars_stay_inside_for_any_dates(pairs: list[tuple[date, date]], today: date) -> None:
    today = min(max(today, date(10, 1, 1)), date(9980, 1, 1))
    chart = audit_chart([entry(*(period(*pair) for pair in pairs))], today)
    assert chart is not None
    assert_inside(chart)


def test_an_overdue_audit_shows_its_gap_up_to_the_day_of_the_report() -> None:
    late = period(date(2024, 7, 1), date(2025, 6, 30), AuditState.OVERDUE)
    chart = audit_chart([entry(late)], TODAY)
    assert chart is not None
    (gap,) = [box for box in chart.boxes if box.kind == "late"]
    (today,) = [line for line in chart.lines if line.kind == "today"]
    assert abs(gap.x + gap.width - today.x1) < 0.2


def test_an_exempt_certificate_owes_nothing() -> None:
    old = period(date(2024, 7, 1), date(2025, 6, 30), AuditState.EXEMPT)
    chart = audit_chart([entry(old, state=AuditState.EXEMPT)], TODAY)
    assert chart is not None
    assert [box.kind for box in chart.boxes] == ["audited"]


def test_without_dates_there_is_no_chart() -> None:
    bare = AuditPeriod("Standard", None, None, None, None, None, None, AuditState.UNKNOWN)
    assert audit_chart([entry(bare), entry()], TODAY) is None
