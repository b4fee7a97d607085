"""What is watched, and which entries of a page may belong to it: bytes first, parsing last.

A precertificate entry states the hash of its issuer's key among the hashed bytes, so none can be
missed. A final certificate does not. It is found in either of two ways: by the first certificate of
its chain, which the log states and no hash covers; and by its own issuer Name or authority key
identifier, which are hashed, where a CA certificate of the watched key is at hand. What remains: a
log that serves a wrong chain *and* a certificate that bears neither the Name nor the key identifier
of any known certificate of its issuer. Where a chain is empty, unreadable or not served, and some
watched key is known by its hash alone, the entry cannot be ruled out and is kept as unconfirmed.
RFC 6962 3.2 and 3.4; RFC 5280 4.1.2.4 and 4.2.1.1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from hashlib import sha256

import orjson
from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.evidence import der
from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.harvest.about import find_about
from subca_oversight.evidence.structure import slice_certificate
from subca_oversight.sources.log_entries import (
    ChainFlaw,
    EntryPage,
    FirstIssuer,
    final_certificate_of,
)
from subca_oversight.store.database import upsert_ignoring
from subca_oversight.store.tables import (
    AuthorityCertificateRow,
    SubordinateRow,
    WatchedKeyRow,
    WatchSetRow,
)

_SUBJECT_KEY_IDENTIFIER = "2.5.29.14"
_KEY_IDENTIFIER_OID = b"\x06\x03\x55\x1d\x23"
_PLAIN_KEY_IDENTIFIER = slice(5, 11)
"""What stands between the OID and a key identifier of 20 octets that comes alone."""
_PLAIN_PREFIX = b"\x04\x18\x30\x16\x80\x14"
_PLAIN_LENGTH = 20
_KEY_IDENTIFIER_REACH = 256
_TBS_AT = 4
_VERSION_3 = b"\xa0\x03\x02\x01\x02\x02"
_SEQUENCE_OF_TWO_LENGTH_OCTETS = b"\x30\x82"
_SHORT_FORM = 0x80


@dataclass(frozen=True, slots=True)
class WatchedKeys:
    """The keys that a window is filtered with, and what is known of them."""

    spkis: dict[bytes, bytes | None]
    """SPKI by its SHA-256; None where no CA certificate of the key is at hand."""
    names: frozenset[bytes] = frozenset()
    """Subject Names (DER) of the keys' CA certificates."""
    identifiers: frozenset[bytes] = frozenset()
    """Subject key identifiers of the keys' CA certificates."""

    @property
    def digest(self) -> str:
        """SHA-256 over the sorted key hashes, hex: the identity of the watch set."""
        return watch_digest(self.spkis)

    @property
    def by_hex(self) -> dict[str, bytes | None]:
        """SPKI by its hash in hex, as confirmation takes it."""
        return {key.hex(): spki for key, spki in self.spkis.items()}

    @property
    def is_conclusive(self) -> bool:
        """Whether every key is at hand, so that a signature rules an entry in or out."""
        return all(spki is not None for spki in self.spkis.values())


def watch_digest(keys: Iterable[bytes]) -> str:
    """SHA-256 over the sorted key hashes, in hex."""
    return sha256(b"".join(sorted(keys))).hexdigest()


def load_watched(session: Session, only: Collection[bytes] | None = None) -> WatchedKeys:
    """The keys of every subordinate that is not retired; with ``only``, these keys alone."""
    rows = session.scalars(
        select(WatchedKeyRow)
        .join(SubordinateRow, col(SubordinateRow.anchor) == col(WatchedKeyRow.anchor))
        .where(col(WatchedKeyRow.unwatched_at).is_(None), col(SubordinateRow.retired_at).is_(None))
    ).all()
    spkis = {bytes.fromhex(row.spki_sha256): row.spki for row in rows}
    if only is not None:
        spkis = {key: spkis.get(key) for key in only}
    names: set[bytes] = set()
    identifiers: set[bytes] = set()
    known = [key.hex() for key in spkis]
    for authority in session.scalars(select(AuthorityCertificateRow)):
        if authority.spki_sha256 in known:
            _learn_names(authority.der, names, identifiers)
    return WatchedKeys(spkis, frozenset(names), frozenset(identifiers))


def store_watch_set(session: Session, keys: Iterable[bytes]) -> str:
    """Store the set of keys once; return its digest."""
    hashes = sorted(key.hex() for key in keys)
    digest = watch_digest(bytes.fromhex(key) for key in hashes)
    row = {"digest": digest, "keys": orjson.dumps(hashes).decode("ascii")}
    upsert_ignoring(session, WatchSetRow, [row])
    return digest


def load_watch_set(session: Session, digest: str) -> frozenset[bytes]:
    """The keys of a stored watch set."""
    row = session.get_one(WatchSetRow, digest)
    return frozenset(bytes.fromhex(key) for key in orjson.loads(row.keys))


def _learn_names(certificate: bytes, names: set[bytes], identifiers: set[bytes]) -> None:
    try:
        structure = slice_certificate(certificate)
        if structure.subject is not None:
            names.add(structure.subject)
        for extension in structure.extensions:
            if extension.oid == _SUBJECT_KEY_IDENTIFIER:
                start, end = der.read_only(extension.value, der.OCTET_STRING)
                if start < end:
                    identifiers.add(extension.value[start:end])
    except Malformed:
        return


@dataclass(slots=True)
class Selection:
    """Offsets of a page's entries that matter."""

    matches: list[int] = field(default_factory=list)
    """Certainly of a watched key or about one, as far as the log tells."""
    named: list[int] = field(default_factory=list)
    """Final certificates in the name of a watched key under another issuer's chain."""
    unknown: list[tuple[int, FirstIssuer]] = field(default_factory=list)
    """Final certificates whose first issuer was never seen, or is not stated."""


def select_entries(
    page: EntryPage, watched: WatchedKeys, issuers: dict[bytes, bytes | None]
) -> Selection:
    """Sort out the entries of a page.

    ``issuers`` maps the SHA-256 of CA certificates to that of their SPKI, None where the
    certificate's key cannot be read.
    """
    keys = watched.spkis
    selection = Selection()
    matches = [offset for offset, key in enumerate(page.issuer_keys) if key in keys]
    for offset, issuer in page.finals:
        if isinstance(issuer, ChainFlaw) or issuer not in issuers:
            selection.unknown.append((offset, issuer))
        elif issuers[issuer] in keys:
            matches.append(offset)
        elif len(watched.names) > 0 and bears_name(page.preimages[offset], watched):
            selection.named.append(offset)
    matches.extend(find_about(page.preimages, keys))
    selection.matches = matches
    return selection


def bears_name(preimage: bytes, watched: WatchedKeys) -> bool:
    """Whether a final certificate names a watched key as its issuer, by Name or key identifier."""
    certificate = final_certificate_of(preimage)
    if certificate is None:
        return False
    name = _find_issuer_name(certificate)
    if name is None:  # not even sliceable: look for the bytes anywhere
        return any(one in certificate for one in watched.names | watched.identifiers)
    return name in watched.names or _bears_identifier(certificate, watched.identifiers)


def _bears_identifier(certificate: bytes, identifiers: frozenset[bytes]) -> bool:
    at = certificate.find(_KEY_IDENTIFIER_OID)
    if at < 0:
        return False
    stated = certificate[at : at + 11]
    if stated[_PLAIN_KEY_IDENTIFIER] == _PLAIN_PREFIX:
        return certificate[at + 11 : at + 11 + _PLAIN_LENGTH] in identifiers
    stated = certificate[at : at + _KEY_IDENTIFIER_REACH]
    return any(one in stated for one in identifiers)


def _find_issuer_name(certificate: bytes) -> bytes | None:
    """The issuer Name's DER, cut out by the usual layout or else by the general reader."""
    # Certificate and TBSCertificate of 256 to 65,535 octets, version 3, then serial and algorithm.
    if (
        certificate[:2] == _SEQUENCE_OF_TWO_LENGTH_OCTETS
        and certificate[_TBS_AT : _TBS_AT + 2] == _SEQUENCE_OF_TWO_LENGTH_OCTETS
        and certificate[8:14] == _VERSION_3
    ):
        try:
            at = 15 + certificate[14]
            algorithm = certificate[at + 1]
            name = at + 2 + algorithm
            length = certificate[name + 1]
            if (
                certificate[14] < _SHORT_FORM
                and algorithm < _SHORT_FORM
                and length < _SHORT_FORM
                and certificate[at] == der.SEQUENCE
                and certificate[name] == der.SEQUENCE
            ):
                return certificate[name : name + 2 + length]
        except IndexError:
            pass
    try:
        return slice_certificate(certificate).issuer
    except Malformed:
        return None
