"""One flipped bit of what a small log serves, and what it may change, told without the product.

The judgment is made from the standards alone: which octets are hashed or signed, which belong to an
entry and are not, and which belong to nobody.
"""

from __future__ import annotations

import base64
import binascii
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from subca_oversight.errors import SourceError
from subca_oversight.http import Limits, Origin, Response
from subca_oversight.model.log import LogApi
from tests.integration.log_server import FaultyLog, Leaf, flip, sha256

_P256 = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
"""AlgorithmIdentifier of a key on that curve (RFC 5480 2.1.1)."""


@dataclass
class Memory:
    """Answers for a log without a socket, as the client would give them; may flip one bit."""

    log: FaultyLog
    served: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """What the log answers, by target; kept between harvests."""
    mutation: Mutation | None = None

    async def get(
        self,
        url: str,
        *,
        limits: Limits = Limits(),  # noqa: ARG002, B008 - as the client has it
        headers: Mapping[str, str] | None = None,  # noqa: ARG002
        origin: Origin = Origin.FETCHED,  # noqa: ARG002
        accept_status: frozenset[int] = frozenset({200}),
    ) -> Response:
        target = "/" + url.removeprefix(self.log.base)
        if target not in self.served:
            self.served[target] = self.log.answer(target)
        status, body = self.served[target]
        if status not in accept_status:
            raise SourceError(f"status {status}", status=status, url=url, retry=status >= 500)
        if self.mutation is not None and self.mutation.target == target:
            body = self.mutation.apply(body)
        return Response(status, {}, body, url)


@dataclass(frozen=True)
class Mutation:
    """One bit of one answer."""

    target: str
    octet: int
    bit: int

    def apply(self, body: bytes) -> bytes:
        return flip(self.octet, self.bit)(body)


class Effect(Enum):
    """What a mutation may do to what is promoted."""

    STOPS = "nothing of the window is promoted"
    SPOILS = "the matches named stay unconfirmed, and nothing else changes"
    STOPS_OR_SPOILS = "a length in an unhashed part: the one or the other"
    STOPS_OR_NOTHING = "a foreign line of a checkpoint: it may make the note unreadable"
    MAY_SPOIL = "the algorithm of a key above the issuer: wrong, or merely not to be checked"
    PROOF = "what is promoted is right, and it is all, or the log is refused"
    NOTHING = "nothing changes"


@dataclass(frozen=True)
class Expected:
    """What a mutation may do, and to which entries."""

    effect: Effect
    entries: frozenset[int] = frozenset()


def draw(
    answers: Mapping[str, tuple[int, bytes]], count: int, seed: int, *, only: Sequence[str] = ()
) -> Iterator[Mutation]:
    """Bits of the answers: every third anywhere in any answer, the others by length."""
    chosen = random.Random(seed)  # noqa: S311 - a sample, not a secret
    targets = sorted(
        target
        for target, (status, body) in answers.items()
        if status == 200
        and len(body) > 0
        and (len(only) == 0 or any(part in target for part in only))
    )
    lengths = [len(answers[target][1]) for target in targets]
    for number in range(count):
        target = chosen.choice(targets) if number % 3 == 0 else chosen.choices(targets, lengths)[0]
        yield Mutation(target, chosen.randrange(len(answers[target][1])), chosen.randrange(8))


def judge(log: FaultyLog, matches: frozenset[int], body: bytes, mutation: Mutation) -> Expected:
    """What the mutation of ``body`` may do to the promotion of ``matches``."""
    target = mutation.target
    if log.api is LogApi.RFC6962:
        if target.startswith("/ct/v1/get-entries"):
            return _judge_page(log.leaves, matches, body, mutation)
        if target == "/ct/v1/get-sth":
            return Expected(Effect.STOPS)
        return Expected(Effect.PROOF)
    if target.startswith("/tile/data/"):
        return _judge_tile(log.leaves, matches, mutation)
    if target.startswith("/issuer/"):
        name = target.removeprefix("/issuer/")
        named = frozenset(
            index
            for index in matches
            if name in {sha256(one).hex() for one in log.leaves[index].chain}
        )
        return Expected(Effect.SPOILS if len(named) > 0 else Effect.NOTHING, named)
    if target == "/checkpoint":
        begin = body.index("— grease.invalid".encode())
        is_foreign = begin <= mutation.octet < body.index(b"\n", begin)
        return Expected(Effect.STOPS_OR_NOTHING if is_foreign else Effect.STOPS)
    return Expected(Effect.PROOF)


def _judge_page(
    leaves: Sequence[Leaf], matches: frozenset[int], body: bytes, mutation: Mutation
) -> Expected:
    first = int(mutation.target.partition("start=")[2].partition("&")[0])
    before, after = _decode(body), _decode(mutation.apply(body))
    assert before is not None
    if after is None or [leaf for leaf, _ in before] != [leaf for leaf, _ in after]:
        return Expected(Effect.STOPS)
    changed = {
        first + offset
        for offset, (one, other) in enumerate(zip(before, after, strict=True))
        if one != other
    }
    spoiled = matches & changed
    for index in spoiled:
        if _is_key_algorithm(leaves[index], before[index - first][1], after[index - first][1]):
            return Expected(Effect.MAY_SPOIL, spoiled)
    return Expected(Effect.SPOILS if len(spoiled) > 0 else Effect.NOTHING, spoiled)


def _is_key_algorithm(leaf: Leaf, before: bytes | None, after: bytes | None) -> bool:
    """Whether the last certificate above the issuer has another key algorithm or curve now."""
    if before is None or after is None or len(leaf.chain) == 1:
        return False
    begin = before.rindex(_P256)
    return before[begin : begin + len(_P256)] != after[begin : begin + len(_P256)]


def _decode(body: bytes) -> list[tuple[bytes, bytes | None]] | None:
    """Leaves and extra data (None where it is not base64); None where there are no leaves."""
    try:
        entries = json.loads(body.decode())["entries"]
        return [
            (base64.b64decode(entry["leaf_input"], validate=True), _octets(entry["extra_data"]))
            for entry in entries
        ]
    except (ValueError, KeyError, TypeError):
        return None


def _octets(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _judge_tile(leaves: Sequence[Leaf], matches: frozenset[int], mutation: Mutation) -> Expected:
    number = int(mutation.target.split("/")[3].removesuffix(".p"))
    at = 0
    for index, leaf in enumerate(leaves[number * 256 : number * 256 + 256], number * 256):
        hashed = len(leaf.merkle_leaf()) - 2
        if mutation.octet < at + hashed:
            return Expected(Effect.STOPS)
        rest = leaf.tile_rest()
        within = mutation.octet - at - hashed
        if within < len(rest):
            spoiled = matches & {index}
            body = 0 if leaf.issuer_key_hash is None else 3 + len(leaf.precertificate)
            if body <= within < body + 2 or (body > 0 and within < 3):
                return Expected(Effect.STOPS_OR_SPOILS, spoiled)
            return Expected(Effect.SPOILS if len(spoiled) > 0 else Effect.NOTHING, spoiled)
        at += hashed + len(rest)
    raise AssertionError("the octet lies beyond the tile")
