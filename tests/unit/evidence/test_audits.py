"""Each state and notice at its boundary, and the figures of the full report of 2021."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.evidence.audits import find_audit_freshness, find_audit_state
from subca_oversight.evidence.owners import is_same_owner
from subca_oversight.model.audit import (
    AuditFreshness,
    AuditState,
    AuditStatement,
    AuditType,
    CertificateRecord,
    DocumentKind,
    ExemptReason,
    PolicyDocument,
    RecordType,
    RevocationStatus,
)
from subca_oversight.sources.ccadb.certificates import Certificates, load_certificates
from subca_oversight.sources.ccadb.records import load_records
from tests.real_data import REAL_DATA, needs_real_data

START, END = date(2024, 1, 1), date(2024, 12, 31)
ISSUED = date(2025, 2, 15)
NEXT_END, DUE = date(2025, 12, 31), date(2026, 4, 2)
AS_OF = date(2025, 6, 1)
AUDIT = AuditStatement(START, END, ISSUED, "https://audit.example/")

ROOT = CertificateRecord(
    record_id="R",
    sha256="00" * 32,
    certificate_name="Root",
    ca_owner="Signer",
    type=RecordType.ROOT,
    revocation=RevocationStatus.NOT_STATED,
    parent_record_id="owner of the root",
    audits=((AuditType.STANDARD, AUDIT),),
)
SUBCA = CertificateRecord(
    record_id="S",
    sha256="11" * 32,
    certificate_name="Subordinate",
    ca_owner="Signer",
    subordinate_ca_owner="Operator",
    type=RecordType.INTERMEDIATE,
    revocation=RevocationStatus.NOT_REVOKED,
    parent_record_id="R",
    parent_sha256=ROOT.sha256,
    valid_to=date(2035, 1, 1),
    audits=((AuditType.STANDARD, AUDIT),),
)
NO_CERTIFICATES: Mapping[str, bytes] = {}


def judge(
    record: CertificateRecord, *others: CertificateRecord, as_of: date = AS_OF
) -> AuditFreshness:
    known = others if len(others) > 0 else (ROOT,)
    return find_audit_freshness([record, *known], NO_CERTIFICATES, as_of)[0]


def notices(freshness: AuditFreshness) -> list[str]:
    """The ids, without the one that every record without a certificate has."""
    return [n.id for n in freshness.notices if n.id != "certificate_missing"]


def audited(
    start: date | None = START, end: date | None = END, issued: date | None = ISSUED
) -> CertificateRecord:
    return replace(SUBCA, audits=((AuditType.STANDARD, AuditStatement(start, end, issued)),))


@pytest.mark.parametrize(
    ("as_of", "state"),
    [
        (END, AuditState.CURRENT),
        (NEXT_END, AuditState.CURRENT),
        (NEXT_END + timedelta(days=1), AuditState.REPORT_DUE),
        (DUE, AuditState.REPORT_DUE),
        (DUE + timedelta(days=1), AuditState.OVERDUE),
    ],
)
def test_the_state_changes_on_the_day_after_each_limit(as_of: date, state: AuditState) -> None:
    found = judge(SUBCA, as_of=as_of)
    assert found.state is state
    assert (found.next_end, found.due) == (NEXT_END, DUE)
    assert found.days_left == (DUE - as_of).days
    assert found.days_overdue == (as_of - DUE).days
    assert [audit.state for audit in found.audits] == [state]


def test_each_type_has_its_own_state_and_the_row_that_of_the_standard_audit() -> None:
    older = AuditStatement(date(2022, 1, 1), date(2022, 12, 31), None)
    record = replace(SUBCA, audits=((AuditType.STANDARD, AUDIT), (AuditType.TLS_BR, older)))
    found = judge(record)
    assert found.state is AuditState.CURRENT
    assert [(a.type, a.state, a.lag_days) for a in found.audits] == [
        (AuditType.STANDARD, AuditState.CURRENT, 46),
        (AuditType.TLS_BR, AuditState.OVERDUE, None),
    ]


def test_without_a_standard_audit_the_row_is_unknown() -> None:
    found = judge(replace(SUBCA, audits=((AuditType.TLS_BR, AUDIT),)))
    assert found.state is AuditState.UNKNOWN
    assert found.audits[0].state is AuditState.CURRENT


@pytest.mark.parametrize(
    "record",
    [
        replace(SUBCA, audits=()),
        audited(end=None),
        audited(start=END + timedelta(days=1)),
        replace(SUBCA, audits=((AuditType.STANDARD, AuditStatement(None, None, None, "u")),)),
    ],
)
def test_without_usable_dates_nothing_is_a_pass(record: CertificateRecord) -> None:
    found = judge(record)
    assert found.state is AuditState.UNKNOWN
    assert len(notices(found)) > 0


@pytest.mark.parametrize(
    ("end", "issued", "expected"),
    [
        (date(2024, 12, 31), date(2025, 3, 31), []),  # three months; 90 days
        (date(2024, 12, 31), date(2025, 4, 1), ["late_3m"]),  # 91 days
        (date(2024, 12, 31), date(2025, 4, 2), ["late_3m"]),  # 92 days
        (date(2024, 12, 31), date(2025, 4, 3), ["late_92d", "late_3m"]),
        (date(2024, 11, 30), date(2025, 2, 28), []),
        (date(2024, 11, 30), date(2025, 3, 1), ["late_3m"]),
        (date(2024, 5, 15), date(2024, 8, 15), []),  # 92 days and three months
        (date(2024, 5, 15), date(2024, 8, 16), ["late_92d", "late_3m"]),
        (date(2024, 12, 31), date(2024, 12, 1), []),
    ],
)
def test_a_late_statement_is_noticed_by_either_rule(
    end: date, issued: date, expected: list[str]
) -> None:
    found = judge(audited(start=end - timedelta(days=364), end=end, issued=issued))
    assert notices(found) == expected
    assert found.audits[0].lag_days == (issued - end).days


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (date(2024, 1, 1), date(2024, 12, 31), []),
        (date(2024, 1, 1), date(2025, 1, 1), ["long_period"]),
        (date(2024, 2, 29), date(2025, 2, 28), []),
        (date(2024, 2, 29), date(2025, 3, 1), ["long_period"]),
        (date(2024, 12, 31), date(2024, 12, 31), ["point_in_time"]),
        (date(2025, 1, 1), date(2024, 12, 31), ["period_reversed"]),
        (None, date(2024, 12, 31), []),
        (START, None, ["audit_undated"]),
    ],
)
def test_the_period_is_looked_at(start: date | None, end: date | None, expected: list[str]) -> None:
    assert notices(judge(audited(start, end, None))) == expected


def test_a_point_in_time_audit_has_the_state_of_its_date() -> None:
    assert judge(audited(start=END)).state is AuditState.CURRENT


def test_a_period_that_ends_in_the_future_is_noticed() -> None:
    assert notices(judge(SUBCA, as_of=END - timedelta(days=1))) == ["period_ends_later"]
    assert notices(judge(SUBCA, as_of=END)) == []


@pytest.mark.parametrize(
    ("record", "parent", "reason"),
    [
        (replace(SUBCA, valid_to=AS_OF - timedelta(days=1)), ROOT, ExemptReason.EXPIRED),
        (replace(SUBCA, valid_to=AS_OF), ROOT, None),
        (replace(SUBCA, revocation=RevocationStatus.REVOKED), ROOT, ExemptReason.REVOKED),
        (
            replace(SUBCA, revocation=RevocationStatus.PARENT_REVOKED),
            ROOT,
            ExemptReason.PARENT_REVOKED,
        ),
        (
            SUBCA,
            replace(ROOT, revocation=RevocationStatus.REVOKED),
            ExemptReason.PARENT_REVOKED,
        ),
        (
            replace(
                SUBCA,
                revocation=RevocationStatus.REVOKED,
                valid_to=AS_OF - timedelta(days=1),
            ),
            ROOT,
            ExemptReason.EXPIRED,
        ),
        (replace(SUBCA, technically_constrained=True), ROOT, None),
    ],
)
def test_the_first_reason_for_an_exemption_counts(
    record: CertificateRecord, parent: CertificateRecord, reason: ExemptReason | None
) -> None:
    found = judge(record, parent)
    assert found.exempt_reason is reason
    expected = AuditState.CURRENT if reason is None else AuditState.EXEMPT
    assert found.state is expected
    assert [audit.state for audit in found.audits] == [expected]
    assert found.due == DUE


INHERITING = replace(SUBCA, audits=(), audits_same_as_parent=True)
MIDDLE = replace(SUBCA, record_id="M", sha256="22" * 32)


def test_audits_come_from_the_nearest_ancestor_that_has_some() -> None:
    leaf = replace(INHERITING, parent_record_id="M", parent_sha256=MIDDLE.sha256)
    empty = replace(MIDDLE, audits=(), audits_same_as_parent=True)
    assert judge(leaf, MIDDLE, ROOT).inherited_from == MIDDLE.sha256
    found = judge(leaf, empty, ROOT)
    assert (found.inherited_from, found.state) == (ROOT.sha256, AuditState.CURRENT)
    assert found.audits[0].end == END


@pytest.mark.parametrize(
    ("owner", "ancestor_operator", "expected"),
    [
        ("Operator", "", ["inherits_foreign_audit"]),
        ("Operator", "Third", ["inherits_foreign_audit"]),
        ("Operator", "OPERATOR, Ltd.", []),
        ("", "", []),
        ("Signer Inc.", "Third", []),
    ],
)
def test_an_audit_of_another_organization_is_noticed_on_external_records(
    owner: str, ancestor_operator: str, expected: list[str]
) -> None:
    leaf = replace(INHERITING, subordinate_ca_owner=owner)
    parent = replace(ROOT, subordinate_ca_owner=ancestor_operator)
    assert notices(judge(leaf, parent)) == expected


def test_an_audit_of_a_missing_parent_is_unknown_and_never_a_pass() -> None:
    lost = replace(INHERITING, parent_record_id="lost", parent_sha256="")
    found = judge(lost)
    assert (found.state, found.inherited_from, found.due) == (AuditState.UNKNOWN, None, None)
    assert notices(found) == ["parent_missing", "audit_missing"]


def test_a_cycle_is_unknown_and_never_a_pass() -> None:
    one = replace(INHERITING, parent_record_id="M", parent_sha256="")
    other = replace(INHERITING, record_id="M", sha256="22" * 32, parent_record_id="S")
    found = judge(one, replace(other, parent_sha256=""))
    assert found.state is AuditState.UNKNOWN
    assert notices(found) == ["parent_cycle", "audit_missing"]


def test_with_dates_of_its_own_a_missing_parent_is_a_notice() -> None:
    found = judge(replace(SUBCA, parent_record_id="lost", parent_sha256="ff" * 32))
    assert found.state is AuditState.CURRENT
    assert notices(found) == ["parent_missing"]


def test_a_parent_with_another_fingerprint_is_a_notice() -> None:
    assert notices(judge(replace(SUBCA, parent_sha256="ff" * 32))) == ["parent_mismatch"]


def test_unequal_twins_are_noticed_but_root_and_intermediate_are_no_twins() -> None:
    twin = replace(SUBCA, record_id="T", subordinate_ca_owner="Another")
    assert notices(judge(SUBCA, ROOT, twin)) == ["twin_differs"]
    assert notices(judge(SUBCA, ROOT, replace(SUBCA, record_id="T"))) == []
    assert notices(judge(SUBCA, ROOT, replace(twin, type=RecordType.ROOT))) == []


def document(
    kind: DocumentKind, updated: date | None, *, same: bool = False, url: str = ""
) -> PolicyDocument:
    return PolicyDocument(kind, url, updated, same)


def test_a_document_is_stale_after_366_days() -> None:
    fresh = document(DocumentKind.CPS, AS_OF - timedelta(days=366))
    stale = document(DocumentKind.CPS, AS_OF - timedelta(days=367))
    assert notices(judge(replace(SUBCA, documents=(fresh,)))) == []
    found = judge(replace(SUBCA, documents=(stale,)))
    assert notices(found) == ["cps_stale"]
    assert "367 days" in next(n.text for n in found.notices if n.id == "cps_stale")


def test_each_document_that_applies_is_looked_at() -> None:
    old = AS_OF - timedelta(days=400)
    stale = tuple(document(kind, old) for kind in DocumentKind)
    assert notices(judge(replace(SUBCA, documents=stale))) == ["cps_stale"] * 4


def test_a_document_is_inherited_by_its_own_kind() -> None:
    old, new = AS_OF - timedelta(days=400), AS_OF - timedelta(days=10)
    parent = replace(
        ROOT,
        documents=(document(DocumentKind.CP, new), document(DocumentKind.CPS, old)),
    )
    for kind, expected in (
        (DocumentKind.CP, []),
        (DocumentKind.CPS, ["cps_stale"]),
        (DocumentKind.CP_CPS, []),
    ):
        leaf = replace(SUBCA, documents=(document(kind, None, same=True),))
        assert notices(judge(leaf, parent)) == expected


def test_only_external_records_are_judged_on_request_and_the_registry_wins() -> None:
    own = replace(SUBCA, record_id="O", sha256="33" * 32, subordinate_ca_owner="")

    def external(registry: Mapping[str, bool] | None) -> list[str]:
        found = find_audit_freshness(
            [ROOT, SUBCA, own], {}, AS_OF, only_external=True, registry=registry
        )
        return [freshness.sha256 for freshness in found]

    assert external(None) == [SUBCA.sha256]
    assert external({own.sha256: True}) == [SUBCA.sha256, own.sha256]
    assert external({SUBCA.sha256: False}) == []


def test_a_certificate_that_cannot_be_read_exempts_nobody() -> None:
    found = find_audit_freshness([SUBCA, ROOT], {SUBCA.sha256: b"\x30\x00"}, AS_OF)[0]
    assert found.state is AuditState.CURRENT
    assert [notice.id for notice in found.notices] == ["certificate_unreadable"]


@given(
    st.dates(date(1990, 1, 1), date(2199, 12, 31)), st.dates(date(1990, 1, 1), date(2199, 12, 31))
)
def test_states_follow_one_another_and_never_go_back(end: date, as_of: date) -> None:
    order = [AuditState.CURRENT, AuditState.REPORT_DUE, AuditState.OVERDUE]
    statement = AuditStatement(None, end, None)
    today = order.index(find_audit_state(statement, as_of))
    tomorrow = order.index(find_audit_state(statement, as_of + timedelta(days=1)))
    assert tomorrow - today in {0, 1}


# The full report of 2021 with the PEM exports.

AT_2021 = date(2021, 4, 5)
DEAD = {ExemptReason.EXPIRED, ExemptReason.REVOKED, ExemptReason.PARENT_REVOKED}


@pytest.fixture(scope="module")
def report_of_2021() -> Sequence[CertificateRecord]:
    path = REAL_DATA / "ccadb" / "AllCertificateRecordsReport_2021-04-05.csv"
    return load_records(path.read_bytes()).records


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return load_certificates(REAL_DATA / "ccadb" / "pems-2026-08-21")


@needs_real_data
def test_the_report_of_2021_has_164_live_external_subordinates(
    report_of_2021: Sequence[CertificateRecord], certificates: Certificates
) -> None:
    external = find_audit_freshness(report_of_2021, certificates, AT_2021, only_external=True)
    assert Counter(found.exempt_reason for found in external) == {
        None: 139,
        ExemptReason.REVOKED: 94,
        ExemptReason.EXPIRED: 70,
        ExemptReason.TECHNICALLY_CONSTRAINED: 25,
        ExemptReason.PARENT_REVOKED: 6,
    }
    live = [found for found in external if found.exempt_reason not in DEAD]
    assert len(live) == 164
    assert Counter(found.state for found in live) == {
        AuditState.CURRENT: 126,
        AuditState.EXEMPT: 25,
        AuditState.OVERDUE: 7,
        AuditState.REPORT_DUE: 6,
    }
    inherited = sum(found.inherited_from is not None for found in live)
    undated = sum(len(found.audits) == 0 for found in live)
    assert (len(live) - inherited - undated, inherited, undated) == (132, 15, 17)
    rows = Counter(notice_id for found in live for notice_id in {n.id for n in found.notices})
    assert rows == {
        "cps_stale": 47,
        "late_92d": 23,
        "late_3m": 23,
        "point_in_time": 4,
        "inherits_foreign_audit": 10,
        "long_period": 1,
    }
    assert certificates.refused == set()


@needs_real_data
def test_inherited_audits_of_2021_that_are_foreign_have_another_operator(
    report_of_2021: Sequence[CertificateRecord], certificates: Certificates
) -> None:
    by_sha256 = {record.sha256: record for record in report_of_2021}
    for found in find_audit_freshness(report_of_2021, certificates, AT_2021, only_external=True):
        if found.inherited_from is None:
            continue
        ancestor = by_sha256[found.inherited_from]
        foreign = not is_same_owner(ancestor.operator, found.subordinate_ca_owner)
        assert ("inherits_foreign_audit" in notices(found)) is foreign


@needs_real_data
def test_the_excerpt_of_2026_is_judged(certificates: Certificates) -> None:
    path = REAL_DATA / "ccadb" / "AllCertificateRecordsCSVFormatV5_excerpt_2026-09.csv"
    records = load_records(path.read_bytes()).records
    found = find_audit_freshness(records, certificates, date(2026, 11, 24))
    assert Counter((freshness.external, freshness.state) for freshness in found) == {
        (True, AuditState.CURRENT): 5,
        (True, AuditState.REPORT_DUE): 2,
        (True, AuditState.EXEMPT): 3,
        (False, AuditState.CURRENT): 2,
        (False, AuditState.UNKNOWN): 5,
        (False, AuditState.EXEMPT): 4,
    }
    by_name = {freshness.certificate_name: freshness for freshness in found}
    assert by_name["A-Trust-nQual-03"].exempt_reason is ExemptReason.EXPIRED
    assert notices(by_name["A-Trust-nQual-03"]) == ["point_in_time"] * 3
    assert by_name["UZI-register Zorgverlener CA G3"].due == date(2026, 12, 1)
    late = by_name["KPN BV PKIoverheid Organisatie Services CA - G3"]
    assert {"late_92d", "late_3m", "cps_stale"} <= set(notices(late))
    assert late.audits[0].lag_days == 102


@needs_real_data
def test_the_row_of_v2_would_inherit_from_a_parent_that_is_not_there() -> None:
    path = REAL_DATA / "ccadb" / "AllCertificateRecordsCSVFormat.test.csv"
    records = load_records(path.read_bytes()).records
    (found,) = find_audit_freshness(records, {}, date(2025, 5, 7))
    assert found.state is AuditState.UNKNOWN
    assert notices(found) == ["parent_missing", "audit_missing"]
