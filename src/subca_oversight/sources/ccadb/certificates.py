"""CA certificates by SHA-256, from CCADB's PEM exports and from plain PEM or DER files.

Expiry and constraints are read from the certificate and never from the report, so the two are
joined by fingerprint. The exports hold ten thousand certificates of which a few hundred are asked
for: each is decoded, and its hash compared, only when it is.
"""

from __future__ import annotations

import binascii
import csv
import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pybase64

from subca_oversight.errors import SourceError
from subca_oversight.sources.ccadb.cells import is_sha256

MAX_FILE_BYTES = 128 * 2**20
MAX_CERTIFICATE_CHARACTERS = 256 * 2**10
_SUFFIXES = frozenset({".csv", ".pem", ".crt", ".cer", ".der"})
_PEM = re.compile(
    r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]{1,262144})-----END CERTIFICATE-----"
)
_FINGERPRINT_COLUMNS = frozenset({"sha-256 fingerprint", "sha256", "sha256 fingerprint"})
_PEM_COLUMNS = frozenset({"x.509 certificate (pem)", "pem info", "pem"})


class Certificates(Mapping[str, bytes]):
    """DER by SHA-256 in lower-case hex.

    A certificate that cannot be decoded, or whose hash is not the one it is filed under, is absent
    when asked for, and its key stands in ``refused``.
    """

    def __init__(self, encoded: Mapping[str, str | bytes]) -> None:
        self._encoded = dict(encoded)
        self.refused: set[str] = set()

    def __getitem__(self, sha256: str) -> bytes:
        """Return the DER; raises KeyError where there is none that hashes to the key."""
        value = self._encoded[sha256]
        if isinstance(value, bytes):
            return value
        der = _decode_pem(value)
        if der is None or hashlib.sha256(der).hexdigest() != sha256:
            self.refused.add(sha256)
            raise KeyError(sha256)
        self._encoded[sha256] = der
        return der

    def __iter__(self) -> Iterator[str]:
        return iter(self._encoded)

    def joined(self, encoded: Mapping[str, str | bytes]) -> Certificates:
        """These and others, encoded as in an export; the others win."""
        return Certificates({**self._encoded, **encoded})

    def readable(self) -> Iterator[bytes]:
        """Every certificate that can be decoded and hashes to its key, as DER."""
        for sha256 in self._encoded:
            der = self.get(sha256)
            if der is not None:
                yield der

    def __len__(self) -> int:
        return len(self._encoded)


def load_certificates(*paths: Path) -> Certificates:
    """Index the certificates of files and folders (CSV export, PEM, DER).

    Raises SourceError where a path cannot be read or a named file holds no certificate; in a
    folder, files without certificates are passed over.
    """
    encoded: dict[str, str | bytes] = {}
    for path in paths:
        if path.is_dir():
            files = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in _SUFFIXES)
            found = [_index_file(file) for file in files]
            if sum(len(part) for part in found) == 0:
                raise SourceError(f"{path}: no certificate in any file of this folder", retry=False)
        else:
            found = [_index_file(path)]
            if len(found[0]) == 0:
                raise SourceError(f"{path}: no certificate in it", retry=False)
        for part in found:
            encoded.update(part)
    return Certificates(encoded)


def index_certificates(content: bytes, *, name: str) -> Mapping[str, str | bytes]:
    """Index one file's certificates; ``name`` goes into the message of a SourceError."""
    if len(content) > MAX_FILE_BYTES:
        raise SourceError(f"{name}: larger than {MAX_FILE_BYTES >> 20} MiB", retry=False)
    if content.startswith(b"\x30"):
        return {hashlib.sha256(content).hexdigest(): content}
    text = content.decode("utf-8-sig", errors="replace")
    columns = _find_columns(text)
    if columns is not None:
        return _index_csv(text, columns, name)
    ders = (_decode_base64(match[1]) for match in _PEM.finditer(text))
    return {hashlib.sha256(der).hexdigest(): der for der in ders if der is not None}


def _index_file(path: Path) -> Mapping[str, str | bytes]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SourceError(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB", retry=False)
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}", retry=False) from error
    return index_certificates(content, name=str(path))


def _find_columns(text: str) -> tuple[int, int] | None:
    """Return the places of fingerprint and PEM in a CSV export; None for any other text."""
    first_line = text[:4096].split("\n", 1)[0]
    names = [cell.strip(" \r\"'").casefold() for cell in first_line.split(",")]
    fingerprints = [place for place, name in enumerate(names) if name in _FINGERPRINT_COLUMNS]
    pems = [place for place, name in enumerate(names) if name in _PEM_COLUMNS]
    return (fingerprints[0], pems[0]) if len(fingerprints) == 1 and len(pems) == 1 else None


def _index_csv(text: str, columns: tuple[int, int], name: str) -> dict[str, str | bytes]:
    fingerprint, pem = columns
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CERTIFICATE_CHARACTERS))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    encoded: dict[str, str | bytes] = {}
    try:
        next(reader)
        for row in reader:
            if len(row) <= max(columns):
                continue
            sha256 = row[fingerprint].strip(" '").lower()
            if is_sha256(sha256):
                encoded[sha256] = row[pem]
    except csv.Error as error:
        message = f"{name}: line {reader.line_num}: {error}; it may be cut off"
        raise SourceError(message) from error
    return encoded


def _decode_pem(text: str) -> bytes | None:
    match = _PEM.search(text)
    return None if match is None else _decode_base64(match[1])


def _decode_base64(text: str) -> bytes | None:
    try:
        return pybase64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
