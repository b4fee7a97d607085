"""Certificates out of files that a person named: PEM, with any number in a file, or DER.

What was named and cannot be used is the person's to mend, so it is refused with file and reason;
what is wrong *inside* a certificate is for the linters to say.
"""

from __future__ import annotations

import binascii
import re
from pathlib import Path

import pybase64

from subca_oversight.errors import ConfigurationError

MAX_FILE_BYTES = 64 * 2**20
_DER_SEQUENCE = b"\x30"
_PEM = re.compile(
    rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----\s([A-Za-z0-9+/=\s]*)-----END [A-Z0-9 ]+-----"
)


def load_certificate_file(path: Path) -> tuple[bytes, ...]:
    """Give the DER of each certificate in the file.

    Raises ConfigurationError where the file cannot be read or holds none.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigurationError(f"{path}: larger than {MAX_FILE_BYTES // 2**20} MiB")
    if content.startswith(_DER_SEQUENCE) and _PEM.search(content) is None:
        return (content,)
    found = []
    for number, match in enumerate(_PEM.finditer(content), start=1):
        try:
            found.append(pybase64.b64decode(b"".join(match.group(1).split()), validate=True))
        except binascii.Error as error:
            raise ConfigurationError(f"{path}: certificate {number}: {error}") from error
    if len(found) == 0:
        raise ConfigurationError(f"{path}: no certificate in it, neither PEM nor DER")
    return tuple(found)
