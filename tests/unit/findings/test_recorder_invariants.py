"""Whatever is judged in whatever order, and whoever decides in between, the record holds.

Random histories of outcomes and decisions run against a model that says in a few lines what the
recorder promises: no finding is lost or doubled, only a look closes, decisions stand, and every
change of state has its row in the trail.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlmodel import col, select

from subca_oversight.errors import ConfigurationError
from subca_oversight.findings.decisions import decide, expire_decisions
from subca_oversight.findings.lifecycle import PROGRAM, STEPS, Decision, Verb
from subca_oversight.findings.recorder import record_judgments
from subca_oversight.model.finding import FindingState, Severity
from subca_oversight.store.tables import (
    AlertEventRow,
    CheckFailureRow,
    FindingRow,
    FindingUnitRow,
    TransitionRow,
)
from tests.databases import sqlite_database
from tests.unit.findings.judging import NOW, breach, judged

UNITS = ("11" * 32, "22" * 32)
KEYS = ("", "k")
SEVERITIES = (Severity.VIOLATION, Severity.SHOULD)
Named = tuple[str, Severity]
named = st.sets(st.tuples(st.sampled_from(KEYS), st.sampled_from(SEVERITIES)), max_size=3)


@dataclass
class _Expected:
    state: FindingState = FindingState.OPEN
    units: set[str] = field(default_factory=set)
    reproduced: bool = True
    closed_by_person: bool = False
    expires: int = 0


class Recording(RuleBasedStateMachine):
    """One subordinate, one check, two units, two keys, two severities."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._opened = sqlite_database(Path(self._folder.name))
        self.database = self._opened.__enter__()
        self.hours = 0
        self.expected: dict[tuple[str, str], _Expected] = {}
        self.failed: set[str] = set()

    def teardown(self) -> None:
        self._opened.__exit__(None, None, None)
        self._folder.cleanup()

    @property
    def now(self):  # type: ignore[no-untyped-def]  # noqa: ANN201 - a datetime, as below
        return NOW + timedelta(hours=self.hours)

    @rule(unit=st.sampled_from(UNITS), found=named, partial=st.booleans(), again=st.booleans())
    def judge(self, unit: str, found: set[Named], partial: bool, again: bool) -> None:
        self.hours += 1
        judgment = judged(
            *(breach(severity, key=key) for key, severity in sorted(found)),
            unit=unit,
            reason="in part" if partial else "",
        )
        for _ in range(2 if again else 1):  # a crash after the commit runs the batch again
            with self.database.write() as session:
                record_judgments(session, [judgment], rule_version="v", now=self.now)
        touched = set()
        for key, severity in found:
            identity = (unit if severity is Severity.VIOLATION else "*", key)
            touched.add(identity)
            one = self.expected.setdefault(identity, _Expected())
            if one.state is FindingState.CLOSED and not one.closed_by_person:
                one.state = FindingState.OPEN
            one.units.add(unit)
            one.reproduced = True
        if partial:
            self.failed.add(unit)
            return
        self.failed.discard(unit)
        for identity, one in self.expected.items():
            if identity in touched or unit not in one.units:
                continue
            one.units.discard(unit)
            if len(one.units) == 0:
                if one.state in (FindingState.OPEN, FindingState.ACKNOWLEDGED):
                    one.state, one.closed_by_person = FindingState.CLOSED, False
                elif one.state is not FindingState.CLOSED:
                    one.reproduced = False

    @precondition(lambda self: len(self.expected) > 0)
    @rule(data=st.data(), verb=st.sampled_from(Verb))
    def decide_one(self, data: st.DataObject, verb: Verb) -> None:
        self.hours += 1
        subject, key = data.draw(st.sampled_from(sorted(self.expected)))
        one = self.expected[subject, key]
        expires = self.now + timedelta(hours=3)
        decision = Decision(verb, "analyst", "because", "head", "owner", expires)
        with self.database.write() as session:
            fingerprint = session.exec(
                select(FindingRow.fingerprint).where(
                    col(FindingRow.subject) == subject, col(FindingRow.key) == key
                )
            ).one()
            try:
                decide(session, fingerprint, decision, now=self.now)
            except ConfigurationError:
                assert one.state not in STEPS[verb].sources
                return
        assert one.state in STEPS[verb].sources
        one.state = STEPS[verb].target
        one.closed_by_person = one.state is FindingState.CLOSED
        one.expires = self.hours + 3

    @rule(hours=st.integers(0, 5))
    def wait(self, hours: int) -> None:
        self.hours += hours
        with self.database.write() as session:
            expire_decisions(session, now=self.now)
        for one in self.expected.values():
            if one.state is FindingState.RISK_ACCEPTED and one.expires <= self.hours:
                one.state = FindingState.OPEN if one.reproduced else FindingState.CLOSED
                one.closed_by_person = False

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        with self.database.read() as session:
            rows = session.exec(select(FindingRow)).all()
            touched = session.exec(
                select(FindingUnitRow).where(col(FindingUnitRow.gone_at).is_(None))
            ).all()
            failures = session.exec(select(CheckFailureRow)).all()
        assert {(row.subject, row.key): row.state for row in rows} == {
            identity: one.state for identity, one in self.expected.items()
        }
        assert len(rows) == len(self.expected)
        units: dict[str, set[str]] = {row.fingerprint: set() for row in rows}
        for touch in touched:
            units[touch.fingerprint].add(touch.unit_id)
        for row in rows:
            one = self.expected[row.subject, row.key]
            assert units[row.fingerprint] == one.units
            if row.state is not FindingState.CLOSED:
                assert row.reproduced == one.reproduced
        assert {row.subject for row in failures} == self.failed

    @invariant()
    def the_trail_is_a_chain_and_ends_where_the_finding_is(self) -> None:
        with self.database.read() as session:
            rows = session.exec(select(FindingRow)).all()
            steps = session.exec(select(TransitionRow).order_by(col(TransitionRow.id))).all()
        last: dict[str, str] = {}
        for step in steps:
            assert step.from_state == last.get(step.fingerprint, "")
            assert step.from_state != step.to_state
            last[step.fingerprint] = step.to_state
        assert last == {row.fingerprint: row.state for row in rows}

    @invariant()
    def every_opening_by_the_program_is_told_exactly_once(self) -> None:
        with self.database.read() as session:
            events = session.exec(select(AlertEventRow)).all()
            openings = session.exec(
                select(TransitionRow).where(
                    col(TransitionRow.to_state) == FindingState.OPEN,
                    col(TransitionRow.actor) == PROGRAM,
                )
            ).all()
        told = sorted(str(event.fingerprint) for event in events)
        assert told == sorted(opening.fingerprint for opening in openings)
        assert len({event.key for event in events}) == len(events)


Recording.TestCase.settings = settings(
    max_examples=25, stateful_step_count=20, suppress_health_check=list(HealthCheck)
)
TestRecording = Recording.TestCase
