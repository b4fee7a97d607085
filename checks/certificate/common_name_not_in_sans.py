"""A common name is one of the subject alternative names, character for character.

Software that still reads the common name must not be told another name than the one that was
validated. BR 7.1.4.3: the common name is one of the SAN (7.1.4.2.2 of 2012-07-01), copied character
for character since 2021-08-25 (SC-48), so that case, U-labels and other spellings of an IPv6
address (RFC 5952) count; and there is one at most, said beyond doubt since 2023-09-15 (SC-62).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from datetime import UTC, datetime

from subca_oversight.check import (
    Breach,
    CertificateFacts,
    Revocation,
    Severity,
    check,
    dated,
    is_tls_subscriber,
    verify_readable,
)

SINCE = datetime(2012, 7, 1, tzinfo=UTC)
EXACT_SINCE = datetime(2021, 8, 25, tzinfo=UTC)
ONE_SINCE = datetime(2023, 9, 15, tzinfo=UTC)


@check(
    id="common-name-not-in-sans",
    severity=Severity.VIOLATION,
    requirement="TLS BR 7.1.4.3",
    revocation=Revocation.DAYS_5,
    covers=("C20",),
)
def common_name_not_in_sans(certificate: CertificateFacts) -> Iterator[Breach]:
    if not is_tls_subscriber(certificate):
        return
    verify_readable(certificate, "common_names", "dns_names", "ip_addresses")
    addresses = {text for name in certificate.ip_addresses for text in _spellings(name)}
    exact = addresses.union(certificate.dns_names)
    folded = {_fold(name) for name in exact}
    for name in dict.fromkeys(certificate.common_names):
        if name in exact:
            continue
        if _fold(name) in folded:
            breach = Breach(f"the common name {name!r} is spelt otherwise in the SAN")
            yield from dated(certificate, EXACT_SINCE, breach)
        else:
            breach = Breach(f"the common name {name!r} is not in the SAN")
            yield from dated(certificate, SINCE, breach)
    if len(certificate.common_names) > 1:
        breach = Breach(
            f"the subject has {len(certificate.common_names)} common names instead of one",
            key="several",
        )
        yield from dated(certificate, ONE_SINCE, breach)


def _spellings(address: str) -> tuple[str, ...]:
    """Give the texts that RFC 5952 allows: mixed notation too where an IPv4 address is mapped."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return (address,)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (parsed.compressed,) if mapped is None else (parsed.compressed, f"::ffff:{mapped}")


def _fold(name: str) -> str:
    try:
        return ipaddress.ip_address(name).compressed
    except ValueError:
        return name.casefold()
