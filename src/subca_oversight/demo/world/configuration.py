"""The configuration that points the agent at a served world."""

from __future__ import annotations

import json
from pathlib import Path

from subca_oversight.demo.world.log_list import PUBLIC_KEY
from subca_oversight.demo.world.manifest import WorldManifest

_OWNER_ONLY = 0o600


def write_configuration(
    path: Path, directory: Path, manifest: WorldManifest, base_url: str, state_directory: Path
) -> None:
    """Write an ``oversight.toml`` for the world in ``directory`` served at ``base_url``.

    The file holds the webhook's secret, so only its owner may read it.
    """
    years = sorted(directory.glob("ccadb/pems-*.csv"))
    pems = [f"{base_url}/ccadb/{each.name}" for each in years]
    lines = [
        "[agent]",
        _setting("contact", "oversight@northgate.example.com"),
        _setting("organization", "Northgate Trust Services"),
        _setting("state_directory", str(state_directory.absolute())),
        "",
        "[http]",
        'allow_networks = ["127.0.0.0/8"]',
        "",
        "[ct]",
        'start = "all"',
        "partial_tile_seconds = 0",
        "",
        "[[ct.log_lists]]",
        _setting("source", f"{base_url}/log_list.json"),
        _setting("public_key", str((directory / PUBLIC_KEY).absolute())),
        "",
        "[ccadb]",
        _setting("records", f"{base_url}/ccadb/AllCertificateRecordsCSVFormatV5"),
        f"certificates = {_strings(pems)}",
        "",
        # The faults planted are pkilint's: on every machine the same findings, zlint or not.
        "[lint]",
        _setting("zlint", ""),
        "",
        "[alerts.webhook]",
        _setting("url", f"{base_url}/webhook"),
        _setting("secret", manifest.webhook_secret),
        "",
        "[daemon]",
        _setting("listen", "127.0.0.1:0"),
    ]
    for each in manifest.subordinates:
        pem = (directory / "subordinates" / f"{each.name}.pem").absolute()
        lines += [
            "",
            "[[subordinate]]",
            _setting("name", each.name),
            _setting("operator", each.operator),
            _setting("relation", each.relation),
            f"certificates = {_strings([str(pem)])}",
            f"contacts = {_strings([each.contact])}",
        ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=_OWNER_ONLY)
    path.chmod(_OWNER_ONLY)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _setting(key: str, value: str) -> str:
    """A key with a basic string; JSON's escapes are TOML's."""
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"


def _strings(values: list[str]) -> str:
    """An array of basic strings."""
    return json.dumps(values, ensure_ascii=False)
