"""Clean certificates are clean, and planted faults are there: both judged without the product."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from badkeys.checks import checkpubkey
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtensionOID, NameOID

from subca_oversight.demo.world import PlantedFault
from tests.unit.demo.conftest import Built
from tests.unit.demo.log_reading import Entry, children, header, is_broken
from tests.unit.demo.units import Unit, serial_octets, spki_hash

pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")

RESERVED = ("2.23.140.1.2.1", "2.23.140.1.2.2")
KEY_CHECKS = ["fermat", "roca", "rsainvalid", "smallfactors", "sharedprimes"]


def entries_of(built: Built) -> Iterator[Entry]:
    for entries in built.entries.values():
        yield from entries


def test_the_logs_show_exactly_the_units_of_the_manifest(
    built: Built, units: dict[str, Unit]
) -> None:
    planted = {each.subject for each in built.manifest.planted if each.subject_kind == "unit"}
    assert set(units) == planted | set(built.manifest.clean_units)
    assert not planted & set(built.manifest.clean_units)
    counted = sum(each.units + each.descendant_units for each in built.manifest.subordinates)
    assert counted == len(units)
    assert 550 < counted < 650


def test_units_are_counted_by_subordinate_and_stage(built: Built) -> None:
    sizes = {log.slug: log.stages[1].size for log in built.manifest.logs}
    for subordinate in built.manifest.subordinates:
        seen: dict[int, set[bytes]] = {1: set(), 2: set()}
        for entry in entries_of(built):
            if entry.kind not in (0, 1):
                continue
            key = spki_hash(entry.chain[0])
            if key.hex() not in subordinate.issuer_keys:
                continue
            certificate = entry.precertificate if entry.kind == 1 else entry.signed
            unit = hashlib.sha256(key + serial_octets(certificate)).digest()
            for stage in (1, 2) if entry.index < sizes[entry.log] else (2,):
                seen[stage].add(unit)
        unconfirmed = {
            each.stage
            for each in built.manifest.unconfirmed
            if each.subordinate == subordinate.name
        }
        first, last = (
            len(seen[stage]) - (stage >= min(unconfirmed, default=3)) for stage in (1, 2)
        )
        assert (first, last) == (subordinate.units_stage_1, subordinate.units)


def test_signatures_of_all_certificates_verify(units: dict[str, Unit]) -> None:
    for unit in units.values():
        key = x509.load_der_x509_certificate(min(unit.issuers)).public_key()
        for certificate in unit.certificates:
            tbs, _, bits = children(certificate)
            signature = bits[header(bits, 0)[1] + 1 :]
            if isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, tbs, padding.PKCS1v15(), hashes.SHA256())
            else:
                assert isinstance(key, ec.EllipticCurvePublicKey)
                key.verify(signature, tbs, ec.ECDSA(hashes.SHA256()))


def test_every_embedded_sct_was_signed_by_its_log(built: Built, units: dict[str, Unit]) -> None:
    template = json.loads((built.directory / "log_list.template.json").read_text())
    keys = {
        b64decode(log["log_id"]): serialization.load_der_public_key(b64decode(log["key"]))
        for operator in template["operators"]
        for log in (*operator["logs"], *operator["tiled_logs"])
    }
    mismatched = {
        each.subject for each in built.manifest.planted if each.check == "precertificate-mismatch"
    }
    verified = 0
    for unit_id, unit in units.items():
        for final in unit.finals:
            if is_broken(final):
                continue
            certificate = x509.load_der_x509_certificate(final)
            for sct in scts_of(certificate):
                tbs = certificate.tbs_precertificate_bytes
                signed = (
                    b"\x00\x00"
                    + milliseconds(sct.timestamp).to_bytes(8)
                    + b"\x00\x01"
                    + spki_hash(min(unit.issuers))
                    + len(tbs).to_bytes(3)
                    + tbs
                    + len(sct.extension_bytes).to_bytes(2)
                    + sct.extension_bytes
                )
                key = keys[sct.log_id]
                assert isinstance(key, ec.EllipticCurvePublicKey)
                if unit_id in mismatched:
                    with pytest.raises(InvalidSignature):
                        key.verify(sct.signature, signed, ec.ECDSA(hashes.SHA256()))
                else:
                    key.verify(sct.signature, signed, ec.ECDSA(hashes.SHA256()))
                    verified += 1
    assert verified > 500


def milliseconds(instant: datetime) -> int:
    return round(instant.replace(tzinfo=UTC).timestamp() * 1000)


def scts_of(
    certificate: x509.Certificate,
) -> list[x509.certificate_transparency.SignedCertificateTimestamp]:
    try:
        extension = certificate.extensions.get_extension_for_class(
            x509.PrecertificateSignedCertificateTimestamps
        )
    except x509.ExtensionNotFound:
        return []
    return list(extension.value)


def test_an_sct_of_a_served_log_is_kept_as_an_entry(built: Built, units: dict[str, Unit]) -> None:
    ids = {bytes.fromhex(each.log_id): each.slug for each in built.manifest.logs}
    logged = {
        (entry.log, entry.timestamp, entry.signed, entry.extensions)
        for entry in entries_of(built)
        if entry.kind == 1
    }
    promised = [
        (ids[sct.log_id], milliseconds(sct.timestamp), next(iter(unit.hashed)), sct.extension_bytes)
        for unit_id, unit in units.items()
        if unit_id in built.manifest.clean_units
        for final in unit.finals
        for sct in scts_of(x509.load_der_x509_certificate(final))
        if sct.log_id in ids
    ]
    assert len(promised) > 400
    assert set(promised) <= logged


def test_clean_serials_are_positive_and_unlike_each_other(
    built: Built, units: dict[str, Unit]
) -> None:
    serials = [units[unit].parsed[0].serial_number for unit in built.manifest.clean_units]
    assert len(set(serials)) == len(serials)
    assert all(1 << 123 < serial < 1 << 159 for serial in serials)


# --- what is planted ---------------------------------------------------------------------------


def validity_days(certificate: x509.Certificate) -> float:
    span = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return (span + timedelta(seconds=1)) / timedelta(days=1)


def latest_sct(unit: Unit) -> datetime:
    (final,) = unit.finals
    scts = scts_of(x509.load_der_x509_certificate(final))
    return max(sct.timestamp.replace(tzinfo=UTC) for sct in scts)


def is_too_long(unit: Unit) -> bool:
    limit = 398 if latest_sct(unit) < datetime(2026, 3, 15, tzinfo=UTC) else 200
    return any(validity_days(each) > limit for each in unit.parsed)


def is_backdated(unit: Unit) -> bool:
    return latest_sct(unit) - unit.parsed[0].not_valid_before_utc > timedelta(hours=48)


def is_postdated(unit: Unit) -> bool:
    return unit.parsed[0].not_valid_before_utc - min(unit.logged) > timedelta(hours=48)


def is_mismatched(unit: Unit) -> bool:
    promised = {
        x509.load_der_x509_certificate(final).tbs_precertificate_bytes for final in unit.finals
    }
    return promised != unit.hashed


def reuses_its_serial(unit: Unit) -> bool:
    return len(unit.precertificates) > 1 or len(unit.finals) > 1


def has_short_key(unit: Unit) -> bool:
    key = unit.parsed[0].public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size < 2048
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key.curve.name not in ("secp256r1", "secp384r1")


def has_weak_key(unit: Unit) -> bool:
    key = unit.parsed[0].public_key()
    pem = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return len(checkpubkey(pem.decode(), checks=KEY_CHECKS)["results"]) > 0


def names_another(unit: Unit) -> bool:
    certificate = unit.parsed[0]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return any(each.value not in names.get_values_for_type(x509.DNSName) for each in common)


def miscounts_policies(unit: Unit) -> bool:
    policies = unit.parsed[0].extensions.get_extension_for_class(x509.CertificatePolicies).value
    reserved = [each for each in policies if each.policy_identifier.dotted_string in RESERVED]
    return len(reserved) != 1


def outlived_its_issuer(unit: Unit) -> bool:
    issuer = x509.load_der_x509_certificate(min(unit.issuers))
    return latest_sct(unit) > issuer.not_valid_after_utc


def is_unreadable(unit: Unit) -> bool:
    return any(is_broken(each) for each in unit.certificates)


FAULTS: dict[str, Callable[[Unit], bool]] = {
    "validity-limit": is_too_long,
    "backdated": is_backdated,
    "postdated": is_postdated,
    "precertificate-mismatch": is_mismatched,
    "serial-reuse": reuses_its_serial,
    "key-size": has_short_key,
    "weak-key": has_weak_key,
    "common-name-not-in-sans": names_another,
    "reserved-policy-count": miscounts_policies,
    "issued-after-expiry": outlived_its_issuer,
    "certificate-unparseable": is_unreadable,
}


def planted_in_units(built: Built) -> list[PlantedFault]:
    return [each for each in built.manifest.planted if each.check in FAULTS]


def test_every_kind_of_fault_is_planted(built: Built) -> None:
    assert {each.check for each in built.manifest.planted} == set(FAULTS) | {
        "pkilint",
        "audit-overdue",
        "audit-inherited",
        "policy-documents-stale",
        "subordinate-expiring",
    }


def test_every_planted_fault_shows_and_its_twin_does_not(
    built: Built, units: dict[str, Unit]
) -> None:
    for fault in planted_in_units(built):
        shows = FAULTS[fault.check]
        assert shows(units[fault.subject]), fault.label
        assert not shows(units[fault.twin]), fault.label


def test_a_planted_unit_has_no_other_fault(built: Built, units: dict[str, Unit]) -> None:
    for fault in planted_in_units(built):
        if fault.check in ("certificate-unparseable", "serial-reuse"):
            continue
        others = [kind for kind in FAULTS if kind not in (fault.check, "serial-reuse")]
        assert [kind for kind in others if FAULTS[kind](units[fault.subject])] == [], fault.label


def test_clean_units_show_no_fault(built: Built, units: dict[str, Unit]) -> None:
    of_one_certificate = [
        "reserved-policy-count",
        "common-name-not-in-sans",
        "key-size",
        "serial-reuse",
        "certificate-unparseable",
        "postdated",
    ]
    for unit_id in built.manifest.clean_units:
        unit = units[unit_id]
        if is_authority(unit.parsed[0]):
            continue
        assert [kind for kind in of_one_certificate if FAULTS[kind](unit)] == []
        limit = 200 if min(unit.logged) >= datetime(2026, 3, 15, tzinfo=UTC) else 398
        assert all(validity_days(each) <= limit for each in unit.parsed)
        if len(unit.finals) > 0 and len(unit.hashed) > 0:
            assert not is_backdated(unit)
            assert not is_mismatched(unit)


def is_authority(certificate: x509.Certificate) -> bool:
    try:
        certificate.extensions.get_extension_for_oid(ExtensionOID.BASIC_CONSTRAINTS)
    except x509.ExtensionNotFound:
        return False
    return True


def test_a_fault_is_whole_at_the_stage_that_the_manifest_names(
    built: Built, units: dict[str, Unit]
) -> None:
    first = built.manifest.instants[1]
    for fault in planted_in_units(built):
        expected = 1 if max(units[fault.subject].logged) < first else 2
        assert fault.stage == expected
    assert {fault.stage for fault in built.manifest.planted} == {1, 2}
