"""The executive page: one light for each area with the number behind it, and the decision asked.

A light is never green where nobody looked: what was not observed is "not known". The machine
proposes; it never asks for more than people can decide (DESIGN section 2, principle 8).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from subca_oversight.model.audit import AuditState
from subca_oversight.model.finding import Severity
from subca_oversight.reports.audit_section import AuditSection
from subca_oversight.reports.documents import DocumentEntry
from subca_oversight.reports.finding_section import FindingSection
from subca_oversight.reports.samples import SampleSection
from subca_oversight.reports.scope import Scope
from subca_oversight.reports.unseen import Unseen

_EXPIRY_ATTENTION_DAYS = 366
_EXPIRY_ACTION_DAYS = 90


class Light(StrEnum):
    """How an area stands."""

    ORDER = "in order"
    ATTENTION = "attention"
    ACTION = "action"
    UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Area:
    """One area of oversight."""

    name: str
    light: Light
    number: str
    """The figure behind the light."""
    text: str
    """What the figure counts."""
    section: str
    """Id of the section with the details."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The executive page."""

    areas: tuple[Area, ...]
    decisions: tuple[str, ...]
    """What is asked of the signing CA; empty where nothing is."""


def summarize(
    scope: Scope,
    unseen: Unseen,
    findings: FindingSection,
    samples: SampleSection,
    audits: AuditSection,
    documents: tuple[DocumentEntry, ...],
) -> Summary:
    """The lights, in the order of the report, and the decisions that follow from them."""
    areas = (
        _visibility(unseen),
        _violations(findings, unseen),
        _deadlines(findings),
        _sample(samples),
        _audits(audits, unseen),
        _documents(documents, unseen),
        _expiry(scope),
    )
    return Summary(areas, tuple(_decisions(unseen, findings, samples, audits, documents)))


def _visibility(unseen: Unseen) -> Area:
    name, section = "What could be seen", "unseen"
    seen = unseen.observation
    if seen is None or len(seen.logs) == 0:
        text = "no observation was stored by this instant" if seen is None else "logs are monitored"
        return Area(name, Light.UNKNOWN, "–" if seen is None else "0", text, section)  # noqa: RUF001 - a dash for no number
    complete = len(seen.logs) - unseen.incomplete_logs
    text = f"of {len(seen.logs)} logs read to their head"
    if unseen.quarantined > 0:
        text += f"; {unseen.quarantined} in quarantine"
    if unseen.not_looked_at > 0:
        text += f"; {_plural(unseen.not_looked_at, 'judgment')} missing"
    if unseen.unconfirmed_total > 0:
        text += f"; {unseen.unconfirmed_total:,} unconfirmed"
    light = Light.ORDER
    if unseen.quarantined > 0 or complete == 0:
        light = Light.ACTION
    elif complete < len(seen.logs) or unseen.not_looked_at > 0 or unseen.unconfirmed_total > 0:
        light = Light.ATTENTION
    return Area(name, light, f"{complete}", text, section)


def _violations(findings: FindingSection, unseen: Unseen) -> Area:
    totals = findings.of(Severity.VIOLATION)
    text = f"open violations; {totals.new} new, {totals.closed} closed in the period"
    light = Light.ACTION if totals.open > 0 else Light.ORDER
    if totals.open == 0 and unseen.observation is None:
        light, text = Light.UNKNOWN, f"{text}; how much was looked at is not known"
    return Area("Violations", light, f"{totals.open:,}", text, "findings")


def _deadlines(findings: FindingSection) -> Area:
    totals = findings.of(Severity.VIOLATION)
    light = Light.ACTION if totals.overdue > 0 else Light.ORDER
    if totals.overdue == 0 and totals.open > 0:
        light = Light.ATTENTION
    text = f"of {totals.open:,} open violations past their deadline"
    return Area("Deadlines", light, f"{totals.overdue:,}", text, "actions")


def _sample(samples: SampleSection) -> Area:
    drawn = sum(draw.drawn for draw in samples.draws)
    population = sum(draw.population for draw in samples.draws)
    basis = "BR 8.7 duty" if samples.is_duty else "product default"
    light = Light.ORDER if len(samples.draws) > 0 else Light.ATTENTION
    if samples.is_late:
        light = Light.ACTION if samples.is_duty else Light.ATTENTION
    if any(len(draw.problem) > 0 for draw in samples.draws):
        light = Light.ACTION
    text = f"of {population:,} units drawn in {len(samples.draws)} samples ({basis})"
    if len(samples.draws) == 1:
        text = f"of {population:,} units drawn ({basis})"
    if len(samples.draws) == 0:
        was = "it was" if samples.is_late else "next"
        text = f"samples in the period ({basis}); {was} due {samples.next_due}"
    return Area("Sample", light, f"{drawn:,}", text, "sample")


def _audits(audits: AuditSection, unseen: Unseen) -> Area:
    total = len(audits.entries)
    if total == 0:
        text = "no CCADB export was imported"
        if unseen.ccadb_imported_at is not None:
            text = "CA certificates are in the CCADB export"
        number = "–" if unseen.ccadb_imported_at is None else "0"  # noqa: RUF001 - a dash for no number
        return Area("Audits", Light.UNKNOWN, number, text, "audits")
    current, exempt = audits.count(AuditState.CURRENT), audits.count(AuditState.EXEMPT)
    text = f"of {total} CA certificates with a current standard audit"
    if exempt > 0:
        text += f"; {exempt} need none"
    light = Light.ORDER
    if audits.overdue_types > 0:
        light = Light.ACTION
        text += f"; {_plural(audits.overdue_types, 'audit')} overdue"
    elif audits.count(AuditState.UNKNOWN) > 0:
        light = Light.UNKNOWN
        text += f"; {audits.count(AuditState.UNKNOWN)} not known"
    elif audits.count(AuditState.REPORT_DUE) > 0:
        light = Light.ATTENTION
    return Area("Audits", light, f"{current}", text, "audits")


def _documents(documents: tuple[DocumentEntry, ...], unseen: Unseen) -> Area:
    dated = [one for one in documents if one.updated is not None]
    if len(dated) == 0:
        text = "documents are dated in CCADB"
        number = "0"
        if unseen.ccadb_imported_at is None:
            number, text = "–", "no CCADB export was imported"  # noqa: RUF001 - a dash for no number
        return Area("CP and CPS", Light.UNKNOWN, number, text, "documents")
    stale = sum(one.stale for one in dated)
    light = Light.ACTION if stale > 0 else Light.ORDER
    text = f"of {len(dated)} dated entries older than 366 days"
    return Area("CP and CPS", light, f"{stale}", text, "documents")


def _expiry(scope: Scope) -> Area:
    name = "CA certificate"
    left = [one.days_left for one in scope.authorities if one.days_left is not None]
    living = [days for days in left if days >= 0]
    if len(left) == 0:
        return Area(name, Light.UNKNOWN, "–", "no CA certificate is at hand", "scope")  # noqa: RUF001 - a dash for no number
    if len(living) == 0:
        return Area(name, Light.ACTION, "0", "CA certificates are still valid", "scope")
    soonest = min(living)
    light = Light.ORDER
    if soonest < _EXPIRY_ATTENTION_DAYS:
        light = Light.ATTENTION if soonest >= _EXPIRY_ACTION_DAYS else Light.ACTION
    return Area(name, light, f"{soonest:,}", "days until the first of them expires", "scope")


def _decisions(
    unseen: Unseen,
    findings: FindingSection,
    samples: SampleSection,
    audits: AuditSection,
    documents: tuple[DocumentEntry, ...],
) -> Iterator[str]:
    totals = findings.of(Severity.VIOLATION)
    if totals.overdue > 0:
        yield (
            f"What follows for {_plural(totals.overdue, 'violation')} past the deadline: demand"
            " revocation from the operator, open an incident, or record why not."
        )
    waiting = totals.open - totals.overdue
    if waiting > 0:
        yield (
            f"Whether {_plural(waiting, 'open violation')} within the deadline"
            f" {'is' if waiting == 1 else 'are'} confirmed, disputed or not a violation."
        )
    if audits.overdue_types > 0:
        yield (
            f"What is asked of the operator for {_plural(audits.overdue_types, 'overdue audit')},"
            " and by when."
        )
    stale = sum(one.stale for one in documents)
    if stale > 0:
        yield f"By when the operator updates {_plural(stale, 'document')} older than 366 days."
    if samples.is_late:
        basis = "which BR 8.7 demands" if samples.is_duty else "by this product's default"
        yield f"When the quarterly sample is drawn, {basis}: it was due on {samples.next_due}."
    if unseen.quarantined > 0:
        yield (
            f"Whether the results suffice while {_plural(unseen.quarantined, 'log')}"
            f" {'is' if unseen.quarantined == 1 else 'are'} in quarantine."
        )
    if len(unseen.undisclosed) > 0:
        yield (
            f"Who discloses {_plural(len(unseen.undisclosed), 'CA certificate')} that the CCADB"
            " export does not hold."
        )


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
