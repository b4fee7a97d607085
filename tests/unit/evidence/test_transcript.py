"""A transcript verifies offline, and nothing in it can be changed unseen."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.errors import EvidenceError, VerificationError
from subca_oversight.evidence.sampling import PopulationUnit, Profile
from subca_oversight.evidence.transcript import (
    AuthorityCertificate,
    SampleTranscript,
    make_transcript,
    verify_transcript,
)
from subca_oversight.evidence.transcript_json import encode_transcript, load_transcript

END = datetime(2026, 10, 1, tzinfo=UTC)
ANCHOR = hashlib.sha256(b"anchor").hexdigest()


def unit_id(number: int) -> str:
    return hashlib.sha256(number.to_bytes(4, "big")).hexdigest()


def transcript_of(
    *, size: int = 50, constrained: bool | None = False, first: bool = False
) -> SampleTranscript:
    return make_transcript(
        anchor=ANCHOR,
        subordinate="acme-tls-1",
        authorities=[AuthorityCertificate(hashlib.sha256(b"ca").hexdigest(), constrained)],
        previous_end=None if first else END - timedelta(days=92),
        population_end=END,
        drawn_at=END + timedelta(days=3),
        population=[
            PopulationUnit(unit_id(n), Profile.TLS, is_late=n % 7 == 0 and not first)
            for n in range(size)
        ],
        public_value="quicknet 42 ✓",
    )


def test_a_transcript_survives_its_file_and_verifies() -> None:
    transcript = transcript_of()
    content = encode_transcript(transcript)
    assert content.isascii()
    loaded = load_transcript(content)
    assert loaded == transcript
    assert encode_transcript(loaded) == content
    verify_transcript(loaded)
    verify_transcript(loaded, public_value="quicknet 42 ✓")


def test_a_period_without_issuance_verifies_too() -> None:
    transcript = transcript_of(size=0)
    assert transcript.commitment == hashlib.sha256(b"").hexdigest()
    assert transcript.sample == ()
    verify_transcript(load_transcript(encode_transcript(transcript)))


@pytest.mark.parametrize(
    ("constrained", "basis"),
    [(True, "br-8.7"), (False, "product-default"), (None, "product-default")],
)
def test_only_a_constrained_subordinate_makes_the_sample_a_br_duty(
    constrained: bool | None, basis: str
) -> None:
    assert json.loads(encode_transcript(transcript_of(constrained=constrained)))["basis"] == basis


def test_another_public_value_is_named() -> None:
    with pytest.raises(VerificationError, match=r"^public_value: .*not with 'quicknet 43'"):
        verify_transcript(transcript_of(), public_value="quicknet 43")


def test_the_first_difference_is_named() -> None:
    transcript = transcript_of()
    other = next(
        u for u in transcript.units if u.unit_id not in {s.unit_id for s in transcript.sample}
    )
    swapped = dataclasses.replace(transcript.sample[0], unit_id=other.unit_id)
    cases: list[tuple[SampleTranscript, str]] = [
        (dataclasses.replace(transcript, commitment="00" * 32), "commitment: says 00"),
        (dataclasses.replace(transcript, seed="00" * 32), "seed: says 00"),
        (dataclasses.replace(transcript, public_value="other"), "seed: says"),
        (dataclasses.replace(transcript, units=transcript.units[1:]), "commitment: says"),
        (
            dataclasses.replace(transcript, units=tuple(reversed(transcript.units))),
            r"units\[1\]: not in strictly ascending order",
        ),
        (
            dataclasses.replace(transcript, sample=(swapped, *transcript.sample[1:])),
            r"sample\[0\]\.unit_id: says",
        ),
        (dataclasses.replace(transcript, sample=transcript.sample[:-1]), "sample: has"),
        (dataclasses.replace(transcript, sizes=transcript.sizes[:-1]), "sizes: has"),
        (
            dataclasses.replace(
                transcript,
                sizes=(
                    dataclasses.replace(transcript.sizes[0], drawn=99),
                    *transcript.sizes[1:],
                ),
            ),
            r"sizes\[0\]\.drawn: says '99'",
        ),
        (dataclasses.replace(transcript, ev_percent=1), "ev_percent"),
        (dataclasses.replace(transcript, previous_end=END), "previous_end"),
        (dataclasses.replace(transcript, previous_end=None), "a first draw has no late"),
        (dataclasses.replace(transcript, drawn_at=END - timedelta(days=1)), "population_end"),
    ]
    for changed, reason in cases:
        with pytest.raises(VerificationError, match=reason):
            verify_transcript(changed)


def test_a_unit_moved_to_another_stratum_is_noticed() -> None:
    transcript = transcript_of()
    moved = dataclasses.replace(transcript.units[0], is_late=not transcript.units[0].is_late)
    with pytest.raises(VerificationError, match="sizes"):
        verify_transcript(dataclasses.replace(transcript, units=(moved, *transcript.units[1:])))


def test_every_change_of_the_file_is_refused_or_changes_nothing_that_was_drawn() -> None:
    """Dropping, doubling or altering any member of the JSON."""
    content = json.loads(encode_transcript(transcript_of(size=40)))
    for key in content:
        without = {name: value for name, value in content.items() if name != key}
        with pytest.raises(EvidenceError):
            load_transcript(json.dumps(without).encode())
    for key in (
        "version",
        "basis",
        "population",
        "units",
        "commitment",
        "public_value",
        "seed",
        "sizes",
        "sample",
        "ev_percent",
    ):
        values: list[object] = [None, True, -1, 1.5, "x", [], {}, [{}]]
        for value in values:
            changed = {**content, key: value}
            with pytest.raises(EvidenceError):
                verify_transcript(
                    load_transcript(json.dumps(changed).encode()), public_value="quicknet 42 ✓"
                )


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"version"', b'"version": "a",\n "version"', "a key stands twice"),
        (b'"population": 40', b'"population": 41', "lists 40 units"),
        (b'"ev_percent": 3', b'"ev_percent": 3.0', "no whole number"),
        (b'"ev_percent": 3', b'"ev_percent": true', "no whole number"),
        (b'"ev_percent": 3', b'"ev_percent": NaN', "NaN"),
        (b"sample/v1", b"sample/v2", "version"),
        (b"2026-10-01T00:00:00Z", b"2026-10-01T00:00:00", "no instant"),
        (b"2026-10-01T00:00:00Z", b"2026-10-1T00:00:00Z", "no instant"),
        (b'"br_constrained": false', b'"br_constrained": true', "basis"),
        (b'"profile": "tls"', b'"profile": "pgp"', "no known profile"),
        (b'"stratum": "tls"', b'"stratum": "smime"', "stratum"),
        (b'"rule"', b'"rules"', "lacks rule"),
        (b"acme-tls-1", b"\\ud800", "name is no text"),
        (b'"basis"', b'"more": 1, "basis"', "unknown key 'more'"),
    ],
)
def test_a_file_in_another_form_is_refused(old: bytes, new: bytes, reason: str) -> None:
    content = encode_transcript(transcript_of(size=40))
    assert old in content
    with pytest.raises(EvidenceError, match=reason):
        load_transcript(content.replace(old, new, 1))


@pytest.mark.parametrize("size", [1, 1000, 100_000])
def test_deep_nesting_is_refused(size: int) -> None:
    with pytest.raises(EvidenceError):
        load_transcript(b"[" * size)


@given(st.binary(max_size=200))
def test_arbitrary_octets_are_refused(content: bytes) -> None:
    with pytest.raises(EvidenceError):
        load_transcript(content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(list(json.loads(encode_transcript(transcript_of(size=2))))),
        JSON,
        min_size=1,
    )
)
def test_arbitrary_values_raise_nothing_but_evidence_errors(changes: dict[str, object]) -> None:
    content = {**json.loads(encode_transcript(transcript_of(size=2))), **changes}
    try:
        verify_transcript(load_transcript(json.dumps(content).encode()))
    except EvidenceError:
        return
    assert content["units"] == json.loads(encode_transcript(transcript_of(size=2)))["units"]


@pytest.mark.parametrize("value", ["", "\ud800"])
def test_a_public_value_that_is_no_text_is_refused(value: str) -> None:
    with pytest.raises(VerificationError, match="public_value"):
        verify_transcript(dataclasses.replace(transcript_of(), public_value=value))
