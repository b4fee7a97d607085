"""Subordinates change over the years: renamed, rolled to a new key, retired, and taken up again.

Nothing of that may lose a finding or report one twice. Two of the smaller keys of one subordinate
of the world stand for whole subordinates here, so that linting does not take the test's time.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from subca_oversight.demo.server import ServedWorld
from tests.acceptance.snapshot import find_differences, take_snapshot
from tests.acceptance.world import Installation, once

READING = ("log-lists", "ccadb", "harvest")
EVERYTHING = (*READING, "lint", "checks", "clocks", "deliver")
FINE = (0, 3)
"""The world holds a log that misbehaves: who reads its entry first ends with 3."""


@pytest.fixture
def pems(served: ServedWorld, tmp_path: Path) -> dict[str, Path]:
    """The CA certificates of the subordinate with three keys, a file each, by key."""
    bundle = served.directory / "subordinates" / "harbor-tls.pem"
    files: dict[str, Path] = {}
    for certificate in x509.load_pem_x509_certificates(bundle.read_bytes()):
        spki = certificate.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        key = hashlib.sha256(spki).hexdigest()
        files[key] = tmp_path / f"{key[:8]}.pem"
        files[key].write_bytes(certificate.public_bytes(Encoding.PEM))
    return files


@pytest.fixture
def keys(toured: Installation, pems: dict[str, Path]) -> tuple[str, str]:
    """The two keys that issued least, the busier one first."""
    counts = Counter(str(unit["issuer_key_sha256"]) for unit in toured.units("harbor-tls"))
    ranked = sorted(pems, key=lambda key: -counts[key])
    assert counts[ranked[-1]] > 0
    return ranked[-2], ranked[-1]


def _entry(name: str, *pems: Path, more: str = "") -> str:
    files = ", ".join(f'"{pem}"' for pem in pems)
    return (
        f'name = "{name}"\noperator = "Harbor Digital Trust"\nrelation = "externally-operated"\n'
        f"certificates = [{files}]\n{more}"
    )


def _run(installation: Installation, stage: int, *jobs: str) -> None:
    """Run jobs with the logs as they stood at a stage of the world."""
    installation.world.stage = stage
    installation.at = installation.world.manifest.instants[stage]
    answer = installation.jobs(*jobs)
    assert answer.code in FINE, answer.err


def _essence(rows: list[dict[str, Any]]) -> Counter[tuple[str, str, str, int]]:
    """What findings say, without when and of whom."""
    return Counter(
        (row["check"], row["subject"], row["severity"], row["affected"])
        for row in rows
        if row["state"] != "closed"
    )


def _unit_ids(installation: Installation, name: str) -> list[str]:
    return [str(unit["unit_id"]) for unit in installation.units(name)]


def _assert_told_once(installation: Installation, first: int = 0) -> None:
    """Every finding was told of at most once, and every delivery arrived once."""
    with installation.sql() as connection:
        told = connection.execute(
            "select fingerprint, kind from alert_event where fingerprint is not null"
        ).fetchall()
    assert len(told) == len(set(told))
    assert {kind for _, kind in told} <= {"finding_opened", "deadline"}
    notices = installation.notices()[first:]
    assert len(notices) == len(set(notices))


def test_running_everything_again_changes_nothing(toured: Installation) -> None:
    assert toured.jobs(*READING).code == 0  # under its new address
    url = f"sqlite:///{toured.database}"
    before = take_snapshot(url)
    answer = toured.run(*once(*EVERYTHING))
    assert answer.code == 0, answer.err
    assert find_differences(take_snapshot(url), before) == []
    assert toured.notices() == []
    assert toured.detail("lint").startswith("0 certificates linted")
    units = sum(len(toured.units(one.name)) for one in toured.world.manifest.subordinates)
    looked = int(toured.detail("checks").split(" ", 1)[0].replace(",", ""))
    assert looked < units / 10  # CA certificates and audits, which time alone can change


def test_running_everything_an_hour_later_tells_nothing_new(toured: Installation) -> None:
    before = toured.findings()
    toured.at += timedelta(hours=1)
    assert toured.jobs(*EVERYTHING).code == 0
    later = toured.findings()
    for row in (*before, *later):
        row.pop("last_seen")
    assert later == before
    assert toured.notices() == []


def test_a_rename_changes_the_name_and_nothing_else(toured: Installation) -> None:
    findings, units = toured.findings("campus-onprem"), toured.units("campus-onprem")
    assert len(findings) > 0
    count = len(toured.findings())
    toured.edit('name = "campus-onprem"', 'name = "campus-renamed"')
    assert toured.jobs(*EVERYTHING).code == 0
    renamed = toured.findings("campus-renamed")
    assert renamed == [{**row, "subordinate": "campus-renamed"} for row in findings]
    assert toured.units("campus-renamed") == units
    assert len(toured.findings()) == count
    assert toured.notices() == []
    refused = toured.call("findings", "list", "--subordinate", "campus-onprem")
    assert refused.code == 2
    assert len(refused.complaints) == 1
    assert "campus-renamed" in refused.complaints[0]


def test_two_subordinates_can_swap_their_names(toured: Installation) -> None:
    campus, meridian = toured.findings("campus-onprem"), toured.findings("meridian-cross")
    text = toured.configuration.read_text("utf-8")
    text = text.replace('name = "campus-onprem"', 'name = "?"')
    text = text.replace('name = "meridian-cross"', 'name = "campus-onprem"')
    text = text.replace('name = "?"', 'name = "meridian-cross"')
    toured.configuration.write_text(text, "utf-8")
    assert toured.jobs("checks", "deliver").code == 0
    ids = [row["id"] for row in toured.findings("meridian-cross")]
    assert ids == [row["id"] for row in campus]
    ids = [row["id"] for row in toured.findings("campus-onprem")]
    assert ids == [row["id"] for row in meridian]
    assert toured.notices() == []


def test_a_rolled_key_neither_loses_nor_doubles_a_finding(
    install_fresh: Callable[[str], Installation], keys: tuple[str, str], pems: dict[str, Path]
) -> None:
    old, new = keys
    rolled, steady = install_fresh("rolled"), install_fresh("steady")
    for installation in (rolled, steady):
        installation.lint_with_one_worker()

    rolled.keep_subordinates(_entry("harbor", pems[old]))
    _run(rolled, 1, *EVERYTHING)
    assert {unit["issuer_key_sha256"] for unit in rolled.units("harbor")} == {old}

    rolled.keep_subordinates(_entry("harbor", pems[old], pems[new]))
    _run(rolled, 1, "clocks")  # registered, and no log read yet
    readings = {row["issuer_key_sha256"]: row for row in rolled.status()["keys"]}
    assert readings[old]["is_complete"]
    assert not readings[new]["is_complete"]
    assert readings[new]["read"] == []
    heads = {log["log_id"]: log["head_size"] for log in rolled.status()["logs"]}
    assert readings[new]["unread"] == [[0, heads[readings[new]["log_id"]]]]
    shown = rolled.call("status").out
    assert "Not read yet" in shown
    assert new[:16] in shown

    _run(rolled, 2, *EVERYTHING)
    assert all(row["is_complete"] for row in rolled.status()["keys"])
    assert "Not read yet" not in rolled.call("status").out
    assert {unit["issuer_key_sha256"] for unit in rolled.units("harbor")} == {old, new}
    with_both = rolled.findings("harbor")

    rolled.keep_subordinates(_entry("harbor", pems[new]))
    _run(rolled, 2, *EVERYTHING)
    assert {row["issuer_key_sha256"] for row in rolled.status()["keys"]} == {new}
    assert rolled.findings("harbor") == with_both
    _assert_told_once(rolled)

    first = len(steady.notices())
    steady.keep_subordinates(_entry("harbor", pems[old], pems[new]))
    _run(steady, 2, *EVERYTHING)
    assert _unit_ids(rolled, "harbor") == _unit_ids(steady, "harbor")
    assert _essence(rolled.findings("harbor")) == _essence(steady.findings("harbor"))
    _assert_told_once(steady, first)


@pytest.mark.parametrize("how", ["left out", pytest.param("dated", marks=pytest.mark.slow)])
def test_a_subordinate_can_retire_and_return(
    install_fresh: Callable[[str], Installation],
    keys: tuple[str, str],
    pems: dict[str, Path],
    how: str,
) -> None:
    one, other = keys
    stays, goes = _entry("stays", pems[other]), _entry("goes", pems[one])
    away, steady = install_fresh("away"), install_fresh("steady")
    for installation in (away, steady):
        installation.lint_with_one_worker()

    away.keep_subordinates(stays, goes)
    _run(away, 1, *EVERYTHING)
    findings, units = away.findings("goes"), _unit_ids(away, "goes")

    gone = _entry("goes", pems[one], more="retired = 2026-09-25")
    away.keep_subordinates(*([stays] if how == "left out" else [stays, gone]))
    _run(away, 2, *EVERYTHING)
    assert {row["subordinate"] for row in away.status()["keys"]} == {"stays"}
    assert _unit_ids(away, "goes") == units
    assert [row["id"] for row in away.findings("goes")] == [row["id"] for row in findings]

    away.keep_subordinates(stays, goes)
    _run(away, 2, *EVERYTHING)
    assert all(row["is_complete"] for row in away.status()["keys"])
    _assert_told_once(away)

    first = len(steady.notices())
    steady.keep_subordinates(stays, goes)
    _run(steady, 2, *EVERYTHING)
    for name in ("stays", "goes"):
        assert _unit_ids(away, name) == _unit_ids(steady, name)
        assert _essence(away.findings(name)) == _essence(steady.findings(name))
    assert len(_unit_ids(away, "goes")) > len(units)
    _assert_told_once(steady, first)


def test_listings_have_the_keys_that_are_promised(toured: Installation) -> None:
    """DESIGN section 8: the contract that other programs are built on."""
    unit = toured.units("harbor-tls")[0]
    assert set(unit) >= {
        "unit_id",
        "issuer_key_sha256",
        "path",
        "serial",
        "precertificates",
        "finals",
        "not_before",
        "not_after",
        "first_logged",
        "sightings",
    }
    assert set(unit["sightings"][0]) == {"log", "index", "timestamp"}
    for finding in toured.findings():
        assert set(finding) >= {
            "id",
            "check",
            "subordinate",
            "subject",
            "severity",
            "state",
            "requirement",
            "revocation",
            "first_seen",
            "last_seen",
            "deadline",
            "affected",
        }
    status = toured.status()
    assert set(status) >= {"logs", "jobs", "sources"}
    for log in status["logs"]:
        assert set(log) >= {"state", "verified_size", "head_size", "backlog", "last_success"}
    for job in status["jobs"]:
        assert set(job) >= {"job", "started_at", "outcome"}
    for source in status["sources"]:
        assert set(source) >= {"source", "last_success", "last_error"}


def test_descendants_and_unconfirmed_matches_are_listed_where_asked_for(
    toured: Installation,
) -> None:
    manifest = toured.world.manifest
    for subordinate in manifest.subordinates:
        units = toured.units(subordinate.name)
        issuers = {unit["issuer_key_sha256"] for unit in units}
        assert issuers == {*subordinate.issuer_keys, *subordinate.descendant_keys}
    (blamed,) = manifest.unconfirmed
    confirmed = _unit_ids(toured, blamed.subordinate)
    everything = toured.rows(
        "certificates", "list", "--subordinate", blamed.subordinate, "--unconfirmed"
    )
    surplus = [unit for unit in everything if unit["unit_id"] not in confirmed]
    assert [unit["unit_id"] for unit in surplus] == [blamed.unit]
    assert not surplus[0]["confirmed"]
    assert surplus[0]["sightings"][0]["index"] == blamed.index


def test_violations_decide_the_exit_code_where_asked(toured: Installation) -> None:
    assert toured.call("findings", "list", "--fail-on", "violation").code == 1
    for finding in toured.findings():
        if finding["severity"] == "violation":
            options = ("--actor", "analyst", "--reason", "mended", finding["id"])
            assert toured.call("findings", "close", *options).code == 0
    assert toured.call("findings", "list", "--fail-on", "violation").code == 0
    assert toured.call("findings", "list", "--fail-on", "notice").code == 1
