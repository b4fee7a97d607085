"""CCADB's exports for the world's CAs: the V5 records report and the PEM report by year.

Raw formats, as CCADB itself writes them: every cell quoted, dates as YYYY.MM.DD, check boxes in
lower case, ``Capable`` formulas capitalized, PEM in single quotes. The column order is CCADB's.
"""

from __future__ import annotations

import csv
import io
import json
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from cryptography.hazmat.primitives import serialization
from cryptography.x509 import load_der_x509_certificate

from subca_oversight.demo.world.authorities import CAMPUS, Hierarchy
from subca_oversight.demo.world.authority import Authority
from subca_oversight.demo.world.certificate import fingerprint

_AUDITS = ("Standard", "NetSec", "TLS BR", "TLS EVG", "Code Signing", "S/MIME BR", "VMC")
_AUDIT_FIELDS = ("URL", "Type", "Statement Date", "Period Start Date", "Period End Date")
COLUMNS = (
    "CA Owner",
    "Salesforce Record ID",
    "Certificate Name",
    "Parent Salesforce Record ID",
    "Parent Certificate Name",
    "Certificate Record Type",
    "Subordinate CA Owner",
    "Apple Status",
    "Chrome Status",
    "Microsoft Status",
    "Mozilla Status",
    "Status of Root Cert",
    "Revocation Status",
    "SHA-256 Fingerprint",
    "Parent SHA-256 Fingerprint",
    "Valid From (GMT)",
    "Valid To (GMT)",
    "Authority Key Identifier",
    "Subject Key Identifier",
    "Technically Constrained",
    "Trust Bits for Root Cert",
    "EV OIDs for Root Cert",
    "Derived Trust Bits",
    "JSON Array of All Full CRL URLs",
    "JSON Array of Partitioned CRLs",
    "DV ACME Directory URL(s)",
    "OV ACME Directory URL(s)",
    "EV ACME Directory URL(s)",
    "IV ACME Directory URL(s)",
    "Audit Firm",
    "Audit Firm Location",
    "Audits Same as Parent",
    *(f"{audit} Audit {field}" for audit in _AUDITS for field in _AUDIT_FIELDS),
    "Policy Documentation",
    "CA Document Repository",
    "CP Same as Parent",
    "Certificate Policy (CP) URL",
    "CP Effective Date",
    "CPS Same as Parent",
    "Certificate Practice Statement (CPS) URL",
    "CPS Effective Date",
    "CP/CPS Same as Parent",
    "Certificate Practice & Policy Statement",
    "CP/CPS Effective Date",
    "MD/AsciiDoc CP/CPS Same as Parent",
    "MD/AsciiDoc CP/CPS URL",
    "MD/AsciiDoc CP/CPS Effective Date",
    "Test Website URL - Valid",
    "Test Website URL - Expired",
    "Test Website URL - Revoked",
    "TLS Capable",
    "TLS EV Capable",
    "Code Signing Capable",
    "S/MIME Capable",
    "Country",
)
_CHECK_BOXES = ("Technically Constrained", *(c for c in COLUMNS if c.endswith("Same as Parent")))
_STORES = ("Apple", "Chrome", "Microsoft", "Mozilla")


@dataclass(frozen=True, slots=True)
class AuditDates:
    """One audit statement."""

    start: date
    end: date
    statement: date


@dataclass(frozen=True, slots=True)
class _Parent:
    record: str
    name: str
    fingerprint: str


CURRENT = AuditDates(date(2025, 7, 1), date(2026, 6, 30), date(2026, 9, 10))
LAPSED = AuditDates(date(2024, 7, 1), date(2025, 6, 30), date(2025, 9, 12))
"""Its successor ended on 2026-06-30 and was due on 2026-09-30."""
_POINT_IN_TIME = AuditDates(date(2026, 5, 8), date(2026, 5, 8), date(2026, 6, 30))
_REPORT_DUE = AuditDates(date(2024, 10, 1), date(2025, 9, 30), date(2025, 12, 19))
_FRESH_POLICY = date(2026, 6, 15)
STALE_POLICY = date(2025, 8, 1)
OUTDATED_POLICY = date(2025, 11, 5)


def records_csv(hierarchy: Hierarchy) -> bytes:
    """The All Certificate Records report in its V5 layout."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writeheader()
    for row in _rows(hierarchy):
        writer.writerow(row)
    return out.getvalue().encode()


def pem_csvs(hierarchy: Hierarchy) -> dict[int, bytes]:
    """The PEM report, one file for each year of notBefore."""
    years: dict[int, io.StringIO] = {}
    seen = set()
    for authority in hierarchy:
        for certificate in authority.certificates:
            if certificate in seen:
                continue
            seen.add(certificate)
            parsed = load_der_x509_certificate(certificate)
            year = parsed.not_valid_before_utc.year
            out = years.setdefault(year, io.StringIO())
            writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
            if out.tell() == 0:
                writer.writerow(("SHA-256 Fingerprint", "X.509 Certificate (PEM)"))
            pem = parsed.public_bytes(serialization.Encoding.PEM).decode().strip()
            writer.writerow((fingerprint(certificate).upper(), f"'{pem}'"))
    return {year: out.getvalue().encode() for year, out in sorted(years.items())}


def _rows(world: Hierarchy) -> Iterable[dict[str, str]]:
    root = _Parent("A100001", world.root.common_name, fingerprint(world.root.certificate))
    other = _Parent(
        "A100002", world.meridian_root.common_name, fingerprint(world.meridian_root.certificate)
    )
    full = {"Standard": CURRENT, "NetSec": CURRENT, "TLS BR": CURRENT}
    northgate = _policy("northgate", date(2026, 5, 4))
    harbor = _policy("harbor", _FRESH_POLICY)
    meridian = _policy("meridian", date(2026, 3, 30), world.meridian.host)
    yield _row(world.root, root.record, None, _audited(full), northgate)
    yield _row(world.meridian_root, other.record, None, _audited(full), meridian)
    yield _row(world.own, "A100003", root, _INHERITED, _SAME_POLICY)
    lapsed = {**full, "TLS BR": LAPSED}
    yield _row(world.harbor, "A100011", root, _audited(lapsed), harbor)
    yield _row(world.harbor_expired, "A100012", root, _audited(full), harbor)
    yield _row(world.harbor_next, "A100013", root, _audited(full), harbor)
    # Nobody told the signing CA of the version after this one.
    outdated = _policy("meridian", OUTDATED_POLICY, world.meridian.host)
    yield _row(world.meridian, "A100021", root, _INHERITED, outdated)
    yield _row(
        world.meridian,
        "A100022",
        other,
        _INHERITED,
        _SAME_POLICY,
        certificate=world.meridian.certificates[1],
        owner=world.meridian.operator,
    )
    crossed = _Parent(
        "A100021", world.meridian.common_name, fingerprint(world.meridian.certificate)
    )
    yield _row(world.meridian_below, "A100023", crossed, _audited(full), meridian)
    yield _row(world.campus, "A100031", root, {}, _policy("campus", STALE_POLICY))
    yield from _bystander_rows(world)


def _bystander_rows(world: Hierarchy) -> Iterable[dict[str, str]]:
    external = (CURRENT, _POINT_IN_TIME, _REPORT_DUE, LAPSED)
    for number, root in enumerate(world.bystander_roots):
        record = f"A2000{number}0"
        parent = _Parent(record, root.common_name, fingerprint(root.certificate))
        full = {"Standard": CURRENT, "NetSec": CURRENT, "TLS BR": CURRENT}
        documents = _policy(root.slug, date(2026, 1, 12), root.host)
        yield _row(root, record, None, _audited(full), documents)
        children = [each for each in world.bystanders if each.owner == root.owner]
        for position, child in enumerate(children, start=1):
            own = {"Standard": external[number], "NetSec": CURRENT, "TLS BR": external[number]}
            outside = len(child.operator) > 0
            yield _row(
                child,
                f"A2000{number}{position}",
                parent,
                _audited(own) if outside else _INHERITED,
                _policy(child.slug, _FRESH_POLICY, child.host) if outside else _SAME_POLICY,
            )


_INHERITED = {"Audits Same as Parent": "true"}
_SAME_POLICY = {"CP/CPS Same as Parent": "true"}


def _audited(audits: dict[str, AuditDates]) -> dict[str, str]:
    cells = {"Audit Firm": "Brook & Fell Assurance", "Audit Firm Location": "Netherlands"}
    for audit, dates in audits.items():
        slug = audit.lower().replace(" ", "-")
        statement = f"https://assurance.example.com/statements/{slug}-{dates.statement}.pdf"
        cells |= {
            f"{audit} Audit URL": statement,
            f"{audit} Audit Type": "WebTrust",
            f"{audit} Audit Statement Date": _day(dates.statement),
            f"{audit} Audit Period Start Date": _day(dates.start),
            f"{audit} Audit Period End Date": _day(dates.end),
        }
    return cells


def _policy(slug: str, effective: date, host: str = "northgate.example.com") -> dict[str, str]:
    return {
        "CA Document Repository": f"https://cps.{host}/",
        "Certificate Practice & Policy Statement": f"https://cps.{host}/{slug}.html",
        "CP/CPS Effective Date": _day(effective),
    }


def _row(
    authority: Authority,
    record: str,
    parent: _Parent | None,
    audits: dict[str, str],
    documents: dict[str, str],
    *,
    certificate: bytes | None = None,
    owner: str | None = None,
) -> dict[str, str]:
    certificate = authority.certificate if certificate is None else certificate
    parsed = load_der_x509_certificate(certificate)
    owner = authority.owner if owner is None else owner
    is_constrained = authority.operator == CAMPUS
    cells = dict.fromkeys(COLUMNS, "")
    cells |= dict.fromkeys(_CHECK_BOXES, "false")
    cells |= {
        "CA Owner": owner,
        "Salesforce Record ID": record,
        "Certificate Name": authority.common_name,
        "Certificate Record Type": "Root Certificate",
        "SHA-256 Fingerprint": fingerprint(certificate).upper(),
        "Valid From (GMT)": _day(parsed.not_valid_before_utc),
        "Valid To (GMT)": _day(parsed.not_valid_after_utc),
        "Subject Key Identifier": b64encode(authority.key.identifier).decode(),
        "Technically Constrained": "true" if is_constrained else "false",
        "Derived Trust Bits": "Server Authentication",
        "JSON Array of All Full CRL URLs": json.dumps([authority.crl_url]),
        "TLS Capable": "True",
        "TLS EV Capable": "False",
        "Code Signing Capable": "False",
        "S/MIME Capable": "False",
        "Country": "Netherlands",
        "Status of Root Cert": "; ".join(
            f"{'Google Chrome' if store == 'Chrome' else store}: Included" for store in _STORES
        ),
    }
    cells |= {f"{store} Status": "Included" if parent is None else "Trusted" for store in _STORES}
    if parent is None:
        cells["Trust Bits for Root Cert"] = "Server Authentication"
        cells["Parent Certificate Name"] = owner
        cells["Parent Salesforce Record ID"] = f"A0{record[2:]}"
    else:
        cells |= {
            "Certificate Record Type": "Intermediate Certificate",
            "Parent Salesforce Record ID": parent.record,
            "Parent Certificate Name": parent.name,
            "Parent SHA-256 Fingerprint": parent.fingerprint.upper(),
            "Subordinate CA Owner": "" if authority.operator == owner else authority.operator,
            "Revocation Status": "Not Revoked",
        }
    return cells | audits | documents


def _day(day: date | datetime) -> str:
    return day.strftime("%Y.%m.%d")
