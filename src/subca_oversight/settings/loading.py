"""The settings as a whole: read from the file, with credentials and environment over it."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import (
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from subca_oversight.errors import ConfigurationError
from subca_oversight.settings.sections import (
    AgentSettings,
    AlertsSettings,
    CcadbSettings,
    ChecksSettings,
    CtSettings,
    DaemonSettings,
    DatabaseSettings,
    HttpSettings,
    LintSettings,
    LogListSettings,
    SubordinateSettings,
)

ENVIRONMENT_PREFIX = "SUBCA_"


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    agent: AgentSettings
    database: DatabaseSettings = DatabaseSettings()
    http: HttpSettings = HttpSettings()
    ct: CtSettings = CtSettings()
    ccadb: CcadbSettings = CcadbSettings()
    lint: LintSettings = LintSettings()
    checks: ChecksSettings = ChecksSettings()
    alerts: AlertsSettings = AlertsSettings()
    daemon: DaemonSettings = DaemonSettings()
    subordinate: tuple[SubordinateSettings, ...] = ()

    @model_validator(mode="after")
    def _check_subordinates(self) -> Self:
        seen: set[str] = set()
        for entry in self.subordinate:
            if entry.name in seen:
                raise ValueError(f'two subordinates are named "{entry.name}"')
            seen.add(entry.name)
        return self

    @property
    def database_url(self) -> str:
        """The URL of the database, with the default under the state directory applied."""
        if self.database.url is not None:
            return self.database.url.get_secret_value()
        return f"sqlite:///{self.agent.state_directory.absolute() / 'oversight.db'}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: environment, then systemd or container credentials, then the file."""
        del dotenv_settings, file_secret_settings
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        if credentials is None:
            return (env_settings, init_settings)
        secrets = NestedSecretsSettingsSource(
            settings_cls,  # type: ignore[arg-type]  # accepted, by its own comment
            secrets_dir=credentials,
            secrets_prefix="subca_",
        )
        return (env_settings, secrets, init_settings)


def load_settings(path: Path) -> Settings:
    """Read the configuration file at ``path`` and apply credentials and environment over it.

    Relative paths in the file are resolved against its folder. Raises ConfigurationError with file,
    key and reason when the file is missing, is not TOML, or holds an unknown or unusable key.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        tables = tomllib.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error
    _refuse_exposed_secrets(path, tables)
    try:
        settings = Settings(**tables)
    except ValidationError as error:
        raise ConfigurationError(f"{path}: {_first_reason(error)}") from error
    return _resolve_paths(settings, path.parent)


def _refuse_exposed_secrets(path: Path, tables: Mapping[str, object]) -> None:
    """A secret in a file that others can read is no secret; environment and credentials are."""
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH) == 0:
        return
    alerts = tables.get("alerts")
    if not isinstance(alerts, dict):
        return
    for channel, key in (("smtp", "password"), ("webhook", "secret")):
        table = alerts.get(channel)
        if isinstance(table, dict) and key in table:
            raise ConfigurationError(
                f"{path}: alerts.{channel}.{key}: the file can be read by others; run chmod 600 on"
                f" it, or set SUBCA_ALERTS__{channel.upper()}__{key.upper()} instead"
            )


def _first_reason(error: ValidationError) -> str:
    """The first complaint as ``key: reason``, without the input, which may be a secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        reason = "unknown key"
    return f"{key}: {reason}" if len(key) > 0 else reason


def _resolve_paths(settings: Settings, folder: Path) -> Settings:
    """Make every relative path of the file relative to the file's own folder."""

    def resolved(path: Path) -> Path:
        return path if path.is_absolute() else folder / path

    def resolved_source(source: str) -> str:
        return source if len(source) == 0 or "://" in source else str(resolved(Path(source)))

    def resolved_key(key: str | None) -> str | None:
        return key if key is None or key == "google" else str(resolved(Path(key)))

    return settings.model_copy(
        update={
            "agent": settings.agent.model_copy(
                update={"state_directory": resolved(settings.agent.state_directory)}
            ),
            "http": settings.http.model_copy(
                update={
                    "ca_bundle": None
                    if settings.http.ca_bundle is None
                    else resolved(settings.http.ca_bundle)
                }
            ),
            "ct": settings.ct.model_copy(
                update={
                    "log_lists": tuple(
                        LogListSettings(
                            source=resolved_source(entry.source),
                            public_key=resolved_key(entry.public_key),
                        )
                        for entry in settings.ct.log_lists
                    )
                }
            ),
            "ccadb": settings.ccadb.model_copy(
                update={
                    "records": resolved_source(settings.ccadb.records),
                    "certificates": tuple(map(resolved_source, settings.ccadb.certificates)),
                }
            ),
            "lint": settings.lint.model_copy(
                update={
                    "zlint": settings.lint.zlint
                    if settings.lint.zlint in ("", "auto")
                    else str(resolved(Path(settings.lint.zlint)))
                }
            ),
            "checks": settings.checks.model_copy(
                update={
                    "directory": None
                    if settings.checks.directory is None
                    else resolved(settings.checks.directory)
                }
            ),
            "subordinate": tuple(
                entry.model_copy(
                    update={
                        "certificates": tuple(map(resolved, entry.certificates)),
                        "commitments": None
                        if entry.commitments is None
                        else resolved(entry.commitments),
                    }
                )
                for entry in settings.subordinate
            ),
        }
    )
