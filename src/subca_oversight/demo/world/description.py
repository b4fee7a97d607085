"""Writes down what a world contains, from the orders it was made of and not from its bytes."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence

from cryptography.x509 import load_der_x509_certificate

from subca_oversight.demo.world.authority import Authority
from subca_oversight.demo.world.certificate import fingerprint, unit_id
from subca_oversight.demo.world.ct_log import PRECERT_ENTRY, UNKNOWN_ENTRY
from subca_oversight.demo.world.issuance import Issuance
from subca_oversight.demo.world.leaves import CAMPUS, HARBOR, MERIDIAN
from subca_oversight.demo.world.manifest import (
    INSTANTS,
    LogSummary,
    PlantedFault,
    SubordinateSummary,
    UnconfirmedEntry,
    WorldManifest,
)
from subca_oversight.demo.world.order import RFC6962
from subca_oversight.demo.world.population import Registration, World


class _Stages:
    """At which stage the logs show what."""

    def __init__(self, issuance: Issuance, logs: Sequence[LogSummary]) -> None:
        sizes = {log.slug: log.stages[1].size for log in logs}
        self._stages: dict[str, list[int]] = {}
        for (log, label, _), place in issuance.places.items():
            if log in sizes:
                stage = 1 if place.index < sizes[log] else 2
                self._stages.setdefault(label, []).append(stage)

    def first(self, label: str) -> int:
        """The first stage that shows anything of it."""
        return min(self._stages[label])

    def whole(self, labels: Iterable[str]) -> int:
        """The first stage that shows all of them."""
        return max(stage for label in labels for stage in self._stages[label])


def describe_world(world: World, issuance: Issuance, logs: tuple[LogSummary, ...]) -> WorldManifest:
    """The manifest."""
    stages = _Stages(issuance, logs)
    planted = (*_planted_units(world, stages), *_planted_records(world))
    faulty = {fault.subject for fault in planted}
    visible = _visible_units(world, stages)
    secret = b64encode(world.seed.octets("webhook-secret", 32)).decode()
    return WorldManifest(
        seed=world.seed.number,
        instants=dict(INSTANTS),
        webhook_secret=f"whsec_{secret}",
        subordinates=tuple(_summary(each, visible) for each in world.registrations),
        planted=planted,
        unconfirmed=(_unconfirmed(world, issuance, stages),),
        clean_units=tuple(sorted({unit for units in visible.values() for unit in units} - faulty)),
        clean_authorities=(fingerprint(world.hierarchy.harbor_next.certificate),),
        malformed_entries=tuple(
            (world.logs[log].log_id.hex(), place.index)
            for (log, _, kind), place in sorted(issuance.places.items())
            if kind == UNKNOWN_ENTRY
        ),
        logs=logs,
    )


def _visible_units(world: World, stages: _Stages) -> dict[str, dict[str, int]]:
    """By issuer slug: each unit and the first stage that shows anything of it."""
    visible: dict[str, dict[str, int]] = {}
    for order in world.overseen:
        units = visible.setdefault(order.issuer.slug, {})
        stage = stages.first(order.label)
        units[order.unit] = min(stage, units.get(order.unit, stage))
    # The CA certificate that the cross-certified key issued is a unit of that key as well.
    below = world.hierarchy.meridian_below
    parsed = load_der_x509_certificate(below.certificate)
    unit = unit_id(world.hierarchy.meridian.key.spki_sha256, parsed.serial_number)
    visible[world.hierarchy.meridian.slug][unit] = stages.first(f"ca/{below.slug}/{RFC6962}")
    return visible


def _summary(registration: Registration, visible: dict[str, dict[str, int]]) -> SubordinateSummary:
    own = _stages_of(registration.authorities, visible)
    below = _stages_of(registration.descendants, visible)
    return SubordinateSummary(
        name=registration.name,
        operator=registration.operator,
        relation=registration.relation,
        contact=registration.contact,
        anchor=registration.authorities[0].key.spki_sha256.hex(),
        issuer_keys=_key_hashes(registration.authorities),
        descendant_keys=_key_hashes(registration.descendants),
        certificates=tuple(fingerprint(each.certificate) for each in registration.authorities),
        units=len(own),
        units_stage_1=own.count(1),
        descendant_units=len(below),
        descendant_units_stage_1=below.count(1),
    )


def _stages_of(authorities: Iterable[Authority], visible: dict[str, dict[str, int]]) -> list[int]:
    return [stage for each in authorities for stage in visible[each.slug].values()]


def _key_hashes(authorities: Iterable[Authority]) -> tuple[str, ...]:
    return tuple(authority.key.spki_sha256.hex() for authority in authorities)


def _planted_units(world: World, stages: _Stages) -> Iterator[PlantedFault]:
    for fault in world.faults:
        order = fault.orders[0]
        yield PlantedFault(
            check=fault.check,
            subordinate=order.subordinate or "",
            subject_kind="unit",
            subject=order.unit,
            label=order.label,
            description=fault.description,
            twin=fault.twins[0].unit,
            code=fault.code,
            stage=stages.whole(each.label for each in fault.orders),
        )


def _planted_records(world: World) -> Iterator[PlantedFault]:
    """Faults of CA certificates and of their CCADB records."""
    hierarchy = world.hierarchy
    twin = fingerprint(hierarchy.harbor_next.certificate)
    faults = (
        (
            "audit-overdue",
            HARBOR,
            "record",
            hierarchy.harbor,
            "TLS BR audit ended 2025-06-30, the next was due 2026-09-30; the twin's is current",
            2,
        ),
        (
            "audit-inherited",
            MERIDIAN,
            "record",
            hierarchy.meridian,
            "audits same as parent though the parent has another owner; twin has its own audits",
            1,
        ),
        (
            "policy-documents-stale",
            CAMPUS,
            "record",
            hierarchy.campus,
            "CP/CPS of 2025-08-01; twin's of 2026-06-15",
            1,
        ),
        (
            "policy-documents-stale",
            MERIDIAN,
            "record",
            hierarchy.meridian,
            "CP/CPS of 2025-11-05, though version 7.0 of 2026-03-30 is published",
            2,
        ),
        (
            "subordinate-expiring",
            CAMPUS,
            "authority",
            hierarchy.campus,
            "CA certificate ends 2027-01-17; twin's 2029-02-02",
            1,
        ),
    )
    for check, subordinate, kind, authority, description, stage in faults:
        yield PlantedFault(
            check=check,
            subordinate=subordinate,
            subject_kind=kind,
            subject=fingerprint(authority.certificate),
            label=f"{kind}/{authority.slug}",
            description=description,
            twin=twin,
            code="",
            stage=stage,
        )


def _unconfirmed(world: World, issuance: Issuance, stages: _Stages) -> UnconfirmedEntry:
    order = world.spoiled
    place = issuance.places[RFC6962, order.label, PRECERT_ENTRY]
    return UnconfirmedEntry(
        log_id=world.logs[RFC6962].log_id.hex(),
        index=place.index,
        subordinate=order.subordinate or "",
        unit=order.unit,
        description="one bit of the logged precertificate's signature is flipped",
        stage=stages.first(order.label),
    )
