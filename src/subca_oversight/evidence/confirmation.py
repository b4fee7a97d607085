"""Whether a log entry that matched a watched key is that key's act.

Leaf hashes cover the TBSCertificate and the issuer key hash, or the final certificate: not the
precertificate, not the chain, not the fingerprints. What they do not cover is confirmed here, match
by match, before the match counts (RFC 6962 3.1 to 3.4, static-ct-api).

How DESIGN section 5 is read. A match is promoted only with a verified signature of the issuer's
key. Where bytes contradict what was hashed, or each other, the log served them and the log is
blamed, never the CA. Where the signature cannot be checked, because nobody has the issuer's key
(it is watched by its hash alone, and the log has no chain) or no library knows its algorithm, the
match is unconfirmed and nobody is blamed: its facts hold as far as the hash covers them, so it is
kept, shown and counted as unconfirmed.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256

from subca_oversight.errors import VerificationError
from subca_oversight.evidence import extensions
from subca_oversight.evidence.chain import MAX_LINKS, find_chain_objection, load_structure
from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.issuer_signature import Uncheckable, verify_issued, verify_signature
from subca_oversight.evidence.precertificate import (
    AUTHORITY_KEY_IDENTIFIER,
    tbs_of_final_issuer,
    tbs_without,
)
from subca_oversight.evidence.structure import POISON, CertificateStructure, slice_certificate
from subca_oversight.model.certificate import CertificateKind

PRECERTIFICATE_SIGNING = "1.3.6.1.4.1.11129.2.4.4"
"""The extended key usage of a Precertificate Signing Certificate (RFC 6962 3.1)."""


@dataclass(frozen=True, slots=True)
class LoggedEntry:
    """One log entry, decoded."""

    kind: CertificateKind
    timestamp_ms: int
    issuer_key_hash: bytes | None
    """SHA-256 of the final issuer's SPKI; of precertificate entries only."""
    tbs_or_certificate: bytes
    """As hashed."""
    precertificate: bytes | None
    """None for final certificates, and where the log serves nothing that can be decoded."""
    chain: tuple[bytes, ...]
    """DER from the issuer upwards, as far as the log serves it. On a static log every issuer has
    been asked for: one that is missing is one that the log names and does not serve."""
    fingerprints: tuple[bytes, ...] = ()
    """SHA-256 of the chain's certificates (static-ct-api); empty for RFC 6962."""
    chain_flaw: str | None = None
    """Why the log's chain cannot be read, as opposed to one that is empty."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The watched key signed it."""

    issuer_key_sha256: str
    certificate: bytes
    """DER of the precertificate or final certificate."""
    issuer_certificate: bytes | None
    """The issuer's certificate out of the entry's chain, where it is there."""


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """It cannot be shown that the watched key signed it."""

    issuer_key_sha256: str
    """Empty where no watched key can be named."""
    reason: str
    blames_log: bool
    """Whether the log served bytes that contradict what it hashed, or each other."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """No match after all: the issuer's key is not watched (names can be shared, keys cannot)."""

    issuer_key_sha256: str


Confirmation = Confirmed | Unconfirmed | Foreign


class _Contradiction(Exception):  # noqa: N818 - says what it is
    """Bytes that the log served contradict what it hashed."""


def confirm_entry(entry: LoggedEntry, watched: Mapping[str, bytes | None]) -> Confirmation:
    """Judge a match.

    ``watched`` maps the SHA-256 of each watched SPKI (lower-case hex) to that SPKI's DER where a
    configured CA certificate gave it.
    """
    if entry.kind is CertificateKind.FINAL:
        return _confirm_final(entry, watched)
    if entry.issuer_key_hash is None:
        raise ValueError("a precertificate entry has an issuer key hash")
    key = entry.issuer_key_hash.hex()
    if key not in watched:
        return Foreign(key)
    try:
        return _confirm_precertificate(entry, key, watched[key])
    except (_Contradiction, VerificationError, Malformed) as contradiction:
        return Unconfirmed(key, str(contradiction), blames_log=True)
    except Uncheckable as uncheckable:
        return Unconfirmed(key, str(uncheckable), blames_log=False)


def _confirm_precertificate(entry: LoggedEntry, key: str, configured: bytes | None) -> Confirmation:
    octets = entry.precertificate
    if octets is None:
        raise _Contradiction("the log serves no precertificate")
    precertificate = slice_certificate(octets)
    if not any(extension.oid == POISON for extension in precertificate.extensions):
        raise _Contradiction("what the log serves as precertificate has no poison extension")
    _verify_chain(entry)
    if len(entry.chain) == 0:
        _verify_hashed(entry, tbs_without(precertificate, {POISON}))
        if configured is None:
            raise Uncheckable("no certificate of the issuer is at hand to check the signature with")
        verify_issued(precertificate, configured)
        return _without_chain(entry, key, octets)
    first = load_structure(entry.chain[0])
    if _key_of(first) == key and first.spki is not None:
        _verify_hashed(entry, tbs_without(precertificate, {POISON}))
        verify_issued(precertificate, first.spki)
        return Confirmed(key, octets, entry.chain[0])
    if not _is_precertificate_signing(first):
        raise _Contradiction("the first certificate of the chain is not of the issuer's key")
    _verify_hashed(entry, _tbs_by_signing_certificate(precertificate, first))
    if first.spki is None:
        raise _Contradiction("the Precertificate Signing Certificate has no key")
    verify_issued(precertificate, first.spki)
    return _confirm_signing_certificate(entry, key, configured, octets)


def _confirm_signing_certificate(
    entry: LoggedEntry, key: str, configured: bytes | None, octets: bytes
) -> Confirmation:
    """RFC 6962 3.1: the final issuer's key must have signed the Precertificate Signing one."""
    issuer = entry.chain[1] if len(entry.chain) > 1 else None
    spki = configured
    if issuer is not None:
        above = load_structure(issuer)
        if _key_of(above) != key:
            raise _Contradiction("the second certificate of the chain is not of the issuer's key")
        spki = above.spki
    if spki is None:
        raise Uncheckable("no certificate of the issuer is at hand to check the signature with")
    verify_issued(load_structure(entry.chain[0]), spki)
    return Confirmed(key, octets, issuer)


def _confirm_final(entry: LoggedEntry, watched: Mapping[str, bytes | None]) -> Confirmation:
    first = _find_structure(entry.chain)
    key = "" if first is None else _key_of(first)
    try:
        certificate = slice_certificate(entry.tbs_or_certificate)
        if key not in watched:
            signer = _find_signer(certificate, watched)
            if signer == "":
                return _judge_unwatched(entry, certificate, first)
            key = signer
        return _confirm_final_of(entry, certificate, key)
    except (_Contradiction, VerificationError, Malformed) as contradiction:
        reason = str(contradiction)
        return Unconfirmed(key if key in watched else "", reason, blames_log=True)
    except Uncheckable as uncheckable:
        return Unconfirmed(key if key in watched else "", str(uncheckable), blames_log=False)


def _confirm_final_of(
    entry: LoggedEntry, certificate: CertificateStructure, key: str
) -> Confirmation:
    _verify_chain(entry)
    if len(entry.chain) == 0:
        return _without_chain(entry, key, entry.tbs_or_certificate)
    first = load_structure(entry.chain[0])
    if _key_of(first) != key or first.spki is None:
        raise _Contradiction("the first certificate of the chain is not of the issuer's key")
    _verify_final(certificate, first.spki)
    return Confirmed(key, entry.tbs_or_certificate, entry.chain[0])


def _judge_unwatched(
    entry: LoggedEntry, certificate: CertificateStructure, first: CertificateStructure | None
) -> Confirmation:
    """A final certificate that no watched key can be shown to have signed."""
    if entry.chain_flaw is not None:
        raise _Contradiction(entry.chain_flaw)
    if first is None or first.spki is None:
        if len(entry.chain) > 0:
            raise _Contradiction("the first certificate of the chain cannot be read")
        raise Uncheckable("no certificate of the issuer is at hand to check the signature with")
    objection = find_chain_objection(entry.chain, entry.fingerprints)
    if objection is not None:
        raise _Contradiction(objection)
    with suppress(Uncheckable):
        _verify_final(certificate, first.spki)
    return Foreign(_key_of(first))


def _verify_chain(entry: LoggedEntry) -> None:
    """Raise _Contradiction unless the chain is readable, whole, and fits itself."""
    if entry.chain_flaw is not None:
        raise _Contradiction(entry.chain_flaw)
    objection = find_chain_objection(entry.chain, entry.fingerprints)
    if objection is not None:
        raise _Contradiction(objection)
    if 0 < len(entry.chain) < min(len(entry.fingerprints), MAX_LINKS):
        raise _Contradiction(_not_served(entry.fingerprints[len(entry.chain)]))


def _not_served(fingerprint: bytes) -> str:
    return f"the log names the issuer certificate {fingerprint.hex()} and does not serve it"


def _without_chain(entry: LoggedEntry, key: str, octets: bytes) -> Confirmation:
    """Signed by a configured key, and no chain served; RFC 6962 lets a log leave the root out."""
    if len(entry.fingerprints) == 0:
        return Confirmed(key, octets, None)
    return Unconfirmed(key, _not_served(entry.fingerprints[0]), blames_log=True)


def _verify_hashed(entry: LoggedEntry, tbs: bytes) -> None:
    if tbs != entry.tbs_or_certificate:
        raise _Contradiction("the precertificate without poison differs from the hashed TBS")


def _tbs_by_signing_certificate(
    precertificate: CertificateStructure, signing: CertificateStructure
) -> bytes:
    if signing.issuer is None:
        raise _Contradiction("the Precertificate Signing Certificate has no issuer")
    identifiers = [e.value for e in signing.extensions if e.oid == AUTHORITY_KEY_IDENTIFIER]
    return tbs_of_final_issuer(
        precertificate,
        issuer=signing.issuer,
        authority_key_identifier=identifiers[0] if len(identifiers) > 0 else None,
    )


def _is_precertificate_signing(certificate: CertificateStructure) -> bool:
    purposes: list[str] = []
    for extension in certificate.extensions:
        if extension.oid == extensions.EXTENDED_KEY_USAGE:
            extensions.read_extended_key_usage(extension.value, purposes)
    return PRECERTIFICATE_SIGNING in purposes


def _key_of(certificate: CertificateStructure) -> str:
    return "" if certificate.spki is None else sha256(certificate.spki).hexdigest()


def _find_structure(chain: tuple[bytes, ...]) -> CertificateStructure | None:
    try:
        return load_structure(chain[0]) if len(chain) > 0 else None
    except Malformed:
        return None


def _verify_final(certificate: CertificateStructure, spki: bytes) -> None:
    """As ``verify_issued``, but an algorithm outside that differs is the CA's, as it was hashed."""
    if certificate.signature is None or certificate.inner_algorithm is None:
        raise VerificationError("no signature can be read")
    verify_signature(spki, certificate.inner_algorithm, certificate.signature, certificate.tbs)


def _find_signer(certificate: CertificateStructure, watched: Mapping[str, bytes | None]) -> str:
    """The watched key that signed the certificate, or an empty string."""
    for key, spki in watched.items():
        if spki is None:
            continue
        try:
            _verify_final(certificate, spki)
        except (VerificationError, Uncheckable):
            continue
        return key
    return ""
