"""Every fault of logs that is known, and the test that says what must happen.

The table is the list; a test that is renamed or lost fails here. Waiting and refusal are tested in
``test_faulty_log``, what is hashed or signed in ``test_real_log`` and ``test_mutations``.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FAULTY, REAL = "integration/test_faulty_log.py", "integration/test_real_log.py"
ENTRIES, HEADS = "unit/evidence/test_harvest_entries.py", "unit/evidence/test_harvest_heads.py"
POLLING, SIGNATURES = "unit/evidence/test_polling.py", "unit/evidence/test_signatures.py"
PASSES = "what_passes_is_waited_out_and_nothing_is_lost"
LASTS = "what_lasts_is_left_alone_and_read_once_it_is_over"
OTHERS = "pages_of_other_entries_than_asked_for_are_refused_by_the_root"
FAULTS: dict[str, tuple[str, str]] = {
    "429 with Retry-After, without it, now and then; 503": (FAULTY, PASSES),
    "429, 5xx and firewalls that last": (FAULTY, LASTS),
    "HTML with status 200": (FAULTY, PASSES),
    "HTML for a head": (HEADS, "a_web_page_with_status_200_is_not_a_misbehaving_log"),
    "hanging and trickling sockets": (FAULTY, LASTS),
    "redirects": (FAULTY, "nobody_is_followed_elsewhere"),
    "short and aligned pages": (FAULTY, "short_pages_lose_nothing_and_are_learned"),
    "pages refused for their size": (
        FAULTY,
        "pages_refused_for_their_size_are_made_smaller_and_stay_so",
    ),
    "misaligned and repeated pages": (FAULTY, OTHERS),
    "oversized pages": (FAULTY, "a_page_with_more_entries_than_asked_for_is_refused"),
    "need tree size, for seconds": (FAULTY, "a_replica_that_lags_for_seconds_is_waited_for"),
    "need tree size, for minutes": (
        FAULTY,
        "a_replica_that_lags_for_minutes_is_no_failure_until_it_is",
    ),
    "a tile that is not there yet": (FAULTY, "a_tile_that_is_not_there_yet_is_waited_for"),
    "missing partial tiles": (FAULTY, "a_partial_tile_that_is_gone_is_read_from_the_full_one"),
    "unasked gzip": (FAULTY, "gzip_that_nobody_asked_for_is_read"),
    "gzip bombs": (FAULTY, "a_bomb_goes_off_at_the_cap_and_is_not_sent_for_again"),
    "keep-alive that makes it worse": (
        FAULTY,
        "connections_are_kept_until_a_log_refuses_without_a_word",
    ),
    "hybrid logs whose tiles fail": (FAULTY, "where_the_tiles_fail_the_entries_come_by_json"),
    "wrong leaf_index": (ENTRIES, "a_leaf_index_is_held_against_the_position"),
    "unknown entry type, version, leaf type": (
        ENTRIES,
        "malformed_entries_are_kept_and_do_not_stop_the_reading",
    ),
    "a tile that cannot be cut": (ENTRIES, "a_tile_that_cannot_be_cut_is_held_against_the_log"),
    "a last chain cut off": (
        "unit/sources/test_static_ct.py",
        "the_last_chain_of_a_partial_tile_cannot_be_cut_off_by_its_length",
    ),
    "GREASE and junk signatures": (
        SIGNATURES,
        "signatures_of_others_and_junk_are_ignored_in_any_number_and_order",
    ),
    "fork at one size": (HEADS, "two_roots_of_one_verified_size_are_a_fork"),
    "rewritten past": (HEADS, "a_rewritten_past_is_found_by_its_entries"),
    "smaller head of another tree": (HEADS, "a_smaller_head_of_another_tree_is_a_fork"),
    "shrunk tree": (HEADS, "a_smaller_tree_signed_later_is_a_contradiction"),
    "stale replica": (HEADS, "a_lagging_replica_is_harmless_once_proven"),
    "growth past the final head": (
        POLLING,
        "another_root_at_the_final_size_or_growth_past_it_is_evidence_and_an_alert",
    ),
    "flipped bit in a leaf": (REAL, "a_flipped_bit_in_each_field_of_a_leaf_is_refused"),
    "flipped bit at entry k": (REAL, "a_flipped_bit_anywhere_in_the_hashed_bytes_is_refused"),
    "flipped bit in a checkpoint": (REAL, "a_flipped_bit_in_a_checkpoint_is_refused"),
    "flipped bit in a head": (REAL, "a_flipped_bit_in_a_tree_head_is_refused"),
    "flipped bit beside the hash": (
        REAL,
        "a_flipped_bit_beside_the_hashed_bytes_spoils_one_match",
    ),
    "flipped bit in an issuer": (REAL, "a_wrong_issuer_certificate_is_held_against_the_log"),
    "flipped bit anywhere": ("integration/test_mutations.py", "a_flipped_bit_makes_no_false_match"),
    "flipped bit in a hash tile or proof": (
        "integration/test_mutations.py",
        "a_flipped_bit_of_a_proof_promotes_nothing_wrong",
    ),
    "certificates that no library reads": (
        "integration/test_unparseable.py",
        "each_is_a_record_and_none_is_held_against_the_ca",
    ),
}


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((TESTS / path).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_a_test(fault: str) -> None:
    path, name = FAULTS[fault]
    assert f"test_{name}" in names_in(path)
