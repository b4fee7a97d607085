"""What a log serves, as files: one RFC 6962 log, one static-ct log, each at two stages.

Stage 1 is the tree as it stood at an earlier instant, so that a second harvest finds news. An RFC
6962 log answers queries, so its entries lie in one file that the server reads; a static log is
files already.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from subca_oversight.demo.world.ct_log import Log, LogEntry, milliseconds, sign_tree_head
from subca_oversight.demo.world.manifest import INSTANTS, LogStage, LogSummary
from subca_oversight.demo.world.merkle import MerkleTree

TILE_WIDTH = 256
_TILE_LEVELS = 6
_RFC6962_SIGNATURE = 5
_HEAD_DELAY_MS = 60_000


@dataclass(frozen=True, slots=True)
class _Head:
    stage: int
    timestamp: int
    size: int
    root: bytes


def write_rfc6962(
    directory: Path, log: Log, entries: Sequence[LogEntry], roots: Sequence[bytes]
) -> LogSummary:
    """Write entries, tree heads and accepted roots."""
    directory.mkdir(parents=True)
    tree = MerkleTree([entry.leaf for entry in entries])
    with (directory / "entries.jsonl").open("wb") as file:
        for entry in entries:
            file.write(
                _json(
                    {
                        "leaf_input": b64encode(entry.leaf).decode(),
                        "extra_data": b64encode(entry.extra_data).decode(),
                    }
                )
            )
    heads = _heads(tree, entries)
    for head in heads:
        signature = sign_tree_head(log, head.timestamp, head.size, head.root)
        answer = {
            "tree_size": head.size,
            "timestamp": head.timestamp,
            "sha256_root_hash": b64encode(head.root).decode(),
            "tree_head_signature": b64encode(signature).decode(),
        }
        (directory / f"get-sth-{head.stage}.json").write_bytes(_json(answer))
    accepted = {"certificates": [b64encode(root).decode() for root in roots]}
    (directory / "get-roots.json").write_bytes(_json(accepted))
    return _summary(log, "rfc6962", heads)


def write_static(directory: Path, log: Log, entries: Sequence[LogEntry]) -> LogSummary:
    """Write checkpoints, hash tiles, data tiles and issuers (static-ct-api v1.1.0)."""
    tree = MerkleTree([entry.leaf for entry in entries])
    heads = _heads(tree, entries)
    for head in heads:
        stage = directory / str(head.stage)
        stage.mkdir(parents=True)
        (stage / "checkpoint").write_bytes(_checkpoint(log, head))
        _write_hash_tiles(stage, tree, head.size)
        _write_data_tiles(stage, entries[: head.size])
    issuers = directory / "issuer"
    issuers.mkdir()
    for certificate in {each for entry in entries for each in entry.chain}:
        (issuers / hashlib.sha256(certificate).hexdigest()).write_bytes(certificate)
    return _summary(log, "static-ct", heads)


def tile_path(index: int, width: int = TILE_WIDTH) -> str:
    """A tile's number in groups of three digits, and the width of a partial tile."""
    groups = [f"{index % 1000:03}"]
    while (index := index // 1000) > 0:
        groups.append(f"x{index % 1000:03}")
    path = "/".join(reversed(groups))
    return path if width == TILE_WIDTH else f"{path}.p/{width}"


def _heads(tree: MerkleTree, entries: Sequence[LogEntry]) -> list[_Head]:
    """One head for each stage: all entries older than a minute at the stage's instant."""
    heads = []
    for stage, instant in sorted(INSTANTS.items()):
        timestamp = milliseconds(instant) - _HEAD_DELAY_MS
        size = sum(1 for entry in entries if entry.timestamp < timestamp)
        heads.append(_Head(stage, timestamp, size, tree.root(size)))
    return heads


def _summary(log: Log, api: str, heads: Sequence[_Head]) -> LogSummary:
    return LogSummary(
        slug=log.slug,
        description=log.description,
        api=api,
        log_id=log.log_id.hex(),
        stages={head.stage: LogStage(head.size, head.root.hex()) for head in heads},
    )


def _checkpoint(log: Log, head: _Head) -> bytes:
    """Signed note with one line to ignore (GREASE) before the RFC6962NoteSignature."""
    body = f"{log.origin}\n{head.size}\n{b64encode(head.root).decode()}\n"
    name = log.origin.encode()
    note_type = bytes((_RFC6962_SIGNATURE,))
    key_id = hashlib.sha256(name + b"\n" + note_type + log.log_id).digest()[:4]
    signature = sign_tree_head(log, head.timestamp, head.size, head.root)
    signed = b64encode(key_id + head.timestamp.to_bytes(8) + signature).decode()
    grease = b64encode(hashlib.sha256(body.encode()).digest()).decode()
    lines = f"\N{EM DASH} grease.invalid {grease}\n\N{EM DASH} {log.origin} {signed}\n"
    return f"{body}\n{lines}".encode()


def _write_hash_tiles(directory: Path, tree: MerkleTree, size: int) -> None:
    for level in range(_TILE_LEVELS):
        count = size // TILE_WIDTH**level
        hashes = tree.levels[8 * level][:count] if 8 * level < len(tree.levels) else []
        for start in range(0, count, TILE_WIDTH):
            chunk = hashes[start : start + TILE_WIDTH]
            path = directory / "tile" / str(level) / tile_path(start // TILE_WIDTH, len(chunk))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"".join(chunk))


def _write_data_tiles(directory: Path, entries: Sequence[LogEntry]) -> None:
    for start in range(0, len(entries), TILE_WIDTH):
        chunk = entries[start : start + TILE_WIDTH]
        path = directory / "tile" / "data" / tile_path(start // TILE_WIDTH, len(chunk))
        path.parent.mkdir(parents=True, exist_ok=True)
        content = b"".join(entry.tile_leaf for entry in chunk)
        path.write_bytes(gzip.compress(content, mtime=0))


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
