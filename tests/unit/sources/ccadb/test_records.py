"""Golden rows of each layout, and files that are not the report."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subca_oversight.errors import SourceError
from subca_oversight.model.audit import (
    AuditStatement,
    AuditType,
    DocumentKind,
    RecordType,
    RevocationStatus,
)
from subca_oversight.sources.ccadb import records as records_module
from subca_oversight.sources.ccadb.cells import MAX_CELL_CHARACTERS
from subca_oversight.sources.ccadb.layout import Layout
from subca_oversight.sources.ccadb.records import (
    RecordSet,
    check_plausible_successor,
    load_records,
)
from tests.real_data import REAL_DATA, needs_real_data

SHA = "AB" * 32
PARENT = "CD" * 32


def audit_columns(*prefixes: str) -> list[str]:
    return [
        f"{prefix} Audit {part}"
        for prefix in prefixes
        for part in ("URL", "Type", "Statement Date", "Period Start Date", "Period End Date")
    ]


MODERN_AUDITS = audit_columns(
    "Standard", "NetSec", "TLS BR", "TLS EVG", "Code Signing", "S/MIME BR", "VMC"
)
V5 = [
    "CA Owner", "Salesforce Record ID", "Certificate Name", "Parent Salesforce Record ID",
    "Parent Certificate Name", "Certificate Record Type", "Subordinate CA Owner", "Apple Status",
    "Chrome Status", "Microsoft Status", "Mozilla Status", "Status of Root Cert",
    "Revocation Status", "SHA-256 Fingerprint", "Parent SHA-256 Fingerprint", "Valid From (GMT)",
    "Valid To (GMT)", "Authority Key Identifier", "Subject Key Identifier",
    "Technically Constrained", "Trust Bits for Root Cert", "EV OIDs for Root Cert",
    "Derived Trust Bits", "JSON Array of All Full CRL URLs", "JSON Array of Partitioned CRLs",
    "DV ACME Directory URL(s)", "OV ACME Directory URL(s)", "EV ACME Directory URL(s)",
    "IV ACME Directory URL(s)", "Audit Firm", "Audit Firm Location", "Audits Same as Parent",
    *MODERN_AUDITS,
    "Policy Documentation", "CA Document Repository", "CP Same as Parent",
    "Certificate Policy (CP) URL", "CP Effective Date", "CPS Same as Parent",
    "Certificate Practice Statement (CPS) URL", "CPS Effective Date", "CP/CPS Same as Parent",
    "Certificate Practice & Policy Statement", "CP/CPS Effective Date",
    "MD/AsciiDoc CP/CPS Same as Parent", "MD/AsciiDoc CP/CPS URL",
    "MD/AsciiDoc CP/CPS Effective Date", "Test Website URL - Valid", "Test Website URL - Expired",
    "Test Website URL - Revoked", "TLS Capable", "TLS EV Capable", "Code Signing Capable",
    "S/MIME Capable", "Country",
]  # fmt: skip
_V4_LAST = ("Trust Bits for Root Cert", "EV OIDs for Root Cert")
_V4_NAMES = {
    "JSON Array of All Full CRL URLs": "Full CRL Issued By This CA",
    "Audit Firm": "Auditor",
}
V4 = [
    *(
        _V4_NAMES.get(name, name)
        for name in V5
        if name not in _V4_LAST and "ACME" not in name and name != "Audit Firm Location"
    ),
    *_V4_LAST,
]
_V2_NAMES = {
    "CP Effective Date": "CP Last Update Date",
    "CPS Effective Date": "CPS Last Update Date",
    "CP/CPS Effective Date": "CP/CPS Last Updated Date",
}
V2 = [
    f"{name}?" if name.endswith("Same as Parent") else _V2_NAMES.get(name, name)
    for name in V4
    if not name.startswith("MD/AsciiDoc") and name not in _V4_LAST
]
REPORT_2021 = [
    "CA Owner", "Salesforce Record ID", "Certificate Name", "Parent Salesforce Record ID",
    "Parent Certificate Name", "Certificate Record Type", "Revocation Status",
    "SHA-256 Fingerprint", "Parent SHA-256 Fingerprint", "Audits Same as Parent?", "Auditor",
    *audit_columns("Standard", "BR", "EV SSL", "EV Code Signing"),
    "CP/CPS Same as Parent?", "Certificate Policy (CP) URL",
    "Certificate Practice Statement (CPS) URL", "CP/CPS Last Updated Date",
    "Test Website URL - Valid", "Test Website URL - Expired", "Test Website URL - Revoked",
    "Technically Constrained", "Mozilla Status", "Microsoft Status", "Subordinate CA Owner",
    "Full CRL Issued By This CA",
]  # fmt: skip

ROW = {
    "CA Owner": "Root Operator",
    "Salesforce Record ID": "A000001",
    "Certificate Name": "Issuing CA 1",
    "Parent Salesforce Record ID": "A000002",
    "Certificate Record Type": "Intermediate Certificate",
    "Revocation Status": "Not Revoked",
    "SHA-256 Fingerprint": SHA,
    "Parent SHA-256 Fingerprint": PARENT,
    "Subordinate CA Owner": "Other Operator",
    "Technically Constrained": "false",
}


def write(
    header: Sequence[str], *rows: Mapping[str, str], encoding: str = "utf-8", end: str = "\r\n"
) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=end)
    writer.writerow(header)
    for row in rows:
        assert row.keys() <= set(header), row.keys() - set(header)
        writer.writerow([row.get(name, "") for name in header])
    return text.getvalue().encode(encoding)


def test_the_layouts_have_the_documented_widths() -> None:
    assert [len(names) for names in (V5, V4, V2, REPORT_2021)] == [89, 84, 79, 43]


def test_v5_is_read() -> None:
    row = ROW | {
        "Valid From (GMT)": "2024-01-01",
        "Valid To (GMT)": "9999-12-31",
        "Audits Same as Parent": "False",
        "Standard Audit URL": "https://audit.example/1.pdf",
        "Standard Audit Type": "WebTrust",
        "Standard Audit Statement Date": "2026-03-01",
        "Standard Audit Period Start Date": "2025-01-01",
        "Standard Audit Period End Date": "2025-12-31",
        "S/MIME BR Audit Period End Date": "2025.11.30",
        "JSON Array of All Full CRL URLs": '["http://crl.example/1.crl"]',
        "JSON Array of Partitioned CRLs": '["http://crl.example/p/1.crl", "http://crl.example/p/2.crl"]',
        "Trust Bits for Root Cert": "Server Authentication;Secure Email",
        "CPS Same as Parent": "False",
        "Certificate Practice Statement (CPS) URL": "https://cps.example/",
        "CPS Effective Date": "2026-01-15",
        "MD/AsciiDoc CP/CPS Same as Parent": "1",
        "TLS Capable": "True",
        "S/MIME Capable": "False",
    }
    loaded = load_records(write(V5, row))
    assert (loaded.layout, loaded.problems) == (Layout.V5, ())
    assert (loaded.unknown_columns, loaded.missing_columns) == ((), ())
    (record,) = loaded.records
    assert record.sha256 == SHA.lower()
    assert record.parent_sha256 == PARENT.lower()
    assert record.type is RecordType.INTERMEDIATE
    assert record.revocation is RevocationStatus.NOT_REVOKED
    assert (record.valid_from, record.valid_to) == (date(2024, 1, 1), date(9999, 12, 31))
    assert record.audits == (
        (
            AuditType.STANDARD,
            AuditStatement(
                date(2025, 1, 1),
                date(2025, 12, 31),
                date(2026, 3, 1),
                "https://audit.example/1.pdf",
                "WebTrust",
            ),
        ),
        (AuditType.SMIME_BR, AuditStatement(None, date(2025, 11, 30), None)),
    )
    assert [(d.kind, d.updated, d.same_as_parent) for d in record.documents] == [
        (DocumentKind.CPS, date(2026, 1, 15), False),
        (DocumentKind.MARKUP, None, True),
    ]
    assert record.crl_urls == ("http://crl.example/1.crl",)
    assert record.partitioned_crl_urls == (
        "http://crl.example/p/1.crl",
        "http://crl.example/p/2.crl",
    )
    assert record.trust_bits == ("Server Authentication", "Secure Email")
    assert record.tls_capable is True
    assert record.smime_capable is False
    assert record.code_signing_capable is None


def test_v4_is_read_with_trailing_commas() -> None:
    row = ROW | {
        "Audits Same as Parent": "TRUE",
        "Full CRL Issued By This CA": "http://crl.example/1.crl",
        "Auditor": "Firm",
        "CP/CPS Effective Date": "2026.02.01",
    }
    lines = write(V4, row).decode().splitlines()
    loaded = load_records(f"{lines[0]}\r\n{lines[1]},,\r\n".encode())
    assert (loaded.layout, loaded.problems) == (Layout.V4, ())
    (record,) = loaded.records
    assert record.audits_same_as_parent
    assert record.crl_urls == ("http://crl.example/1.crl",)
    assert record.auditor == "Firm"
    assert record.documents[0].updated == date(2026, 2, 1)


def test_v2_is_read() -> None:
    row = ROW | {
        "Valid To (GMT)": "2032.03.11",
        "Audits Same as Parent?": "true",
        "CP Same as Parent?": "true",
        "CPS Last Update Date": "2025.01.02",
        "CP/CPS Last Updated Date": "2025.01.03",
    }
    loaded = load_records(write(V2, row))
    assert (loaded.layout, loaded.problems, loaded.missing_columns) == (Layout.V2, (), ())
    (record,) = loaded.records
    assert record.valid_to == date(2032, 3, 11)
    assert record.audits_same_as_parent
    assert [(d.kind, d.updated, d.same_as_parent) for d in record.documents] == [
        (DocumentKind.CP, None, True),
        (DocumentKind.CPS, date(2025, 1, 2), False),
        (DocumentKind.CP_CPS, date(2025, 1, 3), False),
    ]


def test_the_2021_report_is_read() -> None:
    row = ROW | {
        "BR Audit Period End Date": "2020.12.31",
        "EV SSL Audit Period End Date": "2020.12.30",
        "EV Code Signing Audit Period End Date": "2020.12.29",
        "Certificate Policy (CP) URL": "https://cp.example/",
        "Certificate Practice Statement (CPS) URL": "https://cps.example/",
        "CP/CPS Last Updated Date": "2020.06.30",
        "Full CRL Issued By This CA": "http://crl.example/1.crl\nhttp://crl.example/2.crl",
    }
    loaded = load_records(write(REPORT_2021, row))
    assert (loaded.layout, loaded.problems) == (Layout.REPORT_2021, ())
    (record,) = loaded.records
    assert [(kind, statement.end) for kind, statement in record.audits] == [
        (AuditType.TLS_BR, date(2020, 12, 31)),
        (AuditType.TLS_EVG, date(2020, 12, 30)),
        (AuditType.CODE_SIGNING, date(2020, 12, 29)),
    ]
    (document,) = record.documents
    assert (document.kind, document.updated) == (DocumentKind.CP_CPS, date(2020, 6, 30))
    assert document.url == "https://cps.example/"
    assert record.crl_urls == ("http://crl.example/1.crl", "http://crl.example/2.crl")
    assert record.valid_to is None


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_byte_order_mark_line_ends_and_breaks_in_cells_change_nothing(
    encoding: str, end: str
) -> None:
    row = ROW | {"Subordinate CA Owner": "Ministerie van\r\nVolksgezondheid,  Welzijn\nen Sport"}
    (record,) = load_records(write(V5, row, encoding=encoding, end=end)).records
    assert record.subordinate_ca_owner == "Ministerie van Volksgezondheid, Welzijn en Sport"


@pytest.mark.parametrize("text", ["true", "True", "TRUE", "1", " true "])
def test_every_spelling_of_a_ticked_box_is_true(text: str) -> None:
    (record,) = load_records(write(V5, ROW | {"Audits Same as Parent": text})).records
    assert record.audits_same_as_parent


def test_columns_may_stand_in_any_order() -> None:
    row = ROW | {"Valid To (GMT)": "2030-01-01", "Country": "Norway"}
    assert load_records(write(V5, row)).records == load_records(write(sorted(V5), row)).records


def test_an_unknown_column_is_a_warning() -> None:
    loaded = load_records(write([*V5, "Post-Quantum Capable"], ROW))
    assert loaded.unknown_columns == ("Post-Quantum Capable",)
    assert len(loaded.records) == 1


def test_a_lost_optional_column_is_a_warning() -> None:
    loaded = load_records(write([name for name in V5 if name != "Country"], ROW))
    assert loaded.missing_columns == ("country",)


@pytest.mark.parametrize(
    "name",
    ["SHA-256 Fingerprint", "Audits Same as Parent", "NetSec Audit Period End Date", "CA Owner"],
)
def test_a_lost_mandatory_column_refuses_the_file(name: str) -> None:
    row = {key: value for key, value in ROW.items() if key != name}
    with pytest.raises(SourceError, match=f"(?i)columns missing: .*{name}"):
        load_records(write([column for column in V5 if column != name], row))


def test_a_column_that_appears_twice_refuses_the_file() -> None:
    with pytest.raises(SourceError, match="two columns are named"):
        load_records(write([*V5, "CA Owner"], ROW))
    with pytest.raises(SourceError, match="names of one column"):
        load_records(write([*V5, "CPS Last Update Date"], ROW))


GOOD = write(V5, ROW, ROW | {"Salesforce Record ID": "A000009", "Country": "Norway"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \r\n", "empty"),
        (b"<!DOCTYPE html><html><body>Down for maintenance</body></html>", "HTML"),
        (b"\xef\xbb\xbf\n <html>", "HTML"),
        (b"{}", "columns missing"),
        (bytes(range(256)) * 64, "refused"),
        (write(V5), "no rows"),
        (write(V5, ROW, encoding="utf-16"), "refused"),
        (GOOD[: len(GOOD) - 60], "cut off"),
        (GOOD[:-12], "cut off|cannot be used"),
        (GOOD + b'"Asseco,A1', "cut off"),
        (GOOD + b'"quo"te",A1\r\n', "line 4"),
        (write(V5, ROW | {"SHA-256 Fingerprint": "none"}), "cannot be used"),
    ],
)
def test_a_file_that_is_not_whole_is_refused_in_one_line(content: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        load_records(content)
    assert "\n" not in str(caught.value)


def test_every_truncation_is_refused_or_ends_a_row() -> None:
    for length in range(len(GOOD)):
        try:
            loaded = load_records(GOOD[:length])
        except SourceError:
            continue
        assert loaded.set_aside == 0
        assert loaded.records[0].sha256 == SHA.lower()


def test_a_cell_beyond_the_cap_refuses_the_file() -> None:
    huge = "x" * (MAX_CELL_CHARACTERS + 1)
    with pytest.raises(SourceError, match="field larger than"):
        load_records(write(V5, ROW | {"Certificate Name": huge}))


def test_a_large_cell_below_the_cap_is_read() -> None:
    urls = [f"http://c.example/{number}.crl" for number in range(10_000)]
    row = ROW | {"JSON Array of Partitioned CRLs": json.dumps(urls)}
    (record,) = load_records(write(V5, row)).records
    assert record.partitioned_crl_urls == tuple(urls)


def test_a_file_beyond_the_cap_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_module, "MAX_REPORT_BYTES", len(GOOD) - 1)
    with pytest.raises(SourceError, match="larger than"):
        load_records(GOOD)


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_module, "MAX_ROWS", 1)
    with pytest.raises(SourceError, match="more than 1 rows"):
        load_records(GOOD)


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"SHA-256 Fingerprint": "AB" * 31}, "sha256"),
        ({"SHA-256 Fingerprint": ""}, "sha256"),
        ({"Certificate Record Type": "Owner"}, "record_type"),
        ({"Salesforce Record ID": ""}, "record_id"),
    ],
)
def test_a_row_that_cannot_be_identified_is_set_aside(change: dict[str, str], column: str) -> None:
    loaded = load_records(write(V5, ROW | change, ROW))
    assert len(loaded.records) == 1
    (problem,) = loaded.problems
    assert (problem.set_aside, problem.column, problem.line) == (True, column, 2)
    assert loaded.set_aside == 1


def test_a_row_with_shifted_cells_is_set_aside() -> None:
    lines = write(V5, ROW, ROW).decode().splitlines()
    for shifted in (f"{lines[1]},late", lines[1].removesuffix(",")):
        loaded = load_records("\n".join((lines[0], shifted, lines[2])).encode())
        assert len(loaded.records) == 1
        assert "cells under 89 headers" in loaded.problems[0].text


def test_too_many_rows_set_aside_refuse_the_file() -> None:
    bad = [ROW | {"SHA-256 Fingerprint": "x"}] * 6
    with pytest.raises(SourceError, match="6 of 26 rows cannot be used"):
        load_records(write(V5, *bad, *([ROW] * 20)))


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"Valid To (GMT)": "2026/01/01"}, "valid_to"),
        ({"Standard Audit Period End Date": "2026-02-30"}, "standard.end"),
        ({"Standard Audit Period End Date": "0000-01-01"}, "standard.end"),
        ({"Standard Audit Period End Date": "9999-12-31"}, "standard.end"),
        ({"Standard Audit Period End Date": "2026.01-01"}, "standard.end"),
        ({"Audits Same as Parent": "maybe"}, "audits_same_as_parent"),
        ({"Revocation Status": "Unclear"}, "revocation"),
        ({"Parent SHA-256 Fingerprint": "12"}, "parent_sha256"),
        ({"JSON Array of All Full CRL URLs": "[1]"}, "crl_urls"),
        ({"JSON Array of All Full CRL URLs": '["http://x.example/'}, "crl_urls"),
        ({"JSON Array of All Full CRL URLs": "[" * 100_000}, "crl_urls"),
        ({"Certificate Name": "a\x00b"}, "certificate_name"),
    ],
)
def test_a_cell_that_cannot_be_read_is_reported_and_the_row_kept(
    change: dict[str, str], column: str
) -> None:
    loaded = load_records(write(V5, ROW | change))
    assert len(loaded.records) == 1
    assert [problem.column for problem in loaded.problems] == [column]
    assert loaded.set_aside == 0


def test_a_period_that_ends_before_it_starts_is_reported_and_kept() -> None:
    row = ROW | {
        "Standard Audit Period Start Date": "2026-01-01",
        "Standard Audit Period End Date": "2025-01-01",
    }
    loaded = load_records(write(V5, row))
    assert [problem.column for problem in loaded.problems] == ["standard.end"]
    assert loaded.records[0].audits[0][1].is_reversed


def test_bytes_that_are_no_utf8_are_made_visible() -> None:
    content = write(V5, ROW | {"Certificate Name": "Na~me"}).replace(b"Na~me", b"Na\xffme")
    loaded = load_records(content)
    assert loaded.records[0].certificate_name == "Na\ufffdme"
    assert loaded.problems[0].column == "certificate_name"


@pytest.mark.parametrize(
    ("cell", "urls"),
    [
        ('[""]', ()),
        ("revoked", ()),
        ("-", ()),
        ("http://a.example/1.crl; http://b.example/2.crl",
         ("http://a.example/1.crl", "http://b.example/2.crl")),
        ('["ldap://d.example/cn=x"]', ("ldap://d.example/cn=x",)),
        ("javascript:alert(1)", ()),
    ],
)  # fmt: skip
def test_addresses_are_found_and_words_are_not(cell: str, urls: tuple[str, ...]) -> None:
    loaded = load_records(write(V5, ROW | {"JSON Array of All Full CRL URLs": cell}))
    assert loaded.records[0].crl_urls == urls
    assert loaded.problems == ()


def test_a_repeated_record_id_is_reported() -> None:
    loaded = load_records(write(V5, ROW, ROW))
    assert [problem.text for problem in loaded.problems] == ["two rows have this record id"]


def test_one_certificate_may_be_a_root_and_an_intermediate() -> None:
    root = ROW | {"Salesforce Record ID": "A9", "Certificate Record Type": "Root Certificate"}
    loaded = load_records(write(V5, ROW, root))
    assert loaded.problems == ()
    assert [record.type for record in loaded.records] == ["intermediate", "root"]


@pytest.mark.parametrize(("old", "refused"), [(0, False), (10, False), (12, False), (13, True)])
def test_a_snapshot_that_lost_a_fifth_is_refused(old: int, *, refused: bool) -> None:
    rows = [ROW | {"Salesforce Record ID": f"A{number}"} for number in range(10)]
    new: RecordSet = load_records(write(V5, *rows))
    if refused:
        with pytest.raises(SourceError, match="10 records where the last good one had 13"):
            check_plausible_successor(new, old)
    else:
        check_plausible_successor(new, old)


def test_exactly_a_fifth_fewer_is_refused() -> None:
    rows = [ROW | {"Salesforce Record ID": f"A{number}"} for number in range(8)]
    with pytest.raises(SourceError):
        check_plausible_successor(load_records(write(V5, *rows)), 10)


@given(st.binary(max_size=2000))
def test_any_bytes_are_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(SourceError) as caught:
        load_records(content)
    assert "\n" not in str(caught.value)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=50)
@given(
    st.dictionaries(
        st.sampled_from(V5),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
        max_size=20,
    )
)
def test_any_cells_give_a_record_or_a_problem(cells: dict[str, str]) -> None:
    other = ROW | {"Salesforce Record ID": "another"}
    loaded = load_records(write(V5, ROW | cells, other))
    assert len(loaded.records) + loaded.set_aside == 2


@needs_real_data
@pytest.mark.parametrize(
    ("name", "layout", "rows", "problems"),
    [
        ("AllCertificateRecordsReport_2021-04-05.csv", Layout.REPORT_2021, 6714, 1),
        ("AllCertificateRecordsCSVFormatV5_excerpt_2026-09.csv", Layout.V5, 21, 0),
        ("AllCertificateRecordsCSVFormat.test.csv", Layout.V2, 1, 0),
    ],
)
def test_real_reports_are_read_whole(name: str, layout: Layout, rows: int, problems: int) -> None:
    loaded = load_records((REAL_DATA / "ccadb" / name).read_bytes())
    assert (loaded.layout, len(loaded.records)) == (layout, rows)
    assert (loaded.unknown_columns, loaded.missing_columns) == ((), ())
    assert len(loaded.problems) == problems
    assert loaded.set_aside == 0


@needs_real_data
@pytest.mark.parametrize(
    "name",
    ["IncludedCACertificateReportPEMCSV.test.csv", "MozillaIntermediateCerts_2021-12-22.csv",
     "msft_ccadb_report_2025-10.csv", "tlswg_AllMozillaRoots.csv"],
)  # fmt: skip
def test_other_real_reports_are_refused(name: str) -> None:
    with pytest.raises(SourceError, match="refused"):
        load_records((REAL_DATA / "ccadb" / name).read_bytes())


@needs_real_data
def test_the_full_report_has_the_known_profile() -> None:
    path: Path = REAL_DATA / "ccadb" / "AllCertificateRecordsReport_2021-04-05.csv"
    records = load_records(path.read_bytes()).records
    assert sum(record.type is RecordType.ROOT for record in records) == 543
    assert sum(record.audits_same_as_parent for record in records) == 5300
    assert sum(record.revocation is RevocationStatus.REVOKED for record in records) == 1365
    assert sum(record.revocation is RevocationStatus.PARENT_REVOKED for record in records) == 202
    assert len({record.sha256 for record in records}) == 6704
