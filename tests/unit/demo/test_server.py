"""A served world behaves as its sources do, and keeps what the agent sends it."""

from __future__ import annotations

import gzip
import json
import stat
import threading
import urllib.error
import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from subca_oversight.demo.server import ServedWorld, serve_world
from subca_oversight.demo.world import load_manifest
from subca_oversight.demo.world.site import Answer
from subca_oversight.settings import load_settings
from tests.unit.demo.conftest import Built

STH = "/rfc6962/ct/v1/get-sth"


@pytest.fixture
def served(built: Built) -> Iterator[ServedWorld]:
    with serve_world(built.directory) as world:
        yield world
    (built.directory / "received.jsonl").unlink(missing_ok=True)


def fetch(served: ServedWorld, target: str, body: bytes | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(served.base_url + target, data=body)  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - loopback
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def page(served: ServedWorld, start: int, end: int) -> list[dict[str, str]]:
    status, body = fetch(served, f"/rfc6962/ct/v1/get-entries?start={start}&end={end}")
    assert status == 200
    entries: list[dict[str, str]] = json.loads(body)["entries"]
    return entries


def test_pages_are_short_so_that_the_next_one_is_aligned(served: ServedWorld) -> None:
    assert len(page(served, 0, 999)) == 64
    assert len(page(served, 70, 999)) == 58
    assert len(page(served, 128, 130)) == 3


def test_pages_hold_the_leaves_in_order(served: ServedWorld, built: Built) -> None:
    leaves = [b64decode(entry["leaf_input"]) for entry in page(served, 64, 127)]
    assert leaves == [entry.leaf for entry in built.entries["rfc6962"][64:128]]


@pytest.mark.parametrize(
    "query",
    [
        "get-entries?start=5&end=4",
        "get-entries?start=-1&end=4",
        "get-entries?start=99999&end=100000",
        "get-sth-consistency?first=0&second=5",
        "get-sth-consistency?first=5&second=99999",
        "get-proof-by-hash?hash=AAAA&tree_size=5",
        "get-proof-by-hash?hash=!&tree_size=5",
        "get-entry-and-proof?leaf_index=5&tree_size=5",
    ],
)
def test_a_query_that_makes_no_sense_is_refused(served: ServedWorld, query: str) -> None:
    assert fetch(served, f"/rfc6962/ct/v1/{query}")[0] == 400


@pytest.mark.parametrize(
    "target", ["/", "/nothing", "/ca/../manifest.json", "/log_list_private_key.pem", "//ca"]
)
def test_what_is_not_published_is_not_found(served: ServedWorld, target: str) -> None:
    assert fetch(served, target)[0] == 404


def test_the_stage_can_be_switched_while_serving(served: ServedWorld, built: Built) -> None:
    sizes = built.manifest.logs[0].stages
    assert json.loads(fetch(served, STH)[1])["tree_size"] == sizes[2].size
    assert fetch(served, "/stage", b'{"stage": 1}')[0] == 204
    assert json.loads(fetch(served, STH)[1])["tree_size"] == sizes[1].size
    status, body = fetch(served, f"/rfc6962/ct/v1/get-entries?start={sizes[1].size}&end=9999")
    assert (status, b"need tree size" in body) == (400, True)
    size = int(fetch(served, "/static/checkpoint")[1].split(b"\n")[1])
    assert size == built.manifest.logs[1].stages[1].size
    assert fetch(served, "/stage", b'{"stage": 3}')[0] == 400


def test_the_stage_can_be_chosen_at_the_start(built: Built) -> None:
    with serve_world(built.directory, stage=1) as served:
        head = json.loads(fetch(served, STH)[1])
    assert head["tree_size"] == built.manifest.logs[0].stages[1].size


def test_data_tiles_come_compressed_unasked(served: ServedWorld) -> None:
    with urllib.request.urlopen(f"{served.base_url}/static/tile/data/000") as response:  # noqa: S310
        assert response.headers["Content-Encoding"] == "gzip"
        assert len(gzip.decompress(response.read())) > 100_000


def test_ccadb_leads_to_this_server_unless_asked_for_the_original(served: ServedWorld) -> None:
    records = "/ccadb/AllCertificateRecordsCSVFormatV5"
    local = f"{served.base_url}/crl/harbor-tls-1.crl"
    assert local in fetch(served, records)[1].decode()
    assert fetch(served, local.removeprefix(served.base_url))[0] == 200
    assert f"{served.base_url}/cps/harbor.html" in fetch(served, records)[1].decode()
    original = fetch(served, f"{records}?raw=1")[1].decode()
    assert served.base_url not in original
    assert "http://crl.northgate.example.com/harbor-tls-1.crl" in original


def test_webhooks_are_kept_as_they_came(served: ServedWorld) -> None:
    body = '{"type":"finding.opened","text":"é"}'.encode()
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{served.base_url}/webhook", data=body, headers={"webhook-id": "msg_1"}
    )
    for _ in range(2):
        with urllib.request.urlopen(request) as response:  # noqa: S310 - loopback
            assert response.status == 204
    assert [each.headers["webhook-id"] for each in served.received_webhooks] == ["msg_1", "msg_1"]
    assert served.received_webhooks[0].body == body
    lines = (served.directory / "received.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["body"] for line in lines] == [body.decode()] * 2


def test_an_answer_can_be_spoiled_for_a_while(served: ServedWorld) -> None:
    def busy(target: str, answer: Answer) -> Answer:
        if target != STH:
            return answer
        return Answer(429, b"slow down", headers={"Retry-After": "1"})

    with served.intercept(busy):
        assert fetch(served, STH)[0] == 429
        assert fetch(served, "/ping")[0] == 200
    assert fetch(served, STH)[0] == 200
    assert served.requests == [STH, "/ping", STH]


def test_many_clients_are_served_at_once(served: ServedWorld) -> None:
    results: list[int] = []
    threads = [
        threading.Thread(
            target=lambda start=number: results.append(len(page(served, start * 64, 9999)))
        )
        for number in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [64] * 16


def test_the_configuration_is_accepted_and_private(
    served: ServedWorld, built: Built, tmp_path: Path
) -> None:
    path = served.write_configuration(tmp_path / "state")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    settings = load_settings(path)
    assert settings.agent.state_directory == tmp_path / "state"
    assert [each.name for each in settings.subordinate] == [
        each.name for each in built.manifest.subordinates
    ]
    assert settings.ct.start == "all"
    assert all(each.certificates[0].is_file() for each in settings.subordinate)
    for url in (settings.ct.log_lists[0].source, settings.ccadb.records):
        assert fetch(served, url.removeprefix(served.base_url))[0] == 200
    assert len(settings.ccadb.certificates) >= 5
    for url in settings.ccadb.certificates:
        assert fetch(served, url.removeprefix(served.base_url))[0] == 200


def test_the_port_is_free_again_afterwards(built: Built) -> None:
    with serve_world(built.directory) as first:
        port = int(first.base_url.rsplit(":", 1)[1])
    with serve_world(built.directory, port=port) as second:
        assert second.base_url == first.base_url


def test_the_manifest_is_read_as_it_was_written(built: Built) -> None:
    assert load_manifest(built.directory) == built.manifest
