"""Tree heads and checkpoints: strict reading, and verification of the log's signature.

Only what a log signed can be held against it, so a head is read to the last byte and kept as
served. RFC 6962 sections 3.5 and 4.3; RFC 5246 section 4.7 (DigitallySigned); C2SP signed-note,
tlog-checkpoint and static-ct-api v1.1.0 (RFC6962NoteSignature).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

import orjson
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from subca_oversight.errors import SourceError, VerificationError
from subca_oversight.model.log import HASH_LENGTH, Log, TreeHead
from subca_oversight.sources.canonical_base64 import decode
from subca_oversight.sources.list_signature import verify_log_list

__all__ = [
    "Checkpoint",
    "NoteSignature",
    "parse_checkpoint",
    "parse_tree_head",
    "verify_checkpoint",
    "verify_log_list",
    "verify_signed_digest",
    "verify_tree_head",
]

_MAX_TREE_HEAD_BYTES = 64 * 1024
_MAX_CHECKPOINT_BYTES = 1024 * 1024
_MAX_SIGNATURES = 128
_MAX_INTEGER = 2**63 - 1
"""Sizes and timestamps are stored in 64 bits; no log has come near."""

_RFC6962_NOTE_SIGNATURE = 0x05
_TREE_HEAD = struct.Struct(">BBQQ32s")
_DIGITALLY_SIGNED = struct.Struct(">BBH")
"""Hash algorithm, signature algorithm, length of the signature that follows."""
_SHA256, _RSA, _ECDSA = 4, 1, 3
_CHECKPOINT_LINES = 3
_TIMESTAMP_BYTES = 8


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line of a note; junk is kept too, with a ``key_id`` that fits nobody."""

    name: str
    key_id: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed note of a log, read but not verified."""

    origin: str
    tree_size: int
    root_hash: bytes
    extensions: tuple[str, ...]
    text: bytes
    """What the signatures of a plain note cover: every byte before the empty line."""
    signatures: tuple[NoteSignature, ...]


def parse_tree_head(raw: bytes, log: Log) -> TreeHead:
    """Read a get-sth answer; raise SourceError when it has another form. Verifies nothing."""
    if len(raw) > _MAX_TREE_HEAD_BYTES:
        raise SourceError(f"{log.description}: a tree head of {len(raw)} bytes")
    try:
        answer = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise SourceError(f"{log.description}: the tree head is not JSON: {error}") from None
    if not isinstance(answer, dict):
        raise SourceError(f"{log.description}: the tree head is not a JSON object")
    root_hash = _octets(answer, "sha256_root_hash", log)
    if len(root_hash) != HASH_LENGTH:
        raise SourceError(f"{log.description}: a root hash of {len(root_hash)} bytes")
    return TreeHead(
        log_id=log.log_id,
        tree_size=_integer(answer, "tree_size", log),
        timestamp_ms=_integer(answer, "timestamp", log),
        root_hash=root_hash,
        signature=_octets(answer, "tree_head_signature", log),
        raw=raw,
    )


def verify_tree_head(log: Log, head: TreeHead) -> None:
    """Raise VerificationError unless ``log`` signed this size, timestamp and root."""
    if head.log_id != log.log_id:
        raise VerificationError(f"{log.description}: the tree head is of another log")
    if not (0 <= head.tree_size <= _MAX_INTEGER and 0 <= head.timestamp_ms <= _MAX_INTEGER):
        raise VerificationError(f"{log.description}: the tree head has a number out of range")
    if len(head.root_hash) != HASH_LENGTH:
        raise VerificationError(f"{log.description}: a root hash of {len(head.root_hash)} bytes")
    # version v1 (0), signature_type tree_hash (1)
    signed = _TREE_HEAD.pack(0, 1, head.timestamp_ms, head.tree_size, head.root_hash)
    verify_signed_digest(log, head.signature, signed)


def verify_signed_digest(log: Log, signature: bytes, signed: bytes) -> None:
    """Raise VerificationError unless ``signature``, a TLS DigitallySigned, is the log's.

    It serves tree heads and, with other signed bytes, SCTs.
    """
    key = _load_key(log.key)
    if len(signature) < _DIGITALLY_SIGNED.size:
        raise VerificationError(f"{log.description}: the signature is truncated")
    hash_algorithm, algorithm, length = _DIGITALLY_SIGNED.unpack_from(signature)
    body = signature[_DIGITALLY_SIGNED.size :]
    if len(body) != length:
        raise VerificationError(f"{log.description}: {len(body)} signature bytes, not {length}")
    expected = _ECDSA if isinstance(key, ec.EllipticCurvePublicKey) else _RSA
    if (hash_algorithm, algorithm) != (_SHA256, expected):
        raise VerificationError(
            f"{log.description}: signature algorithm ({hash_algorithm}, {algorithm}) is not "
            f"SHA-256 with the log's key"
        )
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(body, signed, ec.ECDSA(SHA256()))
        else:
            key.verify(body, signed, padding.PKCS1v15(), SHA256())
    except InvalidSignature:
        raise VerificationError(f"{log.description}: the signature does not verify") from None


def parse_checkpoint(raw: bytes) -> Checkpoint:
    """Read a checkpoint to its last byte; raise SourceError when it has another form.

    Signatures of unknown kinds are kept as they are: logs add witness cosignatures, and lines of
    no meaning (GREASE) so that readers do not come to depend on their number or order.
    """
    if len(raw) > _MAX_CHECKPOINT_BYTES:
        raise SourceError(f"a checkpoint of {len(raw)} bytes")
    try:
        note = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise SourceError("the checkpoint is not UTF-8") from None
    if any(character < " " and character != "\n" for character in note):
        raise SourceError("the checkpoint contains control characters")
    head, separator, tail = note.rpartition("\n\n")
    if separator == "" or not tail.endswith("\n"):
        raise SourceError("the checkpoint is not a signed note")
    signature_lines = tail.removesuffix("\n").split("\n")
    if len(signature_lines) > _MAX_SIGNATURES:
        raise SourceError(f"the checkpoint has {len(signature_lines)} signatures")
    lines = head.split("\n")
    if len(lines) < _CHECKPOINT_LINES or any(len(line) == 0 for line in lines):
        raise SourceError("the checkpoint lacks its origin, size or root line")
    origin, size, root, *extensions = lines
    return Checkpoint(
        origin=origin,
        tree_size=_parse_size(size),
        root_hash=_parse_root(root),
        extensions=tuple(extensions),
        text=(head + "\n").encode(),
        signatures=tuple(_parse_signature(line) for line in signature_lines),
    )


def verify_checkpoint(log: Log, raw: bytes) -> TreeHead:
    """Return the head that ``log`` signed in this checkpoint.

    The signature covers size, root and timestamp but not the origin, which is compared instead.
    Raises SourceError when ``raw`` is no checkpoint, VerificationError when it is not the log's.
    """
    checkpoint = parse_checkpoint(raw)
    if checkpoint.origin != log.origin:
        raise VerificationError(
            f"{log.description}: the checkpoint's origin is {checkpoint.origin!r}, "
            f"not {log.origin!r}"
        )
    if len(checkpoint.extensions) > 0:
        raise VerificationError(
            f"{log.description}: the checkpoint has extension lines, which its signature "
            "does not cover"
        )
    heads = [
        _head_of(log, checkpoint, signature, raw)
        for signature in checkpoint.signatures
        if signature.name == log.origin and signature.key_id == _note_key_id(log)
    ]
    if len(heads) == 0:
        raise VerificationError(f"{log.description}: the checkpoint is not signed by the log")
    for head in heads:
        verify_tree_head(log, head)
    return max(heads, key=lambda head: head.timestamp_ms)


def _head_of(log: Log, checkpoint: Checkpoint, signature: NoteSignature, raw: bytes) -> TreeHead:
    if len(signature.body) < _TIMESTAMP_BYTES:
        raise VerificationError(f"{log.description}: the signature is truncated")
    return TreeHead(
        log_id=log.log_id,
        tree_size=checkpoint.tree_size,
        timestamp_ms=int.from_bytes(signature.body[:_TIMESTAMP_BYTES]),
        root_hash=checkpoint.root_hash,
        signature=signature.body[_TIMESTAMP_BYTES:],
        raw=raw,
    )


def _note_key_id(log: Log) -> bytes:
    preimage = log.origin.encode() + b"\n" + bytes([_RFC6962_NOTE_SIGNATURE]) + log.log_id
    return sha256(preimage).digest()[:4]


def _parse_size(line: str) -> int:
    # isdecimal alone would take digits of every script, int() also blanks and underscores
    if not (line.isascii() and line.isdecimal()) or len(line) > len(str(_MAX_INTEGER)):
        raise SourceError("the checkpoint's size is not a number")
    if line.startswith("0") and line != "0":
        raise SourceError("the checkpoint's size has leading zeros")
    size = int(line)
    if size > _MAX_INTEGER:
        raise SourceError(f"the checkpoint's size {size} is out of range")
    return size


def _parse_root(line: str) -> bytes:
    try:
        root_hash = decode(line)
    except ValueError as error:
        raise SourceError(f"the checkpoint's root is {error}") from None
    if len(root_hash) != HASH_LENGTH:
        raise SourceError(f"the checkpoint's root has {len(root_hash)} bytes")
    return root_hash


def _parse_signature(line: str) -> NoteSignature:
    dash, _space, rest = line.partition(" ")
    name, _space, text = rest.partition(" ")
    has_name = len(name) > 0 and "+" not in name and not any(c.isspace() for c in name)
    if dash != "—" or not has_name or len(text) == 0:
        raise SourceError("the checkpoint has a line that is no signature")
    try:
        octets = decode(text)
    except ValueError as error:
        raise SourceError(f"the checkpoint has a signature that is {error}") from None
    return NoteSignature(name=name, key_id=octets[:4], body=octets[4:])


def _integer(answer: dict[str, object], name: str, log: Log) -> int:
    number = answer.get(name)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= _MAX_INTEGER:
        raise SourceError(f"{log.description}: the tree head's {name} is not a 63-bit number")
    return number


def _octets(answer: dict[str, object], name: str, log: Log) -> bytes:
    text = answer.get(name)
    if not isinstance(text, str):
        raise SourceError(f"{log.description}: the tree head's {name} is missing or no text")
    try:
        return decode(text)
    except ValueError as error:
        raise SourceError(f"{log.description}: the tree head's {name} is {error}") from None


@lru_cache(maxsize=1024)
def _load_key(spki: bytes) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    try:
        key = load_der_public_key(spki)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise VerificationError(f"the log's key cannot be read: {error}") from None
    if not isinstance(key, (ec.EllipticCurvePublicKey, rsa.RSAPublicKey)):
        raise VerificationError("the log's key is neither ECDSA nor RSA")
    return key
