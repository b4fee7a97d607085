"""A certificate as ordered: what it shall say, when it is signed, and which logs see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from subca_oversight.demo.world import der, extensions
from subca_oversight.demo.world.authority import Authority
from subca_oversight.demo.world.certificate import Template, unit_id
from subca_oversight.demo.world.extensions import Extension
from subca_oversight.demo.world.randomness import Seed

RFC6962 = "rfc6962"
STATIC = "static"
RETIRED = "oldstone"
"""A log that still gave SCTs when the certificate was issued, and is served by nobody now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One precertificate, its final certificate, or both."""

    label: str
    """Unique; every draw for it is named by it."""
    subordinate: str | None
    """Whose issuance it is, by the configuration's name; None for bystanders."""
    issuer: Authority
    names: tuple[str, ...]
    submitted: datetime
    """When the precertificate went to the logs."""
    not_before: datetime
    not_after: datetime
    spki: bytes
    serial: int
    subject: tuple[tuple[str, str], ...] = ()
    policies: tuple[str, ...] = (extensions.DV_POLICY,)
    sct_logs: tuple[str, ...] = (RFC6962, STATIC)
    """Logs whose SCTs the final certificate carries; none means SCTs came another way."""
    final_logs: tuple[str, ...] = ()
    final_delay: timedelta = timedelta(hours=1)
    chain: tuple[bytes, ...] = ()
    """What is submitted with it; empty for the issuer's first chain."""
    extra_extensions: tuple[Extension, ...] = ()
    validity: bytes | None = None
    final_names: tuple[str, ...] | None = None
    """Names of a final certificate that does not match its precertificate."""
    final_not_after: datetime | None = None
    spoils_precertificate: bool = False
    """Whether the log's copy of the precertificate has a flipped bit outside the leaf hash."""

    @property
    def unit(self) -> str:
        """Unit id."""
        return unit_id(self.issuer.key.spki_sha256, self.serial)

    @property
    def submitted_chain(self) -> tuple[bytes, ...]:
        """CA certificates that the log was given, the issuer first."""
        return self.issuer.chains[0] if len(self.chain) == 0 else self.chain

    def template(self) -> Template:
        """Contents of the precertificate, and of a final certificate that corresponds to it."""
        return self._template(self.names, self.not_after)

    def final_template(self) -> Template:
        """Contents of the final certificate."""
        names = self.names if self.final_names is None else self.final_names
        not_after = self.not_after if self.final_not_after is None else self.final_not_after
        return self._template(names, not_after)

    def _template(self, names: tuple[str, ...], not_after: datetime) -> Template:
        issuer = self.issuer
        return Template(
            issuer=issuer.name,
            subject=der.name(self.subject),
            serial=self.serial,
            not_before=self.not_before,
            not_after=not_after,
            spki=self.spki,
            validity=self.validity,
            extensions=(
                extensions.key_usage(extensions.DIGITAL_SIGNATURE),
                extensions.extended_key_usage(extensions.SERVER_AUTH),
                extensions.authority_key_identifier(issuer.key.identifier),
                extensions.ca_issuers(issuer.certificate_url),
                extensions.dns_names(names, critical=len(self.subject) == 0),
                extensions.policies(*self.policies),
                extensions.crl_distribution_point(issuer.crl_url),
                *self.extra_extensions,
            ),
        )


def random_serial(seed: Seed, label: str) -> int:
    """A positive serial with 127 random bits below its first octet (BR 7.1)."""
    return int.from_bytes(bytes((0x10 + seed.below(f"serial/{label}/top", 0x60),))) << 120 | (
        int.from_bytes(seed.octets(f"serial/{label}", 15))
    )


def last_moment(not_before: datetime, days: int, extra_seconds: int = 0) -> datetime:
    """NotAfter of a certificate valid for ``days``, its last second included (BR 1.6.1)."""
    return not_before + timedelta(days=days, seconds=extra_seconds - 1)
