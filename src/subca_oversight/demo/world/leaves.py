"""Clean subscriber certificates: two quarters of issuance by every CA of the world.

They keep to the BR profiles (7.1.2.7), so that whatever a run reports on one of them is a false
alarm. They differ in what legitimately differs: key types, validity, validation level, which logs
saw them, and whether the final certificate was logged at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec

from subca_oversight.demo.world.authorities import CAMPUS_DOMAIN, Hierarchy
from subca_oversight.demo.world.authority import Authority
from subca_oversight.demo.world.extensions import OV_POLICY
from subca_oversight.demo.world.keys import ec_key, rsa_spki
from subca_oversight.demo.world.order import (
    RETIRED,
    RFC6962,
    STATIC,
    Order,
    last_moment,
    random_serial,
)
from subca_oversight.demo.world.randomness import Seed

FIRST = datetime(2026, 5, 4, 8, 0, 0, tzinfo=UTC)
LAST = datetime(2026, 11, 19, 20, 0, 0, tzinfo=UTC)
PRECERTIFICATE_DUTY = datetime(2026, 6, 15, tzinfo=UTC)
"""From here on a precertificate is logged before every certificate (Chrome policy 1.3.4.1)."""
RETIREMENT = datetime(2026, 11, 10, tzinfo=UTC)
"""From here on the retired log gives no SCTs."""
HARBOR = "harbor-tls"
MERIDIAN = "meridian-cross"
CAMPUS = "campus-onprem"
DOMAINS = {
    HARBOR: "harbor-clients.example.com",
    MERIDIAN: "meridian-clients.example.net",
    CAMPUS: CAMPUS_DOMAIN,
}
_CAMPUS_SHORT = datetime(2026, 10, 15, tzinfo=UTC)
_HOSTS = ("www", "mail", "api", "portal", "shop", "login", "static", "vpn", "wiki", "status")
_CLIENTS = (
    "alder",
    "beacon",
    "cobalt",
    "drift",
    "ember",
    "fjord",
    "gable",
    "haven",
    "islet",
    "juniper",
    "kestrel",
    "lumen",
    "mallow",
    "nimbus",
    "orchard",
    "pebble",
    "quarry",
    "rowan",
    "sable",
    "thorn",
)
_ORGANIZATIONS = ("Marine Supplies", "Dairy Cooperative", "Savings Bank", "Rail Works", "Press")
_CITIES = ("Utrecht", "Groningen", "Maastricht", "Zwolle")
_LONG_DAYS = 199
_MANY_SCT_DAYS = 180
"""Above this many days browsers want three SCTs."""


@dataclass(frozen=True, slots=True)
class _Batch:
    subordinate: str | None
    issuer: Authority
    count: int
    first: datetime = FIRST
    last: datetime = LAST


def clean_orders(seed: Seed, hierarchy: Hierarchy) -> Iterator[Order]:
    """Issuance of the three subordinates."""
    batches = (
        _Batch(HARBOR, hierarchy.harbor, 240),
        _Batch(HARBOR, hierarchy.harbor_next, 24),
        _Batch(HARBOR, hierarchy.harbor_expired, 10, last=datetime(2026, 5, 30, 20, 0, tzinfo=UTC)),
        _Batch(MERIDIAN, hierarchy.meridian, 168),
        _Batch(
            MERIDIAN, hierarchy.meridian_below, 24, first=datetime(2026, 6, 10, 9, 0, tzinfo=UTC)
        ),
        _Batch(CAMPUS, hierarchy.campus, 94),
    )
    for batch in batches:
        for number in range(batch.count):
            yield _draw(seed, batch, f"clean/{batch.issuer.slug}/{number}")


def bystander_orders(seed: Seed, hierarchy: Hierarchy) -> Iterator[Order]:
    """Issuance that is nobody's concern here, some of it under the signing CA's own root."""
    own = _Batch(None, hierarchy.own, 60)
    for number in range(own.count):
        yield _draw(seed, own, f"own/{number}")
    for number in range(360):
        label = f"bystander/{number}"
        batch = _Batch(None, seed.pick(f"{label}/issuer", hierarchy.bystanders), 1)
        yield _draw(seed, batch, label)


def subscriber_key(seed: Seed, subordinate: str | None, label: str) -> bytes:
    """A subscriber's SubjectPublicKeyInfo: mostly P-256, some P-384, now and then RSA.

    Each subordinate has one subscriber with RSA, who keeps the key over renewals.
    """
    kind = seed.below(f"{label}/key-kind", 100)
    if subordinate is not None and kind < 8:  # noqa: PLR2004 - per cent
        return shared_rsa_spki(seed, subordinate)
    if kind < 18:  # noqa: PLR2004 - per cent
        return ec_key(seed, label, ec.SECP384R1()).spki
    return ec_key(seed, label).spki


@cache
def shared_rsa_spki(seed: Seed, subordinate: str) -> bytes:
    """The RSA key of a subordinate's one subscriber who has one."""
    return rsa_spki(seed, f"subscriber/{subordinate}")


def _draw(seed: Seed, batch: _Batch, label: str) -> Order:
    issuer = batch.issuer
    span = int((batch.last - batch.first).total_seconds())
    submitted = batch.first + timedelta(seconds=seed.below(f"{label}/submitted", span))
    not_before = submitted - timedelta(seconds=300 + seed.below(f"{label}/not-before", 3300))
    days = _validity_days(seed, batch, label, submitted)
    spki = subscriber_key(seed, batch.subordinate, label)
    is_rsa = batch.subordinate is not None and spki == shared_rsa_spki(seed, batch.subordinate)
    client = "ledger" if is_rsa else seed.pick(f"{label}/client", _CLIENTS)
    word = issuer.slug.split("-")[0]
    domain = DOMAINS.get(batch.subordinate or "", f"{word}-sites.example.org")
    names = _names(seed, label, f"{client}.{domain}")
    sct_logs = _sct_logs(seed, label, submitted, days)
    final_logs = _final_logs(seed, label)
    if submitted < PRECERTIFICATE_DUTY and seed.below(f"{label}/without", 12) == 0:
        sct_logs, final_logs = (), (RFC6962, STATIC)
    return Order(
        label=label,
        subordinate=batch.subordinate,
        issuer=issuer,
        names=names,
        submitted=submitted,
        not_before=not_before,
        not_after=last_moment(not_before, days),
        spki=spki,
        serial=random_serial(seed, label),
        subject=_subject(seed, label, issuer.policy, client, names[0]),
        policies=(issuer.policy,),
        sct_logs=sct_logs,
        final_logs=final_logs,
        final_delay=timedelta(minutes=5 + seed.below(f"{label}/final-delay", 600)),
        chain=seed.pick(f"{label}/chain", issuer.chains),
    )


def _validity_days(seed: Seed, batch: _Batch, label: str, submitted: datetime) -> int:
    if batch.subordinate == CAMPUS:  # its CA ends soon, and it nests its certificates
        return 90 if submitted < _CAMPUS_SHORT else 45
    if submitted + timedelta(days=_LONG_DAYS) > batch.issuer.not_after:
        return 90
    choices = (90, 90, 90, 180, _LONG_DAYS if submitted < RETIREMENT else 180)
    return seed.pick(f"{label}/days", choices)


def _names(seed: Seed, label: str, domain: str) -> tuple[str, ...]:
    count = 1 + seed.below(f"{label}/names", 4)
    first = seed.below(f"{label}/host", len(_HOSTS))
    hosts = (_HOSTS[(first + 3 * number) % len(_HOSTS)] for number in range(count))
    number = seed.below(f"{label}/site", 9000) + 1000
    return tuple(f"{host}.s{number}.{domain}" for host in hosts)


def _subject(
    seed: Seed, label: str, policy: str, client: str, name: str
) -> tuple[tuple[str, str], ...]:
    common_name = (("2.5.4.3", name),) if seed.below(f"{label}/cn", 4) == 0 else ()
    if policy != OV_POLICY:
        return common_name
    trade = _ORGANIZATIONS[sum(client.encode()) % len(_ORGANIZATIONS)]
    city = _CITIES[sum(client.encode()) % len(_CITIES)]
    return (
        ("2.5.4.6", "NL"),
        ("2.5.4.7", city),
        ("2.5.4.10", f"{client.capitalize()} {trade}"),
        *common_name,
    )


def _sct_logs(seed: Seed, label: str, submitted: datetime, days: int) -> tuple[str, ...]:
    if submitted >= RETIREMENT:
        return (RFC6962, STATIC)
    if days > _MANY_SCT_DAYS:
        return (RFC6962, STATIC, RETIRED)
    choices = ((RFC6962, STATIC), (RFC6962, STATIC), (RFC6962, RETIRED), (STATIC, RETIRED))
    return seed.pick(f"{label}/scts", choices)


def _final_logs(seed: Seed, label: str) -> tuple[str, ...]:
    choices: tuple[tuple[str, ...], ...] = ((), (RFC6962,), (STATIC,), (RFC6962, STATIC), ())
    return seed.pick(f"{label}/finals", choices)
