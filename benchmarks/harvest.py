"""How many log entries one CPU second reads, verifies, filters and stores.

    python benchmarks/harvest.py [--entries N] [--runs N]

Two ways through the product, for both log interfaces, with one match in a thousand entries:
(A) from compressed bodies in memory to committed rows, and (B) the same over HTTP on loopback. A
CPU second is one of this process and its children; the server that plays the log is another process
and not counted. The entries are real ones where the data folder lies beside the checkout, else made
up in their size. Every body is gzipped, as logs serve them.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Network
from itertools import cycle, islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from subca_oversight.evidence.harvest import harvest_log, sync_logs  # noqa: E402
from subca_oversight.http import Client, Fetcher, Limits, Origin, Response  # noqa: E402
from subca_oversight.http.body import Body  # noqa: E402
from subca_oversight.model.log import LogApi  # noqa: E402
from subca_oversight.settings import CtSettings, HttpSettings  # noqa: E402
from subca_oversight.sources.log_list import LogList  # noqa: E402
from subca_oversight.sources.pacing import Pacer  # noqa: E402
from subca_oversight.store.tables import SightingRow  # noqa: E402
from tests.integration.harvesting import NOW, count, new_database, watch  # noqa: E402
from tests.integration.log_server import FaultyLog, Leaf, serving, with_leaf_index  # noqa: E402
from tests.integration.made_entries import LOGGED, Authority, noise  # noqa: E402
from tests.integration.real_entries import argon, navigli  # noqa: E402
from tests.real_data import REAL_DATA  # noqa: E402

MATCH_EVERY = 1000
TILE, PAGE = 256, 1000
ACME = Authority("Acme CA")
AIMS = {
    ("static", "A"): 40_000,
    ("static", "B"): 20_000,
    ("rfc6962", "A"): 15_000,
    ("rfc6962", "B"): 10_000,
}
MEMORY_AIM = 300


def load(entries: int) -> list[Leaf]:
    """Precertificates and final certificates in equal parts, and the matches among them."""
    if REAL_DATA.is_dir():
        chain = next(leaf.chain for leaf in argon() if len(leaf.chain) > 1)
        precertificates = [replace(leaf, chain=chain) for leaf in navigli()]
        finals = [leaf for leaf in argon() if leaf.issuer_key_hash is None]
        pairs = zip(cycle(precertificates), cycle(finals), strict=False)
        leaves = [leaf for pair in islice(pairs, entries // 2) for leaf in pair]
    else:
        size = 1300
        leaves = [
            replace(leaf, body=(leaf.body * 4)[:size], precertificate=bytes(size + 250))
            for leaf in noise(entries)
        ]
    for index in range(0, entries, MATCH_EVERY):
        leaves[index] = ACME.precertificate(index + 1, LOGGED + index)
    return with_leaf_index(leaves)


class Bodies:
    """Every answer of a log, compressed once, by path."""

    def __init__(self, log: FaultyLog) -> None:
        self.log = log
        size = log.head_size
        if log.api is LogApi.STATIC:
            numbers = range(size // TILE)
            paths = [f"/tile/data/{number:03}" for number in numbers]
            paths += [f"/issuer/{name}" for name in log.issuers()]
            head = "/checkpoint"
        else:
            starts = range(0, size, PAGE)
            paths = [f"/ct/v1/get-entries?start={s}&end={s + PAGE - 1}" for s in starts]
            head = "/ct/v1/get-sth"
        self.by_path: dict[str, bytes] = {}
        for path in (*paths, head):
            status, body = log.answer(path)
            assert status == 200, path
            self.by_path[path] = gzip.compress(body, 6)


class MemoryClient(Client):
    """Answers from memory, through the product's own decompression and caps."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies

    async def get(
        self,
        url: str,
        *,
        limits: Limits = Limits(),  # noqa: B008 - as the client has it
        headers: Mapping[str, str] | None = None,
        origin: Origin = Origin.FETCHED,
        accept_status: frozenset[int] = frozenset({200}),
    ) -> Response:
        """The answer recorded for this path."""
        del headers, origin, accept_status
        compressed = self._bodies.by_path[url.removeprefix(self._bodies.log.base.rstrip("/"))]
        caps = limits.body_bytes, limits.decompressed_bytes
        body = Body("gzip", url=url, wire_cap=caps[0], cap=caps[1])
        body.add(compressed)
        return Response(200, {}, body.finish(), url)


class Recorded(FaultyLog):
    """A log that serves what was compressed beforehand."""

    bodies: Bodies

    def answer(self, target: str) -> tuple[int, bytes]:
        """The answer recorded for this path, compressed."""
        body = self.bodies.by_path.get(target)
        return (404, b"") if body is None else (200, body)


async def serve(api: LogApi, entries: int) -> None:
    """Play the log until standard input closes; the port is printed once it is ready."""
    log = Recorded(load(entries), api, compressed=True)
    async with serving(log):
        source = FaultyLog(log.leaves, api, port=log.port)
        log.bodies = Bodies(source)
        print(log.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def harvest(client: Fetcher, log: FaultyLog, folder: Path) -> float:
    """CPU seconds of one harvest from nothing."""
    database = new_database(folder)
    watch(database, certificates=[ACME.certificate])
    with database.write() as session:
        sync_logs(session, LogList("1", NOW, (log.log(),), ()), NOW)
    settings = CtSettings(start="all", page_entries=PAGE)
    began = cpu_seconds()
    result = await harvest_log(database, client, log.log(), settings=settings, now=lambda: NOW)
    spent = cpu_seconds() - began
    assert result.verified_size == log.head_size
    assert result.matches == count(database, SightingRow) == -(-log.head_size // MATCH_EVERY)
    assert (result.malformed, result.unconfirmed) == (0, 0)
    database.close()
    return spent


def cpu_seconds() -> float:
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def from_memory(api: LogApi, entries: int, runs: int) -> list[float]:
    log = FaultyLog(load(entries), api, port=1)
    bodies = Bodies(log)
    rates = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            spent = asyncio.run(harvest(MemoryClient(bodies), log, Path(folder)))
        rates.append(entries / spent)
    return rates


def over_http(api: LogApi, entries: int, runs: int) -> list[float]:
    arguments = [sys.executable, __file__, "--serve", api.value, "--entries", str(entries)]
    server = subprocess.Popen(  # noqa: S603 - this very file
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    log = FaultyLog([], api, port=int(server.stdout.readline()), size=entries)
    try:
        return [entries / asyncio.run(harvest_over_http(log)) for _ in range(runs)]
    finally:
        server.communicate()


async def harvest_over_http(log: FaultyLog) -> float:
    http = HttpSettings(allow_networks=(IPv4Network("127.0.0.0/8"),))
    with tempfile.TemporaryDirectory() as folder:
        async with Client(http, contact="bench@example.org") as client:
            # As the product does: paced, though a log that answers well is never waited for.
            return await harvest(Pacer().client(client, log.log()), log, Path(folder))


def measure(api: LogApi, way: str, entries: int, runs: int) -> None:
    """Print one line: the caller starts a process for each, so that memory is each one's own."""
    rates = (from_memory if way == "A" else over_http)(api, entries, runs)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    aim = AIMS[api.value, way]
    # In (A) the process holds the whole log, so its memory says nothing of the product's.
    shown = f"{memory:6.0f} MB" if way == "B" else "        -"
    print(
        f"{api.value:8} {way}  {min(rates):9,.0f} {statistics.median(rates):9,.0f}"
        f" {max(rates):9,.0f}   aim {aim:6,}   {shown}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--entries", type=int, default=64_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--serve", choices=list(LogApi))
    parser.add_argument("--measure", nargs=2, metavar=("API", "WAY"))
    options = parser.parse_args()
    entries = options.entries - options.entries % (TILE * PAGE // 8)
    if options.serve is not None:
        asyncio.run(serve(LogApi(options.serve), entries))
    elif options.measure is not None:
        api, way = options.measure
        measure(LogApi(api), way, entries, options.runs)
    else:
        kind = "real" if REAL_DATA.is_dir() else "made-up"
        print(f"{entries:,} {kind} entries, {options.runs} runs; entries per CPU second")
        print("log      way      least    median      most                 peak memory")
        for api in (LogApi.STATIC, LogApi.RFC6962):
            for way in ("A", "B"):
                arguments = [sys.executable, __file__, "--measure", api.value, way]
                arguments += ["--entries", str(entries), "--runs", str(options.runs)]
                subprocess.run(arguments, check=True)  # noqa: S603 - this very file


if __name__ == "__main__":
    main()
