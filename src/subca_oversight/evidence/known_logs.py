"""The logs in the store as those who verify SCTs need them: keys, and each program's word.

Lists drop a log soon after its end, so the key of every log ever seen is taken from the store,
while what counts for a policy is what the program's list says of the log now
(``reference/ct.md`` 2.4 and 2.6).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from subca_oversight.evidence.harvest.registry import log_of
from subca_oversight.evidence.sct_audit import KnownLog, KnownLogs
from subca_oversight.model.log import Log, LogApi
from subca_oversight.model.sct import LogFacts, LogListing, RootProgram
from subca_oversight.sources.log_list import LogList, parse_log_list
from subca_oversight.store.tables import LogListRow, LogRow


def load_known_logs(session: Session, *, as_of: datetime) -> KnownLogs:
    """Every stored log with what the stored lists say of it now."""
    rows = session.scalars(select(LogRow).order_by(col(LogRow.log_id)))
    lists = [
        parse_log_list(zlib.decompress(row.body))
        for row in session.scalars(select(LogListRow).order_by(col(LogListRow.source)))
    ]
    return know_logs([log_of(row) for row in rows], lists, as_of=as_of)


def know_logs(logs: Iterable[Log], lists: Iterable[LogList], *, as_of: datetime) -> KnownLogs:
    """Logs with what ``lists`` say of them; where there is no list, the logs' own states stand."""
    by_program = _by_program(list(lists))
    known: dict[bytes, KnownLog] = {}
    for log in logs:
        listings = tuple(
            LogListing(program, listed.operator, listed.state, listed.state_since)
            for program in RootProgram
            for listed in (_find_listed(by_program, program, log),)
            if listed is not None
        )
        known[log.log_id] = KnownLog(
            log,
            LogFacts(
                name=log.description,
                is_rfc6962=log.api is LogApi.RFC6962,
                listings=listings,
                interval=log.interval,
                is_test=log.log_type == "test",
            ),
        )
    return KnownLogs(as_of, known)


def _by_program(lists: list[LogList]) -> Mapping[RootProgram, Mapping[bytes, Log]]:
    """Whose word each list is, told by its form.

    Google's states its timestamp, and Mozilla's is derived from it; Apple's states a version alone.
    A program whose own list is not at hand is taken to agree with the other; the lists of monitors
    state no version and are nobody's word.
    """
    google = _merged(one for one in lists if one.timestamp is not None)
    apple = _merged(one for one in lists if one.timestamp is None and one.version is not None)
    if len(google) == 0:
        google = apple
    if len(apple) == 0:
        apple = google
    if len(google) == 0:
        return {}
    return {RootProgram.CHROME: google, RootProgram.MOZILLA: google, RootProgram.APPLE: apple}


def _merged(lists: Iterable[LogList]) -> Mapping[bytes, Log]:
    """The logs of several lists of one program, the latest list first."""
    logs: dict[bytes, Log] = {}
    for one in sorted(lists, key=_age, reverse=True):
        for log in one.logs:
            logs.setdefault(log.log_id, log)
    return logs


def _age(one: LogList) -> tuple[str, str]:
    stated = "" if one.timestamp is None else one.timestamp.isoformat()
    return stated, "" if one.version is None else one.version.zfill(20)


def _find_listed(
    by_program: Mapping[RootProgram, Mapping[bytes, Log]], program: RootProgram, log: Log
) -> Log | None:
    if len(by_program) == 0:
        return log
    return by_program[program].get(log.log_id)
