"""An issuer gives each serial number to one certificate.

Revocation goes by issuer and serial number: two certificates that share both cannot be told apart,
nor revoked apart. RFC 5280 4.1.2.2 and MRSP 5.2, which except the precertificate beside its final
certificate alone. So two precertificates, or two final certificates, whose signed octets differ are
a breach, even if only their SCTs do: two certificates were signed. The same certificate in many
logs, and the pair, are not. Equal signed octets under two signatures are a notice: anyone can
re-encode an ECDSA signature, so the CA need not have signed twice. Names count with the key, since
one key may issue under two names.
"""

from __future__ import annotations

from collections.abc import Iterator

from subca_oversight.check import (
    Breach,
    CertificateFacts,
    EvidenceItem,
    Revocation,
    Severity,
    UnitFacts,
    check,
    known,
    signed_octets,
)


@check(
    id="serial-reuse",
    severity=Severity.VIOLATION,
    requirement="RFC 5280 4.1.2.2; MRSP 5.2",
    revocation=Revocation.DAYS_5,
    covers=("C10",),
)
def serial_reuse(unit: UnitFacts) -> Iterator[Breach]:
    known(unit.serial_hex, "the serial number")
    yield from _same_kind(unit, unit.precertificates, "precertificates")
    yield from _same_kind(unit, unit.finals, "final certificates")


def _same_kind(
    unit: UnitFacts, certificates: tuple[CertificateFacts, ...], kind: str
) -> Iterator[Breach]:
    if len(certificates) < 2:  # noqa: PLR2004 - reuse takes two
        return
    by_issuer: dict[bytes, list[CertificateFacts]] = {}
    for certificate in certificates:
        by_issuer.setdefault(known(certificate.issuer_name, "the issuer"), []).append(certificate)
    for _, group in sorted(by_issuer.items()):
        signed = {signed_octets(certificate) for certificate in group}
        evidence = tuple(EvidenceItem("certificate", c.sha256, c.kind.value) for c in group)
        if len(signed) > 1:
            yield Breach(
                f"{len(signed)} different {kind} bear the serial number {unit.serial_hex}",
                key=kind,
                evidence=evidence,
            )
        elif len(group) > 1:
            yield Breach(
                f"{len(group)} {kind} with the serial number {unit.serial_hex} have the same"
                " signed content under different signatures",
                key=f"{kind}, same content",
                severity=Severity.NOTICE,
                revocation=Revocation.NONE,
                evidence=evidence,
            )
