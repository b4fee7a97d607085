"""A draw follows from population and public value alone."""

from __future__ import annotations

import hashlib
import hmac
import re
from math import ceil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.evidence.issuance import unit_id
from subca_oversight.evidence.sampling import (
    LATE,
    PopulationUnit,
    Profile,
    commit,
    draw,
    profile_of,
    rank_of,
    sample_size,
    seed_of,
)
from subca_oversight.model.certificate import CertificateFacts, CertificateKind

DOCUMENT = Path(__file__).parents[3] / "docs" / "sampling.md"
IDS = st.integers(0, 2**32).map(lambda n: hashlib.sha256(n.to_bytes(8, "big")).hexdigest())
UNITS = st.builds(PopulationUnit, IDS, st.sampled_from(Profile), st.booleans())
POPULATIONS = st.lists(UNITS, max_size=80, unique_by=lambda unit: unit.unit_id)


def sha256(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word by word."""
    if len(leaves) == 0:
        return sha256(b"")
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0])
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:]))


def test_the_documented_vector_follows_from_hashes_alone() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    found = re.search(r"SPKI SHA-256: `([0-9a-f]{64})`", text)
    value = re.search(r"Public value: `([^`]+)` \(UTF-8 `([0-9a-f]+)`\)", text)
    commitment = re.search(r"Commitment: `([0-9a-f]{64})`", text)
    seed = re.search(r"Seed: `([0-9a-f]{64})`", text)
    rows = re.findall(
        r"^\| `([0-9a-f]+)` \| `(\w+)` \| `([0-9a-f]{64})` \| `([0-9a-f]{64})` \| (yes|no) \|$",
        text,
        flags=re.MULTILINE,
    )
    assert found is not None
    assert value is not None
    assert commitment is not None
    assert seed is not None
    assert len(rows) == 5
    assert value[1].encode().hex() == value[2]
    ids = {row[0]: sha256(bytes.fromhex(found[1]) + bytes.fromhex(row[0])) for row in rows}
    root = naive_root(sorted(ids.values()))
    key = sha256(b"subca-oversight/sample/v1" + b"\x00" + root + value[1].encode())
    assert root.hex() == commitment[1]
    assert key.hex() == seed[1]
    ranks: dict[str, list[bytes]] = {}
    for serial, stratum, unit, rank, _ in rows:
        assert ids[serial].hex() == unit
        message = stratum.encode() + b"\x00" + ids[serial]
        assert hmac.new(key, message, hashlib.sha256).hexdigest() == rank
        ranks.setdefault(stratum, []).append(bytes.fromhex(rank))
    for _, stratum, _, rank, drawn in rows:
        # Each stratum of the vector is small enough for a sample of one.
        assert (drawn == "yes") == (bytes.fromhex(rank) == min(ranks[stratum]))


def test_the_product_agrees_with_the_documented_vector() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    key = bytes(range(32))
    population = [
        PopulationUnit(unit_id(key, bytes.fromhex(serial)), profile, late)
        for serial, profile, late in (
            ("01", Profile.TLS, False),
            ("02", Profile.TLS, False),
            ("00ff", Profile.TLS, False),
            ("04", Profile.SMIME, False),
            ("05", Profile.TLS, True),
        )
    ]
    outcome = draw(population, "quicknet 1234567 ✓")
    assert f"Commitment: `{outcome.commitment.hex()}`" in text
    assert f"Seed: `{outcome.seed.hex()}`" in text
    assert [unit.stratum for unit in outcome.drawn] == ["late", "smime", "tls"]
    for unit in outcome.drawn:
        assert f"| `{unit.stratum}` | `{unit.unit_id}` | `{unit.rank}` | yes |" in text


@given(st.lists(IDS, max_size=40, unique=True))
def test_the_commitment_is_the_rfc_6962_root_over_sorted_ids(ids: list[str]) -> None:
    assert commit(ids) == naive_root(sorted(bytes.fromhex(one) for one in ids))


@given(POPULATIONS, st.text(min_size=1))
def test_the_order_of_the_population_does_not_matter(
    population: list[PopulationUnit], value: str
) -> None:
    value = value.encode("utf-8", "replace").decode()
    shuffled = sorted(population, key=lambda unit: hashlib.sha256(unit.unit_id.encode()).digest())
    assert draw(shuffled, value) == draw(population, value)
    assert draw(list(reversed(population)), value) == draw(population, value)


@given(POPULATIONS)
def test_a_larger_sample_contains_the_smaller_one(population: list[PopulationUnit]) -> None:
    small = draw(population, "value", ev_percent=3)
    large = draw(population, "value", ev_percent=6)
    assert set(small.drawn) <= set(large.drawn)


@given(POPULATIONS)
def test_nobody_outside_the_sample_has_a_smaller_rank(population: list[PopulationUnit]) -> None:
    outcome = draw(population, "value")
    drawn = {unit.unit_id for unit in outcome.drawn}
    for size in outcome.sizes:
        members = [
            unit
            for unit in population
            if unit.stratum == size.stratum and unit.profile is size.profile
        ]
        ranks = {
            unit.unit_id: rank_of(outcome.seed, size.stratum, unit.unit_id) for unit in members
        }
        inside = [rank for unit, rank in ranks.items() if unit in drawn]
        outside = [rank for unit, rank in ranks.items() if unit not in drawn]
        assert len(members) == size.population
        assert len(inside) == size.drawn >= 1
        assert all(rank > max(inside) for rank in outside)


@given(POPULATIONS)
def test_the_overall_floor_holds(population: list[PopulationUnit]) -> None:
    outcome = draw(population, "value")
    if len(population) == 0:
        assert outcome.drawn == ()
    else:
        assert len(outcome.drawn) >= max(1, ceil(len(population) * 3 / 100))
    mail = [unit for unit in population if unit.profile is Profile.SMIME]
    drawn = {unit.unit_id for unit in outcome.drawn}
    assert sum(unit.unit_id in drawn for unit in mail) >= min(len(mail), 30)


@given(POPULATIONS, st.integers(0, 200))
def test_another_public_value_or_population_gives_another_seed(
    population: list[PopulationUnit], number: int
) -> None:
    commitment = commit(unit.unit_id for unit in population)
    assert seed_of(commitment, str(number)) != seed_of(commitment, str(number + 1))
    extra = sha256(b"extra" + number.to_bytes(2, "big")).hex()
    larger = commit([*(unit.unit_id for unit in population), extra])
    assert seed_of(commitment, str(number)) != seed_of(larger, str(number))


@pytest.mark.parametrize(
    ("profile", "population", "percent", "size"),
    [
        (Profile.TLS, 0, 3, 0),
        (Profile.TLS, 1, 3, 1),
        (Profile.TLS, 33, 3, 1),
        (Profile.TLS, 34, 3, 2),
        (Profile.TLS, 100, 3, 3),
        (Profile.TLS, 101, 3, 4),
        (Profile.TLS, 1_000_000, 3, 30_000),
        (Profile.OTHER, 34, 3, 2),
        (Profile.SMIME, 0, 3, 0),
        (Profile.SMIME, 29, 3, 29),
        (Profile.SMIME, 30, 3, 30),
        (Profile.SMIME, 1000, 3, 30),
        (Profile.SMIME, 1001, 3, 31),
        (Profile.EV, 0, 3, 0),
        (Profile.EV, 1, 3, 1),
        (Profile.EV, 100, 3, 3),
        (Profile.EV, 100, 6, 6),
        (Profile.EV, 101, 6, 7),
    ],
)
def test_sizes_are_those_of_the_rules(
    profile: Profile, population: int, percent: int, size: int
) -> None:
    assert sample_size(profile, population, ev_percent=percent) == size


def test_late_profiles_share_a_ranking_and_keep_their_own_sizes() -> None:
    ids = [sha256(bytes([n])).hex() for n in range(105)]
    population = [
        PopulationUnit(one, Profile.SMIME if n < 5 else Profile.TLS, is_late=True)
        for n, one in enumerate(ids)
    ]
    outcome = draw(population, "value")
    assert {unit.stratum for unit in outcome.drawn} == {LATE}
    assert [(size.profile, size.drawn) for size in outcome.sizes] == [
        (Profile.SMIME, 5),
        (Profile.TLS, 3),
    ]


TLS_EKU, MAIL_EKU, CLIENT_EKU = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.2"


@pytest.mark.parametrize(
    ("ekus", "policies", "names", "mails", "profile"),
    [
        ((TLS_EKU,), (), (), (), Profile.TLS),
        ((TLS_EKU, CLIENT_EKU), ("2.23.140.1.1",), (), (), Profile.EV),
        ((CLIENT_EKU,), ("2.23.140.1.1",), (), (), Profile.OTHER),
        ((MAIL_EKU,), (), (), (), Profile.SMIME),
        ((MAIL_EKU, TLS_EKU), (), (), (), Profile.SMIME),
        ((CLIENT_EKU,), (), ("a.example",), (), Profile.OTHER),
        (None, (), ("a.example",), ("a@a.example",), Profile.TLS),
        (None, (), (), ("a@a.example",), Profile.SMIME),
        (None, (), (), (), Profile.OTHER),
        ((), (), ("a.example",), (), Profile.OTHER),
    ],
)
def test_profiles_follow_from_use_policy_and_names(
    ekus: tuple[str, ...] | None,
    policies: tuple[str, ...],
    names: tuple[str, ...],
    mails: tuple[str, ...],
    profile: Profile,
) -> None:
    facts = CertificateFacts(
        der=b"",
        sha256="",
        kind=CertificateKind.FINAL,
        eku_oids=ekus,
        policy_oids=policies,
        dns_names=names,
        email_addresses=mails,
    )
    assert profile_of([facts]) is profile


def test_a_unit_without_readable_certificates_is_still_drawn_from() -> None:
    assert profile_of([]) is Profile.OTHER
