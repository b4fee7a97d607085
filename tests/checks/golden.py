"""Golden cases: facts as TOML, laid over named bases and made into the subjects of checks.

A case names a base and sets what differs. Where octets matter, ``build`` describes a certificate
that is encoded here and parsed by the real parser.
"""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from subca_oversight.check.api import AuditFacts, AuthorityFacts, Subject
from subca_oversight.evidence.issuance import issuance_evidence
from subca_oversight.evidence.x509 import parse_certificate
from subca_oversight.model.certificate import CertificateFacts, CertificateKind, UnitFacts
from tests.checks.golden_scts import make_audit

FOLDER = Path(__file__).parent
Facts = dict[str, Any]

_SUBJECTS: dict[str, type[Subject]] = {
    "certificate": CertificateFacts,
    "unit": UnitFacts,
    "authority": AuthorityFacts,
    "audit": AuditFacts,
}
_GENERATOR = bytes.fromhex(
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)


@dataclass(frozen=True)
class Case:
    """One case of a ``cases.toml``."""

    check: str
    name: str
    kind: str
    """``breach``, ``clean`` or ``trap``."""
    twin: str
    """On a clean case: the breach from which it differs in one respect."""
    facts: Facts
    expect: list[Facts]
    could_not_run: str | None

    @property
    def subject(self) -> Subject:
        return make_subject(self.facts)


def load_cases() -> list[Case]:
    return [
        case
        for path in sorted(FOLDER.glob("*/cases.toml"))
        for case in _read(path.parent.name, tomllib.loads(path.read_text()))
    ]


def _read(check: str, document: Facts) -> list[Case]:
    cases: list[Case] = []
    for raw in document["case"]:
        unknown = set(raw) - {"name", "kind", "twin", "base", "set", "expect", "could_not_run"}
        if len(unknown) > 0:
            raise ValueError(f"{check}: {raw['name']}: unknown keys {unknown}")
        cases.append(
            Case(
                check=check,
                name=raw["name"],
                kind=raw["kind"],
                twin=raw.get("twin", ""),
                facts=overlay(base(raw["base"]), raw.get("set", {})),
                expect=raw.get("expect", []),
                could_not_run=raw.get("could_not_run"),
            )
        )
    return cases


def base(name: str) -> Facts:
    facts: Facts = tomllib.loads((FOLDER / "bases.toml").read_text())[name]
    return overlay(base(facts.pop("base")), facts) if "base" in facts else facts


def overlay(below: Facts, above: Mapping[str, Any]) -> Facts:
    """Lay tables over tables; anything else, lists too, takes the place of what was there."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = (
            overlay(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
        )
    return merged


def count_differences(one: Any, other: Any) -> int:  # noqa: ANN401 - TOML values
    """In how many respects two tables of facts differ; a list of another length is one."""
    if isinstance(one, dict) and isinstance(other, dict):
        return sum(count_differences(one.get(key), other.get(key)) for key in {*one, *other})
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return sum(count_differences(a, b) for a, b in zip(one, other, strict=True))
    return 0 if one == other else 1


def make_subject(facts: Facts) -> Subject:
    kind = _SUBJECTS[facts["subject"]]
    if kind is CertificateFacts:
        return make_certificate(facts)
    if kind is UnitFacts:
        return _make_unit(facts)
    subject: Subject = _make(kind, {k: v for k, v in facts.items() if k != "subject"})
    return subject


def make_certificate(facts: Facts) -> CertificateFacts:
    facts = overlay(base(facts["base"]), facts) if "base" in facts else facts
    extra = {"base", "subject", "build", "rsa", "first_logged", "scts", "audit"}
    plain = {key: value for key, value in facts.items() if key not in extra}
    if "rsa" in facts:
        modulus, exponent = int(facts["rsa"]["modulus"], 16), facts["rsa"]["exponent"]
        plain["spki"] = encode_rsa_key(modulus, exponent).hex()
    if "build" in facts:
        parsed = parse_certificate(
            encode_certificate(facts["build"]), issuer_key_sha256=plain.pop("issuer_key_sha256")
        )
        certificate = dataclasses.replace(parsed, **_converted(CertificateFacts, plain))
    else:
        plain.setdefault("der", "")
        plain.setdefault("sha256", hashlib.sha256(repr(sorted(facts.items())).encode()).hexdigest())
        certificate = _make(CertificateFacts, plain)
    if "scts" in facts:
        audit = make_audit(facts["scts"], facts.get("audit", {}), base("known-logs"))
        certificate = dataclasses.replace(certificate, sct_audit=audit)
    first_logged = facts.get("first_logged")
    return dataclasses.replace(
        certificate,
        issued=issuance_evidence(certificate, None if first_logged == "none" else first_logged),
    )


def _make_unit(facts: Facts) -> UnitFacts:
    first_logged = facts.get("first_logged")
    certificates = [
        make_certificate({**one, "first_logged": first_logged})
        for one in facts.get("certificates", [])
    ]
    certificates.sort(key=lambda certificate: certificate.sha256)
    skipped = {"subject", "certificates"}
    plain = {key: value for key, value in facts.items() if key not in skipped}
    return UnitFacts(
        **_converted(UnitFacts, plain),
        precertificates=tuple(c for c in certificates if c.kind is CertificateKind.PRECERTIFICATE),
        finals=tuple(c for c in certificates if c.kind is CertificateKind.FINAL),
    )


def _make(kind: Any, facts: Facts) -> Any:  # noqa: ANN401 - any dataclass
    return kind(**_converted(kind, facts))


def _converted(kind: Any, facts: Facts) -> Facts:  # noqa: ANN401
    hints = typing.get_type_hints(kind)
    return {name: _convert(hints[name], value) for name, value in facts.items()}


def _convert(hint: Any, value: Any) -> Any:  # noqa: ANN401
    if typing.get_origin(hint) in {types.UnionType, typing.Union}:
        if value == "none":
            return None
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)
        if inner[-1] is Ellipsis:
            return tuple(_convert(inner[0], item) for item in value)
        return tuple(_convert(part, item) for part, item in zip(inner, value, strict=True))
    if hint is CertificateFacts:
        return make_certificate(value)
    if hint is bytes:
        return bytes.fromhex(value)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if dataclasses.is_dataclass(hint):
        return _make(hint, value)
    return value


# Certificates as octets. This encoder shares nothing with the parser that reads them.


def encode_certificate(build: Facts) -> bytes:
    """Encode a certificate of which only the named parts matter.

    ``edit`` is a list of [old, new] in hex, replaced once each in the finished octets; ``tail`` is
    appended.
    """
    not_before: datetime = build.get("not_before", datetime(2026, 6, 1, tzinfo=UTC))
    not_after: datetime = build.get("not_after", datetime(2026, 8, 29, tzinfo=UTC))
    algorithm = tlv(0x30, _oid("1.2.840.10045.4.3.2"))
    tbs = tlv(
        0x30,
        tlv(0xA0, tlv(0x02, b"\x02"))
        + tlv(0x02, bytes.fromhex(build.get("serial", "0123456789abcdef01")))
        + algorithm
        + _name(build.get("issuer", "Example Subordinate CA 1"))
        + tlv(0x30, _time(not_before) + _time(not_after))
        + _name(build.get("subject", "www.example.com"))
        + _p256_key()
        + tlv(0xA3, tlv(0x30, b"".join(map(_extension, build["extensions"])))),
    )
    signature = bytes.fromhex(build.get("signature", "3006020101020101"))
    octets = tlv(0x30, tbs + algorithm + tlv(0x03, b"\x00" + signature))
    for old, new in build.get("edit", []):
        before = bytes.fromhex(old)
        if octets.count(before) != 1:
            raise ValueError(f"{old} occurs {octets.count(before)} times")
        octets = octets.replace(before, bytes.fromhex(new))
    return octets + bytes.fromhex(build.get("tail", ""))


def encode_rsa_key(modulus: int, exponent: int) -> bytes:
    key = tlv(0x30, _integer(modulus) + _integer(exponent))
    algorithm = tlv(0x30, _oid("1.2.840.113549.1.1.1") + tlv(0x05, b""))
    return tlv(0x30, algorithm + tlv(0x03, b"\x00" + key))


def tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _integer(value: int) -> bytes:
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    content = bytearray([40 * first + second])
    for arc in rest:
        groups = [arc & 0x7F]
        while (arc := arc >> 7) > 0:
            groups.append(arc & 0x7F | 0x80)
        content += bytes(reversed(groups))
    return tlv(0x06, bytes(content))


def _name(common_name: str) -> bytes:
    attribute = tlv(0x30, _oid("2.5.4.3") + tlv(0x0C, common_name.encode()))
    return tlv(0x30, tlv(0x31, attribute))


def _time(value: datetime) -> bytes:
    return tlv(0x17, value.astimezone(UTC).strftime("%y%m%d%H%M%SZ").encode())


def _p256_key() -> bytes:
    algorithm = tlv(0x30, _oid("1.2.840.10045.2.1") + _oid("1.2.840.10045.3.1.7"))
    return tlv(0x30, algorithm + tlv(0x03, b"\x00" + _GENERATOR))


def _extension(text: str) -> bytes:
    """One of ``san:NAME,…``, ``aki:HEX``, ``eku:OID``, ``ca``, ``poison``, ``sct:INSTANT,…``."""
    name, _, value = text.partition(":")
    values = value.split(",")
    critical = b""
    if name == "san":
        oid, content = "2.5.29.17", tlv(0x30, b"".join(map(_general_name, values)))
    elif name == "aki":
        oid, content = "2.5.29.35", tlv(0x30, tlv(0x80, bytes.fromhex(value)))
    elif name == "eku":
        oid, content = "2.5.29.37", tlv(0x30, b"".join(map(_oid, values)))
    elif name == "ca":
        oid, content, critical = "2.5.29.19", tlv(0x30, b"\x01\x01\xff"), b"\x01\x01\xff"
    elif name == "poison":
        oid, content, critical = "1.3.6.1.4.1.11129.2.4.3", tlv(0x05, b""), b"\x01\x01\xff"
    elif name == "sct":
        listed = b"".join(
            _sct(datetime.fromisoformat(moment)) for moment in values if len(moment) > 0
        )
        oid = "1.3.6.1.4.1.11129.2.4.2"
        content = tlv(0x04, len(listed).to_bytes(2, "big") + listed)
    else:
        raise ValueError(f"unknown extension {text!r}")
    return tlv(0x30, _oid(oid) + critical + tlv(0x04, content))


def _general_name(name: str) -> bytes:
    try:
        return tlv(0x87, ipaddress.ip_address(name).packed)
    except ValueError:
        return tlv(0x82, name.encode())


def _sct(moment: datetime) -> bytes:
    milliseconds = int(moment.timestamp() * 1000)
    sct = b"\x00" + bytes(32) + milliseconds.to_bytes(8, "big") + b"\x00\x00"
    sct += b"\x04\x03\x00\x08" + bytes.fromhex("3006020101020101")
    return len(sct).to_bytes(2, "big") + sct
