"""Evidence against a log as one file: everything that a third party needs to check it.

The store is ours alone; a log's operator, a root program or another monitor can check a file that
holds the log's key, the signed heads as served, and the hashes that tie them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import orjson
import pybase64
from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight import __version__
from subca_oversight.errors import EvidenceError
from subca_oversight.evidence.logs.rows import log_of
from subca_oversight.model.log import FinalTreeHead, Log, LogApi
from subca_oversight.store.tables import LogEvidenceRow, LogRow

FORMAT = "subca-oversight/log-evidence/v1"
MAX_BYTES = 16 * 1024 * 1024
EXPLANATIONS: Mapping[str, str] = {
    "split_view": "The log signed two trees of which neither extends the other.",
    "rollback": "The log signed a smaller tree later than a larger one.",
    "corruption": "The log serves entries that do not hash to the root that it signed.",
    "past_final_head": "The log grew past the tree head that is stated as its final one.",
    "bad_signature": "The log served a tree head that its key did not sign.",
    "bad_head": "The log served a tree head that cannot be read.",
    "stale_head": "The newest tree head of the log is older than its maximum merge delay allows.",
    "future_head": "The log signed a tree head with a timestamp in the future.",
    "wrong_proof": "The log served a proof that does not lead to the root that it signed.",
    "unreadable_tile": "The log served a data tile that cannot be cut into entries.",
    "wrong_issuer": "The log served another certificate than the one with the hash asked for.",
    "unconfirmed": "Beside the hashed bytes of entries, the log serves what contradicts them.",
}


@dataclass(frozen=True, slots=True)
class LogEvidence:
    """One piece of evidence, out of the store or out of a file."""

    id: int
    kind: str
    observed_at: datetime
    log: Log
    tree_size: int | None
    heads: tuple[bytes, ...]
    """As served: the one that is complained of, and the one that it contradicts."""
    computed_root: bytes | None
    proof: bytes | None
    """JSON of ``evidence.log_proof``."""
    served: bytes | None
    detail: str

    @property
    def explanation(self) -> str:
        """What this kind of evidence means, in a sentence."""
        return EXPLANATIONS.get(self.kind, "")


def list_evidence(session: Session) -> list[LogEvidence]:
    """All evidence against logs, the oldest first."""
    rows = session.execute(
        select(LogEvidenceRow, LogRow)
        .join(LogRow, col(LogRow.log_id) == col(LogEvidenceRow.log_id))
        .order_by(col(LogEvidenceRow.id))
    )
    return [_of_row(evidence, log) for evidence, log in rows]


def load_evidence(session: Session, number: int) -> LogEvidence:
    """One piece by its number. Raises EvidenceError where there is none."""
    row = session.get(LogEvidenceRow, number)
    if row is None:
        raise EvidenceError(f"no evidence has the number {number}; see: ct evidence list")
    return _of_row(row, session.get_one(LogRow, row.log_id))


def encode_evidence(evidence: LogEvidence) -> bytes:
    """The file: JSON, the same bytes for the same evidence."""
    log = evidence.log
    final = log.final_tree_head
    document = {
        "format": FORMAT,
        "product": f"subca-oversight {__version__}",
        "id": evidence.id,
        "kind": evidence.kind,
        "explanation": evidence.explanation,
        "observed_at": evidence.observed_at.isoformat(),
        "log": {
            "log_id": log.log_id.hex(),
            "key": _base64(log.key),
            "description": log.description,
            "operator": log.operator,
            "api": log.api.value,
            "submission_url": log.submission_url,
            "monitoring_url": log.monitoring_url,
            "mmd": log.mmd,
            "final_tree_head": None
            if final is None
            else {"tree_size": final.tree_size, "sha256_root_hash": final.root_hash.hex()},
        },
        "tree_size": evidence.tree_size,
        "heads": [_base64(head) for head in evidence.heads],
        "computed_root": None if evidence.computed_root is None else evidence.computed_root.hex(),
        "proof": None if evidence.proof is None else orjson.Fragment(evidence.proof),
        "served": None if evidence.served is None else _base64(evidence.served),
        "detail": evidence.detail,
        "verify": "subca-oversight ct evidence verify FILE",
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def decode_evidence(octets: bytes) -> LogEvidence:
    """Read a file strictly; raises EvidenceError. Verifies nothing but that the key has the id."""
    if len(octets) > MAX_BYTES:
        raise EvidenceError(f"the file has {len(octets)} octets, more than evidence ever has")
    try:
        document = orjson.loads(octets)
        if document["format"] != FORMAT:
            raise EvidenceError(f"the file is not of the format {FORMAT}")
        evidence = _of_document(document)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise EvidenceError(f"the file is not evidence against a log: {error!r}") from None
    if sha256(evidence.log.key).digest() != evidence.log.log_id:
        raise EvidenceError("the log's id is not the hash of its key")
    return evidence


def _of_row(row: LogEvidenceRow, log: LogRow) -> LogEvidence:
    return LogEvidence(
        id=row.id or 0,
        kind=row.kind,
        observed_at=row.at,
        log=log_of(log),
        tree_size=row.tree_size,
        heads=tuple(head for head in (row.head, row.other_head) if head is not None),
        computed_root=row.computed_root,
        proof=row.proof,
        served=row.body,
        detail=row.detail,
    )


def _of_document(document: Mapping[str, Any]) -> LogEvidence:
    stated = document["log"]
    final = stated["final_tree_head"]
    log = Log(
        log_id=bytes.fromhex(stated["log_id"]),
        key=_octets(stated["key"]),
        description=_text(stated["description"]),
        operator=_text(stated["operator"]),
        api=LogApi(stated["api"]),
        submission_url=_text(stated["submission_url"]),
        monitoring_url=_text(stated["monitoring_url"]),
        mmd=int(stated["mmd"]),
        final_tree_head=None
        if final is None
        else FinalTreeHead(int(final["tree_size"]), bytes.fromhex(final["sha256_root_hash"])),
    )
    root, proof, served = document["computed_root"], document["proof"], document["served"]
    observed_at = datetime.fromisoformat(document["observed_at"])
    if observed_at.tzinfo is None:
        raise ValueError("observed_at names no time zone")
    return LogEvidence(
        id=int(document["id"]),
        kind=_text(document["kind"]),
        observed_at=observed_at.astimezone(UTC),
        log=log,
        tree_size=None if document["tree_size"] is None else int(document["tree_size"]),
        heads=tuple(_octets(head) for head in document["heads"]),
        computed_root=None if root is None else bytes.fromhex(root),
        proof=None if proof is None else orjson.dumps(proof),
        served=None if served is None else _octets(served),
        detail=_text(document["detail"]),
    )


def _base64(octets: bytes) -> str:
    return pybase64.b64encode(octets).decode("ascii")


def _octets(text: object) -> bytes:
    octets: bytes = pybase64.b64decode(_text(text), validate=True)
    return octets


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text is missing")
    return value
