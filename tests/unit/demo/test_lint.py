"""What pkilint says of the world: nothing against clean certificates, and of faults the planted."""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import publicsuffixlist
import pytest

from tests.unit.demo.conftest import Built
from tests.unit.demo.units import Unit

pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")

Lint = Callable[[bytes], set[str]]


@pytest.fixture(scope="module")
def lint() -> Iterator[Lint]:
    """A function from DER to the codes of pkilint's errors."""
    patch = pytest.MonkeyPatch()
    cached = functools.cache(publicsuffixlist.PublicSuffixList)
    patch.setattr(publicsuffixlist, "PublicSuffixList", cached)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyasn1 and friends warn on import
        from pkilint import finding_filter, loader  # noqa: PLC0415 - after the patch above
        from pkilint.cabf import serverauth  # noqa: PLC0415
        from pkilint.pkix import certificate  # noqa: PLC0415
    logging.getLogger("pkilint").setLevel(logging.CRITICAL)

    @functools.cache
    def linter(kind: Any) -> Any:  # noqa: ANN401 - untyped library
        return certificate.create_pkix_certificate_validator_container(
            serverauth.create_decoding_validators(), serverauth.create_validators(kind)
        )

    def errors(der: bytes) -> set[str]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            document = loader.load_der_certificate(der, "certificate")
            kind = serverauth.determine_certificate_type(document)
            filters = serverauth.create_serverauth_finding_filters(kind)
            found = linter(kind).validate(document.root)
        results, _ = finding_filter.filter_results(filters, found)
        return {
            described.finding.code
            for result in results
            for described in result.finding_descriptions
            if described.finding.severity.name in ("ERROR", "FATAL")
        }

    yield errors
    patch.undo()


def one_of(unit: Unit) -> bytes:
    return min(unit.finals) if len(unit.finals) > 0 else min(unit.precertificates)


def test_a_sample_of_the_clean_certificates_has_no_lint_error(
    built: Built, units: dict[str, Unit], lint: Lint
) -> None:
    for unit in built.manifest.clean_units[::12]:
        assert lint(one_of(units[unit])) == set(), unit


@pytest.mark.slow
def test_no_clean_certificate_has_a_lint_error(
    built: Built, units: dict[str, Unit], lint: Lint
) -> None:
    for unit in built.manifest.clean_units:
        for certificate in units[unit].certificates:
            assert lint(certificate) == set(), unit


def test_twins_have_no_lint_error(built: Built, units: dict[str, Unit], lint: Lint) -> None:
    twins = {each.twin for each in built.manifest.planted if each.subject_kind == "unit"}
    assert [lint(one_of(units[twin])) for twin in sorted(twins)] == [set()] * len(twins)


def test_what_only_a_linter_sees_is_seen(built: Built, units: dict[str, Unit], lint: Lint) -> None:
    faults = [each for each in built.manifest.planted if each.check == "pkilint"]
    assert len(faults) == 3
    for fault in faults:
        assert lint(one_of(units[fault.subject])) == {fault.code}
