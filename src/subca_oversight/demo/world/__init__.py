"""A small CA world with a seed: authorities, certificates, logs, CCADB rows, CRLs and pages.

Its encoders are its own: what they write is read by parsers that share no code with them.
"""

from subca_oversight.demo.world.build import build_world
from subca_oversight.demo.world.manifest import (
    LogStage,
    LogSummary,
    PlantedFault,
    SubordinateSummary,
    UnconfirmedEntry,
    WorldManifest,
    load_manifest,
)

__all__ = [
    "LogStage",
    "LogSummary",
    "PlantedFault",
    "SubordinateSummary",
    "UnconfirmedEntry",
    "WorldManifest",
    "build_world",
    "load_manifest",
]
