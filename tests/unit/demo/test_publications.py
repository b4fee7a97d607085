"""CCADB's exports, revocation lists, pages and the log list are in their publishers' formats."""

from __future__ import annotations

import csv
import hashlib
import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from subca_oversight.demo.world import build_world
from subca_oversight.demo.world.log_list import sign_log_list
from tests.real_data import REAL_DATA, needs_real_data
from tests.unit.demo.conftest import Built

EXCERPT = REAL_DATA / "ccadb" / "AllCertificateRecordsCSVFormatV5_excerpt_2026-09.csv"


def records(built: Built) -> list[dict[str, str]]:
    with (built.directory / "ccadb" / "records.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def certificates(built: Built) -> dict[str, x509.Certificate]:
    found = {}
    for path in sorted((built.directory / "ccadb").glob("pems-*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                pem = row["X.509 Certificate (PEM)"].strip("'")
                certificate = x509.load_pem_x509_certificate(pem.encode())
                assert certificate.not_valid_before_utc.year == int(path.stem.split("-")[1])
                fingerprint = certificate.fingerprint(hashes.SHA256()).hex().upper()
                assert fingerprint == row["SHA-256 Fingerprint"]
                found[fingerprint] = certificate
    return found


@needs_real_data
def test_the_records_have_the_real_header(built: Built) -> None:
    with EXCERPT.open(encoding="utf-8-sig", newline="") as file:
        real = next(csv.reader(file))
    assert list(records(built)[0]) == real
    assert len(real) == 89


def test_every_record_describes_its_certificate(built: Built) -> None:
    known = certificates(built)
    rows = records(built)
    assert len(rows) == len(known) == 30
    for row in rows:
        certificate = known[row["SHA-256 Fingerprint"]]
        assert row["Valid From (GMT)"] == certificate.not_valid_before_utc.strftime("%Y.%m.%d")
        assert row["Valid To (GMT)"] == certificate.not_valid_after_utc.strftime("%Y.%m.%d")
        identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        assert b64decode(row["Subject Key Identifier"]) == identifier.value.digest


def test_every_intermediate_record_hangs_on_its_signer(built: Built) -> None:
    known = certificates(built)
    rows = {row["Salesforce Record ID"]: row for row in records(built)}
    for row in rows.values():
        if row["Certificate Record Type"] == "Root Certificate":
            continue
        parent = rows[row["Parent Salesforce Record ID"]]
        assert parent["SHA-256 Fingerprint"] == row["Parent SHA-256 Fingerprint"]
        known[row["SHA-256 Fingerprint"]].verify_directly_issued_by(
            known[parent["SHA-256 Fingerprint"]]
        )


def test_planted_record_faults_show_and_the_twin_is_clean(built: Built) -> None:
    rows = {row["SHA-256 Fingerprint"].lower(): row for row in records(built)}
    planted = {
        (each.check, each.subordinate): each
        for each in built.manifest.planted
        if each.subject_kind != "unit"
    }
    overdue = rows[planted["audit-overdue", "harbor-tls"].subject]
    assert overdue["TLS BR Audit Period End Date"] == "2025.06.30"
    assert overdue["Standard Audit Period End Date"] == "2026.06.30"
    inherited = rows[planted["audit-inherited", "meridian-cross"].subject]
    assert inherited["Audits Same as Parent"] == "true"
    assert inherited["CA Owner"] != inherited["Subordinate CA Owner"] == "Meridian Certification"
    for subordinate in ("campus-onprem", "meridian-cross"):
        stale = rows[planted["policy-documents-stale", subordinate].subject]
        effective = datetime.strptime(stale["CP/CPS Effective Date"], "%Y.%m.%d").replace(
            tzinfo=UTC
        )
        assert built.manifest.instant - effective > timedelta(days=366)
    (clean,) = {each.twin for each in planted.values()}
    assert rows[clean]["TLS BR Audit Period End Date"] == "2026.06.30"
    assert rows[clean]["Audits Same as Parent"] == "false"
    assert rows[clean]["CP/CPS Effective Date"] == "2026.06.15"
    expiring = certificates(built)[planted["subordinate-expiring", "campus-onprem"].subject.upper()]
    assert expiring.not_valid_after_utc - built.manifest.instant < timedelta(days=90)


@pytest.mark.parametrize("stage", [1, 2])
def test_revocation_lists_are_signed_and_fresh(built: Built, stage: int) -> None:
    authorities = {
        path.stem: x509.load_der_x509_certificate(path.read_bytes())
        for path in (built.directory / "ca").glob("*.crt")
    }
    revoked = 0
    for path in (built.directory / "crl" / str(stage)).glob("*.crl"):
        revocations = x509.load_der_x509_crl(path.read_bytes())
        assert revocations.is_signature_valid(authorities[path.stem].public_key())  # type: ignore[arg-type]
        assert revocations.issuer == authorities[path.stem].subject
        assert revocations.next_update_utc is not None
        instant = built.manifest.instants[stage]
        assert revocations.last_update_utc < instant < revocations.next_update_utc
        assert all(entry.revocation_date_utc < instant for entry in revocations)
        revoked += len(revocations)
    assert revoked >= 8


def test_the_log_list_is_signed_and_names_the_served_logs(built: Built) -> None:
    content, signature = sign_log_list(built.directory, "http://127.0.0.1:8080")
    key = serialization.load_pem_public_key((built.directory / "log_list_key.pem").read_bytes())
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
    operators = json.loads(content)["operators"]
    logs = [log for each in operators for log in each["logs"]]
    tiled = [log for each in operators for log in each["tiled_logs"]]
    usable = [log for log in (*logs, *tiled) if "usable" in log["state"]]
    assert {b64decode(log["log_id"]).hex() for log in usable} == {
        each.log_id for each in built.manifest.logs
    }
    assert [log["url"] for log in logs if "usable" in log["state"]] == [
        "http://127.0.0.1:8080/rfc6962/"
    ]
    assert [log["monitoring_url"] for log in tiled] == ["http://127.0.0.1:8080/static/"]
    assert len([log for log in logs if "retired" in log["state"]]) == 2


def test_a_subordinates_file_begins_with_its_anchor(built: Built) -> None:
    for subordinate in built.manifest.subordinates:
        pem = (built.directory / "subordinates" / f"{subordinate.name}.pem").read_bytes()
        found = x509.load_pem_x509_certificates(pem)
        fingerprints = tuple(each.fingerprint(hashes.SHA256()).hex() for each in found)
        assert fingerprints == subordinate.certificates
        spki = (
            found[0]
            .public_key()
            .public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        assert hashlib.sha256(spki).hexdigest() == subordinate.anchor


def digests(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes(built: Built, tmp_path: Path) -> None:
    build_world(tmp_path / "again", seed=1)
    again = digests(tmp_path / "again")
    assert len(again) > 100
    assert {name: digest for name, digest in digests(built.directory).items() if name in again} == (
        again
    )


def test_a_world_is_built_within_fifteen_seconds(built: Built) -> None:
    assert built.cpu_seconds < 15


def test_another_seed_gives_other_keys_and_the_same_shape(built: Built, tmp_path: Path) -> None:
    other = build_world(tmp_path / "other", seed=2)
    assert {each.log_id for each in other.logs}.isdisjoint(
        each.log_id for each in built.manifest.logs
    )
    assert [(each.check, each.label) for each in other.planted] == [
        (each.check, each.label) for each in built.manifest.planted
    ]
    assert len(other.clean_units) == len(built.manifest.clean_units)


def test_a_folder_in_use_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        build_world(tmp_path)
