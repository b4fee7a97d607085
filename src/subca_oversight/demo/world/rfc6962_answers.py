"""What an RFC 6962 log answers (RFC 6962 4), from the entries that lie in its folder.

Pages behave like Certificate Transparency Front End's: they hold at most 64 entries, and the first
is cut short so that the next ones begin at a multiple of 64.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from pathlib import Path

from subca_oversight.demo.world.merkle import MerkleTree, leaf_hash

PAGE_ENTRIES = 64


class BadQuery(ValueError):  # noqa: N818 - it names what was asked
    """A query that the log refuses with status 400."""


class Rfc6962Answers:
    """The log in ``directory``, at any of its stages."""

    def __init__(self, directory: Path, sizes: Mapping[int, int]) -> None:
        self._directory = directory
        self._sizes = sizes
        lines = (directory / "entries.jsonl").read_text(encoding="ascii").splitlines()
        self._entries: list[dict[str, str]] = [json.loads(line) for line in lines]
        leaves = [b64decode(entry["leaf_input"]) for entry in self._entries]
        self._tree = MerkleTree(leaves)
        self._indexes = {leaf_hash(leaf): index for index, leaf in enumerate(leaves)}

    def answer(self, stage: int, call: str, query: Mapping[str, str]) -> bytes | None:
        """The JSON answer to ``call``, None for a call that is unknown; raises BadQuery."""
        if call == "get-sth":
            return (self._directory / f"get-sth-{stage}.json").read_bytes()
        if call == "get-roots":
            return (self._directory / "get-roots.json").read_bytes()
        queries = {
            "get-entries": self._page,
            "get-sth-consistency": self._consistency,
            "get-proof-by-hash": self._proof,
            "get-entry-and-proof": self._entry_and_proof,
        }
        return queries[call](self._sizes[stage], query) if call in queries else None

    def _page(self, size: int, query: Mapping[str, str]) -> bytes:
        start, end = _number(query, "start"), _number(query, "end")
        if start > end:
            raise BadQuery("start is after end")
        if start >= size:
            raise BadQuery(f"need tree size: {start + 1} to get leaves but only got: {size}")
        boundary = start - start % PAGE_ENTRIES + PAGE_ENTRIES
        entries = self._entries[start : min(end + 1, boundary, size)]
        return _json({"entries": entries})

    def _consistency(self, size: int, query: Mapping[str, str]) -> bytes:
        first, second = _number(query, "first"), _number(query, "second")
        if not 1 <= first <= second <= size:
            raise BadQuery(f"first and second must satisfy 1 <= first <= second <= {size}")
        return _json({"consistency": _hashes(self._tree.consistency(first, second))})

    def _proof(self, size: int, query: Mapping[str, str]) -> bytes:
        tree_size = _number(query, "tree_size")
        try:
            index = self._indexes.get(b64decode(query.get("hash", ""), validate=True))
        except Base64Error as error:
            raise BadQuery("hash is not Base64") from error
        if index is None or not index < tree_size <= size:
            raise BadQuery("no such leaf in a tree of that size")
        path = self._tree.inclusion(index, tree_size)
        return _json({"leaf_index": index, "audit_path": _hashes(path)})

    def _entry_and_proof(self, size: int, query: Mapping[str, str]) -> bytes:
        index, tree_size = _number(query, "leaf_index"), _number(query, "tree_size")
        if not index < tree_size <= size:
            raise BadQuery("no such leaf in a tree of that size")
        path = self._tree.inclusion(index, tree_size)
        return _json({**self._entries[index], "audit_path": _hashes(path)})


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "")
    if not (text.isascii() and text.isdigit()):
        raise BadQuery(f"{name} is not a number")
    return int(text)


def _hashes(path: list[bytes]) -> list[str]:
    return [b64encode(each).decode() for each in path]


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
