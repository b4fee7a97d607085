"""The world's CAs: the signing CA, its three subordinates, and CAs that are nobody's concern here.

Every organization is invented; every host lies under a domain reserved for examples (RFC 2606).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec

from subca_oversight.demo.world import der, extensions
from subca_oversight.demo.world.certificate import Template, issue
from subca_oversight.demo.world.extensions import DV_POLICY, OV_POLICY, Extension
from subca_oversight.demo.world.keys import KeyPair, ec_key, rsa_key
from subca_oversight.demo.world.randomness import Seed

SIGNING_CA = "Northgate Trust Services"
HARBOR = "Harbor Digital Trust"
MERIDIAN = "Meridian Certification"
CAMPUS = "Campus Federation Registry"
CAMPUS_DOMAIN = "campus.example.org"
_BYSTANDERS = ("Larkfield Identity", "Osprey Signing", "Tarn Valley PKI", "Quillon Secure")


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


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """All CAs of the world by what they are to the signing CA."""

    root: Authority
    """The signing CA's."""
    own: Authority
    """An issuing CA that the signing CA runs itself: not overseen."""
    harbor: Authority
    harbor_expired: Authority
    harbor_next: Authority
    meridian_root: Authority
    meridian: Authority
    """Certified by its own root and cross-certified by the signing CA's."""
    meridian_below: Authority
    """Issued by the former, and in nobody's configuration."""
    campus: Authority
    bystander_roots: tuple[Authority, ...] = field(default=())
    bystanders: tuple[Authority, ...] = field(default=())

    def __iter__(self) -> Iterator[Authority]:
        """Every CA, parents before children."""
        yield self.root
        yield self.meridian_root
        yield self.own
        yield self.harbor
        yield self.harbor_expired
        yield self.harbor_next
        yield self.meridian
        yield self.meridian_below
        yield self.campus
        yield from self.bystander_roots
        yield from self.bystanders

    @property
    def roots(self) -> tuple[Authority, ...]:
        """The self-signed ones."""
        return (self.root, self.meridian_root, *self.bystander_roots)


def build_hierarchy(seed: Seed) -> Hierarchy:
    """Make all CAs."""
    host = "northgate.example.com"
    root = _root(
        seed, "northgate-root-r1", SIGNING_CA, "Northgate Root R1", host, _years(2020, 2045)
    )
    meridian_root = _root(
        seed,
        "meridian-root-r3",
        MERIDIAN,
        "Meridian Root R3",
        "meridian.example.net",
        _years(2019, 2044),
    )
    meridian = _subordinate(
        seed,
        meridian_root,
        slug="meridian-ov-x",
        common_name="Meridian OV CA X",
        organization=MERIDIAN,
        key=rsa_key(seed, "meridian-ov-x"),
        span=(_day(2024, 3, 5), _day(2029, 3, 5)),
        path_length=1,
        policy=OV_POLICY,
    )
    meridian = _cross_certify(seed, root, meridian, (_day(2025, 4, 10), _day(2029, 3, 5)))
    bystander_roots, bystanders = _bystanders(seed)
    return Hierarchy(
        root=root,
        own=_subordinate(
            seed,
            root,
            slug="northgate-dv-3",
            common_name="Northgate DV TLS CA 3",
            organization=SIGNING_CA,
            span=(_day(2024, 9, 2), _day(2029, 9, 2)),
        ),
        harbor=_subordinate(
            seed,
            root,
            slug="harbor-tls-1",
            common_name="Harbor TLS CA 1",
            organization=HARBOR,
            span=(_day(2025, 1, 20), _day(2028, 1, 20)),
        ),
        harbor_expired=_subordinate(
            seed,
            root,
            slug="harbor-tls-0",
            common_name="Harbor TLS CA 0",
            organization=HARBOR,
            span=(_day(2021, 9, 2), _day(2026, 9, 1)),
        ),
        harbor_next=_subordinate(
            seed,
            root,
            slug="harbor-tls-2",
            common_name="Harbor TLS CA 2",
            organization=HARBOR,
            span=(_day(2026, 2, 3), _day(2029, 2, 3)),
        ),
        meridian_root=meridian_root,
        meridian=meridian,
        meridian_below=_subordinate(
            seed,
            meridian,
            slug="meridian-ov-2",
            common_name="Meridian OV Issuing CA 2",
            organization=MERIDIAN,
            span=(_day(2026, 6, 2), _day(2028, 6, 2)),
            policy=OV_POLICY,
        ),
        campus=_subordinate(
            seed,
            root,
            slug="campus-tls-1",
            common_name="Campus TLS CA 1",
            organization=CAMPUS,
            span=(_day(2022, 1, 18), _day(2027, 1, 18)),
            constraints=extensions.permitted_names(
                CAMPUS_DOMAIN, der.name((("2.5.4.6", "NL"), ("2.5.4.10", CAMPUS)))
            ),
        ),
        bystander_roots=bystander_roots,
        bystanders=bystanders,
    )


def _bystanders(seed: Seed) -> tuple[tuple[Authority, ...], tuple[Authority, ...]]:
    roots = []
    issuing = []
    for number, owner in enumerate(_BYSTANDERS):
        word = owner.split()[0]
        host = f"{word.lower()}.example.org"
        root = _root(
            seed,
            f"{word.lower()}-root",
            owner,
            f"{word} Root {number + 1}",
            host,
            _years(2018, 2043),
        )
        roots.append(root)
        for generation in range(1, 5):
            start = _day(2022 + generation % 4, 1 + seed.below(f"{owner}/{generation}", 12), 11)
            external = generation == 4  # noqa: PLR2004 - the last of each owner is run by another
            issuing.append(
                _subordinate(
                    seed,
                    root,
                    slug=f"{word.lower()}-tls-{generation}",
                    common_name=f"{word} TLS CA {generation}",
                    organization=f"{word} Partner Services" if external else owner,
                    span=(start, start.replace(year=start.year + 5)),
                )
            )
    return tuple(roots), tuple(issuing)


def _day(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


def _years(first: int, last: int) -> tuple[datetime, datetime]:
    return _day(first, 2, 4), _day(last, 2, 4)


def _organization_name(organization: str, common_name: str) -> bytes:
    return der.name((("2.5.4.6", "NL"), ("2.5.4.10", organization), ("2.5.4.3", common_name)))


def _last_second(end: datetime) -> datetime:
    """A validity that ends at midnight includes the second before and no more."""
    return datetime.fromtimestamp(end.timestamp() - 1, tz=UTC)


def _serial(seed: Seed, label: str) -> int:
    return int.from_bytes(b"\x01" + seed.octets(f"serial/{label}", 16))


def _root(
    seed: Seed,
    slug: str,
    owner: str,
    common_name: str,
    host: str,
    span: tuple[datetime, datetime],
) -> Authority:
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


def _subordinate(
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


def _cross_certify(
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
