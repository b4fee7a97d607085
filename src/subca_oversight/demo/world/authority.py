"""A CA: its name, its key and its certificates, and how one CA certifies another.

The profiles are those of BR 7.1.2.1 (root), 7.1.2.2 (cross-certified), 7.1.2.5 (constrained) and
7.1.2.6 (TLS subordinate CA).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec

from subca_oversight.demo.world import der, extensions
from subca_oversight.demo.world.certificate import Template, issue
from subca_oversight.demo.world.extensions import DV_POLICY, Extension
from subca_oversight.demo.world.keys import KeyPair, ec_key
from subca_oversight.demo.world.randomness import Seed


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA: one name, one key, and one or more certificates for them."""

    slug: str
    owner: str
    common_name: str
    name: bytes
    """Name DER."""
    key: KeyPair
    host: str
    """Domain under which its CRL and certificate are published."""
    certificates: tuple[bytes, ...]
    """CA certificates with this key, the one under the signing CA first."""
    chains: tuple[tuple[bytes, ...], ...]
    """From each of its certificates up to a root."""
    not_before: datetime
    not_after: datetime
    """Of the first certificate."""
    operator: str = ""
    """Who runs it, where that is not the owner."""
    policy: str = DV_POLICY

    @property
    def certificate(self) -> bytes:
        """The first certificate."""
        return self.certificates[0]

    @property
    def crl_url(self) -> str:
        """Where subscribers' certificates say that its CRL lies."""
        return f"http://crl.{self.host}/{self.slug}.crl"

    @property
    def certificate_url(self) -> str:
        """Where subscribers' certificates say that its certificate lies."""
        return f"http://ca.{self.host}/{self.slug}.crt"


def _organization_name(organization: str, common_name: str) -> bytes:
    return der.name((("2.5.4.6", "NL"), ("2.5.4.10", organization), ("2.5.4.3", common_name)))


def _last_second(end: datetime) -> datetime:
    """A validity that ends at midnight includes the second before and no more."""
    return datetime.fromtimestamp(end.timestamp() - 1, tz=UTC)


def _serial(seed: Seed, label: str) -> int:
    return int.from_bytes(b"\x01" + seed.octets(f"serial/{label}", 16))


def root_authority(
    seed: Seed,
    slug: str,
    owner: str,
    common_name: str,
    host: str,
    span: tuple[datetime, datetime],
) -> Authority:
    """A self-signed CA on P-384."""
    key = ec_key(seed, slug, ec.SECP384R1())
    name = _organization_name(owner, common_name)
    template = Template(
        issuer=name,
        subject=name,
        serial=_serial(seed, slug),
        not_before=span[0],
        not_after=_last_second(span[1]),
        spki=key.spki,
        extensions=(
            extensions.ca_constraints(None),
            extensions.key_usage(extensions.KEY_CERT_SIGN, extensions.CRL_SIGN),
            extensions.subject_key_identifier(key.identifier),
        ),
    )
    certificate = issue(template, key)
    return Authority(
        slug=slug,
        owner=owner,
        common_name=common_name,
        name=name,
        key=key,
        host=host,
        certificates=(certificate,),
        chains=((certificate,),),
        not_before=span[0],
        not_after=template.not_after,
    )


def subordinate_authority(
    seed: Seed,
    parent: Authority,
    *,
    slug: str,
    common_name: str,
    organization: str,
    span: tuple[datetime, datetime],
    key: KeyPair | None = None,
    path_length: int = 0,
    policy: str = DV_POLICY,
    constraints: Extension | None = None,
) -> Authority:
    """A TLS CA below ``parent``; ``span`` ends at the first instant it is no longer valid."""
    key = ec_key(seed, slug) if key is None else key
    child = Authority(
        slug=slug,
        owner=parent.owner,
        common_name=common_name,
        name=_organization_name(organization, common_name),
        key=key,
        host=parent.host,
        certificates=(),
        chains=(),
        not_before=span[0],
        not_after=_last_second(span[1]),
        operator="" if organization == parent.owner else organization,
        policy=policy,
    )
    certificate = _certify(seed, parent, child, path_length, constraints)
    return replace(
        child,
        certificates=(certificate,),
        chains=tuple((certificate, *chain) for chain in parent.chains),
    )


def cross_certify(
    seed: Seed, signer: Authority, subject: Authority, span: tuple[datetime, datetime]
) -> Authority:
    """Another certificate for the same name and key, by ``signer`` (BR 7.1.2.2)."""
    crossed = replace(
        subject,
        owner=signer.owner,
        operator=subject.owner,
        not_before=span[0],
        not_after=_last_second(span[1]),
    )
    certificate = _certify(seed, signer, crossed, 1, None)
    return replace(
        crossed,
        certificates=(certificate, *subject.certificates),
        chains=((certificate, *signer.chains[0]), *subject.chains),
    )


def _certify(
    seed: Seed,
    parent: Authority,
    child: Authority,
    path_length: int,
    constraints: Extension | None,
) -> bytes:
    profile = [
        extensions.ca_constraints(path_length),
        extensions.key_usage(extensions.KEY_CERT_SIGN, extensions.CRL_SIGN),
        extensions.extended_key_usage(extensions.SERVER_AUTH),
        extensions.policies(child.policy),
        extensions.crl_distribution_point(parent.crl_url),
        extensions.ca_issuers(parent.certificate_url),
        extensions.authority_key_identifier(parent.key.identifier),
        extensions.subject_key_identifier(child.key.identifier),
    ]
    if constraints is not None:
        profile.append(constraints)
    template = Template(
        issuer=parent.name,
        subject=child.name,
        serial=_serial(seed, f"{parent.slug}/{child.slug}"),
        not_before=child.not_before,
        not_after=child.not_after,
        spki=child.key.spki,
        extensions=tuple(profile),
    )
    return issue(template, parent.key)
