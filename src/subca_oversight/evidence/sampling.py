"""Sampling: who is drawn follows from the population and a public value, and from nothing else.

Both parties can recompute a draw: the population is committed to before the public value is known,
and every unit has a rank that depends on it alone, so nothing is left to choose (DESIGN section 7;
TLS BR 8.7, S/MIME BR 8.7, EVG 8.1.1). The method with its test vector is in ``docs/sampling.md``.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from heapq import nsmallest

from subca_oversight.evidence.constraints import EMAIL_PROTECTION, SERVER_AUTH
from subca_oversight.evidence.merkle import leaf_hash, root_of
from subca_oversight.model.certificate import CertificateFacts

METHOD = "subca-oversight/sample/v1"
LATE = "late"
"""Stratum of units that were logged before the previous draw's end and are in no population."""
EV_POLICY = "2.23.140.1.1"
EV_PERCENT = 3
EV_PERCENT_BY_RA = 6
"""EVG 8.1.1: where a registration authority does the final check."""
_PERCENT = 3
_SMIME_FLOOR = 30


class Profile(StrEnum):
    """What a certificate is for: it decides the size of the sample, and names the stratum."""

    TLS = "tls"
    EV = "ev"
    SMIME = "smime"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class PopulationUnit:
    """A unit that can be drawn."""

    unit_id: str
    """Lower-case hex."""
    profile: Profile
    is_late: bool = False

    @property
    def stratum(self) -> str:
        """The stratum it is ranked in."""
        return LATE if self.is_late else self.profile.value


@dataclass(frozen=True, slots=True)
class StratumSize:
    """How many units of one stratum and profile are drawn."""

    stratum: str
    profile: Profile
    population: int
    drawn: int
    rule: str
    """The formula by which ``drawn`` follows from ``population``, N."""


@dataclass(frozen=True, slots=True)
class DrawnUnit:
    """A unit of the sample."""

    stratum: str
    unit_id: str
    rank: str
    """Lower-case hex."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Everything that follows from a population and a public value."""

    commitment: bytes
    seed: bytes
    sizes: tuple[StratumSize, ...]
    drawn: tuple[DrawnUnit, ...]
    """By stratum, then by profile, then by rank."""


def commit(unit_ids: Iterable[str]) -> bytes:
    """Return the RFC 6962 root of the tree whose leaf data are the unit ids, 32 octets each.

    Leaves stand in ascending order of their octets; an empty population has the empty tree's root.
    """
    return root_of([leaf_hash(bytes.fromhex(unit_id)) for unit_id in sorted(unit_ids)])


def seed_of(commitment: bytes, public_value: str) -> bytes:
    """Return SHA-256(method ‖ 00 ‖ commitment ‖ UTF-8 of the public value)."""
    return hashlib.sha256(METHOD.encode() + b"\x00" + commitment + public_value.encode()).digest()


def rank_of(seed: bytes, stratum: str, unit_id: str) -> bytes:
    """Return HMAC-SHA256(seed, UTF-8 of the stratum ‖ 00 ‖ the unit id's octets)."""
    message = stratum.encode() + b"\x00" + bytes.fromhex(unit_id)
    return hmac.digest(seed, message, "sha256")


def sample_size(profile: Profile, population: int, *, ev_percent: int = EV_PERCENT) -> int:
    """How many of ``population`` units of one profile are drawn; none of none."""
    if population == 0:
        return 0
    if profile is Profile.EV:
        return _share(population, ev_percent)
    if profile is Profile.SMIME:
        return min(population, max(_SMIME_FLOOR, _share(population, _PERCENT)))
    return max(1, _share(population, _PERCENT))


def size_rule(profile: Profile, *, ev_percent: int = EV_PERCENT) -> str:
    """``sample_size`` as a formula, for transcripts and reports."""
    if profile is Profile.EV:
        return f"ceil({ev_percent} % of N)"
    if profile is Profile.SMIME:
        return f"min(N, max({_SMIME_FLOOR}, ceil({_PERCENT} % of N)))"
    return f"max(1, ceil({_PERCENT} % of N))"


def draw(
    population: Sequence[PopulationUnit], public_value: str, *, ev_percent: int = EV_PERCENT
) -> Draw:
    """Draw the sample; the order of ``population`` does not matter.

    Late arrivals share one stratum, hence one ranking, in which each profile has its own size: a
    late S/MIME unit must not be outnumbered by late TLS units.
    """
    commitment = commit(unit.unit_id for unit in population)
    seed = seed_of(commitment, public_value)
    groups: dict[tuple[str, Profile], list[str]] = {}
    for unit in population:
        groups.setdefault((unit.stratum, unit.profile), []).append(unit.unit_id)
    sizes: list[StratumSize] = []
    drawn: list[DrawnUnit] = []
    for (stratum, profile), unit_ids in sorted(groups.items()):
        size = sample_size(profile, len(unit_ids), ev_percent=ev_percent)
        rule = size_rule(profile, ev_percent=ev_percent)
        sizes.append(StratumSize(stratum, profile, len(unit_ids), size, rule))
        ranked = ((rank_of(seed, stratum, unit_id), unit_id) for unit_id in unit_ids)
        drawn += [
            DrawnUnit(stratum, unit_id, rank.hex()) for rank, unit_id in nsmallest(size, ranked)
        ]
    return Draw(commitment, seed, tuple(sizes), tuple(drawn))


def profile_of(certificates: Iterable[CertificateFacts]) -> Profile:
    """The profile of a unit: the one with the largest sample that any of its certificates claims.

    EV is known by the CA/Browser Forum's policy identifier alone. A certificate that says nothing
    of its use counts by the names it bears.
    """
    found = {_profile(facts) for facts in certificates}
    for profile in (Profile.SMIME, Profile.EV, Profile.TLS):
        if profile in found:
            return profile
    return Profile.OTHER


def _profile(facts: CertificateFacts) -> Profile:
    if facts.eku_oids is None:
        is_tls = len(facts.dns_names) > 0 or len(facts.ip_addresses) > 0
        is_smime = not is_tls and len(facts.email_addresses) > 0
    else:
        is_tls = SERVER_AUTH in facts.eku_oids
        is_smime = EMAIL_PROTECTION in facts.eku_oids
    if is_smime:
        return Profile.SMIME
    if is_tls:
        return Profile.EV if EV_POLICY in facts.policy_oids else Profile.TLS
    return Profile.OTHER


def _share(population: int, percent: int) -> int:
    """``percent`` of ``population``, rounded up, in integers."""
    return -(-population * percent // 100)
