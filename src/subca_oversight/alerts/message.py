"""What a notice says: a thin body as JSON for programs, and the same as a letter for people.

Thin means ids, counts and a few examples: what lies on a receiver's disk or in a mailbox should not
be the evidence itself. The JSON has the members of Standard Webhooks 1.0 (type, timestamp, data).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from subca_oversight.alerts.text import visible
from subca_oversight.errors import StoreError

EXAMPLES = 5
_TEXT = 400
_NAME = 200
_UNSAFE_IN_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
"""JSON's own escapes: a receiver that pastes the body into a page gets text, not markup."""
_WORDS = {
    "finding_opened": "new",
    "finding_reopened": "found again",
    "deadline": "deadline",
    "delivery_dead": "notices could not be delivered",
    "sample_due": "sample due",
    "test": "test notice",
}


@dataclass(frozen=True, slots=True)
class Example:
    """One of the events behind a notice."""

    finding: str
    """The finding's id; empty where the event is not about one."""
    subject: str
    """Unit id, certificate SHA-256 or anchor; empty where there is none."""
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """The content of a notice."""

    notice_id: str
    kind: str
    severity: str
    check: str
    requirement: str
    subordinate: str
    """Its name; empty where the notice is not about one."""
    anchor: str
    count: int
    """Events that it gathers."""
    first_at: datetime
    last_at: datetime
    deadline: datetime | None
    """The earliest of its findings."""
    examples: tuple[Example, ...]

    @property
    def subject(self) -> str:
        """One line, fit for a mail header."""
        what = _WORDS.get(self.kind, self.kind.replace("_", " "))
        if len(self.check) > 0:
            what = f"{self.check}: {what}"
        count = "" if self.count == 1 else f" ({self.count})"
        where = "" if len(self.subordinate) == 0 else f" at {self.subordinate}"
        return visible(f"[subca-oversight] {self.severity}: {what}{count}{where}", _NAME)


def encode_message(message: Message) -> str:
    """The message as ASCII JSON; the same message gives the same text."""
    body = {
        "type": message.kind,
        "timestamp": _format(message.last_at),
        "data": {
            "notice_id": message.notice_id,
            "severity": message.severity,
            "check": visible(message.check, _NAME),
            "requirement": visible(message.requirement, _NAME),
            "subordinate": visible(message.subordinate, _NAME),
            "anchor": message.anchor,
            "count": message.count,
            "first_at": _format(message.first_at),
            "last_at": _format(message.last_at),
            "deadline": None if message.deadline is None else _format(message.deadline),
            "examples": [
                {
                    "finding": example.finding,
                    "subject": visible(example.subject, _NAME),
                    "text": visible(example.text, _TEXT),
                }
                for example in message.examples
            ],
        },
    }
    return json.dumps(body, separators=(",", ":")).translate(_UNSAFE_IN_HTML)


def decode_message(payload: str) -> Message:
    """Read back what ``encode_message`` wrote. Raises StoreError where the row was damaged."""
    try:
        body = json.loads(payload)
        data = body["data"]
        return Message(
            notice_id=str(data["notice_id"]),
            kind=str(body["type"]),
            severity=str(data["severity"]),
            check=str(data["check"]),
            requirement=str(data["requirement"]),
            subordinate=str(data["subordinate"]),
            anchor=str(data["anchor"]),
            count=int(data["count"]),
            first_at=datetime.fromisoformat(data["first_at"]),
            last_at=datetime.fromisoformat(data["last_at"]),
            deadline=None if data["deadline"] is None else datetime.fromisoformat(data["deadline"]),
            examples=tuple(
                Example(str(one["finding"]), str(one["subject"]), str(one["text"]))
                for one in data["examples"]
            ),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError("the outbox holds a notice that cannot be read back") from error


def render_letter(message: Message) -> str:
    """The message as plain text."""
    facts = [
        ("subordinate", message.subordinate),
        ("check", message.check),
        ("requirement", message.requirement),
        ("severity", message.severity),
        ("count", str(message.count)),
        ("first", _format(message.first_at)),
        ("last", _format(message.last_at)),
        ("deadline", "" if message.deadline is None else f"{_format(message.deadline)} (earliest)"),
        ("notice", message.notice_id),
    ]
    lines = [message.subject, ""]
    lines += [f"{name:<12} {visible(value, _NAME)}" for name, value in facts if len(value) > 0]
    if len(message.examples) > 0:
        more = message.count - len(message.examples)
        lines += ["", "What was found:" if more == 0 else f"The first {len(message.examples)}:", ""]
    for example in message.examples:
        name = " ".join(part for part in (example.finding, example.subject) if len(part) > 0)
        lines += [f"- {visible(example.text, _TEXT)}"]
        if len(name) > 0:
            lines += [f"  {visible(name, _NAME)}"]
    return "\n".join(lines) + "\n"


def _format(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
