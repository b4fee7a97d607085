"""The page size follows what a log gives, and never costs an entry."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.sources.page_size import SMALLEST, PageSize

Server = Callable[[int, int], int | None]
"""Entries given for (first, asked); None for a refusal."""


def read(pages: PageSize, server: Server, entries: int, first: int = 0) -> list[tuple[int, int]]:
    """Read ``entries`` entries; (asked, given) of each request, 0 for a refused one."""
    requests = []
    end = first + entries
    while first < end:
        asked = pages.next_end(first, end) - first
        given_entries = server(first, asked)
        if given_entries is None:
            assert pages.refuse(asked)
            requests.append((asked, 0))
            continue
        assert 0 < given_entries <= asked
        pages.served(first, asked, given_entries)
        requests.append((asked, given_entries))
        first += given_entries
    assert first == end
    return requests


def at_most(most: int, *, align: bool = False) -> Server:
    def give(first: int, asked: int) -> int:
        return min(asked, most - first % most if align else most)

    return give


def refusing_above(most: int) -> Server:
    return lambda _first, asked: asked if asked <= most else None


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("most", [32, 256, 1000])
@pytest.mark.parametrize("first", [0, 5, 70_001])
def test_a_fixed_limit_is_learned_within_a_few_pages(most: int, first: int, align: bool) -> None:
    pages = PageSize(1000)
    read(pages, at_most(most, align=align), 6 * 1000, first)
    assert pages.size == most
    assert pages.next_end(first, first + 10**6) % most == 0


def test_one_short_page_off_its_place_teaches_nothing() -> None:
    pages = PageSize(200)
    pages.served(250, 50, 6)
    assert pages.size == 200


def test_a_log_that_goes_by_octets_is_asked_for_the_most_it_gave() -> None:
    gives = iter([700, 40, 900, 32, *[900] * 50])
    pages = PageSize(1000)
    for number in range(4):
        served = next(gives)
        pages.served(number * served, 1000, served)
    assert pages.size == 900


def test_a_short_page_at_the_edge_of_a_replica_does_not_make_pages_tiny() -> None:
    pages = PageSize(256)
    for first in range(3, 9):
        pages.served(first, 256, 1)
    assert pages.size == SMALLEST
    read(pages, at_most(256), 20_000, 4096)
    assert pages.size == 256


def test_a_refused_page_is_halved_until_it_is_taken() -> None:
    requests = read(PageSize(1000), refusing_above(200), 2000)
    assert [asked for asked, got in requests if got == 0] == [1000, 512, 256]
    assert requests[3] == (128, 128)


def test_the_smallest_page_is_not_made_smaller() -> None:
    pages = PageSize(SMALLEST)
    assert not pages.refuse(SMALLEST)
    assert pages.size == SMALLEST


def test_pages_under_way_together_are_halved_once() -> None:
    pages = PageSize(1000)
    assert pages.refuse(1000)
    assert pages.refuse(1000)
    assert pages.size == 512


def test_a_page_refused_in_passing_grows_back() -> None:
    pages = PageSize(1000)
    while pages.size > SMALLEST:
        pages.refuse(pages.size)
    read(pages, refusing_above(1000), 40_000)
    assert pages.size == 1000


def test_a_size_refused_for_good_is_tried_less_and_less_often() -> None:
    pages = PageSize(1000)
    requests = read(pages, refusing_above(300), 256 * 3000)
    refused = [asked for asked, got in requests if got == 0]
    assert refused[:2] == [1000, 512]
    assert len(refused) < 12


@given(
    st.lists(st.integers(0, 2000), min_size=1, max_size=300),
    st.integers(0, 10**6),
    st.integers(1, 10_000),
)
def test_every_entry_is_asked_for_in_order_whatever_the_log_gives(
    whims: list[int], first: int, most: int
) -> None:
    whim = iter(whims)

    def server(_first: int, asked: int) -> int | None:
        given_entries = next(whim, asked)
        if given_entries > asked:
            return None if asked > SMALLEST else asked
        return max(1, given_entries)

    pages = PageSize(most)
    requests = read(pages, server, 3000, first)
    assert sum(got for _, got in requests) == 3000
    assert all(asked <= most for asked, _ in requests)
    assert 1 <= pages.size <= most
