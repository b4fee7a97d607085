"""Certificates out of files that a subordinate's operator sent: PEM, DER, CSV, zip, folders.

Not everything is logged (S/MIME, client and code-signing certificates are not, TLS certificates
were not always), so the operator's own lists are a source beside the logs. They come from outside:
everything is read as a stream under caps, nothing is unpacked to disk, and names inside of archives
are text, never paths. What cannot be used is told with its place, and the rest goes on.
"""

from __future__ import annotations

import binascii
import csv
import hashlib
import io
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pybase64

from subca_oversight.errors import SourceError

MAX_CERTIFICATES = 1_000_000
MAX_CERTIFICATE_OCTETS = 1 << 20
MAX_LINE_OCTETS = 2 << 20
_FREE_OCTETS = 64 << 20
"""Up to here an archive's member may be compressed as well as it likes."""
_MAX_RATIO = 200
"""Certificates hold keys and signatures, which do not compress: real lists stay below 10."""
_DER_SEQUENCE = b"\x30"
_ZIP = b"PK"
_BEGIN = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----")
_END = b"-----END"
_CELL = re.compile(
    r"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END [A-Z0-9 ]+-----"
)
_BARE_CELL = re.compile(r"MI[A-Za-z0-9+/=\s]{100,}")
_FINGERPRINTS = frozenset(
    {"sha256", "sha-256", "fingerprint", "sha-256 fingerprint", "sha256 fingerprint"}
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DELIMITERS = ",;\t"
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True, slots=True)
class FileLimits:
    """How much is read."""

    certificates: int = MAX_CERTIFICATES
    files: int = 1_000_000
    octets: int = 8 << 30
    """Of all files together, after decompression."""


@dataclass(frozen=True, slots=True)
class FileCertificate:
    """What should be a certificate; nothing of it was parsed."""

    origin: str
    """Path as given, and the member where it is an archive."""
    der: bytes


@dataclass(frozen=True, slots=True)
class FileFlaw:
    """What could not be used, and why."""

    origin: str
    reason: str


Item = FileCertificate | FileFlaw


class _Unusable(Exception):  # noqa: N818 - the rest of this file is of no use
    """Its text says why."""


def read_certificates(paths: Iterable[Path], limits: FileLimits | None = None) -> Iterator[Item]:
    """Every certificate in files and folders, in order of their names.

    Raises SourceError where a path that was named cannot be read, and where a limit is reached.
    """
    budget = _Budget(FileLimits() if limits is None else limits)
    for path in paths:
        for file in _files(path, budget):
            for item in _read_file(file, budget):
                budget.count(item)
                yield item


class _Budget:
    """What is left of the limits."""

    def __init__(self, limits: FileLimits) -> None:
        self._limits = limits
        self._certificates = self._files = self._octets = 0

    def count(self, item: Item) -> None:
        self._certificates += isinstance(item, FileCertificate)
        if self._certificates > self._limits.certificates:
            raise SourceError(
                f"{item.origin}: more than {self._limits.certificates:,} certificates in one"
                " import; split it",
                retry=False,
            )

    def count_file(self, origin: str) -> None:
        self._files += 1
        if self._files > self._limits.files:
            raise SourceError(f"{origin}: more than {self._limits.files:,} files", retry=False)

    def count_octets(self, origin: str, octets: int) -> None:
        self._octets += octets
        if self._octets > self._limits.octets:
            raise SourceError(
                f"{origin}: more than {self._limits.octets:,} octets in one import", retry=False
            )


def _files(path: Path, budget: _Budget) -> Iterator[Path]:
    """The regular files of a path; links inside of a folder are not followed."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}", retry=False) from error
    if stat.S_ISREG(mode):
        budget.count_file(str(path))
        yield path
        return
    if not stat.S_ISDIR(mode):
        raise SourceError(f"{path}: neither a file nor a folder", retry=False)
    for folder, folders, names in os.walk(path, followlinks=False):
        folders.sort()
        for name in sorted(names):
            file = Path(folder, name)
            budget.count_file(str(file))
            if stat.S_ISREG(file.lstat().st_mode):
                yield file


def _read_file(path: Path, budget: _Budget) -> Iterator[Item]:
    try:
        with path.open("rb") as file:
            if file.peek(len(_ZIP))[: len(_ZIP)] == _ZIP:
                yield from _read_archive(file, str(path), budget)
            else:
                yield from _read_stream(_Counted(file, str(path), budget), str(path))
    except OSError as error:
        yield FileFlaw(str(path), f"cannot be read: {error.strerror}")


def _read_archive(file: IO[bytes], origin: str, budget: _Budget) -> Iterator[Item]:
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                if not member.is_dir():
                    budget.count_file(origin)
                    yield from _read_member(archive, member, origin, budget)
    except _BROKEN as error:
        yield FileFlaw(origin, f"not a readable zip archive: {error}")


def _read_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, origin: str, budget: _Budget
) -> Iterator[Item]:
    name = f"{origin}!{member.filename}"
    if member.compress_type not in _METHODS:
        yield FileFlaw(name, "compressed by a method other than deflate")
        return
    try:
        with archive.open(member) as opened:
            most = max(_FREE_OCTETS, member.compress_size * _MAX_RATIO)
            yield from _read_stream(_Counted(opened, name, budget, most=most), name)
    except _BROKEN as error:
        yield FileFlaw(name, f"cannot be unpacked: {error}")


class _Counted:
    """A stream read in lines that cannot exhaust memory, and counted."""

    def __init__(
        self, file: IO[bytes], origin: str, budget: _Budget, *, most: int | None = None
    ) -> None:
        self._file = file
        self._origin = origin
        self._budget = budget
        self._most = most
        self._octets = 0
        self._held = b""

    def peek(self) -> bytes:
        """The first octets, which will be read again."""
        self._held = self._read(64)
        return self._held

    def read(self, size: int) -> bytes:
        """Up to ``size`` octets more."""
        held, self._held = self._held, b""
        return held + self._read(size)

    def lines(self) -> Iterator[bytes]:
        """Lines with their ends; raises _Unusable at one that is too long."""
        held, self._held = self._held, b""
        while True:
            line = held + self._take(self._file.readline(MAX_LINE_OCTETS))
            if len(held) > 0 and b"\n" in held:
                yield from (one for one in io.BytesIO(held) if one.endswith(b"\n"))
                line = line[held.rfind(b"\n") + 1 :]
            held = b""
            if len(line) == 0:
                return
            if len(line) >= MAX_LINE_OCTETS and not line.endswith(b"\n"):
                raise _Unusable(f"a line of more than {MAX_LINE_OCTETS:,} octets")
            yield line

    def _read(self, size: int) -> bytes:
        return self._take(self._file.read(size))

    def _take(self, octets: bytes) -> bytes:
        self._octets += len(octets)
        self._budget.count_octets(self._origin, len(octets))
        if self._most is not None and self._octets > self._most:
            raise _Unusable("it unpacks to far more than certificates can")
        return octets


def _read_stream(stream: _Counted, origin: str) -> Iterator[Item]:
    try:
        yield from _read_any(stream, origin)
    except _Unusable as unusable:
        yield FileFlaw(origin, str(unusable))


def _read_any(stream: _Counted, origin: str) -> Iterator[Item]:
    first = stream.peek()
    if first[: len(_ZIP)] == _ZIP:
        raise _Unusable("an archive inside of an archive")
    if first[:1] == _DER_SEQUENCE and first[1:2] >= b"\x80":
        der = stream.read(MAX_CERTIFICATE_OCTETS)
        if len(der) > MAX_CERTIFICATE_OCTETS:
            raise _Unusable(f"more than {MAX_CERTIFICATE_OCTETS:,} octets")
        yield FileCertificate(origin, der)
    elif origin.lower().endswith((".csv", ".tsv")):
        yield from _read_csv(stream, origin)
    else:
        yield from _read_pem(stream, origin)


def _read_pem(stream: _Counted, origin: str) -> Iterator[Item]:
    body: list[bytes] | None = None
    size = number = 0
    for line in stream.lines():
        if _BEGIN.search(line) is not None:
            number += 1
            body, size = [], 0
        elif body is not None and line.startswith(_END):
            yield _decode(b"".join(body), f"{origin}#{number}")
            body = None
        elif body is not None:
            size += len(line)
            if size > 2 * MAX_CERTIFICATE_OCTETS:
                raise _Unusable(f"certificate {number} is larger than {MAX_CERTIFICATE_OCTETS:,}")
            body.append(line)
    if body is not None:
        yield FileFlaw(f"{origin}#{number}", "cut off: it has no end")
    elif number == 0:
        yield FileFlaw(origin, "no certificate in it, neither PEM nor DER")


def _read_csv(stream: _Counted, origin: str) -> Iterator[Item]:
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_OCTETS))
    lines = (line.decode("utf-8", errors="replace") for line in stream.lines())
    header = next(lines, "").removeprefix("\ufeff")
    delimiter = max(_DELIMITERS, key=header.count)
    names = [name.strip().casefold() for name in next(csv.reader([header], delimiter=delimiter))]
    fingerprints = [place for place, name in enumerate(names) if name in _FINGERPRINTS]
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        for number, row in enumerate(reader, start=2):
            yield _read_row(row, fingerprints, f"{origin}#{number}")
    except csv.Error as error:
        yield FileFlaw(origin, f"row at line {reader.line_num + 1}: {error}; nothing read after it")


def _read_row(row: list[str], fingerprints: list[int], origin: str) -> Item:
    for cell in row:
        match = _CELL.search(cell)
        text = match[1] if match is not None else cell
        if match is not None or _BARE_CELL.fullmatch(cell.strip()) is not None:
            item = _decode(text.encode("ascii", errors="replace"), origin)
            if isinstance(item, FileFlaw):
                return item
            stated = {
                row[place].strip(" '").replace(":", "").lower()
                for place in fingerprints
                if place < len(row)
            }
            stated = {one for one in stated if _SHA256.fullmatch(one) is not None}
            if len(stated) > 0 and hashlib.sha256(item.der).hexdigest() not in stated:
                return FileFlaw(origin, "its SHA-256 is not the one stated beside it")
            return item
    return FileFlaw(origin, "no certificate in this row")


def _decode(text: bytes, origin: str) -> Item:
    try:
        der = pybase64.b64decode(b"".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return FileFlaw(origin, "broken base64")
    if not der.startswith(_DER_SEQUENCE) or len(der) > MAX_CERTIFICATE_OCTETS:
        return FileFlaw(origin, "not a certificate")
    return FileCertificate(origin, der)
