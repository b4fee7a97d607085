"""The tables of the configuration file: what can be set, and what each value may be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    model_validator,
)

from subca_oversight.model.subordinate import Relation

DEFAULT_STATE_DIRECTORY = Path("/var/lib/subca-oversight")
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_DNS_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z0-9-]{1,63}")
_SPKI_SHA256 = re.compile(r"[0-9a-f]{64}")


def _require_slug(name: str) -> str:
    if _SLUG.fullmatch(name) is None:
        raise ValueError("use lower-case letters, digits and hyphens, at most 64 of them")
    return name


def _require_spki_hash(value: str) -> str:
    lowered = value.lower().replace(":", "")
    if _SPKI_SHA256.fullmatch(lowered) is None:
        raise ValueError("an issuer key is the SHA-256 of its SubjectPublicKeyInfo, 64 hex digits")
    return lowered


def _require_network(value: object) -> IPv4Network | IPv6Network:
    if not isinstance(value, str | IPv4Network | IPv6Network):
        raise ValueError("write a network as text, such as 10.0.0.0/8")  # noqa: TRY004 - pydantic's
    return ip_network(value)


def _require_canary(name: str) -> str:
    lowered = name.lower()
    if _SPKI_SHA256.fullmatch(lowered) is None and _DNS_NAME.fullmatch(lowered) is None:
        raise ValueError("a canary is the SHA-256 of a certificate, 64 hex digits, or a DNS name")
    return lowered


def _read_start(value: object) -> object:
    """A date or an index may come as text, from the environment."""
    if isinstance(value, str) and value not in ("now", "all"):
        if value.isascii() and value.isdecimal():
            return int(value)
        try:
            return date.fromisoformat(value)
        except ValueError:
            value = None
    is_moment = isinstance(value, datetime) or not isinstance(value, str | int | date)
    if is_moment or isinstance(value, bool) or (isinstance(value, int) and value < 0):
        raise ValueError('use "now", "all", a date such as 2026-01-01, or the index of an entry')
    return value


def _without_userinfo(url: str) -> str:
    return re.sub(r"(?<=://)[^/@]+(?=@)", "**********", url)


Slug = Annotated[str, AfterValidator(_require_slug)]
SpkiHash = Annotated[str, AfterValidator(_require_spki_hash)]
CanaryName = Annotated[str, AfterValidator(_require_canary)]
Start = Annotated[
    Literal["now", "all"] | Annotated[int, Field(ge=0)] | date,
    PlainValidator(_read_start, json_schema_input_type=Literal["now", "all"] | int | date),
]
# As a plain union, a refusal would name the union's inner parts and only one of its reasons.
IPNetwork = Annotated[
    IPv4Network | IPv6Network,
    PlainValidator(_require_network, json_schema_input_type=str),
    PlainSerializer(str, return_type=str),
]


class Section(BaseModel):
    """A table of the configuration file: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class AgentSettings(Section):
    """Who runs this program, and where it keeps its state."""

    contact: str = Field(min_length=3)
    """Mail address or URL that log operators can reach; part of the User-Agent."""
    state_directory: Path = DEFAULT_STATE_DIRECTORY
    organization: str = ""
    """Name of the signing CA, printed on reports."""

    @model_validator(mode="after")
    def _check_contact(self) -> Self:
        if "@" not in self.contact and "://" not in self.contact:
            raise ValueError("contact must be a mail address or a URL")
        return self


class DatabaseSettings(Section):
    """Where evidence and findings are kept."""

    url: SecretStr | None = None
    """SQLAlchemy URL; a SQLite file in the state directory when absent."""


class HttpSettings(Section):
    """How the one HTTP client reaches out."""

    proxy: Annotated[str, PlainSerializer(_without_userinfo)] = ""
    """URL; a password in it is left out where settings are shown."""
    ca_bundle: Path | None = None
    allow_networks: tuple[IPNetwork, ...] = ()
    """Networks that URLs out of fetched data may reach though private."""
    offline: bool = False
    """Files in, nothing out: every request is refused before a socket is opened."""
    timeout_seconds: float = Field(default=30.0, gt=0, le=600)
    attempts: int = Field(default=4, ge=1, le=20)

    @model_validator(mode="after")
    def _check_proxy(self) -> Self:
        if len(self.proxy) > 0 and not self.proxy.startswith(("http://", "https://")):
            raise ValueError("proxy must start with http:// or https://")
        return self


class LogListSettings(Section):
    """One Certificate Transparency log list."""

    source: str
    """URL, or a path relative to the configuration file."""
    public_key: str | None = None
    """``google``, or the path of a PEM public key; the list is unsigned when absent."""


class CtSettings(Section):
    """Which logs are read, and from where."""

    log_lists: tuple[LogListSettings, ...] = ()
    start: Start = "now"
    """Where reading of a log begins: at its head, its first entry, a date (UTC) or an index."""
    backfill_seconds: float = Field(default=240.0, ge=1)
    """How long one run of the harvest job reads back history, all logs together, in seconds."""
    canaries: tuple[CanaryName, ...] = ()
    """SHA-256 of certificates that are known to be logged, or DNS names that are logged anew."""
    canary_days: float = Field(default=7.0, gt=0)
    """After how many days a canary that nobody saw is told of."""
    unread_hours: float = Field(default=48.0, gt=0)
    """After how many hours entries that wait to be read are told of."""
    partial_tile_seconds: float = Field(default=300.0, ge=0)
    """How old a partial tile must be before it is fetched, in seconds."""
    page_entries: int = Field(default=1000, ge=1, le=10_000)
    """Entries asked for in one get-entries request, at most."""
    requests_per_second: float = Field(default=20.0, ge=0.05, le=1000)
    """Of each log operator; logs that bear less are found out and asked more slowly."""
    without_keep_alive: tuple[str, ...] = ()
    """Hosts of logs that get a new connection for each request."""


class CcadbSettings(Section):
    """Where the CCADB exports lie."""

    records: str = ""
    """URL or path of the All Certificate Records report."""
    certificates: tuple[str, ...] = ()
    """URLs or paths of the PEM exports; a path may be a folder."""


class LintSettings(Section):
    """Which linters run, and how."""

    workers: int = Field(default=2, ge=1, le=64)
    zlint: str = "auto"
    pkimetal: str = ""
    seconds_per_certificate: float = Field(default=30.0, gt=0)


class ChecksSettings(Section):
    """Checks of the site's own, beside the shipped ones."""

    directory: Path | None = None
    """A folder that only its owner can write; its files are loaded as checks."""


class SmtpSettings(Section):
    """Mail."""

    host: str
    port: int = Field(default=587, ge=1, le=65_535)
    sender: str = Field(alias="from")
    to: tuple[str, ...] = ()
    """Recipients at the signing CA."""
    username: str = ""
    password: SecretStr | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    minimum_severity: Literal["violation", "should", "notice"] = "should"
    notify_contacts: bool = False
    """Whether a subordinate's own contacts receive what concerns it."""


class WebhookSettings(Section):
    """A receiver of signed webhooks (Standard Webhooks 1.0)."""

    url: str
    secret: SecretStr | None = None
    """``whsec_`` and the Base64 of 24 to 64 random bytes; required to send."""
    minimum_severity: Literal["violation", "should", "notice"] = "should"


class AlertsSettings(Section):
    """Where notices go."""

    smtp: SmtpSettings | None = None
    webhook: WebhookSettings | None = None


class DaemonSettings(Section):
    """The long-running service."""

    listen: str = "127.0.0.1:9464"
    ping_url: str = ""
    drain_seconds: float = Field(default=60.0, ge=0)
    intervals: Mapping[str, float] = Field(default_factory=dict)
    """Seconds between two runs of a job, by job name, where the default does not suit."""


class SubordinateSettings(Section):
    """One subordinate CA under oversight."""

    name: Slug
    operator: str = Field(min_length=1)
    relation: Relation
    certificates: tuple[Path, ...] = ()
    issuer_keys: tuple[SpkiHash, ...] = ()
    commitments: Path | None = None
    contacts: tuple[str, ...] = ()
    contract_end: date | None = None
    retired: date | None = None
    """From this day its logs are no longer read for it; all evidence is kept."""

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        if len(self.certificates) == 0 and len(self.issuer_keys) == 0:
            raise ValueError("name at least one of certificates or issuer_keys")
        return self
