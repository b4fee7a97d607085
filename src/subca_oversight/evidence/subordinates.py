"""Which subordinate CAs of a signing CA the export shows to be operated by others.

A proposal for the configuration, never more: the export's owner cells are typed by hand, so a
person decides what is put under oversight (DESIGN section 7, "External").
"""

from __future__ import annotations

import difflib
import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from subca_oversight.clocks.calendar import utc_date
from subca_oversight.errors import ConfigurationError
from subca_oversight.evidence.constraints import CaConstraints, read_constraints
from subca_oversight.evidence.hierarchy import Hierarchy
from subca_oversight.evidence.owners import is_external, is_same_owner, normalize_owner
from subca_oversight.model.audit import CertificateRecord, RecordType, RevocationStatus
from subca_oversight.model.subordinate import Relation

_MAX_SLUG = 48
_NOT_SLUG = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class SubordinateProposal:
    """One operator's live CA certificates under a signing CA."""

    name: str
    """Slug, unique among the proposals."""
    operator: str
    relation: Relation
    records: tuple[CertificateRecord, ...]
    issuer_keys: tuple[str, ...]
    """SPKI SHA-256 of the certificates at hand, sorted."""


def propose_subordinates(
    records: Sequence[CertificateRecord],
    certificates: Mapping[str, bytes],
    owner: str,
    as_of: date,
) -> list[SubordinateProposal]:
    """Group an owner's live external CA certificates by operator and relation.

    Live is neither expired at ``as_of`` nor revoked, nor below a revoked CA. Raises
    ConfigurationError where the report knows no such owner.
    """
    mine = [record for record in records if is_same_owner(record.ca_owner, owner)]
    if len(mine) == 0:
        raise ConfigurationError(_no_such_owner(records, owner))
    hierarchy = Hierarchy(records)
    root_keys = _root_keys(records)
    groups: dict[tuple[str, Relation], dict[str, CertificateRecord]] = {}
    for record in mine:
        if not is_external(record):
            continue
        facts = _read(record, certificates)
        if not _is_live(record, facts, hierarchy, as_of):
            continue
        operator = normalize_owner(record.subordinate_ca_owner)
        relation = (
            Relation.CROSS_SIGNED
            if (operator, record.subject_key_id) in root_keys
            else Relation.EXTERNALLY_OPERATED
        )
        groups.setdefault((operator, relation), {}).setdefault(record.sha256, record)
    taken: set[str] = set()
    return [
        _propose(tuple(group.values()), relation, certificates, taken)
        for (_, relation), group in sorted(groups.items())
    ]


def _propose(
    records: tuple[CertificateRecord, ...],
    relation: Relation,
    certificates: Mapping[str, bytes],
    taken: set[str],
) -> SubordinateProposal:
    operator = records[0].subordinate_ca_owner
    spkis = (facts.spki for record in records if (facts := _read(record, certificates)) is not None)
    return SubordinateProposal(
        name=_unique_slug(operator, relation, records[0].sha256, taken),
        operator=operator,
        relation=relation,
        records=tuple(sorted(records, key=lambda record: (record.certificate_name, record.sha256))),
        issuer_keys=tuple(
            sorted({hashlib.sha256(spki).hexdigest() for spki in spkis if spki is not None})
        ),
    )


def _read(record: CertificateRecord, certificates: Mapping[str, bytes]) -> CaConstraints | None:
    der = certificates.get(record.sha256)
    return None if der is None else read_constraints(der)


def _is_live(
    record: CertificateRecord, facts: CaConstraints | None, hierarchy: Hierarchy, as_of: date
) -> bool:
    expires = record.valid_to
    if facts is not None and facts.not_after is not None:
        expires = utc_date(facts.not_after)
    if expires is not None and expires < as_of:
        return False
    if record.revocation in (RevocationStatus.REVOKED, RevocationStatus.PARENT_REVOKED):
        return False
    return not hierarchy.climb(record).is_revoked


def _root_keys(records: Sequence[CertificateRecord]) -> set[tuple[str, str]]:
    """Return (owner, subject key identifier) of every root: a CA with both is cross-signed."""
    return {
        (normalize_owner(record.ca_owner), record.subject_key_id)
        for record in records
        if record.type is RecordType.ROOT and len(record.subject_key_id) > 0
    }


def _unique_slug(operator: str, relation: Relation, sha256: str, taken: set[str]) -> str:
    folded = unicodedata.normalize("NFKD", normalize_owner(operator)).encode("ascii", "ignore")
    slug = _NOT_SLUG.sub("-", folded.decode("ascii"))[:_MAX_SLUG].strip("-")
    if len(slug) == 0:
        slug = f"subordinate-{sha256[:8]}"
    if slug in taken and relation is Relation.CROSS_SIGNED:
        slug = f"{slug}-cross"
    if slug in taken:
        slug = f"{slug}-{sha256[:8]}"
    taken.add(slug)
    return slug


def _no_such_owner(records: Sequence[CertificateRecord], owner: str) -> str:
    owners = {normalize_owner(record.ca_owner): record.ca_owner for record in records}
    wanted = normalize_owner(owner)
    near = [owners[name] for name in difflib.get_close_matches(wanted, owners, n=3)]
    near += [text for name, text in owners.items() if wanted in name and text not in near][:3]
    hint = f"; did you mean {' or '.join(repr(text) for text in near)}?" if len(near) > 0 else ""
    return f"--owner: no record has the CA Owner {owner!r}{hint}"
