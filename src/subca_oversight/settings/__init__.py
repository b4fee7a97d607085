"""Settings: one frozen object, built once from flags, environment, credentials, TOML and defaults.

Built by the command line and handed down; no module reads it as a global. Unknown keys are refused
on every level, because a mistyped key is a promise that nobody keeps. Every key is explained in
``config/oversight.toml``.
"""

from subca_oversight.settings.loading import Settings, load_settings
from subca_oversight.settings.sections import (
    AgentSettings,
    AlertsSettings,
    CanaryName,
    CcadbSettings,
    ChecksSettings,
    CtSettings,
    DaemonSettings,
    DatabaseSettings,
    HttpSettings,
    IPNetwork,
    LintSettings,
    LogListSettings,
    Section,
    Slug,
    SmtpSettings,
    SpkiHash,
    Start,
    SubordinateSettings,
    WebhookSettings,
)

__all__ = [
    "AgentSettings",
    "AlertsSettings",
    "CanaryName",
    "CcadbSettings",
    "ChecksSettings",
    "CtSettings",
    "DaemonSettings",
    "DatabaseSettings",
    "HttpSettings",
    "IPNetwork",
    "LintSettings",
    "LogListSettings",
    "Section",
    "Settings",
    "Slug",
    "SmtpSettings",
    "SpkiHash",
    "Start",
    "SubordinateSettings",
    "WebhookSettings",
    "load_settings",
]
