"""The content of the extensions that rules ask about, each read by itself.

One broken extension must not hide the others, nor one broken element those before it: readers
raise Malformed and leave what they had read so far. RFC 5280 4.2.1 and 4.2.2.
"""

from __future__ import annotations

from subca_oversight.evidence import der
from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.names import Errors, GeneralNames, add_general_names

SUBJECT_ALTERNATIVE_NAME = "2.5.29.17"
BASIC_CONSTRAINTS = "2.5.29.19"
CRL_DISTRIBUTION_POINTS = "2.5.29.31"
CERTIFICATE_POLICIES = "2.5.29.32"
EXTENDED_KEY_USAGE = "2.5.29.37"
AUTHORITY_INFORMATION_ACCESS = "1.3.6.1.5.5.7.1.1"

_OCSP = "1.3.6.1.5.5.7.48.1"
_CA_ISSUERS = "1.3.6.1.5.5.7.48.2"
_POINT_NAME_TAG, _FULL_NAME_TAG = 0xA0, 0xA0


def read_alternative_names(value: bytes, into: GeneralNames, errors: Errors) -> None:
    """SubjectAltName, value of 2.5.29.17."""
    start, end = der.read_only(value, der.SEQUENCE)
    add_general_names(value, start, end, into, errors)


def read_is_ca(value: bytes) -> bool:
    """The cA flag of BasicConstraints."""
    start, end = der.read_only(value, der.SEQUENCE)
    if start == end:
        return False
    tag, first, last = der.read(value, start, end)
    if tag != der.BOOLEAN:
        return False
    if last - first != 1:
        raise Malformed(f"BOOLEAN of {last - first} octets")
    return value[first] != 0


def read_extended_key_usage(value: bytes, into: list[str]) -> None:
    """KeyPurposeIds, in order."""
    start, end = der.read_only(value, der.SEQUENCE)
    for at, _, _, last in der.children(value, start, end):
        into.append(der.read_oid(value, at, last))


def read_policies(value: bytes, into: list[str]) -> None:
    """Policy identifiers, in order; qualifiers are left alone."""
    start, end = der.read_only(value, der.SEQUENCE)
    for _, tag, first, last in der.children(value, start, end):
        if tag != der.SEQUENCE:
            raise Malformed(f"tag {tag:02x} instead of a PolicyInformation")
        into.append(der.read_oid(value, first, last))


def read_information_access(
    value: bytes, ocsp: GeneralNames, ca_issuers: GeneralNames, errors: Errors
) -> None:
    """AuthorityInfoAccess, its two methods kept apart."""
    start, end = der.read_only(value, der.SEQUENCE)
    for _, tag, first, last in der.children(value, start, end):
        if tag != der.SEQUENCE:
            raise Malformed(f"tag {tag:02x} instead of an AccessDescription")
        method = der.read_oid(value, first, last)
        place = der.read(value, first, last)[2]
        if method == _OCSP:
            add_general_names(value, place, last, ocsp, errors)
        elif method == _CA_ISSUERS:
            add_general_names(value, place, last, ca_issuers, errors)


def read_distribution_points(value: bytes, into: GeneralNames, errors: Errors) -> None:
    """Full names of CRLDistributionPoints."""
    start, end = der.read_only(value, der.SEQUENCE)
    for _, tag, first, last in der.children(value, start, end):
        if tag != der.SEQUENCE:
            raise Malformed(f"tag {tag:02x} instead of a DistributionPoint")
        for _, part, inner, stop in der.children(value, first, last):
            if part != _POINT_NAME_TAG:
                continue
            for _, form, opening, closing in der.children(value, inner, stop):
                if form == _FULL_NAME_TAG:
                    add_general_names(value, opening, closing, into, errors)
            break
