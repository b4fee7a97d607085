from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from subca_oversight.check import AuthorityFacts, Outcome, Relation
from subca_oversight.check.registry import load_registry, make_registry
from subca_oversight.check.runner import run_subject
from subca_oversight.evidence.x509 import parse_certificate
from tests.checks.golden import encode_certificate, make_certificate

registry = cache(load_registry)
SOUND = encode_certificate(
    {"extensions": ["eku:1.3.6.1.5.5.7.3.1", "san:www.example.com", "sct:2026-06-01T00:30:00Z"]}
)
NOW = datetime(2026, 11, 24, tzinfo=UTC)


@settings(max_examples=150, deadline=None)
@given(
    edits=st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), max_size=6),
    end=st.integers(0, len(SOUND)) | st.just(len(SOUND)),
)
def test_every_check_has_an_outcome_whatever_the_octets_are(
    edits: list[tuple[int, int]], end: int
) -> None:
    octets = bytearray(SOUND)
    for at, value in edits:
        octets[at] = value
    facts = parse_certificate(bytes(octets[:end]))
    subjects = (facts, AuthorityFacts("0" * 64, "any", Relation.CROSS_SIGNED, facts, NOW))
    for subject in subjects:
        for outcome in run_subject(registry(), subject):
            assert (outcome.outcome is Outcome.BREACH) == (len(outcome.breaches) > 0)
            if outcome.outcome is Outcome.COULD_NOT_RUN:
                assert len(outcome.reason) > 0
            # A check that stumbles over hostile facts would say so by the name of an exception.
            assert not outcome.reason.startswith(
                ("TypeError", "AttributeError", "ValueError", "KeyError", "OverflowError")
            ), outcome


@given(seconds=st.integers(0, 500 * 86_400), offset=st.integers(0, 86_400))
def test_a_day_is_86400_seconds_and_any_excess_is_another(seconds: int, offset: int) -> None:
    """Against a count of whole days laid end to end from notBefore, notAfter inclusive."""
    not_before = datetime(2026, 6, 1, tzinfo=UTC) + timedelta(seconds=offset)
    facts = make_certificate(
        {
            "base": "tls-final",
            "not_before": not_before,
            "not_after": not_before + timedelta(seconds=seconds),
            "first_logged": not_before,
            "sct_timestamps": [],
        }
    )
    (outcome,) = run_subject(make_registry([registry().checks["validity-limit"]]), facts)
    seconds_of_200_days = 200 * 86_400
    is_longer = seconds + 1 > seconds_of_200_days
    assert (outcome.outcome is Outcome.BREACH) == is_longer
