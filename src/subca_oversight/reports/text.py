"""Hostile text made harmless to read: an adversary chooses names in certificates and records.

A control, bidirectional or invisible character is written as an escape, so that what a reader sees
is what is there; a CSV cell that a spreadsheet would take for a formula is guarded (DESIGN section
10). HTML is escaped by the templates.
"""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - full-width forms start formulas too
_GUARD = "'"
_SHORT, _BASIC = 0xFF, 0xFFFF
MAX_TEXT = 600
"""Characters of one text on a page; the evidence itself is never shortened."""


def visible(text: str) -> str:
    """``text`` with every character that has no glyph of its own shown as an escape."""
    if text.isprintable():
        return text
    return "".join(map(_visible_character, text))


def shortened(text: str, limit: int = MAX_TEXT) -> str:
    """At most ``limit`` characters of ``text``, with an ellipsis where there were more."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def csv_cell(value: str) -> str:
    """``value`` as a cell that a spreadsheet shows and never evaluates.

    A cell that starts like a formula, or with the guard itself, gets one apostrophe in front: to
    read it back, remove one leading apostrophe.
    """
    if value.startswith((*_FORMULA, _GUARD)):
        return _GUARD + visible(value)
    return visible(value)


def _visible_character(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    if code <= _SHORT:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _BASIC else f"\\U{code:08x}"
