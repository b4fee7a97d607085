"""A small overseen world for reports: one subordinate, its certificates, findings and sources."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose
from cryptography.x509.oid import NameOID
from sqlmodel import Session

from subca_oversight.evidence.harvest.watch import store_watch_set
from subca_oversight.findings.recorder import JudgedBreach, Judgment, record_judgments
from subca_oversight.model.certificate import CertificateKind
from subca_oversight.model.finding import Outcome, Revocation, Severity, SubjectKind
from subca_oversight.model.subordinate import KeyProvenance, Relation
from subca_oversight.store.tables import (
    AuthorityCertificateRow,
    CcadbSnapshotRow,
    CertificateRow,
    JobRunRow,
    LogRow,
    MalformedEntryRow,
    SightingRow,
    SourceRow,
    SubordinateRow,
    UnconfirmedMatchRow,
    UnitRow,
    WatchedKeyRow,
    WindowRow,
)

REGISTERED = datetime(2026, 6, 1, tzinfo=UTC)
AS_OF = datetime(2026, 10, 5, 8, 30, tzinfo=UTC)
LATER = datetime(2026, 11, 20, tzinfo=UTC)
KEY = ec.derive_private_key(7, ec.SECP256R1())
LEAF_KEY = ec.derive_private_key(11, ec.SECP384R1())
SPKI = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
ANCHOR = hashlib.sha256(SPKI).hexdigest()
LOG = hashlib.sha256(b"log").hexdigest()
OTHER_LOG = hashlib.sha256(b"other log").hexdigest()
DAY = timedelta(days=1)
_fresh: Iterator[int] = itertools.count(1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def certificate(
    name: str,
    *,
    not_before: datetime = REGISTERED,
    days: int = 90,
    purposes: Sequence[x509.ObjectIdentifier] = (Purpose.SERVER_AUTH,),
    ca: bool = False,
) -> bytes:
    """A certificate whose common name is ``name``, whatever that is."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name, _validate=False)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Acme TLS CA 1")]))
        .serial_number(next(_fresh))
        .public_key((KEY if ca else LEAF_KEY).public_key())
        .not_valid_before(not_before)
        .not_valid_after(not_before + timedelta(days=days) - timedelta(seconds=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(list(purposes)), critical=False)
        .sign(KEY, SHA256())
        .public_bytes(Encoding.DER)
    )


def add_subordinate(
    session: Session,
    *,
    name: str = "acme-tls-1",
    operator: str = "Acme Trust Services",
    authority_name: str = "Acme TLS CA 1",
    purposes: Sequence[x509.ObjectIdentifier] = (Purpose.SERVER_AUTH,),
) -> str:
    """Register the subordinate; returns the SHA-256 of its CA certificate."""
    der = certificate(authority_name, days=1200, purposes=purposes, ca=True)
    sha256 = hashlib.sha256(der).hexdigest()
    session.add(
        SubordinateRow(
            anchor=ANCHOR,
            name=name,
            operator=operator,
            relation=Relation.EXTERNALLY_OPERATED,
            registered_at=REGISTERED,
        )
    )
    session.flush()
    session.add(
        WatchedKeyRow(
            spki_sha256=ANCHOR,
            anchor=ANCHOR,
            provenance=KeyProvenance.CONFIGURATION,
            spki=SPKI,
            watched_since=REGISTERED,
        )
    )
    session.add(
        AuthorityCertificateRow(
            sha256=sha256,
            spki_sha256=ANCHOR,
            anchor=ANCHOR,
            der=der,
            provenance=KeyProvenance.CONFIGURATION,
            first_seen=REGISTERED,
        )
    )
    return sha256


def add_log(
    session: Session, *, log_id: str = LOG, description: str = "Kelp2026", unread: int = 0
) -> None:
    session.add(
        LogRow(
            log_id=log_id,
            description=description,
            operator="Kelp Logs",
            api="static",
            submission_url="https://log.example.net/",
            monitoring_url="https://log.example.net/",
            key=b"key",
            mmd=60,
            state="usable",
            monitored=True,
            first_seen=REGISTERED,
            last_seen=REGISTERED,
            head_size=1000,
            head_timestamp_ms=milliseconds(AS_OF),
            last_success=AS_OF,
        )
    )
    session.flush()
    digest = store_watch_set(session, [bytes.fromhex(ANCHOR)])
    session.add(
        WindowRow(
            log_id=log_id,
            kind="tail",
            watch_digest=digest,
            first=0,
            first_range=b"",
            position=1000 - unread,
            position_range=b"",
            verified=1000 - unread,
            verified_range=b"",
            opened_at=REGISTERED,
            updated_at=AS_OF,
        )
    )


def add_unit(
    session: Session,
    logged: datetime,
    *,
    name: str = "www.example.com",
    kinds: Sequence[CertificateKind] = (CertificateKind.PRECERTIFICATE, CertificateKind.FINAL),
    days: int = 90,
    added: datetime | None = None,
    log_id: str = LOG,
) -> str:
    """A unit with one certificate of each kind, logged one second apart."""
    read = logged if added is None else added
    unit_id = hashlib.sha256(f"unit {next(_fresh)}".encode()).hexdigest()
    session.add(
        UnitRow(
            unit_id=unit_id,
            issuer_key_sha256=ANCHOR,
            serial_hex=unit_id[:16],
            first_logged_ms=milliseconds(logged),
            confirmed=True,
            added_at=read,
        )
    )
    session.flush()
    for number, kind in enumerate(kinds):
        at = logged + timedelta(seconds=number)
        add_certificate(session, unit_id, kind, at, name=name, days=days, added=read, log_id=log_id)
    return unit_id


def add_certificate(
    session: Session,
    unit_id: str,
    kind: CertificateKind,
    logged: datetime,
    *,
    name: str = "www.example.com",
    days: int = 90,
    added: datetime,
    log_id: str = LOG,
) -> str:
    der = certificate(name, days=days)
    sha256 = hashlib.sha256(der).hexdigest()
    session.add(CertificateRow(sha256=sha256, unit_id=unit_id, kind=kind, der=der, confirmed=True))
    session.flush()
    add_sighting(session, unit_id, sha256, logged, added=added, log_id=log_id)
    return sha256


def add_sighting(
    session: Session,
    unit_id: str,
    sha256: str,
    logged: datetime,
    *,
    added: datetime,
    log_id: str = LOG,
) -> None:
    session.add(
        SightingRow(
            log_id=log_id,
            index=next(_fresh),
            timestamp_ms=milliseconds(logged),
            certificate_sha256=sha256,
            unit_id=unit_id,
            added_at=added,
        )
    )


def judge(
    session: Session,
    subject: str,
    at: datetime,
    *,
    message: str | None = "valid for 400 days",
    check: str = "validity-limit",
    severity: Severity = Severity.VIOLATION,
    revocation: Revocation = Revocation.DAYS_5,
    kind: SubjectKind = SubjectKind.UNIT,
    baseline: bool = False,
    requirement: str = "TLS BR 6.3.2",
) -> None:
    """One judgment: a breach, or clear where ``message`` is None."""
    breach = (
        ()
        if message is None
        else (JudgedBreach(check, "", severity, requirement, revocation, message),)
    )
    record_judgments(
        session,
        [
            Judgment(
                scope=check,
                anchor=ANCHOR,
                kind=kind,
                subject=subject,
                outcome=Outcome.CLEAR if message is None else Outcome.BREACH,
                breaches=breach,
                is_baseline=baseline,
            )
        ],
        rule_version="rules",
        now=at,
    )


_COLUMNS = (
    "CA Owner", "Salesforce Record ID", "Certificate Name", "Parent Salesforce Record ID",
    "Parent Certificate Name", "Certificate Record Type", "Revocation Status",
    "SHA-256 Fingerprint", "Parent SHA-256 Fingerprint", "Audits Same as Parent?", "Auditor",
    *(
        f"{prefix} Audit {part}"
        for prefix in ("Standard", "BR", "EV SSL", "EV Code Signing")
        for part in ("URL", "Type", "Statement Date", "Period Start Date", "Period End Date")
    ),
    "CP/CPS Same as Parent?", "Certificate Policy (CP) URL",
    "Certificate Practice Statement (CPS) URL", "CP/CPS Last Updated Date",
    "Test Website URL - Valid", "Test Website URL - Expired", "Test Website URL - Revoked",
    "Technically Constrained", "Mozilla Status", "Microsoft Status", "Subordinate CA Owner",
    "Full CRL Issued By This CA",
)  # fmt: skip
"""The report of 2021: the narrowest of the layouts."""


def add_snapshot(
    session: Session,
    sha256: str,
    at: datetime,
    *,
    name: str = "Acme TLS CA 1",
    audit_end: str = "2025-06-30",
    document: str = "2025-09-01",
    url: str = "https://acme.example/cps.pdf",
) -> None:
    """An accepted export in which the CA certificate has a standard audit and a CPS."""
    root = {
        "CA Owner": "Root Operator",
        "Salesforce Record ID": "A000002",
        "Certificate Name": "Root",
        "Certificate Record Type": "Root Certificate",
        "SHA-256 Fingerprint": "CD" * 32,
    }
    row = {
        "CA Owner": "Root Operator",
        "Salesforce Record ID": "A000001",
        "Certificate Name": name,
        "Parent Salesforce Record ID": "A000002",
        "Parent Certificate Name": "Root",
        "Certificate Record Type": "Intermediate Certificate",
        "Revocation Status": "Not Revoked",
        "SHA-256 Fingerprint": sha256.upper(),
        "Parent SHA-256 Fingerprint": "CD" * 32,
        "Subordinate CA Owner": "Acme Trust Services",
        "Standard Audit Statement Date": audit_end,
        "Standard Audit Period Start Date": f"{int(audit_end[:4]) - 1}-07-01",
        "Standard Audit Period End Date": audit_end,
        "Certificate Practice Statement (CPS) URL": url,
        "CP/CPS Last Updated Date": document,
        "Technically Constrained": "false",
    }
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for one in (root, row):
        writer.writerow([one.get(column, "") for column in _COLUMNS])
    content = text.getvalue().encode()
    session.add(
        CcadbSnapshotRow(
            kind="records",
            source="records.csv",
            sha256=hashlib.sha256(content).hexdigest(),
            layout="2021",
            rows=2,
            body=zlib.compress(content),
            imported_at=at,
            last_seen_at=at,
        )
    )


def add_run(
    session: Session, job: str, started: datetime, *, outcome: str = "done", minutes: int = 1
) -> None:
    session.add(
        JobRunRow(
            job=job,
            started_at=started,
            finished_at=started + timedelta(minutes=minutes),
            outcome=outcome,
            epoch=1,
        )
    )


def add_unconfirmed(session: Session, at: datetime, *, reason: str = "signature") -> None:
    session.add(
        UnconfirmedMatchRow(
            log_id=LOG,
            index=next(_fresh),
            issuer_key_sha256=ANCHOR,
            timestamp_ms=milliseconds(at),
            reason=reason,
            blames_log=True,
            leaf=b"",
            extra=b"",
            first_seen=at,
        )
    )


def add_malformed(session: Session, at: datetime, *, reason: str = "entry type 7") -> None:
    session.add(
        MalformedEntryRow(
            log_id=LOG, index=next(_fresh), reason=reason, leaf=b"", extra=b"", first_seen=at
        )
    )


def add_source(session: Session, error: str | None, *, source: str = "ccadb records") -> None:
    session.merge(SourceRow(source=source, last_attempt=AS_OF, last_success=None, last_error=error))
