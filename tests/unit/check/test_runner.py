from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from subca_oversight.check import (
    AuthorityFacts,
    Breach,
    CannotJudge,
    CertificateFacts,
    CertificateKind,
    Check,
    CheckOutcome,
    EvidenceItem,
    Outcome,
    Relation,
    Revocation,
    Severity,
    SubjectKind,
    UnitFacts,
)
from subca_oversight.check.dispatch import IN_FLIGHT, run_chunk
from subca_oversight.check.registry import Registry, load_registry, make_registry
from subca_oversight.check.runner import run_checks, run_subject, run_unit, unit_of
from subca_oversight.errors import CheckError

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def make_check(
    look: Callable[[Any], Any],
    *,
    check_id: str = "rule",
    subject: type[Any] = CertificateFacts,
    severity: Severity = Severity.VIOLATION,
) -> Check:
    return Check(
        id=check_id,
        subject=subject,
        severity=severity,
        requirement="a clause",
        revocation=Revocation.NONE,
        covers=(),
        version=1,
        title="A rule",
        documentation="A rule.",
        function=look,
    )


def certificate(name: str, kind: CertificateKind = CertificateKind.FINAL) -> CertificateFacts:
    der = name.encode()
    return CertificateFacts(der=der, sha256=hashlib.sha256(der).hexdigest(), kind=kind)


PRECERTIFICATE = certificate("precertificate", CertificateKind.PRECERTIFICATE)
FINAL = certificate("final")
UNIT = UnitFacts(
    unit_id="ab" * 32,
    issuer_key_sha256=None,
    serial_hex="01",
    precertificates=(PRECERTIFICATE,),
    finals=(FINAL,),
    first_logged=NOW,
)


def judge(look: Callable[[Any], Any], **options: Any) -> CheckOutcome:  # noqa: ANN401
    (outcome,) = run_unit(make_registry([make_check(look, **options)]), UNIT)
    return outcome


def clear(_: object) -> Iterator[Breach]:
    yield from ()


def test_silence_is_clear() -> None:
    outcome = judge(clear)
    assert (outcome.outcome, outcome.breaches, outcome.reason) == (Outcome.CLEAR, (), "")
    assert (outcome.subject_kind, outcome.subject) == (SubjectKind.UNIT, UNIT.unit_id)


def stop_early(_: object) -> Iterator[Breach]:
    raise CannotJudge("notAfter is not known")


def crash(_: object) -> Iterator[Breach]:
    raise ZeroDivisionError("division by zero")


def leave(_: object) -> Iterator[Breach]:
    raise SystemExit(1)


def recurse(subject: object) -> Iterator[Breach]:
    return recurse(subject)


def no_generator(_: object) -> None:
    return None


def wrong_kind(_: object) -> Iterator[str]:
    yield "broken"


@pytest.mark.parametrize(
    ("look", "reason"),
    [
        (stop_early, "notAfter is not known"),
        (crash, "ZeroDivisionError: division by zero"),
        (leave, "SystemExit: 1"),
        (recurse, "RecursionError"),
        (no_generator, "TypeError"),
        (wrong_kind, "yielded str instead of a breach"),
    ],
)
@pytest.mark.parametrize("subject", [CertificateFacts, UnitFacts])
def test_whatever_a_check_does_wrong_it_could_not_run(
    look: Callable[[Any], Any], reason: str, subject: type[Any]
) -> None:
    outcome = judge(look, subject=subject)
    assert outcome.outcome is Outcome.COULD_NOT_RUN
    assert reason in outcome.reason


def test_a_breach_found_before_the_check_failed_is_kept_as_incomplete() -> None:
    def look(_: object) -> Iterator[Breach]:
        yield Breach("one thing")
        raise CannotJudge("the other cannot be read")

    outcome = judge(look, subject=UnitFacts)
    assert outcome.outcome is Outcome.BREACH
    assert [breach.message for breach in outcome.breaches] == ["one thing"]
    assert outcome.reason == "the other cannot be read"


def test_equal_breaches_of_a_pair_are_one_with_the_evidence_of_both() -> None:
    def look(_: CertificateFacts) -> Iterator[Breach]:
        yield Breach("too long")

    outcome = judge(look)
    assert [breach.message for breach in outcome.breaches] == ["too long"]
    assert outcome.breaches[0].evidence == (
        EvidenceItem("certificate", PRECERTIFICATE.sha256, "precertificate"),
        EvidenceItem("certificate", FINAL.sha256, "final"),
    )
    assert outcome.certificate is None


def test_a_breach_of_one_of_a_pair_names_it() -> None:
    def look(subject: CertificateFacts) -> Iterator[Breach]:
        if subject is FINAL:
            yield Breach("only here")

    outcome = judge(look)
    assert outcome.outcome is Outcome.BREACH
    assert outcome.certificate == FINAL.sha256
    assert outcome.breaches[0].evidence == (EvidenceItem("certificate", FINAL.sha256, "final"),)


def test_different_messages_of_a_pair_are_both_told() -> None:
    def look(subject: CertificateFacts) -> Iterator[Breach]:
        yield Breach(f"in the {subject.kind}")

    assert judge(look).breaches[0].message == "in the precertificate; in the final"


def test_of_two_severities_of_one_key_the_worse_stands() -> None:
    def look(subject: CertificateFacts) -> Iterator[Breach]:
        if subject is PRECERTIFICATE:
            yield Breach("perhaps", severity=Severity.NOTICE)
        else:
            yield Breach("surely")

    (breach,) = judge(look, severity=Severity.VIOLATION).breaches
    assert (breach.message, breach.severity) == ("surely", None)


def test_breaches_of_different_keys_stay_apart_and_in_order() -> None:
    def look(_: CertificateFacts) -> Iterator[Breach]:
        yield Breach("second", key="b")
        yield Breach("first", key="a")

    assert [breach.key for breach in judge(look).breaches] == ["a", "b"]


def test_half_a_pair_that_could_not_be_judged_is_never_clear() -> None:
    def look(subject: CertificateFacts) -> Iterator[Breach]:
        if subject is FINAL:
            raise CannotJudge("unreadable")
        yield from ()

    outcome = judge(look)
    assert outcome.outcome is Outcome.COULD_NOT_RUN
    assert outcome.certificate == FINAL.sha256


def test_a_unit_without_certificates_is_never_clear() -> None:
    empty = UnitFacts("cd" * 32, None, None, (), (), None)
    (outcome,) = run_unit(make_registry([make_check(clear)]), empty)
    assert outcome.outcome is Outcome.COULD_NOT_RUN


def test_evidence_that_a_check_gives_is_left_alone() -> None:
    given = EvidenceItem("document", "x")

    def look(_: UnitFacts) -> Iterator[Breach]:
        yield Breach("wrong", evidence=(given,))

    assert judge(look, subject=UnitFacts).breaches[0].evidence == (given,)


def test_the_checks_of_certificates_look_at_a_subordinates_own_certificate_too() -> None:
    registry = make_registry(
        [
            make_check(clear, check_id="b-certificate"),
            make_check(clear, check_id="a-authority", subject=AuthorityFacts),
            make_check(clear, check_id="c-unit", subject=UnitFacts),
        ]
    )
    subject = AuthorityFacts("ef" * 32, "name", Relation.CROSS_SIGNED, FINAL, NOW)
    outcomes = run_subject(registry, subject)
    assert [outcome.check for outcome in outcomes] == ["a-authority", "b-certificate"]
    assert {(o.subject_kind, o.subject) for o in outcomes} == {
        (SubjectKind.AUTHORITY, FINAL.sha256)
    }


def test_a_certificate_that_stands_alone_is_a_unit_by_key_and_serial() -> None:
    alone = CertificateFacts(
        der=b"",
        sha256="11" * 32,
        kind=CertificateKind.PRECERTIFICATE,
        issuer_key_sha256="22" * 32,
        serial=b"\x00\x80",
    )
    unit = unit_of(alone)
    assert unit.unit_id == hashlib.sha256(b"\x22" * 32 + b"\x00\x80").hexdigest()
    assert unit.precertificates == (alone,)
    assert unit_of(FINAL).unit_id == FINAL.sha256


# Across processes. Only shipped and site checks can be run there.

POISON = '''"""Kill the process for one certificate."""

import os
from collections.abc import Iterator

from subca_oversight.check import Breach, CertificateFacts, Severity, check


@check(id="poison", severity=Severity.NOTICE, requirement="none")
def poison(certificate: CertificateFacts) -> Iterator[Breach]:
    if certificate.der == b"poison":
        os._exit(3)
    yield from ()
'''


def chunk_of(count: int) -> list[CertificateFacts]:
    return [certificate(f"certificate {number}") for number in range(count)]


def inline(registry: Registry, subjects: list[CertificateFacts]) -> list[CheckOutcome]:
    return [outcome for subject in subjects for outcome in run_subject(registry, subject)]


def test_outcomes_come_in_the_order_of_the_subjects_whatever_the_executor() -> None:
    registry = load_registry()
    subjects = chunk_of(25)
    expected = inline(registry, subjects)
    assert list(run_checks(registry, subjects, executor=None)) == expected
    with ThreadPoolExecutor(3) as executor:
        assert list(run_checks(registry, subjects, executor=executor, chunk=4)) == expected


def test_part_of_the_register_is_all_that_is_run() -> None:
    registry = make_registry([load_registry().checks["key-size"]])
    with ThreadPoolExecutor(1) as executor:
        outcomes = list(run_checks(registry, chunk_of(3), executor=executor))
    assert [outcome.check for outcome in outcomes] == ["key-size"] * 3


def test_a_subject_that_kills_its_process_is_found_and_costs_no_other(tmp_path: Path) -> None:
    (tmp_path / "certificate").mkdir()
    (tmp_path / "certificate" / "poison.py").write_text(POISON)
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(path.stat().st_mode & 0o755)
    everything = load_registry(tmp_path)
    registry = make_registry([everything.checks["poison"], everything.checks["key-size"]], tmp_path)
    subjects = [*chunk_of(3), certificate("poison"), *chunk_of(2)]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        outcomes = list(run_checks(registry, subjects, executor=executor, chunk=2))
    assert [(o.subject, o.check) for o in outcomes] == [
        (subject.sha256, check) for subject in subjects for check in ("key-size", "poison")
    ]
    of_poison = [outcome for outcome in outcomes if outcome.subject == subjects[3].sha256]
    assert all("died" in outcome.reason for outcome in of_poison)
    assert all(outcome.outcome is Outcome.COULD_NOT_RUN for outcome in of_poison)
    others = [o for o in outcomes if o.check == "poison" and o.subject != subjects[3].sha256]
    assert {outcome.outcome for outcome in others} == {Outcome.CLEAR}


class Eager(Executor):
    """Runs, or fails, at once; remembers what it was given."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.sizes: list[int] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401
        self.sizes.append(len(args[-1]))
        future: Future[Any] = Future()
        if self.error is None:
            future.set_result(fn(*args, **kwargs))
        else:
            future.set_exception(self.error)
        return future


def test_a_stream_is_drawn_only_as_far_as_it_is_worked_on() -> None:
    drawn = 0

    def stream() -> Iterator[CertificateFacts]:
        nonlocal drawn
        while True:
            drawn += 1
            yield FINAL

    outcomes = run_checks(load_registry(), stream(), executor=Eager(), chunk=3)
    next(outcomes)
    assert drawn == IN_FLIGHT * 3
    outcomes.close()  # type: ignore[attr-defined] # a generator, as its name says


def test_a_worker_with_other_checks_is_refused_not_trusted() -> None:
    registry = load_registry()
    with pytest.raises(CheckError, match="other versions of the checks"):
        run_chunk(None, "00", tuple(registry.checks), [FINAL])
    with pytest.raises(CheckError, match="knows no check 'unheard-of'"):
        run_chunk(None, registry.digest, ("unheard-of",), [FINAL])


def test_the_outcomes_of_a_refused_worker_say_why() -> None:
    registry = make_registry([make_check(clear, check_id="unheard-of")])
    with ThreadPoolExecutor(1) as executor:
        outcomes = list(run_checks(registry, chunk_of(2), executor=executor))
    assert [outcome.outcome for outcome in outcomes] == [Outcome.COULD_NOT_RUN] * 2
    assert {outcome.reason for outcome in outcomes} == {
        "a worker knows no check 'unheard-of': install the same everywhere"
    }


def test_a_worker_lost_under_another_name_is_made_good() -> None:
    registry = make_registry([load_registry().checks["key-size"]])
    executor = Eager(RuntimeError("KilledWorker"))
    outcomes = list(run_checks(registry, chunk_of(2), executor=executor))
    assert executor.sizes == [2]
    assert outcomes == inline(registry, chunk_of(2))
