"""The demo as a user runs it: what was planted is found, what is clean stays clean."""

from __future__ import annotations

import base64
import hmac
import json
import re
from pathlib import Path
from typing import Any

import pytest

from subca_oversight.demo.server import RECEIVED
from subca_oversight.demo.world import build_world
from subca_oversight.demo.world.manifest import WorldManifest, load_manifest
from tests.acceptance.world import Installation, Tour


@pytest.fixture
def manifest(tour: Tour) -> WorldManifest:
    return load_manifest(tour.world)


@pytest.fixture
def received(tour: Tour) -> list[dict[str, Any]]:
    """What the demo's webhook kept of each delivery."""
    lines = (tour.world / RECEIVED).read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_it_ends_well(tour: Tour) -> None:
    assert tour.answer.code == 0, tour.answer.out[-2000:] + tour.answer.err[-2000:]
    assert "Traceback" not in tour.answer.err
    assert tour.answer.complaints == []


def test_it_counts_every_planted_fault_and_no_clean_certificate(
    tour: Tour, manifest: WorldManifest
) -> None:
    planted, clean = len(manifest.planted), len(manifest.clean_units)
    assert planted >= 20
    assert clean > 500
    assert (
        f"planted faults found: {planted} of {planted};"
        f" clean certificates flagged: 0 of {clean}" in tour.answer.out
    )


def test_every_planted_fault_is_a_finding(toured: Installation, manifest: WorldManifest) -> None:
    """Counted again from outside, by the listing alone."""
    touched: set[tuple[str, str, str]] = set()
    for finding in toured.findings():
        subjects = {str(finding["subject"]).split("#")[0]}
        if "*" in subjects:
            shown = toured.call("findings", "show", finding["id"], "--json")
            subjects = set(shown.json["units"])
        touched |= {(finding["check"], one, finding["severity"]) for one in subjects}
    found = {(check, subject) for check, subject, _ in touched}
    for fault in manifest.planted:
        check = f"pkilint:{fault.code}" if fault.check == "pkilint" else fault.check
        assert (check, fault.subject) in found, f"{check} of {fault.label}"
    flagged = {subject for _, subject, severity in touched if severity == "violation"}
    assert flagged.isdisjoint({*manifest.clean_units, *manifest.clean_authorities})


def test_every_certificate_of_the_world_is_listed_once(
    toured: Installation, manifest: WorldManifest
) -> None:
    for subordinate in manifest.subordinates:
        units = [unit["unit_id"] for unit in toured.units(subordinate.name)]
        assert len(units) == len(set(units)) == subordinate.units + subordinate.descendant_units


def test_it_prints_its_findings_as_a_table(tour: Tour, toured: Installation) -> None:
    findings = toured.findings()
    violations = [one for one in findings if one["severity"] == "violation"]
    assert f"{len(violations)} violations (of {len(findings)} findings)" in tour.answer.out
    for one in violations:
        assert one["id"] in tour.answer.out


def test_it_receives_its_own_signed_webhooks(
    tour: Tour, toured: Installation, manifest: WorldManifest, received: list[dict[str, Any]]
) -> None:
    key = base64.b64decode(manifest.webhook_secret.removeprefix("whsec_"))
    for delivery in received:
        headers = delivery["headers"]
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{delivery['body']}"
        mac = base64.b64encode(hmac.digest(key, signed.encode(), "sha256")).decode()
        assert headers["webhook-signature"] == f"v1,{mac}"
    ids = {delivery["headers"]["webhook-id"] for delivery in received}
    assert f"notices received by webhook: {len(ids)}" in tour.answer.out
    with toured.sql() as connection:
        sent = connection.execute("select notice_id, state from delivery").fetchall()
    assert {notice for notice, _ in sent} == ids
    assert {state for _, state in sent} == {"delivered"}


def test_it_says_where_the_reports_lie(tour: Tour, manifest: WorldManifest) -> None:
    reports = [Path(line) for line in re.findall(r"^report: (.+)$", tour.answer.out, re.MULTILINE)]
    for one in manifest.subordinates:
        assert any(one.name in report.parts for report in reports)
    for report in reports:
        assert report.read_text("utf-8").lower().startswith("<!doctype html>")


def test_what_was_drawn_verifies_from_the_transcript_alone(
    toured: Installation, manifest: WorldManifest, tmp_path: Path
) -> None:
    draws = toured.rows("sample", "list")
    assert len(draws) == len(manifest.subordinates)
    for draw in draws:
        transcript = tmp_path / f"{draw['id']}.json"
        exported = toured.call("sample", "export", str(draw["id"]), "--output", str(transcript))
        assert exported.code == 0, exported.err
        verified = toured.call(
            "sample", "verify", str(transcript), "--public-value", draw["public_value"]
        )
        assert verified.code == 0, verified.err


def test_the_same_seed_builds_the_same_world(tour: Tour, tmp_path: Path) -> None:
    build_world(tmp_path / "again", seed=1)
    assert (tmp_path / "again" / "manifest.json").read_bytes() == (
        tour.world / "manifest.json"
    ).read_bytes()
