"""What root programs ask of the SCTs in a certificate, as dated tables.

A certificate that falls short is not misissued: it fails to validate in that program's clients,
which its subscriber learns from a dead site. Programs judge when a client meets the certificate,
so the rules and log states are those of that instant. ``reference/ct.md`` 2.6 names the sources;
lifetimes are counted in days of 86,400 s with both ends inclusive, any excess being another day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from subca_oversight.model.log import LogState
from subca_oversight.model.sct import (
    CLOCK_SKEW,
    LogListing,
    RootProgram,
    SctAudit,
    SctStanding,
    SctVerdict,
)

SHORT_DAYS = 180
"""Up to this lifetime fewer SCTs do; a certificate of 181 to 200 days is a long one."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class SctPolicy:
    """One program's rule for embedded SCTs, in force from ``since`` until ``until``."""

    program: RootProgram
    since: datetime
    until: datetime | None
    short: int
    """SCTs from distinct logs up to ``SHORT_DAYS``."""
    long: int
    """SCTs from distinct logs beyond."""
    operators: int
    """Distinct operators among them."""
    per_operator: tuple[int, int] | None
    """How many SCTs of one operator count, short and long; None: all."""
    rfc6962_until: datetime | None
    """Until when one of them must be from a log of the RFC 6962 API; None: without end."""
    citation: str


POLICIES = (
    SctPolicy(
        RootProgram.CHROME,
        since=datetime(2022, 4, 15, tzinfo=UTC),
        until=None,
        short=2,
        long=3,
        operators=2,
        per_operator=None,
        rfc6962_until=datetime(2026, 4, 15, tzinfo=UTC),
        citation="Chrome CT Policy, embedded SCTs",
    ),
    SctPolicy(
        RootProgram.APPLE,
        since=datetime(2021, 4, 21, tzinfo=UTC),
        until=None,
        short=2,
        long=3,
        operators=1,
        per_operator=(1, 2),
        rfc6962_until=None,  # the page is undated: this row goes when Apple says so
        citation="Apple CT policy, support.apple.com/103214",
    ),
    SctPolicy(
        RootProgram.MOZILLA,
        since=datetime(2025, 2, 4, tzinfo=UTC),  # Firefox 135, the first to enforce it
        until=None,
        short=2,
        long=3,
        operators=2,
        per_operator=None,
        rfc6962_until=datetime(2026, 2, 10, tzinfo=UTC),
        citation="Mozilla CT Policy, wiki.mozilla.org/SecurityEngineering/Certificate_Transparency",
    ),
)


@dataclass(frozen=True, slots=True)
class PolicyJudgment:
    """One policy's word on the SCTs of a certificate."""

    policy: SctPolicy
    shortfalls: tuple[str, ...]
    """What is missing for certain; empty where nothing is, or where it cannot be told."""
    unknown: tuple[str, ...]
    """Log ids of the SCTs on which it depends, of logs that no list tells anything of."""
    rests_on_qualified: bool
    """Satisfied, but only with a log that is not usable yet: older clients do not know it."""


@dataclass(frozen=True, slots=True)
class _Counted:
    """A log whose SCT counts."""

    operator: str
    is_rfc6962: bool
    is_approved: bool
    """Approved at the time of check, not merely once."""
    is_qualified: bool = False


def lifetime_days(not_before: datetime, not_after: datetime) -> int:
    """Lifetime in begun days, the last second included."""
    return -((not_before - not_after - timedelta(seconds=1)) // _DAY)


def policies_at(moment: datetime) -> tuple[SctPolicy, ...]:
    """The policies in force at an instant, one a program."""
    return tuple(
        policy
        for policy in POLICIES
        if policy.since <= moment and (policy.until is None or moment < policy.until)
    )


def judge_scts(audit: SctAudit, *, days: int) -> tuple[PolicyJudgment, ...]:
    """Judge the SCTs of a certificate of that lifetime by every policy in force at ``as_of``."""
    return tuple(_judge(policy, audit, days) for policy in policies_at(audit.as_of))


def _judge(policy: SctPolicy, audit: SctAudit, days: int) -> PolicyJudgment:
    counted: dict[str, _Counted] = {}
    unknown: dict[str, _Counted] = {}
    for verdict in audit.verdicts:
        log = _count(verdict, policy.program, audit.as_of)
        if log is not None:
            counted.setdefault(verdict.log_id, log)
        elif _is_undecided(verdict, policy.program):
            # At its best it is another operator's usable log of the older API.
            stand_in = _Counted(verdict.log_id, is_rfc6962=True, is_approved=True)
            unknown.setdefault(verdict.log_id, stand_in)
    logs = tuple(counted.values())
    shortfalls = _shortfalls(policy, logs, days, audit.as_of)
    if len(shortfalls) > 0:
        at_best = _shortfalls(policy, (*logs, *unknown.values()), days, audit.as_of)
        if len(at_best) == 0:
            return PolicyJudgment(policy, (), tuple(unknown), False)
        if len(unknown) > 0:
            at_best = (*at_best, f"even with those of {len(unknown)} unknown logs")
        return PolicyJudgment(policy, at_best, (), False)
    settled = tuple(log for log in logs if not log.is_qualified)
    rests = len(_shortfalls(policy, settled, days, audit.as_of)) > 0
    return PolicyJudgment(policy, (), (), rests)


def _count(verdict: SctVerdict, program: RootProgram, as_of: datetime) -> _Counted | None:
    """The log of an SCT that counts for a program; None where it does not."""
    if verdict.standing is not SctStanding.VALID or verdict.log is None or verdict.log.is_test:
        return None
    if verdict.timestamp > as_of + CLOCK_SKEW:
        return None
    listing = verdict.log.find_listing(program)
    if listing is None or not _is_once_approved(listing, verdict.timestamp):
        return None
    is_retired = listing.state is LogState.RETIRED and not _is_ahead(listing, as_of)
    return _Counted(
        operator=listing.operator,
        is_rfc6962=verdict.log.is_rfc6962,
        is_approved=not is_retired,
        is_qualified=listing.state is LogState.QUALIFIED
        or (listing.state is LogState.USABLE and _is_ahead(listing, as_of)),
    )


def _is_once_approved(listing: LogListing, timestamp: datetime) -> bool:
    """Whether the program accepts an SCT of this log and instant, be it as of a retired log."""
    if listing.state is LogState.RETIRED:
        return listing.since is not None and timestamp < listing.since
    return listing.state in {LogState.QUALIFIED, LogState.USABLE, LogState.READONLY}


def _is_ahead(listing: LogListing, as_of: datetime) -> bool:
    """Whether the state has been announced and not come."""
    return listing.since is not None and listing.since > as_of


def _is_undecided(verdict: SctVerdict, program: RootProgram) -> bool:
    if verdict.standing is SctStanding.UNKNOWN_LOG:
        return True
    listing = None if verdict.log is None else verdict.log.find_listing(program)
    is_stateless = listing is not None and listing.state is LogState.UNKNOWN
    return verdict.standing is SctStanding.VALID and is_stateless


def _shortfalls(
    policy: SctPolicy, logs: Sequence[_Counted], days: int, as_of: datetime
) -> tuple[str, ...]:
    is_long = days > SHORT_DAYS
    needed = policy.long if is_long else policy.short
    operators = Counter(log.operator for log in logs)
    number = len(logs)
    note = ""
    if policy.per_operator is not None:
        most = policy.per_operator[is_long]
        number = sum(min(count, most) for count in operators.values())
        note = f", of one operator's no more than {most}"
    if number == 0:
        return (f"SCTs of {needed} logs are needed, none counts",)
    found: list[str] = []
    if number < needed:
        found.append(f"SCTs of {needed} logs are needed, {number} count{note}")
    if len(operators) < policy.operators:
        found.append(f"{policy.operators} operators are needed, {len(operators)} count")
    if not any(log.is_approved for log in logs):
        found.append("none is of a log approved now")
    is_rfc6962_due = policy.rfc6962_until is None or as_of < policy.rfc6962_until
    if is_rfc6962_due and not any(log.is_rfc6962 for log in logs):
        found.append("none is of a log of the RFC 6962 API")
    return tuple(found)
