"""Which certificates take the slow lane of the linter pool.

Linting costs about 0.25 ms per subject alternative name (seconds for ten thousand), so that a few
large certificates would hold up hundreds of small ones queued behind them. Any answer
is safe here: it decides where a certificate waits, not whether it is linted.
"""

from __future__ import annotations

from subca_oversight.evidence import der

MAX_QUICK_BYTES = 64 * 1024
MAX_QUICK_NAMES = 100
# A general name is at least two octets, so shorter certificates need no look.
_MIN_SLOW_BYTES = 2 * MAX_QUICK_NAMES
_SUBJECT_ALT_NAME = bytes.fromhex("0603551d11")


def is_slow(certificate: bytes) -> bool:
    """Whether the certificate is over 64 KiB, or has more than 100 subject alternative names."""
    if len(certificate) > MAX_QUICK_BYTES:
        return True
    return len(certificate) > _MIN_SLOW_BYTES and count_names(certificate) > MAX_QUICK_NAMES


def count_names(certificate: bytes) -> int:
    """Count the names of the first subjectAltName extension, as far as they can be told apart."""
    at = certificate.find(_SUBJECT_ALT_NAME) + len(_SUBJECT_ALT_NAME)
    if at < len(_SUBJECT_ALT_NAME):
        return 0
    count = 0
    try:
        tag, start, stop = der.read(certificate, at, len(certificate))
        if tag == der.BOOLEAN:  # the extension is critical
            tag, start, stop = der.read(certificate, stop, len(certificate))
        if tag != der.OCTET_STRING:
            return 0
        start, stop = der.read_as(certificate, start, stop, der.SEQUENCE)
        for _ in der.children(certificate, start, stop):
            count += 1
    except der.Malformed:
        return count
    return count
