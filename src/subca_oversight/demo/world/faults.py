"""Certificates that are wrong on purpose, each beside a twin that differs in that one respect.

A pair shares its subscriber, names, instants and key wherever the fault is not in them, so that a
check which reports the twin reports it for the wrong reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec

from subca_oversight.demo.world import der, extensions
from subca_oversight.demo.world.authorities import Authority, Hierarchy
from subca_oversight.demo.world.extensions import DV_POLICY, OV_POLICY, PRIVATE_POLICY
from subca_oversight.demo.world.keys import ec_key, fermat_spki, roca_spki, rsa_spki
from subca_oversight.demo.world.leaves import (
    CAMPUS,
    DOMAINS,
    HARBOR,
    MERIDIAN,
    shared_rsa_spki,
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

COMMON_NAME = "2.5.4.3"
_ORGANIZATIONAL_UNIT = "2.5.4.11"
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


class _Bench:
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


def _at(month: int, day: int, hour: int = 10) -> datetime:
    return datetime(2026, month, day, hour, 0, 0, tzinfo=UTC)


def planted_faults(seed: Seed, hierarchy: Hierarchy) -> Iterator[Fault]:
    """Every fault that shows in certificates."""
    bench = _Bench(seed, hierarchy)
    yield from _validity_faults(bench)
    yield from _date_faults(bench)
    yield from _identity_faults(bench)
    yield from _key_faults(bench)
    yield from _content_faults(bench)
    yield from _malformed_faults(bench)


def _validity_faults(bench: _Bench) -> Iterator[Fault]:
    twin = bench.order(HARBOR, "validity-day", _at(6, 10), days=200)
    fault = replace(bench.spoiled(twin), not_after=last_moment(twin.not_before, 201))
    yield Fault("validity-limit", "201 days, issued after 2026-03-15; twin 200", (fault,), (twin,))
    twin = bench.order(MERIDIAN, "validity-second", _at(7, 8), days=200)
    fault = replace(
        bench.spoiled(twin), not_after=last_moment(twin.not_before, 200, extra_seconds=1)
    )
    yield Fault(
        "validity-limit",
        "200 days and the one second that makes another day; twin 200 days",
        (fault,),
        (twin,),
    )
    twin = bench.order(HARBOR, "validity-evidence", _at(3, 14, 9), days=398)
    fault = replace(bench.spoiled(twin), submitted=_at(3, 15, 9))
    yield Fault(
        "validity-limit",
        "398 days, notBefore on 2026-03-14 but SCTs of 2026-03-15; twin's SCTs of 2026-03-14",
        (fault,),
        (twin,),
    )


def _date_faults(bench: _Bench) -> Iterator[Fault]:
    for subordinate, submitted in ((HARBOR, _at(8, 3)), (CAMPUS, _at(10, 5))):
        twin = _dated(bench.order(subordinate, "backdated", submitted), hours=-47)
        fault = _dated(bench.spoiled(twin), hours=-60)
        yield Fault(
            "backdated", "notBefore 60 h before its latest SCT; twin 47 h", (fault,), (twin,)
        )
    twin = _dated(bench.order(MERIDIAN, "postdated", _at(9, 7)), hours=40)
    fault = _dated(bench.spoiled(twin), hours=72)
    yield Fault("postdated", "notBefore 72 h after it was logged; twin 40 h", (fault,), (twin,))
    twin = bench.order(
        HARBOR, "after-expiry", _at(7, 20), days=30, issuer=bench.hierarchy.harbor_expired
    )
    submitted = _at(9, 15)
    fault = replace(
        bench.spoiled(twin),
        submitted=submitted,
        not_before=submitted - timedelta(hours=1),
        not_after=last_moment(submitted - timedelta(hours=1), 30),
    )
    yield Fault(
        "issued-after-expiry",
        "issued two weeks after its CA's certificate expired; twin six weeks before",
        (fault,),
        (twin,),
    )


def _dated(order: Order, *, hours: int) -> Order:
    not_before = order.submitted + timedelta(hours=hours)
    return replace(order, not_before=not_before, not_after=last_moment(not_before, 90))


def _identity_faults(bench: _Bench) -> Iterator[Fault]:
    twin = bench.order(HARBOR, "mismatch-name", _at(6, 24))
    fault = replace(bench.spoiled(twin), final_names=(*twin.names, f"late.{DOMAINS[HARBOR]}"))
    yield Fault(
        "precertificate-mismatch",
        "the final certificate has a name that its precertificate lacks",
        (fault,),
        (twin,),
    )
    twin = bench.order(MERIDIAN, "mismatch-date", _at(10, 19))
    fault = replace(bench.spoiled(twin), final_not_after=twin.not_after - timedelta(seconds=1))
    yield Fault(
        "precertificate-mismatch",
        "the final certificate ends one second before its precertificate",
        (fault,),
        (twin,),
    )
    twin = bench.order(HARBOR, "serial-pair", _at(7, 1))
    first = bench.spoiled(twin)
    second = _sibling(first, f"other.{DOMAINS[HARBOR]}")
    other = replace(
        _sibling(twin, f"other.{DOMAINS[HARBOR]}"),
        serial=random_serial(bench.seed, "serial-pair/twin/second"),
    )
    yield Fault(
        "serial-reuse",
        "two certificates for different names under one serial; twins under two",
        (first, second),
        (twin, other),
    )
    twin = replace(bench.order(MERIDIAN, "serial-precert", _at(11, 4)), final_logs=())
    first = bench.spoiled(twin)
    second = _sibling(first, f"other.{DOMAINS[MERIDIAN]}")
    other = replace(
        _sibling(twin, f"other.{DOMAINS[MERIDIAN]}"),
        serial=random_serial(bench.seed, "serial-precert/twin/second"),
    )
    yield Fault(
        "serial-reuse",
        "two precertificates for different names under one serial, no final certificate logged",
        (first, second),
        (twin, other),
    )


def _sibling(order: Order, name: str) -> Order:
    return replace(
        order,
        label=f"{order.label}/second",
        names=(name,),
        submitted=order.submitted + timedelta(minutes=20),
    )


def _key_faults(bench: _Bench) -> Iterator[Fault]:
    seed = bench.seed
    twin = replace(
        bench.order(CAMPUS, "key-rsa-1024", _at(8, 20)), spki=shared_rsa_spki(seed, CAMPUS)
    )
    fault = replace(bench.spoiled(twin), spki=rsa_spki(seed, "short", 1024))
    yield Fault("key-size", "RSA modulus of 1,024 bits; twin 2,048", (fault,), (twin,))
    twin = bench.order(HARBOR, "key-p224", _at(10, 12))
    fault = replace(bench.spoiled(twin), spki=ec_key(seed, "p224", ec.SECP224R1()).spki)
    yield Fault("key-size", "key on P-224; twin on P-256", (fault,), (twin,))
    twin = replace(
        bench.order(MERIDIAN, "key-fermat", _at(6, 17)), spki=shared_rsa_spki(seed, MERIDIAN)
    )
    fault = replace(bench.spoiled(twin), spki=fermat_spki(seed, "fermat"))
    yield Fault(
        "weak-key", "RSA modulus of two neighboring primes (Fermat); twin sound", (fault,), (twin,)
    )
    twin = replace(bench.order(HARBOR, "key-roca", _at(11, 9)), spki=shared_rsa_spki(seed, HARBOR))
    fault = replace(bench.spoiled(twin), spki=roca_spki(seed, "roca"))
    yield Fault("weak-key", "RSA modulus of the ROCA structure; twin sound", (fault,), (twin,))


def _content_faults(bench: _Bench) -> Iterator[Fault]:
    for subordinate, submitted in ((HARBOR, _at(7, 14)), (CAMPUS, _at(9, 2))):
        order = bench.order(subordinate, "common-name", submitted)
        twin = replace(order, subject=((COMMON_NAME, order.names[0]),))
        absent = ((COMMON_NAME, f"elsewhere.{DOMAINS[subordinate]}"),)
        yield Fault(
            "common-name-not-in-sans",
            "commonName that is none of the subjectAltNames; twin's is",
            (replace(bench.spoiled(twin), subject=absent),),
            (twin,),
        )
    twin = bench.order(HARBOR, "policies-two", _at(6, 29))
    fault = replace(bench.spoiled(twin), policies=(DV_POLICY, OV_POLICY))
    yield Fault("reserved-policy-count", "two reserved policy OIDs; twin one", (fault,), (twin,))
    twin = replace(
        bench.order(CAMPUS, "policies-none", _at(11, 2), days=45),
        policies=(DV_POLICY, PRIVATE_POLICY),
    )
    fault = replace(bench.spoiled(twin), policies=(PRIVATE_POLICY,))
    yield Fault(
        "reserved-policy-count",
        "no reserved policy OID, one of the CA's own; twin has both",
        (fault,),
        (twin,),
    )
    twin = bench.order(CAMPUS, "lint-under-score", _at(8, 11))
    fault = replace(
        bench.spoiled(twin), names=(twin.names[0].replace("under-score", "under_score"),)
    )
    yield Fault(
        "pkilint",
        "underscore in a dNSName; twin has a hyphen",
        (fault,),
        (twin,),
        "cabf.serverauth.invalid_dnsname_syntax",
    )
    twin = bench.order(MERIDIAN, "lint-unit", _at(9, 29))
    fault = replace(bench.spoiled(twin), subject=(*twin.subject, (_ORGANIZATIONAL_UNIT, "Sales")))
    yield Fault(
        "pkilint",
        "organizationalUnitName in the subject; twin without",
        (fault,),
        (twin,),
        "cabf.serverauth.ov.organizational_unit_name_attribute_present",
    )


def _malformed_faults(bench: _Bench) -> Iterator[Fault]:
    twin = bench.order(HARBOR, "malformed-repeat", _at(8, 26))
    repeated = extensions.extended_key_usage(extensions.SERVER_AUTH)
    fault = replace(bench.spoiled(twin), extra_extensions=(repeated,))
    yield Fault("certificate-unparseable", "extendedKeyUsage twice; twin once", (fault,), (twin,))
    twin = bench.order(MERIDIAN, "malformed-time", _at(10, 27))
    thirteenth_month = der.tlv(der.UTC_TIME, b"271301000000Z")
    fault = replace(
        bench.spoiled(twin),
        validity=der.sequence(der.time(twin.not_before), thirteenth_month),
    )
    yield Fault("certificate-unparseable", "notAfter in a thirteenth month", (fault,), (twin,))
    twin = bench.order(CAMPUS, "malformed-serial", _at(6, 4))
    fault = bench.spoiled(twin)
    yield Fault(
        "certificate-unparseable",
        "negative serial number; twin's is positive",
        (replace(fault, serial=-fault.serial),),
        (twin,),
    )


def spoiled_order(seed: Seed, hierarchy: Hierarchy) -> Order:
    """A sound certificate whose precertificate the log got wrong, seen nowhere else."""
    order = _Bench(seed, hierarchy).order(HARBOR, "spoiled", _at(7, 27))
    return replace(order, sct_logs=(RFC6962, RETIRED), final_logs=(), spoils_precertificate=True)
