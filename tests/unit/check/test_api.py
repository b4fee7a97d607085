from __future__ import annotations

from collections.abc import Iterator

import pytest

from subca_oversight.check import (
    Breach,
    CannotJudge,
    CertificateFacts,
    Revocation,
    Severity,
    UnitFacts,
    check,
    known,
)


def test_a_check_carries_what_the_register_prints() -> None:
    @check(
        id="some-rule",
        severity=Severity.VIOLATION,
        requirement="TLS BR 1.1",
        revocation="5d",
        covers=("C99",),
        version=3,
    )
    def some_rule(unit: UnitFacts) -> Iterator[Breach]:
        """Say one thing.

        And why.
        """
        yield from ()

    assert (some_rule.id, some_rule.version, some_rule.covers) == ("some-rule", 3, ("C99",))
    assert some_rule.subject is UnitFacts
    assert some_rule.revocation is Revocation.DAYS_5
    assert some_rule.title == "Say one thing"
    assert some_rule.documentation == "Say one thing.\n\nAnd why."


def test_a_check_without_a_kind_of_subject_is_refused() -> None:
    def rule(subject: int) -> Iterator[Breach]:
        """Look at a number."""
        yield from ()

    with pytest.raises(TypeError, match="annotate its one parameter"):
        check(id="rule", severity=Severity.NOTICE, requirement="none")(rule)


def test_a_check_of_two_subjects_is_refused() -> None:
    def rule(one: UnitFacts, other: UnitFacts | None = None) -> Iterator[Breach]:
        """Look at two units."""
        yield from ()

    with pytest.raises(TypeError, match="annotate its one parameter"):
        check(id="rule", severity=Severity.NOTICE, requirement="none")(rule)


def test_a_check_that_explains_nothing_is_refused() -> None:
    def rule(certificate: CertificateFacts) -> Iterator[Breach]:
        yield from ()

    with pytest.raises(TypeError, match="no docstring"):
        check(id="rule", severity=Severity.NOTICE, requirement="none")(rule)


def test_an_unknown_revocation_class_is_refused() -> None:
    def rule(certificate: CertificateFacts) -> Iterator[Breach]:
        """Look at a certificate."""
        yield from ()

    with pytest.raises(ValueError, match="48h"):
        check(id="rule", severity=Severity.NOTICE, requirement="none", revocation="48h")(rule)


def test_a_missing_fact_is_named() -> None:
    assert known(0, "the number") == 0
    with pytest.raises(CannotJudge, match="notAfter is not known"):
        known(None, "notAfter")
