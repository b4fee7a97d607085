import pytest

from subca_oversight.evidence.hierarchy import MAX_DEPTH, Hierarchy, LineageEnd
from subca_oversight.model.audit import CertificateRecord, RecordType, RevocationStatus


def record(
    name: str,
    parent: str = "",
    *,
    sha256: str = "",
    parent_sha256: str = "",
    root: bool = False,
    revocation: RevocationStatus = RevocationStatus.NOT_REVOKED,
) -> CertificateRecord:
    return CertificateRecord(
        record_id=name,
        sha256=sha256 or f"sha of {name}",
        certificate_name=name,
        ca_owner="Owner",
        type=RecordType.ROOT if root else RecordType.INTERMEDIATE,
        revocation=revocation,
        parent_record_id=parent,
        parent_sha256=parent_sha256,
    )


def names(records: tuple[CertificateRecord, ...]) -> list[str]:
    return [entry.record_id for entry in records]


def test_a_climb_ends_at_the_root_whose_own_parent_is_an_owner() -> None:
    leaf, middle, root = record("a", "b"), record("b", "c"), record("c", "owner", root=True)
    lineage = Hierarchy([leaf, middle, root]).climb(leaf)
    assert (names(lineage.ancestors), lineage.end) == (["b", "c"], LineageEnd.ROOT)


def test_the_record_id_leads_where_the_fingerprint_disagrees() -> None:
    leaf = record("a", "b", parent_sha256="sha of c")
    records = [leaf, record("b", root=True), record("c", root=True)]
    assert names(Hierarchy(records).climb(leaf).ancestors) == ["b"]


def test_the_fingerprint_leads_where_the_record_id_is_lost_and_a_root_goes_first() -> None:
    leaf = record("a", "lost", parent_sha256="s")
    twins = [record("b", "x", sha256="s"), record("c", sha256="s", root=True)]
    hierarchy = Hierarchy([leaf, *twins])
    assert names(hierarchy.climb(leaf).ancestors) == ["c"]
    assert hierarchy.find_twins(twins[0]) == (twins[1],)
    only = Hierarchy([leaf, twins[0]])
    assert names(only.climb(leaf).ancestors) == ["b"]


@pytest.mark.parametrize("parent", ["", "lost"])
def test_a_missing_parent_is_said(parent: str) -> None:
    leaf, middle = record("a", "b"), record("b", parent)
    lineage = Hierarchy([leaf, middle]).climb(leaf)
    assert (names(lineage.ancestors), lineage.end) == (["b"], LineageEnd.MISSING)


def test_cycles_of_any_length_end() -> None:
    for length in (1, 2, 5):
        ring = [record(f"r{n}", f"r{(n + 1) % length}") for n in range(length)]
        lineage = Hierarchy(ring).climb(ring[0])
        assert lineage.end is LineageEnd.CYCLE
        assert len(lineage.ancestors) == length - 1


def test_a_cycle_above_the_record_ends() -> None:
    records = [record("a", "b"), record("b", "c"), record("c", "b")]
    assert Hierarchy(records).climb(records[0]).end is LineageEnd.CYCLE


@pytest.mark.parametrize(
    ("length", "end"),
    [(MAX_DEPTH, LineageEnd.ROOT), (MAX_DEPTH + 1, LineageEnd.TOO_DEEP)],
)
def test_depth_is_limited(length: int, end: LineageEnd) -> None:
    chain = [record(f"c{n}", f"c{n + 1}") for n in range(length)]
    chain.append(record(f"c{length}", root=True))
    assert Hierarchy(chain).climb(chain[0]).end is end


@pytest.mark.parametrize(
    ("revocation", "revoked"),
    [
        (RevocationStatus.NOT_STATED, False),
        (RevocationStatus.NOT_REVOKED, False),
        (RevocationStatus.REVOKED, True),
        (RevocationStatus.PARENT_REVOKED, True),
    ],
)
def test_revocation_is_climbed(revocation: RevocationStatus, *, revoked: bool) -> None:
    records = [
        record("a", "b"),
        record("b", "c"),
        record("c", "d", revocation=revocation),
        record("d", root=True),
    ]
    assert Hierarchy(records).climb(records[0]).is_revoked is revoked
