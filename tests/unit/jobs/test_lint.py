"""Each linter sees each certificate once a version, and none speaks for another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlmodel import col, select

from subca_oversight.check.lint.api import LintOutcome, LintRequest, LintResult, ToolError
from subca_oversight.check.lint.linters import Linter, Linters
from subca_oversight.errors import CheckError
from subca_oversight.jobs import lint as lint_module
from subca_oversight.jobs.context import JobOutcome, JobState
from subca_oversight.jobs.lint import lint_all
from subca_oversight.model.finding import FindingState, Severity
from subca_oversight.settings import LintSettings
from subca_oversight.store.database import Database
from subca_oversight.store.tables import (
    CertificateRow,
    CheckFailureRow,
    FindingRow,
    LintResultRow,
    LintRunRow,
)
from tests.unit.evidence.issuing import Issuer, make_issuer
from tests.unit.jobs.contexts import run
from tests.unit.jobs.holdings import NOW, Holdings


class StubLinter:
    """Objects to every certificate, unless told to be content, to fail or to break."""

    def __init__(self, tool: str, version: str = "1") -> None:
        self.tool = tool
        self.version = version
        self.seen: list[str] = []
        self.objects = True
        self.error: str | None = None
        self.is_broken = False

    def lint(self, requests: Iterable[LintRequest]) -> Iterator[LintOutcome]:
        if self.is_broken:
            raise CheckError(f"{self.tool} is broken")
        for request in requests:
            self.seen.append(request.sha256)
            profile = str(request.profile)
            result = LintResult(
                tool=self.tool,
                tool_version=self.version,
                id="e_some thing",
                severity=Severity.VIOLATION,
                tool_severity="error",
                profile=profile,
                message="it is wrong",
                path="",
            )
            error = None
            if self.error is not None:
                error = ToolError(self.tool, self.version, profile, self.error)
            looked = self.objects and error is None
            yield LintOutcome(
                request.sha256, request.profile, (result,) if looked else (), error, ()
            )

    def ready(self) -> Linter:
        return Linter(self.tool, f"{self.tool} {self.version}", self.lint)


class Installation:
    """The linters that a run of the job finds."""

    def __init__(self, *stubs: StubLinter) -> None:
        self.stubs = list(stubs)
        self.problems: tuple[str, ...] = ()

    @contextmanager
    def open(self, settings: LintSettings) -> Iterator[Linters]:  # noqa: ARG002 - the interface
        yield Linters(tuple(stub.ready() for stub in self.stubs), self.problems)


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return make_issuer()


@pytest.fixture
def holdings(database: Database, issuer: Issuer, tmp_path: Path) -> Holdings:
    made = Holdings(database, issuer, tmp_path)
    made.register()
    return made


@pytest.fixture
def installation(monkeypatch: pytest.MonkeyPatch) -> Installation:
    made = Installation(StubLinter("pkilint"))
    monkeypatch.setattr(lint_module, "open_linters", made.open)
    return made


def lint(holdings: Holdings) -> JobOutcome:
    return run(lint_all, holdings.database, now=NOW)


def findings(holdings: Holdings) -> dict[str, FindingState]:
    with holdings.database.read() as session:
        return {row.check_id: row.state for row in session.scalars(select(FindingRow))}


def test_each_linter_sees_each_certificate_once(
    holdings: Holdings, installation: Installation
) -> None:
    zlint = StubLinter("zlint")
    installation.stubs.append(zlint)
    holdings.add(1)
    holdings.add(2)
    outcome = lint(holdings)
    assert outcome.detail == (
        "2 certificates linted with pkilint 1; zlint 1; 0 could not be judged"
    )
    assert findings(holdings).keys() == {"pkilint:e_some thing", "zlint:e_some thing"}
    assert lint(holdings).detail.startswith("0 certificates")
    assert [len(stub.seen) for stub in installation.stubs] == [2, 2]


def test_a_linter_that_is_added_looks_at_everything_and_the_others_do_not(
    holdings: Holdings, installation: Installation
) -> None:
    holdings.add(1)
    lint(holdings)
    zlint = StubLinter("zlint")
    installation.stubs.append(zlint)
    assert lint(holdings).detail.startswith("1 certificates")
    assert [len(stub.seen) for stub in installation.stubs] == [1, 1]
    with holdings.database.read() as session:
        (row,) = session.scalars(select(CertificateRow))
        assert row.linted_with == "pkilint 1;zlint 1;"


def test_another_version_looks_again_and_clears_what_it_no_longer_says(
    holdings: Holdings, installation: Installation
) -> None:
    zlint = StubLinter("zlint")
    installation.stubs.append(zlint)
    holdings.add(1)
    lint(holdings)
    zlint.version, zlint.objects = "1.1", False
    lint(holdings)
    assert [len(stub.seen) for stub in installation.stubs] == [1, 2]
    assert findings(holdings) == {
        "pkilint:e_some thing": FindingState.OPEN,
        "zlint:e_some thing": FindingState.CLOSED,
    }


def test_a_version_that_begins_like_another_is_another(
    holdings: Holdings, installation: Installation
) -> None:
    (pkilint,) = installation.stubs
    pkilint.version = "1_0"
    holdings.add(1)
    lint(holdings)
    for version in ("1", "1x0"):
        pkilint.version = version
        lint(holdings)
    assert len(pkilint.seen) == 3


def test_a_linter_that_is_taken_away_leaves_its_findings_and_nothing_is_linted_again(
    holdings: Holdings, installation: Installation
) -> None:
    zlint = StubLinter("zlint")
    installation.stubs.append(zlint)
    holdings.add(1)
    lint(holdings)
    before = findings(holdings)
    installation.stubs.remove(zlint)
    assert lint(holdings).detail.startswith("0 certificates")
    installation.stubs.append(zlint)
    assert lint(holdings).detail.startswith("0 certificates")
    assert findings(holdings) == before
    assert [len(stub.seen) for stub in installation.stubs] == [1, 1]


def test_a_certificate_that_one_cannot_judge_is_still_judged_by_the_other(
    holdings: Holdings, installation: Installation
) -> None:
    zlint = StubLinter("zlint")
    zlint.error = "parse error: odd tag"
    installation.stubs.append(zlint)
    holdings.add(1)
    assert lint(holdings).detail.endswith("1 could not be judged")
    assert findings(holdings).keys() == {"pkilint:e_some thing"}
    with holdings.database.read() as session:
        (failure,) = session.scalars(select(CheckFailureRow))
        assert (failure.check_id, failure.reason) == ("zlint:", "parse error: odd tag")
        runs = {row.tool: row.error for row in session.scalars(select(LintRunRow))}
    assert runs == {"pkilint": None, "zlint": "parse error: odd tag"}


def test_an_error_closes_nothing(holdings: Holdings, installation: Installation) -> None:
    zlint = StubLinter("zlint")
    installation.stubs.append(zlint)
    holdings.add(1)
    lint(holdings)
    zlint.version, zlint.error = "2", "killed by signal 11"
    lint(holdings)
    assert findings(holdings)["zlint:e_some thing"] is FindingState.OPEN


def test_a_linter_that_breaks_is_left_out_and_makes_up_for_it_later(
    holdings: Holdings, installation: Installation
) -> None:
    zlint = StubLinter("zlint")
    zlint.is_broken = True
    installation.stubs.append(zlint)
    holdings.add(1)
    outcome = lint(holdings)
    assert (outcome.state, outcome.problems) == (JobState.DONE, ("zlint is broken",))
    assert findings(holdings).keys() == {"pkilint:e_some thing"}
    zlint.is_broken = False
    lint(holdings)
    assert [len(stub.seen) for stub in installation.stubs] == [1, 1]
    assert findings(holdings).keys() == {"pkilint:e_some thing", "zlint:e_some thing"}


def test_a_run_without_any_linter_fails(holdings: Holdings, installation: Installation) -> None:
    installation.stubs[0].is_broken = True
    holdings.add(1)
    with pytest.raises(CheckError, match="pkilint is broken"):
        lint(holdings)


def test_why_a_linter_is_not_there_is_a_problem_of_the_run(
    holdings: Holdings, installation: Installation
) -> None:
    installation.problems = ("lint.zlint: there is no program",)
    holdings.add(1)
    assert lint(holdings).problems == installation.problems


def test_results_of_one_linter_do_not_replace_anothers(
    holdings: Holdings, installation: Installation
) -> None:
    zlint = StubLinter("zlint")
    installation.stubs.append(zlint)
    holdings.add(1)
    lint(holdings)
    zlint.version = "2"
    lint(holdings)
    with holdings.database.read() as session:
        tools = session.scalars(select(LintResultRow.tool).order_by(col(LintResultRow.tool)))
        assert list(tools) == ["pkilint", "zlint"]
