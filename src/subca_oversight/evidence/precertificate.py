"""A TBSCertificate as logs hash it: rebuilt without the poison, byte for byte.

The leaf of a precertificate covers this rebuilt form and nothing else of the precertificate, so it
has to be made again to compare the two; the same form, without the SCT list, tells whether a
precertificate and a final certificate correspond. RFC 6962 3.1 and 3.2.
"""

from __future__ import annotations

from collections.abc import Collection

from subca_oversight.evidence import der
from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.structure import EXTENSIONS_TAG, POISON, CertificateStructure

AUTHORITY_KEY_IDENTIFIER = "2.5.29.35"


def tbs_without(certificate: CertificateStructure, oids: Collection[str]) -> bytes:
    """The TBSCertificate with every extension of these types removed and lengths made right.

    A list that becomes empty is left out, as RFC 5280 4.1 knows no empty one. Bytes outside of the
    list stay as they are. Raises Malformed where the list could not be read to its end.
    """
    kept = [part for oid, part in certificate.extension_parts if oid not in oids]
    if certificate.extensions_at is not None and len(kept) == len(certificate.extension_parts):
        return certificate.tbs
    return _assemble(certificate, kept)


def tbs_of_final_issuer(
    precertificate: CertificateStructure, *, issuer: bytes, authority_key_identifier: bytes | None
) -> bytes:
    """The TBSCertificate hashed where a Precertificate Signing Certificate signed (RFC 6962 3.2).

    The poison goes, the issuer Name and the value of the authority key identifier extension become
    those of the Precertificate Signing Certificate; where only one of the two has that extension it
    is added at the end or dropped, as logs do. Raises Malformed as ``tbs_without`` does.
    """
    kept: list[bytes] = []
    wanted = authority_key_identifier
    for oid, part in precertificate.extension_parts:
        if oid == POISON:
            continue
        if oid != AUTHORITY_KEY_IDENTIFIER:
            kept.append(part)
        elif authority_key_identifier is not None:
            critical = any(e.critical for e in precertificate.extensions if e.oid == oid)
            kept.append(_key_identifier(authority_key_identifier, critical=critical))
            wanted = None
    if wanted is not None:
        kept.append(_key_identifier(wanted, critical=False))
    return _assemble(precertificate, kept, issuer=issuer)


def _key_identifier(value: bytes, *, critical: bool) -> bytes:
    flag = b"\x01\x01\xff" if critical else b""
    content = b"\x06\x03\x55\x1d\x23" + flag + der.encode(der.OCTET_STRING, value)
    return der.encode(der.SEQUENCE, content)


def _assemble(
    certificate: CertificateStructure, extensions: list[bytes], *, issuer: bytes | None = None
) -> bytes:
    if certificate.extensions_at is None:
        raise Malformed(next((f"{n}: {r}" for n, r in certificate.problems), "no extension list"))
    tbs = certificate.tbs
    content = der.read_only(tbs, der.SEQUENCE)[0]
    listed = b""
    if len(extensions) > 0:
        listed = der.encode(EXTENSIONS_TAG, der.encode(der.SEQUENCE, b"".join(extensions)))
    start, end = certificate.extensions_at
    before = tbs[content:start]
    if issuer is not None and certificate.issuer is not None:
        at = certificate.issuer_at
        before = tbs[content:at] + issuer + tbs[at + len(certificate.issuer) : start]
    return der.encode(der.SEQUENCE, before + listed + tbs[end:])
