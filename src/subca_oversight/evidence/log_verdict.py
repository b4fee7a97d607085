"""Checking evidence against a log, with nothing but the file: no configuration, no database.

A verdict says no more than what follows from the log's signatures and the hashes. That something
was served at some time is the observer's word in every case, for logs do not sign their answers.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from subca_oversight.errors import EvidenceError, SourceError, VerificationError
from subca_oversight.evidence.log_evidence import LogEvidence
from subca_oversight.evidence.log_proof import CorruptionProof, SplitProof
from subca_oversight.evidence.merkle import (
    EMPTY_ROOT,
    leaf_hash,
    old_root_of,
    verify_consistency,
)
from subca_oversight.evidence.signatures import (
    parse_tree_head,
    verify_checkpoint,
    verify_tree_head,
)
from subca_oversight.model.log import Log, LogApi, TreeHead

FUTURE_TOLERANCE = timedelta(minutes=5)
"""By which the clock of a log may be ahead of ours."""


def verify_evidence(evidence: LogEvidence) -> str:
    """What the evidence proves, as a sentence. Raises EvidenceError where it does not prove it."""
    verdicts = {
        "split_view": _split_view,
        "rollback": _rollback,
        "corruption": _corruption,
        "past_final_head": _past_final_head,
        "bad_signature": _bad_signature,
        "stale_head": _stale_head,
        "future_head": _future_head,
    }
    verdict = verdicts.get(evidence.kind)
    if verdict is None:
        raise EvidenceError(
            f"evidence of the kind {evidence.kind!r} is a record of what was served; nothing in it"
            " can be proven offline"
        )
    return verdict(evidence)


def load_signed_head(log: Log, raw: bytes) -> TreeHead:
    """The head, once its signature is verified. Raises EvidenceError."""
    try:
        if log.api is LogApi.STATIC:
            return verify_checkpoint(log, raw)
        head = parse_tree_head(raw, log)
        verify_tree_head(log, head)
    except SourceError as error:
        raise EvidenceError(f"the tree head cannot be read: {error}") from None
    return head


def _split_view(evidence: LogEvidence) -> str:
    head, *others = _heads(evidence)
    if head.tree_size == 0 and head.root_hash != EMPTY_ROOT:
        return "the head is signed by this key, has the size 0, and not the root of an empty tree"
    if len(others) == 0:
        raise EvidenceError("one signed head alone proves no split view")
    other = others[0]
    if head.tree_size == other.tree_size:
        if head.root_hash == other.root_hash:
            raise EvidenceError("the two heads have the same root")
        return (
            f"both heads are signed by this key and have the same size {head.tree_size} but"
            f" different roots, {head.root_hash.hex()} and {other.root_hash.hex()}"
        )
    old, new = sorted((head, other), key=lambda one: one.tree_size)
    proof = SplitProof.decode(_proof(evidence))
    if (proof.first, proof.second) != (old.tree_size, new.tree_size):
        raise EvidenceError("the proof is not between the sizes of the two heads")
    root = old_root_of(proof.first, proof.second, proof.hashes, new.root_hash)
    if root == old.root_hash:
        raise EvidenceError("the two heads are consistent")
    return (
        f"both heads are signed by this key; the tree of size {new.tree_size} has the root"
        f" {root.hex()} at size {old.tree_size}, for which the key signed {old.root_hash.hex()}"
    )


def _rollback(evidence: LogEvidence) -> str:
    smaller, larger = _two_heads(evidence)
    if smaller.tree_size >= larger.tree_size or smaller.timestamp_ms <= larger.timestamp_ms:
        raise EvidenceError("the smaller head is not the later one")
    return (
        f"both heads are signed by this key: the tree had {larger.tree_size} entries at"
        f" {_instant(larger)} and {smaller.tree_size} entries later, at {_instant(smaller)}"
    )


def _corruption(evidence: LogEvidence) -> str:
    head = _heads(evidence)[0]
    proof = CorruptionProof.decode(_proof(evidence))
    position = proof.begin.copy()
    size = head.tree_size
    first = position.size
    if first > 0:
        verify_consistency(first, size, proof.begin_proof, position.root(), head.root_hash)
    for leaf in proof.leaves:
        position.append(leaf_hash(leaf))
    signed = old_root_of(position.size, size, proof.end_proof, head.root_hash)
    if position.root() == signed:
        raise EvidenceError("the entries are those that the log signed")
    return (
        f"the served entries {first} to {position.size - 1} hash, with the entries before them, to"
        f" the root {position.root().hex()}, but the tree of {size} entries that is signed by this"
        f" key has the root {signed.hex()} at size {position.size}"
    )


def _past_final_head(evidence: LogEvidence) -> str:
    head = _heads(evidence)[0]
    final = evidence.log.final_tree_head
    if final is None:
        raise EvidenceError("no final head is stated")
    if head.tree_size > final.tree_size:
        what = f"has {head.tree_size} entries, more than the {final.tree_size}"
    elif head.tree_size == final.tree_size and head.root_hash != final.root_hash:
        what = f"has another root at size {head.tree_size} than that"
    else:
        raise EvidenceError("the head fits the final head")
    return f"the head is signed by this key and {what} of the final head that a log list states"


def _bad_signature(evidence: LogEvidence) -> str:
    for raw in evidence.heads:
        try:
            load_signed_head(evidence.log, raw)
        except VerificationError as error:
            return f"the head does not verify with this key: {error}"
    raise EvidenceError("the head is signed by this key")


def _stale_head(evidence: LogEvidence) -> str:
    head = _heads(evidence)[0]
    age = evidence.observed_at - _at(head)
    if age <= timedelta(seconds=evidence.log.mmd):
        raise EvidenceError("the head was not older than the maximum merge delay")
    return (
        f"the head is signed by this key at {_instant(head)}; where it was the newest one at"
        f" {evidence.observed_at:%Y-%m-%d %H:%M:%S} UTC, it was {age} old, and the maximum merge"
        f" delay is {evidence.log.mmd} s"
    )


def _future_head(evidence: LogEvidence) -> str:
    head = _heads(evidence)[0]
    if _at(head) - evidence.observed_at <= FUTURE_TOLERANCE:
        raise EvidenceError("the head was not signed for the future")
    return (
        f"the head is signed by this key for {_instant(head)}; where it was served at"
        f" {evidence.observed_at:%Y-%m-%d %H:%M:%S} UTC, that was in the future"
    )


def _heads(evidence: LogEvidence) -> list[TreeHead]:
    if len(evidence.heads) == 0:
        raise EvidenceError("the evidence has no signed head")
    return [load_signed_head(evidence.log, raw) for raw in evidence.heads]


def _two_heads(evidence: LogEvidence) -> tuple[TreeHead, TreeHead]:
    heads = _heads(evidence)
    if len(heads) != 2:  # noqa: PLR2004 - two
        raise EvidenceError("two signed heads are needed")
    return heads[0], heads[1]


def _proof(evidence: LogEvidence) -> bytes:
    if evidence.proof is None:
        raise EvidenceError(f"no proof could be had from the log: {evidence.detail}")
    return evidence.proof


def _at(head: TreeHead) -> datetime:
    try:
        return datetime.fromtimestamp(head.timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.max.replace(tzinfo=UTC)


def _instant(head: TreeHead) -> str:
    return f"{_at(head):%Y-%m-%d %H:%M:%S} UTC"
