"""CA certificates that only logs and chains showed are watched, proposed and judged."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlmodel import col, select

from subca_oversight.evidence.descendants import register_descendants
from subca_oversight.evidence.registration import load_subordinates
from subca_oversight.evidence.seen_authorities import register_seen
from subca_oversight.jobs.authorities import load_authorities
from subca_oversight.model.subordinate import KeyProvenance
from subca_oversight.store.database import Database
from subca_oversight.store.tables import (
    AuthorityCertificateRow,
    ChainCertificateRow,
    WatchedKeyRow,
)
from tests.unit.evidence.issuing import NOT_BEFORE, Issuer, make_issuer
from tests.unit.jobs.holdings import NOW, Holdings


def certify(
    issuer: Issuer,
    name: str,
    key: ec.EllipticCurvePrivateKey | None = None,
    *,
    poison: bool = False,
) -> Issuer:
    """A CA certificate by ``issuer``, of a new key or of ``key``."""
    chosen = ec.generate_private_key(ec.SECP256R1()) if key is None else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer.certificate.subject)
        .public_key(chosen.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOW + timedelta(days=900))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if poison:
        builder = builder.add_extension(x509.PrecertPoison(), critical=True)
    return Issuer(chosen, builder.sign(issuer.key, hashes.SHA256()))


@pytest.fixture
def held(database: Database, tmp_path: Path) -> Holdings:
    holdings = Holdings(database, make_issuer(), tmp_path)
    holdings.register()
    return holdings


def see(held: Holdings, *seen: Issuer) -> int:
    with held.database.write() as session:
        for one in seen:
            row = ChainCertificateRow(sha256=one.sha256, spki_sha256=one.key_sha256, der=one.der)
            session.merge(row)
        session.flush()
        return register_seen(session, now=NOW)


def provenances(held: Holdings) -> dict[str, KeyProvenance]:
    with held.database.read() as session:
        rows = session.exec(select(WatchedKeyRow).where(col(WatchedKeyRow.unwatched_at).is_(None)))
        return {row.spki_sha256: row.provenance for row in rows}


def test_what_a_watched_key_certified_is_watched_down_to_the_last(held: Holdings) -> None:
    below = certify(held.issuer, "Below CA")
    last = certify(below, "Last CA")
    stranger = make_issuer("Stranger CA")
    assert see(held, last, below, stranger) == 2
    assert provenances(held) == {
        held.issuer.key_sha256: KeyProvenance.CONFIGURATION,
        below.key_sha256: KeyProvenance.CHAIN,
        last.key_sha256: KeyProvenance.CHAIN,
    }
    assert see(held) == 0


def test_what_was_seen_before_its_issuer_is_found_when_that_is_watched(held: Holdings) -> None:
    below = certify(held.issuer, "Below CA")
    last = certify(below, "Last CA")
    assert see(held, last) == 0
    assert see(held, below) == 2
    assert last.key_sha256 in provenances(held)


def test_each_certificate_is_compared_once_while_nothing_more_is_watched(held: Holdings) -> None:
    see(held, make_issuer("Stranger CA"))
    with held.database.read() as session:
        (first,) = session.exec(select(ChainCertificateRow.considered_with))
    assert first is not None
    see(held, certify(held.issuer, "Below CA"))
    with held.database.read() as session:
        digests = set(session.exec(select(ChainCertificateRow.considered_with)))
    assert len(digests) == 1
    assert first not in digests


def test_an_export_that_names_it_makes_it_more_than_proposed(held: Holdings) -> None:
    below = certify(held.issuer, "Below CA")
    see(held, below)
    with held.database.write() as session:
        register_descendants(session, [below.der], KeyProvenance.CCADB, now=NOW)
    assert provenances(held)[below.key_sha256] is KeyProvenance.CCADB


def test_a_key_that_the_configuration_let_go_of_is_watched_again_as_a_descendant(
    held: Holdings,
) -> None:
    below = certify(held.issuer, "Below CA")
    see(held, below)
    with held.database.write() as session:
        key = session.get_one(WatchedKeyRow, below.key_sha256)
        key.provenance, key.unwatched_at = KeyProvenance.CONFIGURATION, NOW
        session.add(key)
        register_descendants(session, [below.der], KeyProvenance.CCADB, now=NOW)
    assert provenances(held)[below.key_sha256] is KeyProvenance.CCADB


def test_a_certificate_about_a_watched_key_counts_only_with_its_signer_at_hand(
    held: Holdings,
) -> None:
    other = make_issuer("Other Root")
    cross = certify(other, "Issuing CA", held.issuer.key)
    assert see(held, cross) == 0
    assert see(held, other) == 0, "nothing more is watched, so nothing is compared again"
    forged = certify(Issuer(make_issuer().key, other.certificate), "Issuing CA", held.issuer.key)
    assert see(held, forged) == 0
    again = certify(other, "Issuing CA", held.issuer.key)
    assert see(held, again) == 1 + 1, "and with it the first one"
    with held.database.read() as session:
        row = session.get_one(AuthorityCertificateRow, again.sha256)
        assert row.issuer_key_sha256 == other.key_sha256
        assert session.get(AuthorityCertificateRow, forged.sha256) is None


def test_a_precertificate_stands_in_for_the_certificate_only_until_that_is_known(
    held: Holdings,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pre, final = (certify(held.issuer, "Below CA", key, poison=it) for it in (True, False))
    see(held, pre)
    late = certify(held.issuer, "Below CA", key, poison=True)
    see(held, late, final)
    with held.database.read() as session:
        stored = {row.sha256 for row in session.exec(select(AuthorityCertificateRow))}
    assert stored == {held.issuer.sha256, pre.sha256, final.sha256}


def test_a_cross_certificate_goes_with_the_configured_certificate_of_its_key(
    held: Holdings,
) -> None:
    other = make_issuer("Other Root")
    cross = certify(other, "Issuing CA", held.issuer.key)
    below = certify(held.issuer, "Below CA")
    see(held, other, cross, below)
    with held.database.read() as session:
        (subordinate,) = load_subordinates(session)
        facts = load_authorities(session, subordinate, as_of=NOW)
    found = {one.certificate.sha256: one for one in facts}
    assert set(found) == {held.issuer.sha256, below.sha256}
    crossed = found[held.issuer.sha256].cross_certificates
    assert crossed is not None
    assert [one.certificate.sha256 for one in crossed] == [hashlib.sha256(cross.der).hexdigest()]
    assert found[below.sha256].cross_certificates == ()
    record = found[below.sha256].record
    assert record is not None
    assert (record.is_configured, record.is_disclosed) == (False, None)
