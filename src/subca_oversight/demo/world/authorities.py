"""The world's CAs: the signing CA, its three subordinates, and CAs that are nobody's concern here.

Every organization is invented; every host lies under a domain reserved for examples (RFC 2606).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from subca_oversight.demo.world import der, extensions
from subca_oversight.demo.world.authority import (
    Authority,
    cross_certify,
    root_authority,
    subordinate_authority,
)
from subca_oversight.demo.world.extensions import OV_POLICY
from subca_oversight.demo.world.keys import rsa_key
from subca_oversight.demo.world.randomness import Seed

SIGNING_CA = "Northgate Trust Services"
HARBOR = "Harbor Digital Trust"
MERIDIAN = "Meridian Certification"
CAMPUS = "Campus Federation Registry"
CAMPUS_DOMAIN = "campus.example.org"
_BYSTANDERS = ("Larkfield Identity", "Osprey Signing", "Tarn Valley PKI", "Quillon Secure")


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
    root = root_authority(
        seed, "northgate-root-r1", SIGNING_CA, "Northgate Root R1", host, _years(2020, 2045)
    )
    meridian_root = root_authority(
        seed,
        "meridian-root-r3",
        MERIDIAN,
        "Meridian Root R3",
        "meridian.example.net",
        _years(2019, 2044),
    )
    meridian = subordinate_authority(
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
    meridian = cross_certify(seed, root, meridian, (_day(2025, 4, 10), _day(2029, 3, 5)))
    bystander_roots, bystanders = _bystanders(seed)
    return Hierarchy(
        root=root,
        own=subordinate_authority(
            seed,
            root,
            slug="northgate-dv-3",
            common_name="Northgate DV TLS CA 3",
            organization=SIGNING_CA,
            span=(_day(2024, 9, 2), _day(2029, 9, 2)),
        ),
        harbor=subordinate_authority(
            seed,
            root,
            slug="harbor-tls-1",
            common_name="Harbor TLS CA 1",
            organization=HARBOR,
            span=(_day(2025, 1, 20), _day(2028, 1, 20)),
        ),
        harbor_expired=subordinate_authority(
            seed,
            root,
            slug="harbor-tls-0",
            common_name="Harbor TLS CA 0",
            organization=HARBOR,
            span=(_day(2021, 9, 2), _day(2026, 9, 1)),
        ),
        harbor_next=subordinate_authority(
            seed,
            root,
            slug="harbor-tls-2",
            common_name="Harbor TLS CA 2",
            organization=HARBOR,
            span=(_day(2026, 2, 3), _day(2029, 2, 3)),
        ),
        meridian_root=meridian_root,
        meridian=meridian,
        meridian_below=subordinate_authority(
            seed,
            meridian,
            slug="meridian-ov-2",
            common_name="Meridian OV Issuing CA 2",
            organization=MERIDIAN,
            span=(_day(2026, 6, 2), _day(2028, 6, 2)),
            policy=OV_POLICY,
        ),
        campus=subordinate_authority(
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
        root = root_authority(
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
                subordinate_authority(
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
