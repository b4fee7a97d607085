"""Builds the world into a directory: the same seed gives the same bytes.

What a built directory promises is in its ``manifest.json``; nothing in it depends on the address at
which it is served, nor on the day it is built.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.x509 import load_der_x509_certificate

from subca_oversight.demo.world.authority import Authority
from subca_oversight.demo.world.ccadb import pem_csvs, records_csv
from subca_oversight.demo.world.crl import RevokedSerial, sign_crl
from subca_oversight.demo.world.description import describe_world
from subca_oversight.demo.world.issuance import issue_all
from subca_oversight.demo.world.log_files import write_rfc6962, write_static
from subca_oversight.demo.world.log_list import write_log_list
from subca_oversight.demo.world.manifest import INSTANTS, WorldManifest
from subca_oversight.demo.world.order import RFC6962, STATIC
from subca_oversight.demo.world.pages import DOCUMENTS, render_policy
from subca_oversight.demo.world.population import World, draw_world
from subca_oversight.demo.world.randomness import Seed

_SUPERSEDED = 4
_REVOKED_EVERY = 30


def build_world(directory: Path, *, seed: int = 1) -> WorldManifest:
    """Build the world of ``seed`` into ``directory``, which is made where it does not exist.

    Raises FileExistsError where the directory is not empty.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise FileExistsError(f"{directory}: not empty; a world is built into a folder of its own")
    world = draw_world(Seed(seed))
    issuance = issue_all(world.seed, world.orders, world.deposits, world.logs)
    roots = [root.certificate for root in world.hierarchy.roots]
    entries = issuance.entries
    logs = (
        write_rfc6962(directory / RFC6962, world.logs[RFC6962], entries[RFC6962], roots),
        write_static(directory / STATIC, world.logs[STATIC], entries[STATIC]),
    )
    write_log_list(directory, world.seed, world.logs)
    _write_publications(directory, world)
    _write_revocation_lists(directory, world)
    manifest = describe_world(world, issuance, logs)
    manifest.write(directory)
    return manifest


def _write_publications(directory: Path, world: World) -> None:
    """CCADB's exports, CA certificates, policy pages and the subordinates' PEM files."""
    for folder in ("ccadb", "ca", "cps", "subordinates"):
        (directory / folder).mkdir()
    (directory / "ccadb" / "records.csv").write_bytes(records_csv(world.hierarchy))
    for year, content in pem_csvs(world.hierarchy).items():
        (directory / "ccadb" / f"pems-{year}.csv").write_bytes(content)
    for authority in world.hierarchy:
        (directory / "ca" / f"{authority.slug}.crt").write_bytes(authority.certificate)
    for document in DOCUMENTS:
        (directory / "cps" / f"{document.slug}.html").write_bytes(render_policy(document))
    for registration in world.registrations:
        pem = b"".join(_pem(authority.certificate) for authority in registration.authorities)
        (directory / "subordinates" / f"{registration.name}.pem").write_bytes(pem)


def _write_revocation_lists(directory: Path, world: World) -> None:
    for stage, instant in INSTANTS.items():
        folder = directory / "crl" / str(stage)
        folder.mkdir(parents=True)
        for authority in world.hierarchy:
            (folder / f"{authority.slug}.crl").write_bytes(_crl(world, authority, instant))


def _crl(world: World, authority: Authority, instant: datetime) -> bytes:
    """Its list as it stood at ``instant``: one clean certificate in thirty is superseded."""
    this_update = instant - timedelta(hours=4)
    revoked = [
        RevokedSerial(order.serial, order.submitted + timedelta(days=9), _SUPERSEDED)
        for number, order in enumerate(world.clean)
        if order.issuer.slug == authority.slug and number % _REVOKED_EVERY == 0
    ]
    signs_authorities = authority in world.hierarchy.roots
    return sign_crl(
        authority,
        number=this_update.toordinal(),
        this_update=this_update,
        next_update=this_update + timedelta(days=180 if signs_authorities else 7),
        revoked=[entry for entry in revoked if entry.revoked < this_update],
    )


def _pem(certificate: bytes) -> bytes:
    return load_der_x509_certificate(certificate).public_bytes(serialization.Encoding.PEM)
