"""Certificate extensions as RFC 5280, RFC 6962 and the BR profiles (7.1.2) spell them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from subca_oversight.demo.world import der

DV_POLICY = "2.23.140.1.2.1"
OV_POLICY = "2.23.140.1.2.2"
PRIVATE_POLICY = "1.3.6.1.4.1.99999.1.1"
SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
DIGITAL_SIGNATURE = 0
KEY_CERT_SIGN = 5
CRL_SIGN = 6

_DNS_NAME = 2
_DIRECTORY_NAME = 4
_URI = 6
_IP_ADDRESS = 7


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension before encoding; ``value`` is what the OCTET STRING holds."""

    oid: str
    value: bytes
    critical: bool = False

    def encode(self) -> bytes:
        """Extension DER, the criticality omitted where it is the default."""
        flag = der.TRUE if self.critical else b""
        return der.sequence(der.oid(self.oid), flag, der.octet_string(self.value))


def poison() -> Extension:
    """What makes a precertificate unusable as a certificate (RFC 6962 3.1)."""
    return Extension("1.3.6.1.4.1.11129.2.4.3", der.NULL, critical=True)


def sct_list(scts: Iterable[bytes]) -> Extension:
    """SignedCertificateTimestampList (RFC 6962 3.3)."""
    listed = b"".join(len(sct).to_bytes(2) + sct for sct in scts)
    value = der.octet_string(len(listed).to_bytes(2) + listed)
    return Extension("1.3.6.1.4.1.11129.2.4.2", value)


def key_usage(*bits: int) -> Extension:
    """KeyUsage, critical."""
    return Extension("2.5.29.15", der.named_bits(*bits), critical=True)


def extended_key_usage(*purposes: str) -> Extension:
    """ExtKeyUsage."""
    return Extension("2.5.29.37", der.sequence(*map(der.oid, purposes)))


def ca_constraints(path_length: int | None) -> Extension:
    """BasicConstraints of a CA, critical."""
    length = b"" if path_length is None else der.integer(path_length)
    return Extension("2.5.29.19", der.sequence(der.TRUE, length), critical=True)


def subject_key_identifier(identifier: bytes) -> Extension:
    """SubjectKeyIdentifier."""
    return Extension("2.5.29.14", der.octet_string(identifier))


def authority_key_identifier(identifier: bytes) -> Extension:
    """AuthorityKeyIdentifier with the key identifier alone."""
    return Extension("2.5.29.35", der.sequence(der.implicit(0, identifier)))


def policies(*identifiers: str) -> Extension:
    """CertificatePolicies without qualifiers."""
    return Extension(
        "2.5.29.32", der.sequence(*(der.sequence(der.oid(policy)) for policy in identifiers))
    )


def dns_names(names: Iterable[str], *, critical: bool = False) -> Extension:
    """SubjectAltName; critical where the subject is empty (RFC 5280 4.2.1.6)."""
    encoded = (der.implicit(_DNS_NAME, name.encode("latin-1")) for name in names)
    return Extension("2.5.29.17", der.sequence(*encoded), critical=critical)


def crl_distribution_point(url: str) -> Extension:
    """CRLDistributionPoints with one full name."""
    name = der.explicit(0, der.explicit(0, der.implicit(_URI, url.encode())))
    return Extension("2.5.29.31", der.sequence(der.sequence(name)))


def ca_issuers(url: str) -> Extension:
    """AuthorityInfoAccess that names the issuer's certificate."""
    access = der.sequence(der.oid("1.3.6.1.5.5.7.48.2"), der.implicit(_URI, url.encode()))
    return Extension("1.3.6.1.5.5.7.1.1", der.sequence(access))


def permitted_names(domain: str, directory: bytes) -> Extension:
    """NameConstraints of a technically constrained TLS CA (BR 7.1.2.5.2).

    One domain and one organization are permitted, and every IP address is excluded.
    """
    permitted = (
        der.sequence(der.implicit(_DNS_NAME, domain.encode())),
        der.sequence(der.explicit(_DIRECTORY_NAME, directory)),
    )
    everything = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
    excluded = (
        der.sequence(
            der.implicit(_IP_ADDRESS, network.network_address.packed + network.netmask.packed)
        )
        for network in everything
    )
    value = der.sequence(der.explicit(0, *permitted), der.explicit(1, *excluded))
    return Extension("2.5.29.30", value, critical=True)
