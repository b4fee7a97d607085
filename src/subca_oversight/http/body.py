"""Decoding a body piece by piece under a cap, so that a bomb goes off at the cap.

Servers compress unasked (``reference/ct.md`` 2.7), so the coding is taken from the answer: gzip and
deflate of RFC 9110, 8.4.1. Any other coding is refused rather than passed on undecoded.
"""

from __future__ import annotations

import zlib

from subca_oversight.errors import SourceError

# zlib's window sizes: with a gzip header, with a zlib header, and bare.
_GZIP = zlib.MAX_WBITS | 16
_ZLIB = zlib.MAX_WBITS
_RAW = -zlib.MAX_WBITS
# The low four bits of a zlib stream's first octet name the method; 8 is deflate (RFC 1950, 2.2).
_DEFLATE_METHOD = 8


class Body:
    """A body under way: counts what arrives and what comes out, and decodes as it goes."""

    def __init__(self, coding: str, *, url: str, wire_cap: int, cap: int) -> None:
        """``wire_cap`` bounds the octets received, ``cap`` those after decoding."""
        self._coding = coding.strip().lower()
        self._url = url
        self._wire_cap = wire_cap
        self._cap = cap
        self._received = 0
        self._decoded = bytearray()
        self._stream: zlib._Decompress | None = None
        if self._coding not in {"", "identity", "gzip", "x-gzip", "deflate"}:
            raise SourceError(
                f"{url}: content coding {self._coding!r} is not understood", retry=False, url=url
            )

    def add(self, piece: bytes) -> None:
        """Take the next octets off the wire; raises SourceError at either cap."""
        self._received += len(piece)
        if self._received > self._wire_cap:
            raise SourceError(
                f"{self._url}: the body is larger than {self._wire_cap} bytes",
                retry=False,
                url=self._url,
            )
        if self._coding in {"", "identity"}:
            self._append(piece)
            return
        try:
            self._inflate(piece)
        except zlib.error as error:
            raise SourceError(
                f"{self._url}: the {self._coding} body is broken: {error}", url=self._url
            ) from error

    def finish(self) -> bytes:
        """The decoded body; raises SourceError when a compressed one ends too early."""
        if self._stream is not None and not self._stream.eof:
            raise SourceError(f"{self._url}: the compressed body is cut short", url=self._url)
        return bytes(self._decoded)

    def _inflate(self, piece: bytes) -> None:
        while len(piece) > 0:
            if self._stream is None or self._stream.eof:
                # RFC 1952, 2.2: a gzip body may have several members, one after the other.
                if self._stream is not None and self._coding == "deflate":
                    raise zlib.error("octets after the end")
                self._stream = zlib.decompressobj(self._window(piece))
            room = self._cap - len(self._decoded) + 1
            self._append(self._stream.decompress(piece, room))
            piece = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail

    def _window(self, piece: bytes) -> int:
        if self._coding != "deflate":
            return _GZIP
        # Some servers send bare deflate where RFC 9110 asks for the zlib form.
        return _ZLIB if piece[0] & 0x0F == _DEFLATE_METHOD else _RAW

    def _append(self, octets: bytes) -> None:
        self._decoded += octets
        if len(self._decoded) > self._cap:
            raise SourceError(
                f"{self._url}: the decoded body is larger than {self._cap} bytes",
                retry=False,
                url=self._url,
            )
