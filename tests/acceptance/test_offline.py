"""Cut off, behind a proxy, or with a private CA: how networks are where CAs run such an agent."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from tests.acceptance.world import Installation, once

LISTS = ("log-lists", "ccadb")
BEYOND = "192.0.2.10"
"""An address that is nobody's (RFC 5737): only the proxy makes it lead anywhere."""


def _set(installation: Installation, key: str, value: str) -> None:
    """Give a key of the configuration another value; it must be there once."""
    text = installation.configuration.read_text("utf-8")
    changed, count = re.subn(rf"(?m)^{key} = .*$", lambda _: f"{key} = {value}", text)
    assert count == 1
    installation.configuration.write_text(changed, "utf-8")


def _add_http(installation: Installation, line: str) -> None:
    installation.edit("[http]", f"[http]\n{line}")


def _use_files(installation: Installation) -> None:
    """Name files in the place of every URL that is read from."""
    world = installation.world
    for name in ("log_list.json", "log_list.sig"):
        (installation.state / name).write_bytes(world.get(f"/{name}").body)
    _set(installation, "source", f'"{installation.state / "log_list.json"}"')
    _set(installation, "records", f'"{world.directory / "ccadb" / "records.csv"}"')
    text = installation.configuration.read_text("utf-8")
    folder = world.directory / "ccadb"
    text = re.sub(r'"http[^"]*/ccadb/(pems-[^"]*)"', lambda m: f'"{folder / m[1]}"', text)
    installation.configuration.write_text(text, "utf-8")


def test_offline_everything_is_done_that_needs_no_network(fresh: Installation) -> None:
    _use_files(fresh)
    _add_http(fresh, "offline = true")
    answer = fresh.run(*once())
    assert answer.code == 0, answer.err
    assert answer.contacts == ()
    assert fresh.world.received_webhooks == ()
    assert answer.complaints == []
    for job in ("harvest", "deliver"):
        (line,) = (one for one in answer.err.splitlines() if one.startswith(f"{job}: "))
        assert "http.offline is set" in line
    outcomes = {row["job"]: row["outcome"] for row in fresh.status()["jobs"]}
    assert {outcomes.pop("harvest"), outcomes.pop("deliver")} == {"skipped"}
    assert set(outcomes.values()) == {"done"}
    checks = {finding["check"] for finding in fresh.findings()}
    assert {"audit-overdue", "policy-documents-stale", "subordinate-expiring"} <= checks


def test_offline_what_was_read_before_stays_and_notices_wait(toured: Installation) -> None:
    before = toured.findings()
    _use_files(toured)
    _add_http(toured, "offline = true")
    toured.at += timedelta(hours=13)  # past the half of a day's clock
    answer = toured.run(*once(*LISTS, "harvest", "lint", "checks", "clocks", "deliver"))
    assert answer.code == 0, answer.err
    assert answer.contacts == ()
    assert [row["id"] for row in toured.findings()] == [row["id"] for row in before]
    assert toured.status()["notices"]["waiting"] > 0
    toured.edit("offline = true", "offline = false")
    assert toured.jobs("deliver").code == 0
    assert toured.status()["notices"] == {"waiting": 0, "dead": 0}
    assert len(toured.notices()) > 0


def test_offline_an_address_is_refused_in_one_line(fresh: Installation) -> None:
    _add_http(fresh, "offline = true")
    answer = fresh.run(*once(*LISTS))
    assert answer.code == 3
    assert answer.contacts == ()
    assert len(answer.complaints) == len(LISTS)
    for line in answer.complaints:
        assert fresh.world.base_url in line
        assert "http.offline is set" in line


def test_the_network_is_watched(fresh: Installation) -> None:
    """The guard of these tests does see a connection."""
    answer = fresh.run(*once("log-lists"))
    assert answer.code == 0, answer.err
    port = int(fresh.world.base_url.rsplit(":", 1)[1])
    assert f"socket.connect ('127.0.0.1', {port})" in answer.contacts


def test_behind_a_proxy_nothing_else_is_connected(
    install_fresh: Callable[[str], Installation], toured: Installation
) -> None:
    """Names that only the proxy can resolve, and addresses that only it can reach."""
    behind = install_fresh("behind")
    with _serve_proxy(behind.world.base_url) as proxy:
        port = _move_beyond(behind, proxy)
        answer = behind.run(*once(*LISTS, "harvest", "checks", "deliver"))
    assert answer.code == 3, answer.err  # the world's misbehaving entry
    assert len(answer.complaints) == 1, answer.err
    connected = {one for one in answer.contacts if one.startswith("socket.connect")}
    assert connected == {f"socket.connect ('127.0.0.1', {proxy.port})"}
    looked_up = {one for one in answer.contacts if one.startswith("socket.getaddrinfo")}
    assert looked_up <= {"socket.getaddrinfo 127.0.0.1", f"socket.getaddrinfo {BEYOND}"}
    assert set(proxy.asked) == {
        f"CONNECT {host}:{port} HTTP/1.1" for host in (BEYOND, "northgate.example")
    }
    assert behind.units("campus-onprem") == toured.units("campus-onprem")
    assert len(behind.notices()) > 0


def test_a_dead_proxy_is_named(fresh: Installation) -> None:
    with _serve_proxy(fresh.world.base_url) as proxy:
        _move_beyond(fresh, proxy)
    _add_http(fresh, "attempts = 1")
    answer = fresh.run(*once("ccadb"))
    assert answer.code == 3
    assert len(answer.complaints) == 1
    assert f"the proxy 127.0.0.1:{proxy.port} cannot be reached" in answer.complaints[0]


def _move_beyond(installation: Installation, proxy: Proxy) -> int:
    """Let every URL lead to where only the proxy leads; the list of logs becomes a file."""
    world = installation.world
    port = int(world.base_url.rsplit(":", 1)[1])
    log_list = world.get("/log_list.json").body.replace(b"127.0.0.1", BEYOND.encode())
    (installation.state / "log_list.json").write_bytes(log_list)
    _set(installation, "source", f'"{installation.state / "log_list.json"}"')
    text = installation.configuration.read_text("utf-8")
    text = text.replace(world.base_url, f"http://northgate.example:{port}")
    text = text.replace('"127.0.0.0/8"', f'"{BEYOND}/32"')
    text = re.sub(r"(?m)^public_key = .*\n", "", text)
    installation.configuration.write_text(text, "utf-8")
    _add_http(installation, f'proxy = "http://127.0.0.1:{proxy.port}"')
    return port


def test_a_private_ca_is_trusted_where_it_is_named_and_nowhere_else(
    fresh: Installation, tmp_path: Path
) -> None:
    authority, chain = _make_tls_files(tmp_path)
    content = fresh.world.get("/log_list.json").body
    with _serve_tls(content, chain) as port:
        _set(fresh, "source", f'"https://127.0.0.1:{port}/log_list.json"')
        text = fresh.configuration.read_text("utf-8")
        fresh.configuration.write_text(re.sub(r"(?m)^public_key = .*\n", "", text), "utf-8")
        refused = fresh.run(*once("log-lists"))
        assert refused.code == 3
        assert len(refused.complaints) == 1
        assert "its TLS certificate does not verify" in refused.complaints[0]
        _add_http(fresh, f'ca_bundle = "{authority}"')
        accepted = fresh.run(*once("log-lists"))
        assert accepted.code == 0, accepted.err
    assert len(fresh.status()["logs"]) > 0


def test_a_ca_bundle_that_cannot_be_used_is_refused(fresh: Installation) -> None:
    _add_http(fresh, 'ca_bundle = "nowhere.pem"')
    answer = fresh.run(*once("log-lists"))
    assert answer.code == 2
    assert len(answer.complaints) == 1
    assert "http.ca_bundle" in answer.complaints[0]


@dataclass
class Proxy:
    """A proxy for CONNECT, and the request lines that it was given."""

    port: int = 0
    asked: list[str] = field(default_factory=list)


@contextmanager
def _serve_proxy(target: str) -> Iterator[Proxy]:
    """A proxy that leads to ``target``, a URL, whatever it is asked for."""
    there = urlsplit(target)
    proxy = Proxy()
    open_sockets: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        threads.append(thread)
        thread.start()

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while len(piece := source.recv(65_536)) > 0:
                sink.sendall(piece)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def serve(client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            octet = client.recv(1)
            if len(octet) == 0:
                return
            head += octet
        line = head.split(b"\r\n", 1)[0].decode("ascii")
        proxy.asked.append(line)
        server = socket.create_connection((there.hostname, there.port))
        open_sockets.append(server)
        client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        start(pump, server, client)
        pump(client, server)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                open_sockets.append(client)
                start(serve, client)

    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        proxy.port = listener.getsockname()[1]
        start(accept, listener)
        try:
            yield proxy
        finally:
            for one in (listener, *open_sockets):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(10)
            for one in open_sockets:
                one.close()


@contextmanager
def _serve_tls(content: bytes, chain: Path) -> Iterator[int]:
    """Answer every GET with ``content`` over TLS; gives the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - base class
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that does not trust the certificate is what the test is about."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def _make_tls_files(folder: Path) -> tuple[Path, Path]:
    """The certificate of a private CA; and the key and certificate of 127.0.0.1 under it."""
    now = datetime.now(UTC)

    def issue(
        name: str, issuer: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
    ) -> x509.Certificate:
        is_ca = name == issuer
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(authority_key, False)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=not is_ca,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=is_ca,
                    crl_sign=is_ca,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
        )
        if not is_ca:
            names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(signer, hashes.SHA256())

    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority, chain = folder / "authority.pem", folder / "chain.pem"
    authority.write_bytes(
        issue("Private CA", "Private CA", ca_key, ca_key).public_bytes(Encoding.PEM)
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    certificate = issue("127.0.0.1", "Private CA", key, ca_key).public_bytes(Encoding.PEM)
    chain.write_bytes(private + certificate)
    return authority, chain
