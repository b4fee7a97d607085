"""Everything that a world will contain, drawn from its seed, before anything is signed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from subca_oversight.demo.world import authorities, leaves
from subca_oversight.demo.world.authorities import Hierarchy, build_hierarchy
from subca_oversight.demo.world.authority import Authority
from subca_oversight.demo.world.bench import Fault
from subca_oversight.demo.world.ct_log import UNKNOWN_ENTRY, X509_ENTRY, Log
from subca_oversight.demo.world.faults import planted_faults, spoiled_order
from subca_oversight.demo.world.issuance import Deposit
from subca_oversight.demo.world.leaves import bystander_orders, clean_orders
from subca_oversight.demo.world.log_list import world_logs
from subca_oversight.demo.world.order import RFC6962, STATIC, Order
from subca_oversight.demo.world.randomness import Seed

_SUPERFLUOUS_CHAINS = 3


@dataclass(frozen=True, slots=True)
class Registration:
    """A subordinate as the configuration names it."""

    name: str
    operator: str
    relation: str
    contact: str
    authorities: tuple[Authority, ...]
    """Whose certificates are in its PEM file, the anchor first."""
    descendants: tuple[Authority, ...] = ()
    """CAs below, which the configuration does not name."""


@dataclass(frozen=True, slots=True)
class World:
    """The contents of one world."""

    seed: Seed
    hierarchy: Hierarchy
    logs: dict[str, Log]
    clean: tuple[Order, ...]
    faults: tuple[Fault, ...]
    spoiled: Order
    """Whose precertificate the log has wrong."""
    bystanders: tuple[Order, ...]
    deposits: tuple[Deposit, ...]

    @property
    def overseen(self) -> tuple[Order, ...]:
        """All orders of the subordinates, the spoiled one excepted."""
        planted = (order for fault in self.faults for order in (*fault.orders, *fault.twins))
        return (*self.clean, *planted)

    @property
    def orders(self) -> tuple[Order, ...]:
        """Everything to be issued."""
        return (*self.overseen, self.spoiled, *self.bystanders)

    @property
    def registrations(self) -> tuple[Registration, ...]:
        """The three subordinates."""
        return registrations(self.hierarchy)


def draw_world(seed: Seed) -> World:
    """Draw the world of ``seed``."""
    hierarchy = build_hierarchy(seed)
    bystanders = tuple(bystander_orders(seed, hierarchy))
    # A log stores any chain it is given: these end in a CA that issued none of them.
    odd = tuple(
        replace(order, chain=(*order.submitted_chain, hierarchy.harbor.certificate))
        for order in bystanders[-_SUPERFLUOUS_CHAINS:]
    )
    return World(
        seed=seed,
        hierarchy=hierarchy,
        logs=world_logs(seed),
        clean=tuple(clean_orders(seed, hierarchy)),
        faults=tuple(planted_faults(seed, hierarchy)),
        spoiled=spoiled_order(seed, hierarchy),
        bystanders=(*bystanders[:-_SUPERFLUOUS_CHAINS], *odd),
        deposits=_deposits(hierarchy),
    )


def registrations(hierarchy: Hierarchy) -> tuple[Registration, ...]:
    """The subordinates under oversight, one of each relation."""
    return (
        Registration(
            leaves.HARBOR,
            authorities.HARBOR,
            "externally-operated",
            "compliance@harbor.example.com",
            (hierarchy.harbor, hierarchy.harbor_expired, hierarchy.harbor_next),
        ),
        Registration(
            leaves.MERIDIAN,
            authorities.MERIDIAN,
            "cross-signed",
            "policy@meridian.example.net",
            (hierarchy.meridian,),
            (hierarchy.meridian_below,),
        ),
        Registration(
            leaves.CAMPUS,
            authorities.CAMPUS,
            "on-premises",
            "pki@campus.example.org",
            (hierarchy.campus,),
        ),
    )


def _deposits(hierarchy: Hierarchy) -> tuple[Deposit, ...]:
    """CA certificates in the logs, and two entries of a type that no reader knows."""
    certificates = (
        Deposit(
            label=f"ca/{authority.slug}/{log}",
            log=log,
            logged=authority.not_before + timedelta(hours=12),
            kind=X509_ENTRY,
            signed=authority.certificate,
            chain=authority.chains[0][1:],
        )
        for authority in (hierarchy.harbor_next, hierarchy.meridian_below)
        for log in (RFC6962, STATIC)
    )
    unknown = (
        Deposit(
            label=f"unknown/{month}",
            log=RFC6962,
            logged=datetime(2026, month, 6, 6, 6, 6, tzinfo=UTC),
            kind=UNKNOWN_ENTRY,
            signed=b'{"note":"an entry of a type that no RFC defines"}',
        )
        for month in (7, 11)
    )
    return (*certificates, *unknown)
