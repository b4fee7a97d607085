"""From the kept bytes of an entry to what confirmation judges.

Only matches come here, so this decodes in full and forgives: what the log serves beside the hashed
bytes may be broken, and the entry still has to be judged. RFC 6962 3.1, 3.4 and 4.6; C2SP
static-ct-api (TileLeaf).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from subca_oversight.evidence.confirmation import LoggedEntry
from subca_oversight.model.certificate import CertificateKind
from subca_oversight.model.log import LogApi
from subca_oversight.sources.log_entries import (
    TBS_AT,
    final_certificate_of,
    issuer_key_of,
    timestamp_of,
)
from subca_oversight.sources.rfc6962 import chain_of
from subca_oversight.sources.static_ct import fingerprints_of

ChainFinder = Callable[[Sequence[bytes]], tuple[bytes, ...]]
"""Gives the certificates for fingerprints, up to the first that is not at hand."""


def find_entry(
    leaf: bytes, extra: bytes, api: LogApi, find_chain: ChainFinder
) -> LoggedEntry | None:
    """The entry, or None where the leaf holds neither a precertificate's TBS nor a certificate."""
    preimage = b"\0" + leaf
    key = issuer_key_of(preimage)
    certificate = final_certificate_of(preimage)
    if key is not None:
        length = int.from_bytes(preimage[TBS_AT : TBS_AT + 3])
        hashed = preimage[TBS_AT + 3 : TBS_AT + 3 + length]
    elif certificate is not None:
        hashed = certificate
    else:
        return None
    precertificate: bytes | None = None
    chain: tuple[bytes, ...] = ()
    fingerprints: tuple[bytes, ...] = ()
    flaw: str | None = None
    try:
        precertificate, chain, fingerprints = _read_extra(
            extra, api, find_chain, is_precertificate=key is not None
        )
    except ValueError as error:
        flaw = f"what the log serves beside the hashed bytes cannot be read: {error}"
    return LoggedEntry(
        kind=CertificateKind.FINAL if key is None else CertificateKind.PRECERTIFICATE,
        timestamp_ms=timestamp_of(preimage),
        issuer_key_hash=key,
        tbs_or_certificate=hashed,
        precertificate=precertificate,
        chain=chain,
        fingerprints=fingerprints,
        chain_flaw=flaw,
    )


def fingerprints_named(leaf: bytes, extra: bytes) -> tuple[bytes, ...]:
    """The chain fingerprints of a static log's entry; none where they cannot be read."""
    try:
        return fingerprints_of(extra, precertificate=issuer_key_of(b"\0" + leaf) is not None)[1]
    except ValueError:
        return ()


def _read_extra(
    extra: bytes, api: LogApi, find_chain: ChainFinder, *, is_precertificate: bool
) -> tuple[bytes | None, tuple[bytes, ...], tuple[bytes, ...]]:
    """Raises ValueError."""
    if api is LogApi.RFC6962:
        precertificate, chain = chain_of(extra, precertificate=is_precertificate)
        return precertificate, chain, ()
    precertificate, fingerprints = fingerprints_of(extra, precertificate=is_precertificate)
    return precertificate, find_chain(fingerprints), fingerprints
