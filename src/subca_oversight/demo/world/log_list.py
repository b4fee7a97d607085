"""The log list, version 3, as browsers publish it, with a detached RSA signature.

Beside the two logs that are served it names a retired log whose SCTs certificates carry, and a
placeholder; both are at hosts that do not answer, so whoever polls them is found out. Logs live
under .internal, which nobody can register, since lists use the names reserved for examples for logs
that do not exist. The served logs' addresses are known only once a port is, hence the signature is
made when the world is served.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from subca_oversight.demo.world.ct_log import Log
from subca_oversight.demo.world.keys import KeyPair, ec_key, rsa_key
from subca_oversight.demo.world.leaves import RETIREMENT
from subca_oversight.demo.world.order import RETIRED, RFC6962, STATIC
from subca_oversight.demo.world.randomness import Seed

BASE = "http://world.invalid"
"""Stands in the template for the address that the world is served at."""
TEMPLATE = "log_list.template.json"
PUBLIC_KEY = "log_list_key.pem"
PRIVATE_KEY = "log_list_private_key.pem"
_INTERVAL = {"start_inclusive": "2026-01-01T00:00:00Z", "end_exclusive": "2028-01-01T00:00:00Z"}
_USABLE = {"usable": {"timestamp": "2025-11-03T09:00:00Z"}}


def world_logs(seed: Seed) -> dict[str, Log]:
    """All logs whose SCTs certificates carry, by slug."""
    logs = (
        Log(
            RFC6962,
            "Tideline 'Breakwater2026'",
            "Tideline",
            ec_key(seed, "log/rfc6962"),
            "https://ct.tideline.internal/breakwater2026/",
        ),
        Log(
            STATIC,
            "Cairn 'Fell2026'",
            "Cairn Logs",
            ec_key(seed, "log/static"),
            "https://fell2026.cairn.test/",
            is_static=True,
        ),
        Log(
            RETIRED,
            "Oldstone 'Menhir2026'",
            "Oldstone",
            ec_key(seed, "log/retired"),
            "https://ct.oldstone.internal/menhir2026/",
        ),
    )
    return {log.slug: log for log in logs}


def write_log_list(directory: Path, seed: Seed, logs: Mapping[str, Log]) -> None:
    """Write the list's template and the key that signs it."""
    text = json.dumps(_template(seed, logs), indent=2) + "\n"
    (directory / TEMPLATE).write_text(text, encoding="utf-8")
    key = rsa_key(seed, "log-list")
    (directory / PUBLIC_KEY).write_bytes(key.public_pem)
    private = directory / PRIVATE_KEY
    private.touch(mode=0o600)
    private.write_bytes(
        key.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def sign_log_list(directory: Path, base_url: str) -> tuple[bytes, bytes]:
    """The list for a world that is served at ``base_url``, and its signature."""
    content = (directory / TEMPLATE).read_bytes().replace(BASE.encode(), base_url.encode())
    key = serialization.load_pem_private_key((directory / PRIVATE_KEY).read_bytes(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("the log list is signed with RSA")
    return content, key.sign(content, padding.PKCS1v15(), hashes.SHA256())


def _template(seed: Seed, logs: Mapping[str, Log]) -> dict[str, object]:
    placeholder = ec_key(seed, "log/placeholder")
    retired = {"retired": {"timestamp": RETIREMENT.strftime("%Y-%m-%dT%H:%M:%SZ")}}
    rfc6962 = {
        **_identity(logs[RFC6962].description, logs[RFC6962].key),
        "url": f"{BASE}/rfc6962/",
        "mmd": 86400,
        "state": _USABLE,
        "temporal_interval": _INTERVAL,
    }
    static = {
        **_identity(logs[STATIC].description, logs[STATIC].key),
        "submission_url": logs[STATIC].submission_url,
        "monitoring_url": f"{BASE}/static/",
        "mmd": 60,
        "state": _USABLE,
        "temporal_interval": _INTERVAL,
    }
    gone = {
        **_identity(logs[RETIRED].description, logs[RETIRED].key),
        "url": logs[RETIRED].submission_url,
        "mmd": 86400,
        "state": retired,
        "temporal_interval": _INTERVAL,
    }
    bogus = {
        **_identity("Bogus placeholder log to unbreak misbehaving CT libraries", placeholder),
        "url": "https://ct.example.com/bogus/",
        "mmd": 86400,
        "state": {"retired": {"timestamp": "2025-06-21T07:00:00Z"}},
        "temporal_interval": {
            "start_inclusive": "2020-01-01T08:00:00Z",
            "end_exclusive": "2020-01-02T08:00:00Z",
        },
    }
    return {
        "version": "93.6",
        "log_list_timestamp": "2026-09-20T18:00:00Z",
        "operators": [
            _operator(logs[RFC6962].operator, "tideline.internal", [rfc6962], []),
            _operator(logs[STATIC].operator, "cairn.internal", [bogus], [static]),
            _operator(logs[RETIRED].operator, "oldstone.internal", [gone], []),
        ],
    }


def _operator(
    name: str, domain: str, logs: list[dict[str, object]], tiled: list[dict[str, object]]
) -> dict[str, object]:
    return {"name": name, "email": [f"ct@{domain}"], "logs": logs, "tiled_logs": tiled}


def _identity(description: str, key: KeyPair) -> dict[str, object]:
    return {
        "description": description,
        "log_id": b64encode(key.spki_sha256).decode(),
        "key": b64encode(key.spki).decode(),
    }
