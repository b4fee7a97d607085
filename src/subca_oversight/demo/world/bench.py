"""The bench on which faults are made: a clean order for the twin, and a copy of it to break.

A pair shares its subscriber, names, instants and key wherever the fault is not in them, so that a
check which reports the twin reports it for the wrong reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from subca_oversight.demo.world.authorities import Hierarchy
from subca_oversight.demo.world.authority import Authority
from subca_oversight.demo.world.extensions import OV_POLICY
from subca_oversight.demo.world.keys import ec_key
from subca_oversight.demo.world.leaves import (
    CAMPUS,
    DOMAINS,
    HARBOR,
    MERIDIAN,
)
from subca_oversight.demo.world.order import (
    RETIRED,
    RFC6962,
    STATIC,
    Order,
    last_moment,
    random_serial,
)
from subca_oversight.demo.world.randomness import Seed

_ORGANIZATION = (("2.5.4.6", "NL"), ("2.5.4.7", "Delft"), ("2.5.4.10", "Fault Line Surveys"))
_THREE_LOGS = (RFC6962, STATIC, RETIRED)


@dataclass(frozen=True, slots=True)
class Fault:
    """A planted fault of the issuance, its orders, and those of its twin."""

    check: str
    description: str
    orders: tuple[Order, ...]
    twins: tuple[Order, ...]
    code: str = ""
    """What a linter calls it, where only a linter sees it."""


class Bench:
    """Makes the clean order that both of a pair start from."""

    def __init__(self, seed: Seed, hierarchy: Hierarchy) -> None:
        self.seed = seed
        self.hierarchy = hierarchy

    def order(
        self,
        subordinate: str,
        label: str,
        submitted: datetime,
        *,
        days: int = 90,
        issuer: Authority | None = None,
    ) -> Order:
        """A clean order whose precertificate and final certificate go to both logs."""
        issuers = {
            HARBOR: self.hierarchy.harbor,
            MERIDIAN: self.hierarchy.meridian,
            CAMPUS: self.hierarchy.campus,
        }
        issuer = issuers[subordinate] if issuer is None else issuer
        not_before = submitted - timedelta(hours=1)
        return Order(
            label=f"{subordinate}/{label}/twin",
            subordinate=subordinate,
            issuer=issuer,
            names=(f"{label}.{DOMAINS[subordinate]}",),
            submitted=submitted,
            not_before=not_before,
            not_after=last_moment(not_before, days),
            spki=ec_key(self.seed, f"{subordinate}/{label}").spki,
            serial=random_serial(self.seed, f"{subordinate}/{label}/twin"),
            subject=_ORGANIZATION if issuer.policy == OV_POLICY else (),
            policies=(issuer.policy,),
            sct_logs=_THREE_LOGS,
            final_logs=(RFC6962, STATIC),
        )

    def spoiled(self, twin: Order) -> Order:
        """The same order under a serial of its own, to be broken in one respect."""
        label = twin.label.removesuffix("twin") + "fault"
        return replace(twin, label=label, serial=random_serial(self.seed, label))


def at(month: int, day: int, hour: int = 10) -> datetime:
    """An instant of 2026."""
    return datetime(2026, month, day, hour, 0, 0, tzinfo=UTC)
