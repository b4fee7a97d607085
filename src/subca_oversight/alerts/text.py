"""Text out of certificates and logs, made fit to stand in a mail, a header or a JSON member.

A subject name can hold line breaks that forge a header, or marks that turn a line around for its
reader; each such character is shown as its code point instead (DESIGN section 10).
"""

from __future__ import annotations

import unicodedata

_SHOWN_AS_CODE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories: controls, formats (bidi marks, soft hyphen), surrogates, unassigned."""
_ELLIPSIS = "…"
_BYTE = 0xFF
_BASIC_PLANE = 0xFFFF


def visible(text: str, limit: int) -> str:
    r"""``text`` on one line of at most ``limit`` characters; the invisible as ``\x…``, ``\u…``."""
    cut = text[: limit + 1]
    if not cut.isprintable():
        cut = "".join(_shown(character) for character in cut)
    return cut if len(cut) <= limit else cut[: limit - 1] + _ELLIPSIS


def _shown(character: str) -> str:
    if unicodedata.category(character) in _SHOWN_AS_CODE:
        code = ord(character)
        if code <= _BYTE:
            return f"\\x{code:02x}"
        return f"\\u{code:04x}" if code <= _BASIC_PLANE else f"\\U{code:08x}"
    return " " if character.isspace() else character
