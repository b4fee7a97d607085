"""A subordinate stays the same one through rename, swap, key roll, retirement and return."""

from __future__ import annotations

import base64
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlmodel import select

from subca_oversight.errors import ConfigurationError
from subca_oversight.evidence.registration import (
    load_anchor,
    load_authority_spans,
    load_subordinates,
    read_configured,
    register_subordinates,
)
from subca_oversight.findings.decisions import find_findings
from subca_oversight.findings.recorder import JudgedBreach, Judgment, record_judgments
from subca_oversight.model.finding import Outcome, Revocation, Severity, SubjectKind
from subca_oversight.model.subordinate import KeyProvenance, Relation
from subca_oversight.settings import SubordinateSettings
from subca_oversight.store.database import Database
from subca_oversight.store.tables import SubordinateRow, WatchedKeyRow
from tests.unit.evidence.issuing import Issuer, make_issuer

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class Site:
    """A folder of certificates and a database that is registered from it."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.folder = folder
        self.database = database
        self.days = 0

    def entry(
        self,
        name: str,
        *issuers: Issuer,
        keys: tuple[str, ...] = (),
        retired: date | None = None,
        operator: str = "Acme",
    ) -> SubordinateSettings:
        paths = []
        for issuer in issuers:
            path = self.folder / f"{issuer.sha256}.pem"
            path.write_bytes(issuer.pem)
            paths.append(path)
        return SubordinateSettings(
            name=name,
            operator=operator,
            relation=Relation.CROSS_SIGNED,
            certificates=tuple(paths),
            issuer_keys=keys,
            retired=retired,
            contacts=("pki@acme.example",),
        )

    @property
    def now(self) -> datetime:
        return NOW + self.days * DAY

    def register(self, *entries: SubordinateSettings) -> None:
        self.days += 1
        with self.database.write() as session:
            register_subordinates(session, read_configured(entries), now=self.now)

    def names(self, *, retired: bool = False) -> dict[str, str]:
        with self.database.read() as session:
            return {one.name: one.anchor for one in load_subordinates(session, retired=retired)}

    def watched(self) -> dict[str, bool]:
        with self.database.read() as session:
            rows = session.exec(select(WatchedKeyRow)).all()
        return {row.spki_sha256: row.unwatched_at is None for row in rows}

    def record(self, anchor: str) -> None:
        breach = JudgedBreach("c", "", Severity.VIOLATION, "r", Revocation.NONE, "m")
        judgment = Judgment("c", anchor, SubjectKind.UNIT, "u", Outcome.BREACH, (breach,))
        with self.database.write() as session:
            record_judgments(session, [judgment], rule_version="v", now=self.now)

    def findings(self) -> list[tuple[str, str]]:
        with self.database.read() as session:
            return [(one.subordinate, one.state.value) for one in find_findings(session)]


@pytest.fixture
def site(tmp_path: Path, database: Database) -> Site:
    return Site(tmp_path, database)


@pytest.fixture(scope="module")
def issuers() -> list[Issuer]:
    return [make_issuer(f"CA {number}") for number in range(4)]


def test_an_entry_becomes_a_watched_subordinate(site: Site, issuers: list[Issuer]) -> None:
    first, second, *_ = issuers
    site.register(site.entry("acme", first, second, keys=("ab" * 32,)))
    with site.database.read() as session:
        (one,) = load_subordinates(session)
        spans = load_authority_spans(session, first.key_sha256)
        assert load_anchor(session, "acme") == first.key_sha256
    assert (one.anchor, one.name, one.operator) == (first.key_sha256, "acme", "Acme")
    assert one.contacts == ("pki@acme.example",)
    assert {key.spki_sha256: key.confirmed for key in one.keys} == {
        first.key_sha256: True,
        second.key_sha256: True,
        "ab" * 32: False,
    }
    assert one.certificates == tuple(sorted((first.sha256, second.sha256)))
    assert [span.sha256 for span in spans] == [first.sha256]


def test_registering_again_changes_nothing(site: Site, issuers: list[Issuer]) -> None:
    entry = site.entry("acme", issuers[0])
    site.register(entry)
    with site.database.read() as session:
        before = [
            [row.model_dump() for row in session.exec(select(table))]
            for table in (SubordinateRow, WatchedKeyRow)
        ]
    site.register(entry)
    with site.database.read() as session:
        after = [
            [row.model_dump() for row in session.exec(select(table))]
            for table in (SubordinateRow, WatchedKeyRow)
        ]
    assert after == before


def test_a_rename_keeps_findings(site: Site, issuers: list[Issuer]) -> None:
    site.register(site.entry("acme", issuers[0]))
    site.record(site.names()["acme"])
    site.register(site.entry("acme-2", issuers[0]))
    site.record(site.names()["acme-2"])
    assert site.findings() == [("acme-2", "open")]
    assert list(site.names(retired=True)) == ["acme-2"]


def test_two_may_swap_their_names(site: Site, issuers: list[Issuer]) -> None:
    first, second, *_ = issuers
    site.register(site.entry("a", first), site.entry("b", second))
    site.record(first.key_sha256)
    site.register(site.entry("b", first), site.entry("a", second))
    assert site.names() == {"b": first.key_sha256, "a": second.key_sha256}
    assert site.findings() == [("b", "open")]


def test_three_may_rotate_their_names(site: Site, issuers: list[Issuer]) -> None:
    names = ["a", "b", "c"]
    site.register(*(site.entry(name, one) for name, one in zip(names, issuers, strict=False)))
    rotated = ["b", "c", "a"]
    site.register(*(site.entry(name, one) for name, one in zip(rotated, issuers, strict=False)))
    assert site.names() == {
        name: one.key_sha256 for name, one in zip(rotated, issuers, strict=False)
    }


def test_a_key_roll_keeps_identity_and_findings(site: Site, issuers: list[Issuer]) -> None:
    old, new, *_ = issuers
    site.register(site.entry("acme", old))
    site.record(old.key_sha256)
    site.register(site.entry("acme", old, new))
    assert site.watched() == {old.key_sha256: True, new.key_sha256: True}
    site.register(site.entry("acme", new))
    assert site.watched() == {old.key_sha256: False, new.key_sha256: True}
    site.register(site.entry("acme-renamed", new))
    assert site.names() == {"acme-renamed": old.key_sha256}
    site.record(old.key_sha256)
    assert site.findings() == [("acme-renamed", "open")]


def test_a_hard_roll_is_followed_by_name(site: Site, issuers: list[Issuer]) -> None:
    old, new, *_ = issuers
    site.register(site.entry("acme", old))
    site.register(site.entry("acme", new))
    assert site.names() == {"acme": old.key_sha256}
    assert site.watched() == {old.key_sha256: False, new.key_sha256: True}


def test_a_key_that_comes_back_is_watched_again(site: Site, issuers: list[Issuer]) -> None:
    old, new, *_ = issuers
    for entry in (
        site.entry("acme", old, new),
        site.entry("acme", new),
        site.entry("acme", old, new),
    ):
        site.register(entry)
    assert site.watched() == {old.key_sha256: True, new.key_sha256: True}


def test_a_removed_entry_is_retired_and_comes_back_as_itself(
    site: Site, issuers: list[Issuer]
) -> None:
    first, second, *_ = issuers
    site.register(site.entry("acme", first), site.entry("other", second))
    site.record(first.key_sha256)
    site.register(site.entry("other", second))
    assert site.names() == {"other": second.key_sha256}
    assert site.watched() == {first.key_sha256: False, second.key_sha256: True}
    with site.database.read() as session:
        retired = session.get_one(SubordinateRow, first.key_sha256)
        assert retired.retired_at == NOW + 2 * DAY
    assert site.findings() == [("acme", "open")]
    site.register(site.entry("acme-again", first), site.entry("other", second))
    assert site.names() == {"acme-again": first.key_sha256, "other": second.key_sha256}
    assert site.watched() == {first.key_sha256: True, second.key_sha256: True}
    site.record(first.key_sha256)
    assert site.findings() == [("acme-again", "open")]


def test_the_name_of_a_retired_one_may_be_given_to_another(
    site: Site, issuers: list[Issuer]
) -> None:
    first, second, third, *_ = issuers
    site.register(site.entry("acme", first), site.entry("b", second))
    site.register(site.entry("acme", second))
    assert site.names() == {"acme": second.key_sha256}
    assert site.names(retired=True) == {
        "acme": second.key_sha256,
        f"acme-{first.key_sha256[:8]}": first.key_sha256,
    }
    site.register(site.entry("acme", second), site.entry("new", third))
    assert set(site.names()) == {"acme", "new"}


def test_a_date_of_retirement_stops_the_watch_from_that_day(
    site: Site, issuers: list[Issuer]
) -> None:
    first = issuers[0]
    day = (NOW + 2 * DAY).date()
    site.register(site.entry("acme", first, retired=day))
    assert site.watched() == {first.key_sha256: True}
    site.register(site.entry("acme", first, retired=day))
    assert site.watched() == {first.key_sha256: False}
    assert site.names() == {}
    site.register(site.entry("acme", first))
    assert site.watched() == {first.key_sha256: True}


@pytest.mark.parametrize("way", ["removed", "dated"])
def test_learned_keys_stop_and_start_with_their_subordinate(
    site: Site, issuers: list[Issuer], way: str
) -> None:
    first = issuers[0]
    site.register(site.entry("acme", first))
    with site.database.write() as session:
        session.add(
            WatchedKeyRow(
                spki_sha256="cd" * 32,
                anchor=first.key_sha256,
                provenance=KeyProvenance.CCADB,
                watched_since=NOW,
            )
        )
    site.register(site.entry("acme", first))
    assert site.watched()["cd" * 32]
    retired = () if way == "removed" else (site.entry("acme", first, retired=NOW.date()),)
    site.register(*retired)
    assert not any(site.watched().values())
    site.register(site.entry("acme", first))
    assert all(site.watched().values())


def test_a_key_moved_between_two_is_refused(site: Site, issuers: list[Issuer]) -> None:
    first, second, moved, *_ = issuers
    site.register(site.entry("a", first, moved), site.entry("b", second))
    with pytest.raises(ConfigurationError, match='"b": its keys belong to a and b so far'):
        site.register(site.entry("a", first), site.entry("b", second, moved))
    assert site.names() == {"a": first.key_sha256, "b": second.key_sha256}


def test_one_may_not_be_split_into_two(site: Site, issuers: list[Issuer]) -> None:
    first, second, *_ = issuers
    site.register(site.entry("a", first, second))
    with pytest.raises(ConfigurationError, match='"a" and "b" are one'):
        site.register(site.entry("a", first), site.entry("b", second))


def test_two_may_not_share_a_key(site: Site, issuers: list[Issuer]) -> None:
    entries = [site.entry("a", issuers[0]), site.entry("b", keys=(issuers[0].key_sha256,))]
    with pytest.raises(ConfigurationError, match=r'^subordinate "b": its key .* belongs to "a"'):
        read_configured(entries)


def test_two_certificates_of_one_key_are_one_key(site: Site) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    old, new = make_issuer("CA", key=key), make_issuer("CA", key=key)
    site.register(site.entry("a", old, new))
    assert site.watched() == {old.key_sha256: True}
    with site.database.read() as session:
        spans = load_authority_spans(session, old.key_sha256)
        assert [span.sha256 for span in spans] == sorted((old.sha256, new.sha256))


def test_a_certificate_confirms_a_key_that_was_known_by_hash_alone(
    site: Site, issuers: list[Issuer]
) -> None:
    site.register(site.entry("a", keys=(issuers[0].key_sha256,)))
    with site.database.read() as session:
        assert [key.confirmed for key in load_subordinates(session)[0].keys] == [False]
    site.register(site.entry("a", issuers[0]))
    with site.database.read() as session:
        assert [key.confirmed for key in load_subordinates(session)[0].keys] == [True]


def test_an_unknown_name_is_refused_with_those_known(site: Site, issuers: list[Issuer]) -> None:
    with site.database.read() as session, pytest.raises(ConfigurationError, match="none yet"):
        load_anchor(session, "acme")
    site.register(site.entry("b", issuers[0]), site.entry("a", issuers[1]))
    with site.database.read() as session, pytest.raises(ConfigurationError, match=r"known: a, b$"):
        load_anchor(session, "acme")


@pytest.fixture(scope="module")
def leaf() -> Issuer:
    return make_issuer("leaf", ca=False)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "holds no certificate"),
        (b"hello", "holds no certificate"),
        (b"\x30\x03\x02\x01\x00", "its public key cannot be read"),
        (b"-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n", "public key cannot"),
        (b"-----BEGIN CERTIFICATE-----\nMA=o\n-----END CERTIFICATE-----\n", "broken PEM"),
        (b"-----BEGIN PUBLIC KEY-----\nMAo=\n-----END PUBLIC KEY-----\n", "holds no certificate"),
        (b"0" * (1024 * 1024 + 1), "larger than 1 MiB"),
        ("leaf", "not a CA certificate"),
    ],
)
def test_a_file_that_is_no_ca_certificate_is_refused_with_name_and_reason(
    tmp_path: Path, leaf: Issuer, content: bytes | str | None, reason: str
) -> None:
    path = tmp_path / "acme.pem"
    if content == "leaf":
        path.write_bytes(leaf.pem)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    entry = SubordinateSettings(
        name="acme", operator="A", relation=Relation.ON_PREMISES, certificates=(path,)
    )
    with pytest.raises(ConfigurationError) as caught:
        read_configured([entry])
    assert str(caught.value).startswith(f'subordinate "acme": {path}: ')
    assert reason in str(caught.value)


def test_der_and_several_pem_in_one_file_are_read(tmp_path: Path, issuers: list[Issuer]) -> None:
    der, bundle = tmp_path / "one.der", tmp_path / "two.pem"
    der.write_bytes(issuers[0].der)
    bundle.write_bytes(b"# comment\r\n" + issuers[1].pem + b"\n" + issuers[2].pem)
    entry = SubordinateSettings(
        name="acme", operator="A", relation=Relation.ON_PREMISES, certificates=(bundle, der)
    )
    (one,) = read_configured([entry])
    assert one.keys == tuple(issuers[number].key_sha256 for number in (1, 2, 0))


def test_a_certificate_that_strict_parsers_refuse_is_registered(
    tmp_path: Path, issuers: list[Issuer]
) -> None:
    """A negative serial: forbidden, issued all the same, and its key is as real as any."""
    good = issuers[0].der
    start = good.index(b"\xa0\x03\x02\x01\x02\x02") + 7
    bad = good[:start] + bytes([good[start] | 0x80]) + good[start + 1 :]
    path = tmp_path / "odd.pem"
    body = base64.encodebytes(bad).decode()
    path.write_text(f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")
    entry = SubordinateSettings(
        name="acme", operator="A", relation=Relation.ON_PREMISES, certificates=(path,)
    )
    (one,) = read_configured([entry])
    assert one.keys == (issuers[0].key_sha256,)
    assert one.certificates[0].der == bad
