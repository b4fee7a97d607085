"""Certificates that are wrong on purpose, each beside a twin that differs in that one respect.

Each fault breaks one rule that a check of this program, or the linter, is there to see.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric import ec

from subca_oversight.demo.world import der, extensions
from subca_oversight.demo.world.authorities import Hierarchy
from subca_oversight.demo.world.bench import Bench, Fault, at
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
    Order,
    last_moment,
    random_serial,
)
from subca_oversight.demo.world.randomness import Seed

_COMMON_NAME = "2.5.4.3"
_ORGANIZATIONAL_UNIT = "2.5.4.11"


def planted_faults(seed: Seed, hierarchy: Hierarchy) -> Iterator[Fault]:
    """Every fault that shows in certificates."""
    bench = Bench(seed, hierarchy)
    yield from _validity_faults(bench)
    yield from _date_faults(bench)
    yield from _identity_faults(bench)
    yield from _key_faults(bench)
    yield from _content_faults(bench)
    yield from _malformed_faults(bench)


def _validity_faults(bench: Bench) -> Iterator[Fault]:
    twin = bench.order(HARBOR, "validity-day", at(6, 10), days=200)
    fault = replace(bench.spoiled(twin), not_after=last_moment(twin.not_before, 201))
    yield Fault("validity-limit", "201 days, issued after 2026-03-15; twin 200", (fault,), (twin,))
    twin = bench.order(MERIDIAN, "validity-second", at(7, 8), days=200)
    fault = replace(
        bench.spoiled(twin), not_after=last_moment(twin.not_before, 200, extra_seconds=1)
    )
    yield Fault(
        "validity-limit",
        "200 days and the one second that makes another day; twin 200 days",
        (fault,),
        (twin,),
    )
    twin = bench.order(HARBOR, "validity-evidence", at(3, 14, 9), days=398)
    fault = replace(bench.spoiled(twin), submitted=at(3, 15, 9))
    yield Fault(
        "validity-limit",
        "398 days, notBefore on 2026-03-14 but SCTs of 2026-03-15; twin's SCTs of 2026-03-14",
        (fault,),
        (twin,),
    )


def _date_faults(bench: Bench) -> Iterator[Fault]:
    for subordinate, submitted in ((HARBOR, at(8, 3)), (CAMPUS, at(10, 5))):
        twin = _dated(bench.order(subordinate, "backdated", submitted), hours=-47)
        fault = _dated(bench.spoiled(twin), hours=-60)
        yield Fault(
            "backdated", "notBefore 60 h before its latest SCT; twin 47 h", (fault,), (twin,)
        )
    twin = _dated(bench.order(MERIDIAN, "postdated", at(9, 7)), hours=40)
    fault = _dated(bench.spoiled(twin), hours=72)
    yield Fault("postdated", "notBefore 72 h after it was logged; twin 40 h", (fault,), (twin,))
    twin = bench.order(
        HARBOR, "after-expiry", at(7, 20), days=30, issuer=bench.hierarchy.harbor_expired
    )
    submitted = at(9, 15)
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


def _identity_faults(bench: Bench) -> Iterator[Fault]:
    twin = bench.order(HARBOR, "mismatch-name", at(6, 24))
    fault = replace(bench.spoiled(twin), final_names=(*twin.names, f"late.{DOMAINS[HARBOR]}"))
    yield Fault(
        "precertificate-mismatch",
        "the final certificate has a name that its precertificate lacks",
        (fault,),
        (twin,),
    )
    twin = bench.order(MERIDIAN, "mismatch-date", at(10, 19))
    fault = replace(bench.spoiled(twin), final_not_after=twin.not_after - timedelta(seconds=1))
    yield Fault(
        "precertificate-mismatch",
        "the final certificate ends one second before its precertificate",
        (fault,),
        (twin,),
    )
    twin = bench.order(HARBOR, "serial-pair", at(7, 1))
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
    twin = replace(bench.order(MERIDIAN, "serial-precert", at(11, 4)), final_logs=())
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


def _key_faults(bench: Bench) -> Iterator[Fault]:
    seed = bench.seed
    twin = replace(
        bench.order(CAMPUS, "key-rsa-1024", at(8, 20)), spki=shared_rsa_spki(seed, CAMPUS)
    )
    fault = replace(bench.spoiled(twin), spki=rsa_spki(seed, "short", 1024))
    yield Fault("key-size", "RSA modulus of 1,024 bits; twin 2,048", (fault,), (twin,))
    twin = bench.order(HARBOR, "key-p224", at(10, 12))
    fault = replace(bench.spoiled(twin), spki=ec_key(seed, "p224", ec.SECP224R1()).spki)
    yield Fault("key-size", "key on P-224; twin on P-256", (fault,), (twin,))
    twin = replace(
        bench.order(MERIDIAN, "key-fermat", at(6, 17)), spki=shared_rsa_spki(seed, MERIDIAN)
    )
    fault = replace(bench.spoiled(twin), spki=fermat_spki(seed, "fermat"))
    yield Fault(
        "weak-key", "RSA modulus of two neighboring primes (Fermat); twin sound", (fault,), (twin,)
    )
    twin = replace(bench.order(HARBOR, "key-roca", at(11, 9)), spki=shared_rsa_spki(seed, HARBOR))
    fault = replace(bench.spoiled(twin), spki=roca_spki(seed, "roca"))
    yield Fault("weak-key", "RSA modulus of the ROCA structure; twin sound", (fault,), (twin,))


def _content_faults(bench: Bench) -> Iterator[Fault]:
    for subordinate, submitted in ((HARBOR, at(7, 14)), (CAMPUS, at(9, 2))):
        order = bench.order(subordinate, "common-name", submitted)
        twin = replace(order, subject=((_COMMON_NAME, order.names[0]),))
        absent = ((_COMMON_NAME, f"elsewhere.{DOMAINS[subordinate]}"),)
        yield Fault(
            "common-name-not-in-sans",
            "commonName that is none of the subjectAltNames; twin's is",
            (replace(bench.spoiled(twin), subject=absent),),
            (twin,),
        )
    twin = bench.order(HARBOR, "policies-two", at(6, 29))
    fault = replace(bench.spoiled(twin), policies=(DV_POLICY, OV_POLICY))
    yield Fault("reserved-policy-count", "two reserved policy OIDs; twin one", (fault,), (twin,))
    twin = replace(
        bench.order(CAMPUS, "policies-none", at(11, 2), days=45),
        policies=(DV_POLICY, PRIVATE_POLICY),
    )
    fault = replace(bench.spoiled(twin), policies=(PRIVATE_POLICY,))
    yield Fault(
        "reserved-policy-count",
        "no reserved policy OID, one of the CA's own; twin has both",
        (fault,),
        (twin,),
    )
    twin = bench.order(CAMPUS, "lint-under-score", at(8, 11))
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
    twin = bench.order(HARBOR, "lint-serial", at(10, 2))
    fault = bench.spoiled(twin)
    yield Fault(
        "pkilint",
        "negative serial number; twin's is positive",
        (replace(fault, serial=-fault.serial),),
        (twin,),
        "pkix.certificate_serial_number_out_of_range",
    )
    twin = bench.order(MERIDIAN, "lint-unit", at(9, 29))
    fault = replace(bench.spoiled(twin), subject=(*twin.subject, (_ORGANIZATIONAL_UNIT, "Sales")))
    yield Fault(
        "pkilint",
        "organizationalUnitName in the subject; twin without",
        (fault,),
        (twin,),
        "cabf.serverauth.ov.organizational_unit_name_attribute_present",
    )


def _malformed_faults(bench: Bench) -> Iterator[Fault]:
    twin = bench.order(HARBOR, "malformed-repeat", at(8, 26))
    repeated = extensions.extended_key_usage(extensions.SERVER_AUTH)
    fault = replace(bench.spoiled(twin), extra_extensions=(repeated,))
    yield Fault("certificate-unparseable", "extendedKeyUsage twice; twin once", (fault,), (twin,))
    twin = bench.order(MERIDIAN, "malformed-time", at(10, 27))
    thirteenth_month = der.tlv(der.UTC_TIME, b"271301000000Z")
    fault = replace(
        bench.spoiled(twin),
        validity=der.sequence(der.time(twin.not_before), thirteenth_month),
    )
    yield Fault("certificate-unparseable", "notAfter in a thirteenth month", (fault,), (twin,))
    twin = bench.order(CAMPUS, "malformed-name", at(6, 4))
    fault = replace(bench.spoiled(twin), names=(f"m\u00e4lformed-name.{DOMAINS[CAMPUS]}",))
    yield Fault(
        "certificate-unparseable", "dNSName that is no IA5String; twin's is", (fault,), (twin,)
    )


def spoiled_order(seed: Seed, hierarchy: Hierarchy) -> Order:
    """A sound certificate whose precertificate the log got wrong, seen nowhere else."""
    order = Bench(seed, hierarchy).order(HARBOR, "spoiled", at(7, 27))
    return replace(order, sct_logs=(RFC6962, RETIRED), final_logs=(), spoils_precertificate=True)
