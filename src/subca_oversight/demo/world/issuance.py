"""From orders to certificates and log entries.

A static log's SCT tells the leaf's index, and a final certificate carries SCTs, so the place of
every entry must be known before the first signature is made: entries are placed by their
timestamps first, and signed afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from subca_oversight.demo.world import extensions
from subca_oversight.demo.world.certificate import encode_tbs, sign_tbs
from subca_oversight.demo.world.ct_log import (
    PRECERT_ENTRY,
    X509_ENTRY,
    Log,
    LogEntry,
    issue_sct,
    milliseconds,
)
from subca_oversight.demo.world.order import Order
from subca_oversight.demo.world.randomness import Seed

_MERGE_SPREAD_MS = 2500


@dataclass(frozen=True, slots=True)
class Deposit:
    """Octets put into a log as they are."""

    label: str
    log: str
    logged: datetime
    kind: int
    signed: bytes
    chain: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands."""

    timestamp: int
    index: int


PlaceKey = tuple[str, str, int]
"""Log, label, entry type."""


@dataclass(frozen=True, slots=True)
class Issuance:
    """Everything that was issued and logged."""

    entries: Mapping[str, Sequence[LogEntry]]
    """By log, in order."""
    places: Mapping[PlaceKey, Place]
    finals: Mapping[str, bytes]
    """By label."""

    def places_of(self, label: str) -> dict[PlaceKey, Place]:
        """All entries of one order or deposit."""
        return {key: place for key, place in self.places.items() if key[1] == label}


def issue_all(
    seed: Seed, orders: Sequence[Order], deposits: Sequence[Deposit], logs: Mapping[str, Log]
) -> Issuance:
    """Issue every order and log it, with the deposits between; ``logs`` are all known logs.

    Only logs that an order or a deposit names have entries. A log's SCT and its entry carry the
    same timestamp.
    """
    places = _place(seed, orders, deposits)
    filled: dict[str, dict[int, LogEntry]] = {slug: {} for slug in logs}
    finals: dict[str, bytes] = {}
    for deposit in deposits:
        place = places[deposit.log, deposit.label, deposit.kind]
        filled[deposit.log][place.index] = LogEntry(
            timestamp=place.timestamp,
            kind=deposit.kind,
            signed=deposit.signed,
            extensions=logs[deposit.log].extensions(place.index),
            chain=deposit.chain,
        )
    for order in orders:
        _issue(order, places, logs, filled, finals)
    return Issuance(
        entries={
            slug: tuple(by_index[index] for index in sorted(by_index))
            for slug, by_index in filled.items()
        },
        places=places,
        finals=finals,
    )


def _place(
    seed: Seed, orders: Iterable[Order], deposits: Iterable[Deposit]
) -> dict[PlaceKey, Place]:
    timed = [
        (deposit.log, milliseconds(deposit.logged), deposit.label, deposit.kind)
        for deposit in deposits
    ]
    for order in orders:
        timed.extend(
            (log, _timestamp(seed, order, log, timedelta()), order.label, PRECERT_ENTRY)
            for log in order.sct_logs
        )
        timed.extend(
            (log, _timestamp(seed, order, log, order.final_delay), order.label, X509_ENTRY)
            for log in order.final_logs
        )
    places: dict[PlaceKey, Place] = {}
    sizes: dict[str, int] = {}
    for log, timestamp, label, kind in sorted(timed):
        index = sizes.get(log, 0)
        sizes[log] = index + 1
        places[log, label, kind] = Place(timestamp, index)
    return places


def _timestamp(seed: Seed, order: Order, log: str, delay: timedelta) -> int:
    spread = seed.below(f"{order.label}/{log}/{delay}/merge", _MERGE_SPREAD_MS)
    return milliseconds(order.submitted + delay) + spread


def _issue(
    order: Order,
    places: Mapping[PlaceKey, Place],
    logs: Mapping[str, Log],
    filled: Mapping[str, dict[int, LogEntry]],
    finals: dict[str, bytes],
) -> None:
    key = order.issuer.key
    template = order.template()
    tbs = encode_tbs(template, key.algorithm)
    chain = order.submitted_chain
    scts = []
    if len(order.sct_logs) > 0:
        poisoned = encode_tbs(template, key.algorithm, extensions.poison())
        precertificate = sign_tbs(poisoned, key)
        if order.spoils_precertificate:
            precertificate = precertificate[:-1] + bytes((precertificate[-1] ^ 1,))
        for slug in order.sct_logs:
            place = places[slug, order.label, PRECERT_ENTRY]
            log = logs[slug]
            scts.append(issue_sct(log, place.timestamp, key.spki_sha256, tbs, place.index))
            filled[slug][place.index] = LogEntry(
                timestamp=place.timestamp,
                kind=PRECERT_ENTRY,
                signed=tbs,
                issuer_key_sha256=key.spki_sha256,
                extensions=log.extensions(place.index),
                precertificate=precertificate,
                chain=chain,
            )
    if len(order.final_logs) == 0:
        return
    last = extensions.sct_list(scts) if len(scts) > 0 else None
    final = sign_tbs(encode_tbs(order.final_template(), key.algorithm, last), key)
    finals[order.label] = final
    for slug in order.final_logs:
        place = places[slug, order.label, X509_ENTRY]
        filled[slug][place.index] = LogEntry(
            timestamp=place.timestamp,
            kind=X509_ENTRY,
            signed=final,
            extensions=logs[slug].extensions(place.index),
            chain=chain,
        )
