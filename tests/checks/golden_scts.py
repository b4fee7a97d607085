"""Verdicts on SCTs in golden cases: one short table an SCT, over the logs named in bases.toml."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from subca_oversight.model.log import LogState
from subca_oversight.model.sct import (
    LogFacts,
    LogListing,
    RootProgram,
    SctAudit,
    SctDefect,
    SctStanding,
    SctVerdict,
)

AS_OF = datetime(2026, 7, 1, 12, tzinfo=UTC)
ISSUED = datetime(2026, 6, 1, 0, 30, tzinfo=UTC)


def make_audit(
    scts: list[dict[str, Any]], audit: Mapping[str, Any], logs: Mapping[str, Mapping[str, Any]]
) -> SctAudit:
    """``scts`` of ``log``, ``at``, ``standing``, ``reason``, ``defect``; ``audit`` is the rest."""
    as_of = audit.get("as_of", AS_OF)
    return SctAudit(
        as_of=as_of,
        existed_by=audit.get("existed_by", as_of),
        verdicts=tuple(_verdict(sct, logs) for sct in scts),
        other_versions=audit.get("other_versions", 0),
        problem=audit.get("problem"),
    )


def _verdict(sct: Mapping[str, Any], logs: Mapping[str, Mapping[str, Any]]) -> SctVerdict:
    unknown = set(sct) - {"log", "at", "standing", "reason", "defect"}
    if len(unknown) > 0:
        raise ValueError(f"an SCT with the unknown keys {unknown}")
    standing = SctStanding(sct.get("standing", "valid"))
    is_known = standing is not SctStanding.UNKNOWN_LOG
    return SctVerdict(
        log_id=hashlib.sha256(sct["log"].encode()).hexdigest(),
        timestamp=sct.get("at", ISSUED),
        standing=standing,
        log=_log(sct["log"], logs[sct["log"]]) if is_known else None,
        reason=sct.get("reason", ""),
        defect=SctDefect(sct["defect"]) if "defect" in sct else None,
    )


def _log(name: str, log: Mapping[str, Any]) -> LogFacts:
    unknown = set(log) - {"operator", "state", "since", "static", "programs", "interval", "test"}
    if len(unknown) > 0:
        raise ValueError(f"{name}: unknown keys {unknown}")
    programs = log.get("programs", [program.value for program in RootProgram])
    interval = log.get("interval")
    return LogFacts(
        name=name,
        is_rfc6962=not log.get("static", False),
        listings=tuple(
            LogListing(
                RootProgram(program), log["operator"], LogState(log["state"]), log.get("since")
            )
            for program in programs
        ),
        interval=None if interval is None else (interval[0], interval[1]),
        is_test=log.get("test", False),
    )
