"""Proposed ``[[subordinate]]`` entries as TOML.

Everything out of the export is escaped: an owner's name must not be able to add a key to somebody's
configuration.
"""

from __future__ import annotations

from collections.abc import Sequence

from subca_oversight.evidence.subordinates import SubordinateProposal

_SHORT_ESCAPES = {
    "\\": "\\\\", '"': '\\"', "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r",
}  # fmt: skip


def render_proposals(proposals: Sequence[SubordinateProposal]) -> str:
    """Return one entry per proposal, with the certificates named in comments."""
    return "\n".join("".join(f"{line}\n" for line in _entry(proposal)) for proposal in proposals)


def quote(text: str) -> str:
    """Return a TOML basic string in which every character that does not print is escaped."""
    return f'"{"".join(_escape(char) for char in text)}"'


def _entry(proposal: SubordinateProposal) -> list[str]:
    entry = [
        "[[subordinate]]",
        f"name = {quote(proposal.name)}",
        f"operator = {quote(proposal.operator)}",
        f"relation = {quote(proposal.relation)}",
    ]
    if len(proposal.issuer_keys) > 0:
        keys = [f"    {quote(key)}," for key in proposal.issuer_keys]
        return [*entry, *_comments(proposal), "issuer_keys = [", *keys, "]"]
    files = [
        f"    {quote(f'subordinates/{proposal.name}/{record.sha256}.pem')},"
        for record in proposal.records
    ]
    return [*entry, *_comments(proposal), "certificates = [", *files, "]"]


def _comments(proposal: SubordinateProposal) -> list[str]:
    return [
        f"# {quote(record.certificate_name)} {record.sha256}, CCADB {quote(record.record_id)}"
        for record in proposal.records
    ]


def _escape(char: str) -> str:
    if char in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[char]
    if char.isprintable():
        return char
    return f"\\u{ord(char):04X}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08X}"  # noqa: PLR2004
