"""A small log on loopback, over both APIs, with encoders of its own and faults on demand.

Shares no code with the product: trees are hashed by the recursive definition of RFC 6962 2.1, and
every structure is written from the standards.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from subca_oversight.model.log import Log, LogApi

DAY_MS = 86_400_000


def sha256(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


def vector(octets: bytes, size: int) -> bytes:
    return len(octets).to_bytes(size) + octets


@dataclass(frozen=True)
class Leaf:
    """One entry; ``issuer_key_hash`` makes it a precertificate entry."""

    timestamp: int
    body: bytes
    """The certificate, or the TBSCertificate of a precertificate."""
    issuer_key_hash: bytes | None = None
    precertificate: bytes = b""
    chain: tuple[bytes, ...] = ()
    extensions: bytes = b""

    def signed_entry(self) -> bytes:
        """From the timestamp to the extensions: the same in both APIs."""
        kind = b"\x00\x00" if self.issuer_key_hash is None else b"\x00\x01" + self.issuer_key_hash
        stamp = self.timestamp.to_bytes(8)
        return stamp + kind + vector(self.body, 3) + vector(self.extensions, 2)

    def merkle_leaf(self) -> bytes:
        return b"\x00\x00" + self.signed_entry()

    def extra_data(self) -> bytes:
        chain = vector(b"".join(vector(one, 3) for one in self.chain), 3)
        return chain if self.issuer_key_hash is None else vector(self.precertificate, 3) + chain

    def tile_rest(self) -> bytes:
        fingerprints = vector(b"".join(map(sha256, self.chain)), 2)
        if self.issuer_key_hash is None:
            return fingerprints
        return vector(self.precertificate, 3) + fingerprints


class Tree:
    """RFC 6962 2.1, as written there, with a memory."""

    def __init__(self, leaves: list[bytes]) -> None:
        self._leaf_hashes = [sha256(b"\x00" + leaf) for leaf in leaves]
        self._known: dict[tuple[int, int], bytes] = {}

    def root(self, begin: int, end: int) -> bytes:
        if begin == end:
            return sha256(b"")
        if end - begin == 1:
            return self._leaf_hashes[begin]
        if (begin, end) not in self._known:
            split = begin + self._split(end - begin)
            self._known[begin, end] = sha256(
                b"\x01" + self.root(begin, split) + self.root(split, end)
            )
        return self._known[begin, end]

    def path(self, index: int, begin: int, end: int) -> list[bytes]:
        if end - begin == 1:
            return []
        split = begin + self._split(end - begin)
        if index < split:
            return [*self.path(index, begin, split), self.root(split, end)]
        return [*self.path(index, split, end), self.root(begin, split)]

    def consistency(self, first: int, second: int) -> list[bytes]:
        return self._subproof(first, 0, second, whole=True)

    def _subproof(self, first: int, begin: int, end: int, *, whole: bool) -> list[bytes]:
        if first == end - begin:
            return [] if whole else [self.root(begin, end)]
        split = self._split(end - begin)
        if first <= split:
            return [
                *self._subproof(first, begin, begin + split, whole=whole),
                self.root(begin + split, end),
            ]
        return [
            *self._subproof(first - split, begin + split, end, whole=False),
            self.root(begin, begin + split),
        ]

    @staticmethod
    def _split(width: int) -> int:
        return 1 << (width - 1).bit_length() - 1


Mutation = Callable[[bytes], bytes]
Instead = Callable[[str, asyncio.StreamWriter], Awaitable[bool]]


@dataclass
class FaultyLog:
    """A log that serves what it is told to, right or wrong."""

    leaves: list[Leaf]
    api: LogApi
    name: str = "test"
    max_page: int = 1000
    align: bool = False
    gzip: bool = False
    compressed: bool = False
    """Whether bodies are compressed already."""
    instead: Instead | None = None
    """Asked first; answers in the log's place where it returns True."""
    requests: list[bytes] = field(default_factory=list)
    """Heads of all requests, in order, those answered by ``instead`` included."""
    connections: int = 0
    size: int | None = None
    """Size of the head that is served; all leaves when None."""
    timestamp: int = 1_800_000_000_000
    mutations: dict[str, Mutation] = field(default_factory=dict)
    """By path as asked for (with the query): changes the body served."""
    leaf_mutations: dict[int, Mutation] = field(default_factory=dict)
    """By index: changes the hashed bytes as served, not as signed."""
    rest_mutations: dict[int, Mutation] = field(default_factory=dict)
    """By index: changes extra_data, or what follows the hashed bytes of a TileLeaf."""
    missing: set[str] = field(default_factory=set)
    """Paths that answer 404."""
    statuses: dict[str, int] = field(default_factory=dict)
    full_tiles: set[str] = field(default_factory=set)
    """Data tiles served though they are beyond the head."""
    asked: list[str] = field(default_factory=list)
    port: int = 0
    """Chosen when first served, and kept."""

    def __post_init__(self) -> None:
        secret = int.from_bytes(sha256(self.name.encode())) % (2**255) + 1
        self.key = ec.derive_private_key(secret, ec.SECP256R1())
        self._tree: Tree | None = None

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def grow(self, leaves: list[Leaf], *, minutes: int = 5) -> None:
        self.leaves = [*self.leaves, *leaves]
        self.timestamp += minutes * 60_000
        self._tree = None

    @property
    def head_size(self) -> int:
        return len(self.leaves) if self.size is None else self.size

    @property
    def tree(self) -> Tree:
        if self._tree is None:
            self._tree = Tree([leaf.merkle_leaf() for leaf in self.leaves])
        return self._tree

    @property
    def spki(self) -> bytes:
        return self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def log_id(self) -> bytes:
        return sha256(self.spki)

    def log(self) -> Log:
        return Log(
            log_id=self.log_id,
            key=self.spki,
            description=f"{self.name} {self.api}",
            operator="Test",
            api=self.api,
            submission_url=self.base,
            monitoring_url=self.base,
            mmd=86_400,
        )

    def digitally_signed(self, root: bytes) -> bytes:
        size = self.head_size.to_bytes(8)
        signed = b"\x00\x01" + self.timestamp.to_bytes(8) + size + root
        signature = self.key.sign(signed, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        return b"\x04\x03" + vector(signature, 2)

    def answer(self, target: str) -> tuple[int, bytes]:
        self.asked.append(target)
        if target in self.statuses:
            return self.statuses[target], b"no"
        if target in self.missing:
            return 404, b"not found"
        try:
            body = self._body(target)
        except (KeyError, IndexError, ValueError) as error:
            return 404 if self.api is LogApi.STATIC else 400, str(error).encode()
        mutation = self.mutations.get(target)
        return 200, body if mutation is None else mutation(body)

    def _body(self, target: str) -> bytes:
        if self.api is LogApi.STATIC:
            return self._static(target.lstrip("/"))
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        return json.dumps(self._rfc6962(parts.path.removeprefix("/ct/v1/"), query)).encode()

    # RFC 6962

    def _rfc6962(self, call: str, query: dict[str, str]) -> dict[str, object]:
        def text(octets: bytes) -> str:
            return base64.b64encode(octets).decode()

        if call == "get-sth":
            root = self.tree.root(0, self.head_size)
            return {
                "tree_size": self.head_size,
                "timestamp": self.timestamp,
                "sha256_root_hash": text(root),
                "tree_head_signature": text(self.digitally_signed(root)),
            }
        if call == "get-entries":
            start, end = int(query["start"]), int(query["end"])
            if not 0 <= start <= end or start >= self.head_size:
                raise ValueError(f"need tree size {start + 1} but only got {self.head_size}")
            stop = min(end + 1, self.head_size, start + self.max_page)
            if self.align:
                stop = min(stop, start - start % self.max_page + self.max_page)
            return {
                "entries": [
                    {
                        "leaf_input": text(self.served_leaf(index)),
                        "extra_data": text(self.served_rest(index)),
                    }
                    for index in range(start, stop)
                ]
            }
        if call == "get-entry-and-proof":
            index, size = int(query["leaf_index"]), int(query["tree_size"])
            return {
                "leaf_input": text(self.served_leaf(index)),
                "extra_data": text(self.served_rest(index)),
                "audit_path": [text(node) for node in self.tree.path(index, 0, size)],
            }
        if call == "get-proof-by-hash":
            wanted = base64.b64decode(unquote(query["hash"]))
            size = int(query["tree_size"])
            index = next(i for i in range(size) if self.tree.root(i, i + 1) == wanted)
            path = [text(node) for node in self.tree.path(index, 0, size)]
            return {"leaf_index": index, "audit_path": path}
        if call == "get-sth-consistency":
            first, second = int(query["first"]), int(query["second"])
            if not 0 < first <= second <= len(self.leaves):
                raise ValueError("no such proof")
            return {"consistency": [text(one) for one in self.tree.consistency(first, second)]}
        raise KeyError(call)

    # static-ct-api

    def _static(self, path: str) -> bytes:
        if path == "checkpoint":
            return self.checkpoint()
        if path.startswith("issuer/"):
            return self.issuers()[path.removeprefix("issuer/")]
        _tile, level, *rest = path.split("/")
        width = 256
        if rest[-2:-1] and rest[-2].endswith(".p"):
            width = int(rest[-1])
            rest = [*rest[:-2], rest[-2].removesuffix(".p")]
        number = int("".join(part.removeprefix("x") for part in rest))
        if level == "data":
            end = number * 256 + width
            if end > self.head_size and f"/{path}" not in self.full_tiles:
                raise KeyError(path)
            return b"".join(
                self.served_leaf(index)[2:] + self.served_rest(index)
                for index in range(number * 256, end)
            )
        span = 256 ** int(level)
        if (number * 256 + width) * span > len(self.leaves):
            raise KeyError(path)
        return b"".join(
            self.tree.root(node * span, (node + 1) * span)
            for node in range(number * 256, number * 256 + width)
        )

    def checkpoint(self) -> bytes:
        origin = self.base.partition("://")[2].removesuffix("/")
        root = self.tree.root(0, self.head_size)
        text = f"{origin}\n{self.head_size}\n{base64.b64encode(root).decode()}\n"
        key_id = sha256(origin.encode() + b"\n\x05" + self.log_id)[:4]
        blob = key_id + self.timestamp.to_bytes(8) + self.digitally_signed(root)
        grease = base64.b64encode(b"junk").decode()
        return (
            f"{text}\n— grease.invalid {grease}\n— {origin} {base64.b64encode(blob).decode()}\n"
        ).encode()

    def issuers(self) -> dict[str, bytes]:
        return {sha256(one).hex(): one for leaf in self.leaves for one in leaf.chain}

    def served_leaf(self, index: int) -> bytes:
        mutation = self.leaf_mutations.get(index)
        leaf = self.leaves[index].merkle_leaf()
        return leaf if mutation is None else mutation(leaf)

    def served_rest(self, index: int) -> bytes:
        mutation = self.rest_mutations.get(index)
        leaf = self.leaves[index]
        rest = leaf.tile_rest() if self.api is LogApi.STATIC else leaf.extra_data()
        return rest if mutation is None else mutation(rest)


@asynccontextmanager
async def serving(*logs: FaultyLog) -> AsyncIterator[None]:
    """Serve logs on free ports of loopback; sets their ``port``."""
    servers: list[asyncio.Server] = []
    tasks: set[asyncio.Task[None]] = set()
    for log in logs:
        server = await asyncio.start_server(_connection(log, tasks), "127.0.0.1", log.port)
        log.port = server.sockets[0].getsockname()[1]
        servers.append(server)
    try:
        yield
    finally:
        for server in servers:
            server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _connection(
    log: FaultyLog, tasks: set[asyncio.Task[None]]
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        log.connections += 1
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                target = request.split(b" ", 2)[1].decode("ascii")
                log.requests.append(request)
                if log.instead is not None and await log.instead(target, writer):
                    await writer.drain()
                    continue
                status, body = log.answer(target)
                coding = b""
                if log.gzip and status == 200:
                    body = gzip.compress(body, 1)
                if (log.gzip or log.compressed) and status == 200:
                    coding = b"Content-Encoding: gzip\r\n"
                writer.write(
                    b"HTTP/1.1 %d x\r\n%bContent-Length: %d\r\n\r\n" % (status, coding, len(body))
                    + body
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    return connected


def flip(position: int, bit: int = 0) -> Mutation:
    """One bit of one octet; negative positions count from the end."""

    def mutate(octets: bytes) -> bytes:
        changed = bytearray(octets)
        changed[position] ^= 1 << bit
        return bytes(changed)

    return mutate


def with_leaf_index(leaves: list[Leaf], first: int = 0) -> list[Leaf]:
    """The same leaves with the extension that static logs add."""
    return [
        replace(leaf, extensions=b"\x00\x00\x05" + index.to_bytes(5))
        for index, leaf in enumerate(leaves, first)
    ]
