"""From the DER of a certificate to its facts, whatever is wrong with it.

Identity is the DER and its SHA-256. Every field is read by itself out of exact slices, so that one
broken field hides no other; cryptography reads the whole a second time, and each thing that it
refuses is listed beside what our own reader objects to: two readers that disagree are worth a look.
RFC 5280 4.1 and 4.2; RFC 6962 3.1 for the two kinds.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from operator import attrgetter

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from subca_oversight.evidence import der, extensions, names
from subca_oversight.evidence.der import Malformed
from subca_oversight.evidence.issuance import lower_bound
from subca_oversight.evidence.keys import read_public_key
from subca_oversight.evidence.names import Errors, GeneralNames, storable
from subca_oversight.evidence.precertificate import tbs_without
from subca_oversight.evidence.scts import Sct, read_sct_list
from subca_oversight.evidence.structure import (
    POISON,
    SCT_LIST,
    CertificateStructure,
    slice_certificate,
)
from subca_oversight.model.certificate import (
    CertificateFacts,
    CertificateKind,
    IssuanceEvidence,
    PublicKeyFacts,
)

CT_EXTENSIONS = frozenset({POISON, SCT_LIST})
MAX_FIELD_ERRORS = 50
MAX_REASON = 300
"""Characters of one reason."""

_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_TIME = re.compile(
    rb"(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})?(?:\.\d{1,9})?(Z|[+-]\d{4})?", re.ASCII
)
_DER_TIME_OCTETS = {_UTC_TIME: 13, _GENERALIZED_TIME: 15}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CENTURY_TURN = 50
"""UTCTime years from 50 on are of the 20th century (RFC 5280 4.1.2.5.1)."""

_SECOND_READINGS: tuple[tuple[str, Callable[[x509.Certificate], object]], ...] = (
    ("issuer_name", attrgetter("issuer")),
    ("subject_name", attrgetter("subject")),
    ("signature_algorithm", attrgetter("signature_hash_algorithm")),
    ("extensions", attrgetter("extensions")),
    ("key", lambda certificate: certificate.public_key()),
)


@dataclass(slots=True)
class _Extensions:
    """What was gathered from the extensions, in order of appearance."""

    names: GeneralNames = field(default_factory=GeneralNames)
    has_san: bool = False
    is_ca: bool = False
    policies: list[str] = field(default_factory=list)
    purposes: list[str] | None = None
    crl: GeneralNames = field(default_factory=GeneralNames)
    ocsp: GeneralNames = field(default_factory=GeneralNames)
    ca_issuers: GeneralNames = field(default_factory=GeneralNames)
    scts: list[Sct] = field(default_factory=list)


def parse_certificate(
    octets: bytes,
    *,
    kind: CertificateKind | None = None,
    issuer_key_sha256: str | None = None,
) -> CertificateFacts:
    """The facts of a certificate; never raises, whatever the octets are.

    ``kind`` overrides what the poison extension tells. ``field_errors`` says of each field that
    could not be read, or that one of the two readers refuses, why; ``certificate`` stands for the
    whole.
    """
    sha256 = hashlib.sha256(octets).hexdigest()
    errors: Errors = []
    try:
        structure = slice_certificate(octets)
    except Malformed as malformed:
        return CertificateFacts(
            der=octets,
            sha256=sha256,
            kind=kind if kind is not None else CertificateKind.FINAL,
            issuer_key_sha256=issuer_key_sha256,
            field_errors=(("certificate", str(malformed)),),
        )
    errors.extend(structure.problems)
    read = _read_extensions(structure, errors)
    oids = tuple(extension.oid for extension in structure.extensions)
    if kind is None:
        kind = CertificateKind.PRECERTIFICATE if POISON in oids else CertificateKind.FINAL
    not_before, not_after = _read_validity(structure.validity, errors)
    common_names: tuple[str, ...] = ()
    if structure.subject is not None:
        common_names = names.common_names(structure.subject, errors)
    key = _read_key(structure.spki, errors)
    algorithm = _read_algorithm(structure, errors)
    sct_timestamps = _sct_times(read.scts, errors)
    tbs_without_ct = _tbs_without_ct(structure, errors)
    _read_again(octets, errors)
    return CertificateFacts(
        der=octets,
        sha256=sha256,
        kind=kind,
        spki=structure.spki,
        issuer_key_sha256=issuer_key_sha256,
        serial=structure.serial,
        issuer_name=structure.issuer,
        subject_name=structure.subject,
        not_before=not_before,
        not_after=not_after,
        common_names=common_names,
        dns_names=tuple(read.names.dns),
        ip_addresses=tuple(read.names.ip),
        email_addresses=tuple(read.names.email),
        has_san=read.has_san,
        policy_oids=tuple(read.policies),
        eku_oids=None if read.purposes is None else tuple(read.purposes),
        is_ca=read.is_ca,
        is_self_issued=structure.issuer is not None and structure.issuer == structure.subject,
        key=key,
        signature_algorithm_oid=algorithm,
        extension_oids=oids,
        sct_timestamps=sct_timestamps,
        crl_urls=tuple(read.crl.uri),
        ocsp_urls=tuple(read.ocsp.uri),
        ca_issuer_urls=tuple(read.ca_issuers.uri),
        tbs_without_ct=tbs_without_ct,
        field_errors=_field_errors(errors),
        issued=IssuanceEvidence(lower_bound(kind, not_before, sct_timestamps), None),
    )


def _field_errors(errors: Errors) -> tuple[tuple[str, str], ...]:
    kept = [(name, storable(reason)[:MAX_REASON]) for name, reason in errors[:MAX_FIELD_ERRORS]]
    if len(errors) > MAX_FIELD_ERRORS:
        kept.append(("certificate", f"{len(errors) - MAX_FIELD_ERRORS} more objections"))
    return tuple(kept)


def _read_extensions(structure: CertificateStructure, errors: Errors) -> _Extensions:
    read = _Extensions()
    seen: set[str] = set()
    for extension in structure.extensions:
        if extension.oid in seen:
            errors.append(("extensions", f"{extension.oid} appears more than once"))
        seen.add(extension.oid)
        reader = _READERS.get(extension.oid)
        if reader is None:
            continue
        name, function = reader
        try:
            function(extension.value, read, errors)
        except Malformed as malformed:
            errors.append((name, str(malformed)))
    return read


def _alternative_names(value: bytes, read: _Extensions, errors: Errors) -> None:
    read.has_san = True
    extensions.read_alternative_names(value, read.names, errors)


def _basic_constraints(value: bytes, read: _Extensions, errors: Errors) -> None:
    del errors
    read.is_ca = read.is_ca or extensions.read_is_ca(value)


def _extended_key_usage(value: bytes, read: _Extensions, errors: Errors) -> None:
    del errors
    if read.purposes is None:
        read.purposes = []
    extensions.read_extended_key_usage(value, read.purposes)


_READERS: dict[str, tuple[str, Callable[[bytes, _Extensions, Errors], None]]] = {
    extensions.SUBJECT_ALTERNATIVE_NAME: ("dns_names", _alternative_names),
    extensions.BASIC_CONSTRAINTS: ("is_ca", _basic_constraints),
    extensions.EXTENDED_KEY_USAGE: ("eku_oids", _extended_key_usage),
    extensions.CERTIFICATE_POLICIES: (
        "policy_oids",
        lambda value, read, _: extensions.read_policies(value, read.policies),
    ),
    extensions.CRL_DISTRIBUTION_POINTS: (
        "crl_urls",
        lambda value, read, errors: extensions.read_distribution_points(value, read.crl, errors),
    ),
    extensions.AUTHORITY_INFORMATION_ACCESS: (
        "ocsp_urls",
        lambda value, read, errors: extensions.read_information_access(
            value, read.ocsp, read.ca_issuers, errors
        ),
    ),
    SCT_LIST: ("sct_timestamps", lambda value, read, _: read_sct_list(value, read.scts)),
}


def _read_validity(
    validity: bytes | None, errors: Errors
) -> tuple[datetime | None, datetime | None]:
    if validity is None:
        return None, None
    times: list[datetime | None] = []
    at, end = der.read_only(validity, der.SEQUENCE)
    for name in ("not_before", "not_after"):
        try:
            tag, start, stop = der.read(validity, at, end)
            at = stop
            times.append(_read_time(tag, validity[start:stop], name, errors))
        except (Malformed, ValueError, OverflowError) as error:
            errors.append((name, str(error)))
            times.append(None)
    return times[0], times[1]


def _read_time(tag: int, content: bytes, name: str, errors: Errors) -> datetime:
    """A time in any form that names one instant; forms that are not RFC 5280's are objected to."""
    expected = _DER_TIME_OCTETS.get(tag)
    match = None if expected is None else _TIME.fullmatch(content)
    if match is None:
        raise Malformed(f"tag {tag:02x} with {content[:40]!r} is no time")
    year, month, day, hour, minute, second, zone = match.groups()
    if len(year) != (2 if tag == _UTC_TIME else 4):
        raise Malformed(f"{content[:40]!r} is no time of its type")
    number = int(year)
    if tag == _UTC_TIME:
        number += 1900 if number >= _CENTURY_TURN else 2000
    offset = UTC
    if zone is not None and zone != b"Z":
        minutes = int(zone[1:3]) * 60 + int(zone[3:])
        offset = timezone(timedelta(minutes=-minutes if zone[:1] == b"-" else minutes))
    if len(content) != expected or zone != b"Z":
        errors.append((name, f"{content[:40].decode('latin-1')} is not in the form of RFC 5280"))
    moment = datetime(
        number, int(month), int(day), int(hour), int(minute), int(second or b"0"), tzinfo=offset
    )
    return moment if offset is UTC else moment.astimezone(UTC)


def _read_key(spki: bytes | None, errors: Errors) -> PublicKeyFacts | None:
    if spki is None:
        return None
    try:
        return read_public_key(spki)
    except Malformed as malformed:
        errors.append(("key", str(malformed)))
        return None


def _read_algorithm(structure: CertificateStructure, errors: Errors) -> str | None:
    inner, outer = structure.inner_algorithm, structure.outer_algorithm
    if inner is not None and outer is not None and inner != outer:
        errors.append(("signature_algorithm_oid", "the signed one differs from the one outside"))
    algorithm = inner if inner is not None else outer
    if algorithm is None:
        return None
    try:
        start, end = der.read_only(algorithm, der.SEQUENCE)
        return der.read_oid(algorithm, start, end)
    except Malformed as malformed:
        errors.append(("signature_algorithm_oid", str(malformed)))
        return None


def _sct_times(scts: list[Sct], errors: Errors) -> tuple[datetime, ...]:
    times: list[datetime] = []
    for sct in scts:
        try:
            times.append(_EPOCH + timedelta(milliseconds=sct.timestamp_ms))
        except OverflowError:
            errors.append(("sct_timestamps", f"{sct.timestamp_ms} ms is beyond the year 9999"))
    return tuple(times)


def _tbs_without_ct(structure: CertificateStructure, errors: Errors) -> bytes | None:
    try:
        return tbs_without(structure, CT_EXTENSIONS)
    except Malformed as malformed:
        errors.append(("tbs_without_ct", str(malformed)))
        return None


def _read_again(octets: bytes, errors: Errors) -> None:
    """Add what cryptography refuses, and where it refuses the whole, what of DER is broken."""
    with warnings.catch_warnings():
        # Deprecations of tolerated encodings: judged by linters, not a failure to read.
        warnings.simplefilter("ignore")
        try:
            certificate = x509.load_der_x509_certificate(octets)
        except BaseException as error:  # noqa: BLE001 - see _refusal
            errors.append(("certificate", _refusal(error)))
            violation = der.find_der_violation(octets)
            if violation is not None:
                errors.append(("certificate", f"not DER: {violation}"))
            return
        for name, reading in _SECOND_READINGS:
            try:
                reading(certificate)
            except BaseException as error:  # noqa: BLE001 - see _refusal
                errors.append((name, _refusal(error)))


def _refusal(error: BaseException) -> str:
    """Reason for a refusal, which tells a limit of the library from an objection of it.

    A panic of its Rust side is a BaseException alone.
    """
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        raise error
    unsupported = isinstance(error, (UnsupportedAlgorithm, x509.UnsupportedGeneralNameType))
    verb = "does not support it" if unsupported else "refuses it"
    return f"cryptography {verb}: {type(error).__name__}: {error}"
