"""A CA certificate of a watched key that another CA signed is found, at no harm to the rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from subca_oversight.evidence.seen_authorities import register_seen
from subca_oversight.model.log import LogApi
from subca_oversight.store.tables import (
    AuthorityCertificateRow,
    AuthoritySightingRow,
    SightingRow,
    UnconfirmedMatchRow,
)
from tests.integration.harvesting import NOW, count, new_database, rows_of, run_harvest, watch
from tests.integration.log_server import FaultyLog, Leaf
from tests.integration.made_entries import LOGGED, Authority, mixed, noise

ACME, OTHER = Authority("Acme CA"), Authority("Other Root")


def crossed(*, precertificate: bool, ca: bool = True, subject: Authority = ACME) -> Leaf:
    """An entry of a certificate of ``subject`` by another CA."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject.subject)
        .public_key(subject.key.public_key())
        .serial_number(77)
        .not_valid_before(NOW - timedelta(days=9))
        .not_valid_after(NOW + timedelta(days=900))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
    )
    plain = OTHER._sign(builder)
    if not precertificate:
        body = plain.public_bytes(Encoding.DER)
        return Leaf(timestamp=LOGGED, body=body, chain=(OTHER.certificate,))
    poisoned = OTHER._sign(builder.add_extension(x509.PrecertPoison(), critical=True))
    return Leaf(
        timestamp=LOGGED,
        body=plain.tbs_certificate_bytes,
        issuer_key_hash=OTHER.key_hash,
        precertificate=poisoned.public_bytes(Encoding.DER),
        chain=(OTHER.certificate,),
    )


@pytest.mark.parametrize("precertificate", [False, True])
@pytest.mark.parametrize("api", list(LogApi))
def test_a_cross_certificate_is_kept_with_its_entry(
    tmp_path: Path, api: LogApi, precertificate: bool
) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    leaves = [*mixed(ACME, 20), crossed(precertificate=precertificate), *noise(5, 100)]
    run_harvest(database, FaultyLog(leaves, api))
    ((_, index, *_rest),) = rows_of(database, AuthoritySightingRow)["authority_sighting"]
    assert index == 20
    assert count(database, SightingRow) == 4, "it is no act of the watched key"
    assert count(database, UnconfirmedMatchRow) == 0
    with database.write() as session:
        # A precertificate adds nothing where a certificate of the key is known.
        assert register_seen(session, now=NOW) == (0 if precertificate else 1)
    assert count(database, AuthorityCertificateRow) == (1 if precertificate else 2)


@pytest.mark.parametrize(
    "leaf",
    [
        crossed(precertificate=False, ca=False),
        crossed(precertificate=False, subject=Authority("Someone")),
        replace(crossed(precertificate=True), precertificate=b"\x30\x00"),
    ],
)
def test_what_is_not_proven_to_be_about_a_watched_key_is_left(tmp_path: Path, leaf: Leaf) -> None:
    database = new_database(tmp_path)
    watch(database, certificates=[ACME.certificate])
    run_harvest(database, FaultyLog([*noise(4), leaf], LogApi.RFC6962))
    assert count(database, AuthoritySightingRow) == 0
    assert count(database, SightingRow) == 0
    assert count(database, UnconfirmedMatchRow) == 0
