"""A plain reader of the served logs, written for these tests alone: no parser of the product."""

from __future__ import annotations

import gzip
import hashlib
import json
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path

from cryptography.x509 import DuplicateExtension, load_der_x509_certificate

POISON = bytes.fromhex("060a2b06010401d679020403")


@dataclass(frozen=True)
class Entry:
    """One entry of one log."""

    log: str
    index: int
    leaf: bytes
    timestamp: int
    kind: int
    issuer_key_hash: bytes
    signed: bytes
    extensions: bytes
    precertificate: bytes
    chain: tuple[bytes, ...]


def vector(octets: bytes, at: int, width: int) -> tuple[bytes, int]:
    end = at + width + int.from_bytes(octets[at : at + width])
    assert end <= len(octets)
    return octets[at + width : end], end


def read_rfc6962(directory: Path) -> list[Entry]:
    entries = []
    for index, line in enumerate((directory / "entries.jsonl").read_text().splitlines()):
        fields = json.loads(line)
        leaf, extra = b64decode(fields["leaf_input"]), b64decode(fields["extra_data"])
        assert leaf[:2] == b"\x00\x00"
        entry, end = read_timestamped("rfc6962", index, leaf, 2)
        assert end == len(leaf)
        precertificate = b""
        if entry.kind == 1:
            precertificate, at = vector(extra, 0, 3)
            extra = extra[at:]
        chain = []
        if entry.kind in (0, 1):
            listed, at = vector(extra, 0, 3)
            assert at == len(extra)
            at = 0
            while at < len(listed):
                certificate, at = vector(listed, at, 3)
                chain.append(certificate)
        entries.append(with_extra(entry, precertificate, tuple(chain)))
    return entries


def read_static(directory: Path, stage: int) -> list[Entry]:
    entries: list[Entry] = []
    folder = directory / str(stage) / "tile" / "data"
    tiles = sorted(folder.glob("[0-9]*"), key=lambda path: path.name)
    for tile in tiles:
        files = [tile] if tile.is_file() else list(tile.iterdir())
        assert len(files) == 1
        octets = gzip.decompress(files[0].read_bytes())
        at = 0
        while at < len(octets):
            start = at
            entry, at = read_timestamped("static", len(entries), octets, at)
            leaf = b"\x00\x00" + octets[start:at]
            precertificate = b""
            if entry.kind == 1:
                precertificate, at = vector(octets, at, 3)
            listed, at = vector(octets, at, 2)
            chain = tuple(
                (directory / "issuer" / listed[place : place + 32].hex()).read_bytes()
                for place in range(0, len(listed), 32)
            )
            entry = with_extra(entry, precertificate, chain)
            entries.append(Entry(**{**entry.__dict__, "leaf": leaf}))
        width = 256 if tile.is_file() else int(files[0].name)
        assert len(entries) % 256 == width % 256
    return entries


def read_timestamped(log: str, index: int, octets: bytes, at: int) -> tuple[Entry, int]:
    start = at
    timestamp = int.from_bytes(octets[at : at + 8])
    kind = int.from_bytes(octets[at + 8 : at + 10])
    at += 10
    issuer_key_hash = b""
    if kind == 1:
        issuer_key_hash, at = octets[at : at + 32], at + 32
    signed, at = vector(octets, at, 3)
    extensions, at = vector(octets, at, 2)
    leaf = b"\x00\x00" + octets[start:at]
    return Entry(
        log, index, leaf, timestamp, kind, issuer_key_hash, signed, extensions, b"", ()
    ), at


def with_extra(entry: Entry, precertificate: bytes, chain: tuple[bytes, ...]) -> Entry:
    return Entry(**{**entry.__dict__, "precertificate": precertificate, "chain": chain})


def tree_root(leaves: list[bytes]) -> bytes:
    """MTH as RFC 6962 2.1 writes it down."""
    if len(leaves) == 0:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + tree_root(leaves[:split]) + tree_root(leaves[split:])).digest()


def is_broken(certificate: bytes) -> bool:
    """Whether ``cryptography`` refuses it, as it does the planted malformed ones."""
    try:
        load_der_x509_certificate(certificate).extensions  # noqa: B018 - parsed when asked for
    except (ValueError, DuplicateExtension):
        return True
    return False


def without_poison(tbs: bytes) -> bytes:
    """A TBSCertificate without the CT poison extension (RFC 6962 3.2)."""
    *fields, wrapped = children(tbs)
    (extensions,) = children(wrapped)
    kept = [each for each in children(extensions) if POISON not in each]
    assert len(kept) == len(children(extensions)) - 1
    listed = wrap(0x30, b"".join(kept))
    return wrap(0x30, b"".join(fields) + wrap(0xA3, listed))


def children(octets: bytes) -> list[bytes]:
    """The elements inside a constructed DER element."""
    _, at, end = header(octets, 0)
    found = []
    while at < end:
        _, _, after = header(octets, at)
        found.append(octets[at:after])
        at = after
    return found


def header(octets: bytes, at: int) -> tuple[int, int, int]:
    """Tag, start and end of the contents."""
    tag, length, start = octets[at], octets[at + 1], at + 2
    if length >= 0x80:
        start += length & 0x7F
        length = int.from_bytes(octets[at + 2 : start])
    return tag, start, start + length


def wrap(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size) + content
