"""Whether each SCT in a certificate is its log's promise for this very certificate.

A certificate may carry the SCTs of another, of its precertificate before a change, or SCTs damaged
on the way from the log; browsers then refuse it, and nothing says that it was logged. The signed
bytes are rebuilt: TBSCertificate without the SCT list, hash of the issuing key, CtExtensions as
they stand (RFC 6962 3.2; static-ct-api v1.1.0 for leaf_index; BR 7.1.2.11.3).
"""

from __future__ import annotations

import binascii
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from subca_oversight.errors import VerificationError
from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.scts import Sct, instant_of, parse_sct_lists
from subca_oversight.evidence.signatures import verify_signed_digest
from subca_oversight.evidence.structure import SCT_LIST
from subca_oversight.model.certificate import CertificateFacts
from subca_oversight.model.log import Log
from subca_oversight.model.sct import (
    LogFacts,
    SctAudit,
    SctDefect,
    SctStanding,
    SctVerdict,
)

MAX_READINGS = 16
"""Other readings tried of one SCT that does not verify."""
_PRECERTIFICATE_ENTRY = b"\x00\x01"
_LEAF_INDEX_HEAD = b"\x00\x00\x05"
_LEAF_INDEX_OCTETS = 5
_MAX_TBS = 2**24 - 1


@dataclass(frozen=True, slots=True)
class KnownLog:
    """A log with the key that its SCTs verify with, and what the lists say of it."""

    log: Log
    facts: LogFacts


@dataclass(frozen=True, slots=True)
class KnownLogs:
    """Every log ever seen in a list, by log id, as known at an instant."""

    as_of: datetime
    by_id: Mapping[bytes, KnownLog]


@dataclass(frozen=True, slots=True)
class SctContext:
    """What the logs show of the certificate's unit: it settles why an SCT does not verify."""

    logged: datetime | None = None
    """First log entry of this very certificate."""
    indexes: Mapping[str, Collection[int]] = field(default_factory=dict)
    """Positions of the unit's entries, by log id in hex."""
    promised: Collection[bytes] = ()
    """TBSCertificates of the unit's precertificates, without poison."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """Another form in which an SCT may verify."""

    defect: SctDefect
    reason: str
    tbs: bytes
    extensions: bytes


def audit_scts(
    certificate: CertificateFacts, logs: KnownLogs, context: SctContext | None = None
) -> SctAudit:
    """Verify every embedded SCT of a final certificate; never raises.

    The issuing key is the certificate's ``issuer_key_sha256``: of the key and not of a CA
    certificate, hence the same for all cross-certificates.
    """
    context = SctContext() if context is None else context
    logged = context.logged
    existed_by = logs.as_of if logged is None else min(logged, logs.as_of)
    if SCT_LIST not in certificate.extension_oids:
        return SctAudit(logs.as_of, existed_by)
    try:
        scts, others = parse_sct_lists(certificate.der)
    except Malformed as malformed:
        return SctAudit(logs.as_of, existed_by, problem=f"the SCT list: {malformed}")
    tbs, issuer = certificate.tbs_without_ct, certificate.issuer_key_sha256
    problem = None
    if tbs is None or len(tbs) > _MAX_TBS:
        problem = "the TBSCertificate without the SCT list cannot be made"
    elif issuer is None:
        problem = "the issuing key is not known"
    if problem is not None or tbs is None or issuer is None:
        return SctAudit(logs.as_of, existed_by, problem=problem)
    key_hash = bytes.fromhex(issuer)
    return SctAudit(
        as_of=logs.as_of,
        existed_by=existed_by,
        verdicts=tuple(
            _verdict(sct, logs.by_id.get(sct.log_id), key_hash, tbs, context) for sct in scts
        ),
        other_versions=others,
    )


def verify_sct(log: Log, sct: Sct, *, issuer_key_hash: bytes, tbs: bytes) -> None:
    """Raise VerificationError unless ``log`` signed this SCT for this precertificate entry.

    ``tbs`` has neither poison nor SCT list.
    """
    if sct.log_id != log.log_id:
        raise VerificationError(f"{log.description}: the SCT is of another log")
    head = bytes((sct.hash_algorithm, sct.signature_algorithm))
    signature = head + len(sct.signature).to_bytes(2, "big") + sct.signature
    verify_signed_digest(log, signature, _signed_octets(sct, issuer_key_hash, tbs, sct.extensions))


def _signed_octets(sct: Sct, issuer_key_hash: bytes, tbs: bytes, extensions: bytes) -> bytes:
    """What an SCT signs: version and signature type (both 0), timestamp, entry, extensions."""
    return b"".join(
        (
            b"\x00\x00",
            sct.timestamp_ms.to_bytes(8, "big"),
            _PRECERTIFICATE_ENTRY,
            issuer_key_hash,
            len(tbs).to_bytes(3, "big"),
            tbs,
            len(extensions).to_bytes(2, "big"),
            extensions,
        )
    )


def _leaf_index_extension(index: int) -> bytes:
    """The CtExtensions with which a static log tells a leaf's index."""
    return _LEAF_INDEX_HEAD + index.to_bytes(_LEAF_INDEX_OCTETS, "big")


def _verdict(
    sct: Sct, known: KnownLog | None, key_hash: bytes, tbs: bytes, context: SctContext
) -> SctVerdict:
    log_id, moment = sct.log_id.hex(), instant_of(sct.timestamp_ms)
    if known is None:
        return SctVerdict(log_id, moment, SctStanding.UNKNOWN_LOG)
    if known.log.is_placeholder:
        return SctVerdict(log_id, moment, SctStanding.PLACEHOLDER_LOG, known.facts)
    try:
        verify_sct(known.log, sct, issuer_key_hash=key_hash, tbs=tbs)
    except VerificationError as error:
        refusal = str(error).removeprefix(f"{known.log.description}: ")
    else:
        return SctVerdict(log_id, moment, SctStanding.VALID, known.facts)
    reading = _find_reading(sct, known.log, key_hash, tbs, context)
    if reading is not None:
        return SctVerdict(
            log_id,
            moment,
            SctStanding.INVALID_SIGNATURE,
            known.facts,
            reason=f"{refusal}; it verifies {reading.reason}",
            defect=reading.defect,
        )
    if not known.facts.is_rfc6962 and not sct.extensions.startswith(_LEAF_INDEX_HEAD):
        refusal += "; it lacks the leaf_index extension that its log signs into every SCT"
    return SctVerdict(log_id, moment, SctStanding.INVALID_SIGNATURE, known.facts, refusal)


def _find_reading(
    sct: Sct, log: Log, key_hash: bytes, tbs: bytes, context: SctContext
) -> _Reading | None:
    head = bytes((sct.hash_algorithm, sct.signature_algorithm))
    signature = head + len(sct.signature).to_bytes(2, "big") + sct.signature
    for reading in islice(_readings(sct, tbs, context), MAX_READINGS):
        signed = _signed_octets(sct, key_hash, reading.tbs, reading.extensions)
        try:
            verify_signed_digest(log, signature, signed)
        except VerificationError:
            continue
        return reading
    return None


def _readings(sct: Sct, tbs: bytes, context: SctContext) -> Iterator[_Reading]:
    for promised in context.promised:
        if promised != tbs and len(promised) <= _MAX_TBS:
            yield _Reading(
                SctDefect.PRECERTIFICATE,
                "for the precertificate in the logs, from which the certificate differs",
                promised,
                sct.extensions,
            )
    if len(sct.extensions) > 0:
        yield _Reading(SctDefect.EXTENSIONS, "without its extensions", tbs, b"")
        decoded = _find_decoded(sct.extensions)
        if decoded is not None:
            reason = "once its extensions are decoded from Base64"
            yield _Reading(SctDefect.EXTENSIONS, reason, tbs, decoded)
    for index in context.indexes.get(sct.log_id.hex(), ()):
        extensions = _leaf_index_extension(index)
        if extensions != sct.extensions:
            state = "put back" if len(sct.extensions) == 0 else "in the place of its own"
            yield _Reading(
                SctDefect.EXTENSIONS,
                f"with the extension leaf_index {index} of the log's entry {state}",
                tbs,
                extensions,
            )


def _find_decoded(extensions: bytes) -> bytes | None:
    """Extensions as add-chain answers with them, Base64, embedded as they came."""
    try:
        decoded = binascii.a2b_base64(extensions, strict_mode=True)
    except binascii.Error:
        return None
    return decoded if len(decoded) > 0 else None
