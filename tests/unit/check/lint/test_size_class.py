"""The slow lane takes what is large, and looking for it cannot fail."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.check.lint.size_class import count_names, is_slow
from subca_oversight.evidence import der

SUBJECT_ALT_NAME = bytes.fromhex("0603551d11")
CRITICAL = b"\x01\x01\xff"


def extension(names: int, *, critical: bool = False) -> bytes:
    general_names = der.encode(der.SEQUENCE, der.encode(0x82, b"example.com") * names)
    return (
        b"\x00" * 300
        + SUBJECT_ALT_NAME
        + (CRITICAL if critical else b"")
        + der.encode(der.OCTET_STRING, general_names)
    )


@given(st.integers(0, 300), st.booleans())
def test_names_are_counted(names: int, critical: bool) -> None:
    assert count_names(extension(names, critical=critical)) == names


def test_the_slow_lane_begins_above_100_names_or_64_kib() -> None:
    assert not is_slow(extension(100))
    assert is_slow(extension(101))
    assert not is_slow(bytes(64 * 1024))
    assert is_slow(bytes(64 * 1024 + 1))


@given(st.binary(max_size=400), st.integers(0, 250))
def test_no_bytes_make_it_fail(noise: bytes, names: int) -> None:
    whole = extension(names)
    for octets in (noise, SUBJECT_ALT_NAME + noise, whole[: len(noise)], noise + whole):
        assert count_names(octets) >= 0
        assert is_slow(octets) in {True, False}
