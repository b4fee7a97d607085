from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from subca_oversight.errors import ConfigurationError, SourceError, VerificationError
from subca_oversight.http import Client, Limits, Origin, Response
from subca_oversight.model.log import LogApi, LogState
from subca_oversight.sources.list_signature import GOOGLE_LOG_LIST_KEY, verify_log_list
from subca_oversight.sources.log_list import (
    LogList,
    Validators,
    check_supersedes,
    fetch_changed_log_list,
    fetch_log_list,
    parse_log_list,
)
from tests.real_data import REAL_DATA, needs_real_data

LISTS = REAL_DATA / "ct" / "loglists"
NEWEST = LISTS / "google_v3_all_logs_list_2026-08-20_v89.25.json"


def spki_of(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def text_of(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


KEY = spki_of(ec.derive_private_key(5, ec.SECP256R1()).public_key())
ROOT = sha256(b"root").digest()
LOG: dict[str, object] = {
    "description": "Operator 'Log2027'",
    "log_id": text_of(sha256(KEY).digest()),
    "key": text_of(KEY),
    "url": "https://ct.operator.test/2027/",
    "mmd": 86400,
    "state": {"usable": {"timestamp": "2026-01-01T00:00:00Z"}},
    "temporal_interval": {
        "start_inclusive": "2027-01-01T00:00:00Z",
        "end_exclusive": "2027-07-01T00:00:00Z",
    },
}
TILED = {
    **{key: LOG[key] for key in LOG if key != "url"},
    "submission_url": "https://log.operator.test/2027/",
    "monitoring_url": "https://mon.operator.test/2027/",
}


def document(*logs: object, tiled: tuple[object, ...] = ()) -> bytes:
    return json.dumps(
        {
            "version": "1.2",
            "log_list_timestamp": "2026-08-20T13:34:57Z",
            "operators": [{"name": "Operator", "logs": list(logs), "tiled_logs": list(tiled)}],
        }
    ).encode()


def test_a_log_of_either_api_is_read() -> None:
    log_list = parse_log_list(document(LOG))
    assert log_list.version == "1.2"
    assert log_list.timestamp == datetime(2026, 8, 20, 13, 34, 57, tzinfo=UTC)
    assert log_list.problems == ()
    [log] = log_list.logs
    assert (log.api, log.operator, log.key) == (LogApi.RFC6962, "Operator", KEY)
    assert log.submission_url == log.monitoring_url == "https://ct.operator.test/2027/"
    assert (log.state, log.mmd) == (LogState.USABLE, 86400)
    assert log.state_since == datetime(2026, 1, 1, tzinfo=UTC)
    assert log.interval == (datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 7, 1, tzinfo=UTC))
    assert log.is_monitored
    [tiled] = parse_log_list(document(tiled=(TILED,))).logs
    assert (tiled.api, tiled.origin) == (LogApi.STATIC, "log.operator.test/2027")
    assert tiled.monitoring_url == "https://mon.operator.test/2027/"


def test_a_url_without_its_final_slash_gets_one() -> None:
    [log] = parse_log_list(document({**LOG, "url": "http://127.0.0.1:8080/log"})).logs
    assert log.monitoring_url == "http://127.0.0.1:8080/log/"


def test_a_log_without_state_or_description_is_read() -> None:
    bare = {key: LOG[key] for key in ("log_id", "key", "url", "mmd")}
    [log] = parse_log_list(document(bare)).logs
    assert (log.state, log.state_since, log.interval) == (LogState.UNKNOWN, None, None)
    assert log.description == log.submission_url


def test_a_final_tree_head_and_a_time_with_fraction_and_offset_are_read() -> None:
    state = {
        "readonly": {
            "timestamp": "2016-11-30T14:24:18.33+01:00",
            "final_tree_head": {"tree_size": 5, "sha256_root_hash": text_of(ROOT)},
        }
    }
    [log] = parse_log_list(document({**LOG, "state": state})).logs
    assert log.state_since == datetime(2016, 11, 30, 13, 24, 18, 330_000, tzinfo=UTC)
    assert log.final_tree_head is not None
    assert (log.final_tree_head.tree_size, log.final_tree_head.root_hash) == (5, ROOT)


WEAK_RSA = spki_of(rsa.RSAPublicNumbers(65537, 2**1023 + 1).public_key())
P384 = spki_of(ec.derive_private_key(5, ec.SECP384R1()).public_key())


def keyed(key: bytes) -> dict[str, object]:
    return {**LOG, "key": text_of(key), "log_id": text_of(sha256(key).digest())}


def timed(timestamp: object) -> dict[str, object]:
    return {**LOG, "state": {"usable": {"timestamp": timestamp}}}


def ended(head: object) -> dict[str, object]:
    state = {"readonly": {"timestamp": "2026-01-01T00:00:00Z", "final_tree_head": head}}
    return {**LOG, "state": state}


UNUSABLE: list[object] = [
    "a log",
    None,
    {},
    {**LOG, "log_id": text_of(ROOT)},
    {**LOG, "log_id": None},
    {**LOG, "key": "%%%"},
    {**LOG, "key": 5},
    keyed(b""),
    keyed(KEY[:-1]),
    keyed(KEY[:-1] + bytes([KEY[-1] ^ 1])),  # a point off the curve
    keyed(WEAK_RSA),
    keyed(P384),
    {**LOG, "url": None},
    {**LOG, "url": ""},
    {**LOG, "url": "ct.operator.test/2027/"},
    {**LOG, "url": "ftp://ct.operator.test/"},
    {**LOG, "url": "file:///etc/passwd/"},
    {**LOG, "url": "https:///2027/"},
    {**LOG, "url": "https://user@ct.operator.test/"},
    {**LOG, "url": "https://ct.operator.test/?a=b"},
    {**LOG, "url": "https://ct.operator.test/?"},
    {**LOG, "url": "https://ct.operator.test/#f"},
    {**LOG, "url": "https://ct.operator.test:99999/"},
    {**LOG, "url": "https://ct.operator.test:0/"},
    {**LOG, "url": "https://[::1/"},
    {**LOG, "url": "https://ct.operator.test/\nHost: x/"},
    {**LOG, "url": "https://ct.opérator.test/"},
    {**LOG, "url": "https://ct.operator.test/" + "a" * 600},
    {**LOG, "mmd": None},
    {**LOG, "mmd": -1},
    {**LOG, "mmd": True},
    {**LOG, "mmd": "86400"},
    {**LOG, "state": {}},
    {**LOG, "state": "usable"},
    {**LOG, "state": {"usable": {}}},
    {**LOG, "state": {"usable": "2026-01-01T00:00:00Z"}},
    {**LOG, "state": {"unknown": {"timestamp": "2026-01-01T00:00:00Z"}}},
    {**LOG, "state": {"trusted": {"timestamp": "2026-01-01T00:00:00Z"}}},
    {
        **LOG,
        "state": {
            "qualified": {"timestamp": "2026-01-01T00:00:00Z"},
            "usable": {"timestamp": "2026-01-02T00:00:00Z"},
        },
    },
    timed(None),
    timed(5),
    timed("2026-01-01"),
    timed("20260101T000000Z"),
    timed("2026-01-01T00:00:00"),
    timed("2026-01-01 00:00:00Z"),
    timed("2026-02-30T00:00:00Z"),
    timed("2026-01-01T24:61:00Z"),
    timed("0001-01-01T00:00:00+23:59"),
    timed("٢٠٢٦-01-01T00:00:00Z"),
    ended(5),
    ended({"tree_size": 5}),
    ended({"tree_size": -5, "sha256_root_hash": text_of(ROOT)}),
    ended({"tree_size": 5, "sha256_root_hash": text_of(ROOT[:31])}),
    {**LOG, "temporal_interval": []},
    {**LOG, "temporal_interval": {"start_inclusive": "2027-01-01T00:00:00Z"}},
    {
        **LOG,
        "temporal_interval": {
            "start_inclusive": "2027-01-01T00:00:00Z",
            "end_exclusive": "2027-01-01T00:00:00Z",
        },
    },
    {**LOG, "description": 5},
    {**LOG, "log_type": ["test"]},
]


@pytest.mark.parametrize("number", range(len(UNUSABLE)))
def test_an_entry_that_cannot_be_used_is_a_problem_and_hides_no_neighbor(number: int) -> None:
    other = spki_of(ec.derive_private_key(6, ec.SECP256R1()).public_key())
    log_list = parse_log_list(document(UNUSABLE[number], keyed(other)))
    assert [log.key for log in log_list.logs] == [other]
    [problem] = log_list.problems
    assert problem.startswith("Operator")


def test_a_static_log_needs_both_urls_and_a_doubled_log_is_named() -> None:
    for missing in ("submission_url", "monitoring_url"):
        entry = {key: TILED[key] for key in TILED if key != missing}
        log_list = parse_log_list(document(tiled=(entry,)))
        assert log_list.logs == ()
        assert missing in log_list.problems[0]
    log_list = parse_log_list(document(LOG, tiled=(TILED,)))
    assert [log.api for log in log_list.logs] == [LogApi.RFC6962]
    assert "twice" in log_list.problems[0]


@pytest.mark.parametrize("operator", [5, {}, {"name": ""}, {"name": 5}, {"name": "n" * 600}])
def test_an_operator_that_cannot_be_read_is_a_problem(operator: object) -> None:
    log_list = parse_log_list(json.dumps({"operators": [operator]}).encode())
    assert (len(log_list.logs), len(log_list.problems)) == (0, 1)
    named = {"operators": [{"name": "Operator", "logs": {}, "tiled_logs": []}]}
    assert "not a list" in parse_log_list(json.dumps(named).encode()).problems[0]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html></html>",
        b"[]",
        b"{}",
        b'{"operators": {}}',
        b'{"operators": []}',
        b'{"operators": [], "version": 7}',
        b'{"operators": [{"name": "Operator", "logs": []}]}',
        b'{"operators": [], "log_list_timestamp": "yesterday"}',
        b'{"operators": [], "log_list_timestamp": 5}',
        b'{"operators": [NaN]}',
        b"[" * 100_000,
    ],
    ids=lambda content: content[-20:].decode(),
)
def test_what_is_no_list_is_refused(content: bytes) -> None:
    with pytest.raises(SourceError):
        parse_log_list(content)


def test_a_list_without_end_is_refused() -> None:
    with pytest.raises(SourceError, match="bytes"):
        parse_log_list(b" " * (16 * 1024 * 1024 + 1))
    with pytest.raises(SourceError, match="more than"):
        parse_log_list(document(*[{}] * 10_001))


def test_an_odd_version_is_a_problem_only() -> None:
    log_list = parse_log_list(document(LOG).replace(b'"1.2"', b"7"))
    assert (log_list.version, len(log_list.logs), len(log_list.problems)) == (None, 1, 1)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)


@settings(max_examples=200)
@given(st.sampled_from(sorted(LOG)), json_values)
def test_any_value_of_any_field_is_read_or_a_problem(field: str, value: object) -> None:
    log_list = parse_log_list(document({**LOG, field: value}))
    assert len(log_list.logs) + len(log_list.problems) == 1


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_list_or_a_source_error(content: bytes) -> None:
    try:
        log_list = parse_log_list(content)
    except SourceError:
        return
    assert isinstance(log_list, LogList)


# Order


def dated(day: int | None, version: str | None = None) -> LogList:
    timestamp = None if day is None else datetime(2026, 8, day, tzinfo=UTC)
    return LogList(version=version, timestamp=timestamp, logs=(), problems=())


def test_an_older_list_does_not_supersede() -> None:
    check_supersedes(dated(2), dated(1))
    check_supersedes(dated(1, "85.52"), dated(1, "85.52"))
    check_supersedes(dated(1, "85.100"), dated(1, "85.52"))
    check_supersedes(dated(None, "511"), dated(None, "99"))
    check_supersedes(dated(1), dated(None))
    for new, old in (
        (dated(1), dated(2)),
        (dated(None), dated(2)),
        (dated(2, "85.51"), dated(1, "85.52")),
        (dated(None, "99"), dated(None, "511")),
        (dated(2), dated(1, "85.52")),
    ):
        with pytest.raises(SourceError):
            check_supersedes(new, old)


# Fetching


@dataclass
class Shelf(Client):
    """A client that answers from memory."""

    pages: dict[str, bytes]

    async def get(  # type: ignore[override]  # the two arguments that a list needs
        self, url: str, *, limits: Limits, origin: Origin
    ) -> Response:
        assert origin is Origin.OPERATOR
        assert limits.decompressed_bytes < 64 * 1024 * 1024
        if url not in self.pages:
            raise SourceError(f"{url} answered 404", url=url)
        return Response(200, {}, self.pages[url], url)


SIGNER = rsa.generate_private_key(65537, 2048)


def sign(content: bytes) -> bytes:
    return SIGNER.sign(content, padding.PKCS1v15(), SHA256())


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    pem = SIGNER.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    path.write_bytes(pem)
    return path


URL = "https://lists.operator.test/v3/log_list.json"


def test_a_list_is_fetched_with_the_signature_beside_it(key: Path) -> None:
    content = document(LOG)
    client = Shelf({URL: content, URL.replace(".json", ".sig"): sign(content)})
    fetched = asyncio.run(fetch_log_list(client, URL, key))
    assert (fetched.content, fetched.signature) == (content, sign(content))
    assert len(fetched.log_list.logs) == 1


def test_a_list_whose_signature_is_wrong_or_missing_is_not_read(key: Path) -> None:
    content = document(LOG)
    signature_url = URL.replace(".json", ".sig")
    changed = content.replace(b"Log2027", b"Log2028")
    with pytest.raises(VerificationError):
        asyncio.run(fetch_log_list(Shelf({URL: changed, signature_url: sign(content)}), URL, key))
    with pytest.raises(VerificationError):
        asyncio.run(
            fetch_log_list(Shelf({URL: content, signature_url: sign(content)}), URL, "google")
        )
    with pytest.raises(SourceError):
        asyncio.run(fetch_log_list(Shelf({URL: content}), URL, key))


def test_without_a_key_no_signature_is_asked_for() -> None:
    fetched = asyncio.run(fetch_log_list(Shelf({URL: document(LOG)}), URL, None))
    assert fetched.signature is None
    assert len(fetched.log_list.logs) == 1


@pytest.mark.parametrize("signature_name", ["list.sig", "list.json.sig"])
def test_a_list_is_read_from_disk(tmp_path: Path, key: Path, signature_name: str) -> None:
    content = document(LOG)
    path = tmp_path / "list.json"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        asyncio.run(fetch_log_list(Shelf({}), str(path), key))
    (tmp_path / signature_name).write_bytes(sign(content))
    fetched = asyncio.run(fetch_log_list(Shelf({}), str(path), key))
    assert fetched.signature == sign(content)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        asyncio.run(fetch_log_list(Shelf({}), str(tmp_path / "none.json"), None))


@pytest.mark.parametrize("pem", [b"", b"not a key", b"-----BEGIN PUBLIC KEY-----\n"])
def test_a_key_that_is_none_is_a_configuration_error(pem: bytes) -> None:
    with pytest.raises(ConfigurationError):
        verify_log_list(b"", b"", pem)
    ec_key = ec.derive_private_key(5, ec.SECP256R1()).public_key()
    ec_pem = ec_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ConfigurationError, match="not an RSA key"):
        verify_log_list(b"", b"", ec_pem)


@dataclass
class Mirror(Client):
    """A server that holds a list, its signature and validators."""

    content: bytes
    etag: str
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    async def get(  # type: ignore[override]  # limits and origin are always given here
        self,
        url: str,
        *,
        limits: Limits,
        origin: Origin,
        headers: Mapping[str, str] | None = None,
        accept_status: frozenset[int] = frozenset({200}),
    ) -> Response:
        assert origin is Origin.OPERATOR
        assert limits.body_bytes < 64 * 1024 * 1024
        sent = dict(headers or {})
        self.asked.append((url, sent))
        if url.endswith(".sig"):
            return Response(200, {"etag": '"of the signature"'}, sign(self.content), url)
        if sent.get("If-None-Match") == self.etag and 304 in accept_status:
            return Response(304, {}, b"", url)
        return Response(200, {"etag": self.etag}, self.content, url)


def test_a_list_verified_before_is_not_fetched_again_while_unchanged(key: Path) -> None:
    mirror = Mirror(document(LOG), '"one"')
    held = asyncio.run(fetch_log_list(mirror, URL, key)).validators
    assert held == Validators('"one"', None, sha256(key.read_bytes()).hexdigest())
    mirror.asked.clear()
    assert asyncio.run(fetch_changed_log_list(mirror, URL, key, held)) is None
    assert mirror.asked == [(URL, {"If-None-Match": '"one"'})]
    mirror.content, mirror.etag = document(tiled=(TILED,)), '"two"'
    changed = asyncio.run(fetch_changed_log_list(mirror, URL, key, held))
    assert changed is not None
    assert (changed.validators.etag, changed.signature) == ('"two"', sign(mirror.content))


def test_a_list_held_without_the_signature_now_asked_for_is_fetched_and_verified(
    key: Path,
) -> None:
    mirror = Mirror(document(LOG), '"one"')
    held = asyncio.run(fetch_log_list(mirror, URL, None)).validators
    assert held == Validators('"one"', None, None)
    mirror.asked.clear()
    fetched = asyncio.run(fetch_changed_log_list(mirror, URL, key, held))
    assert fetched is not None
    assert fetched.signature == sign(mirror.content)
    assert mirror.asked[0] == (URL, {})
    with pytest.raises(VerificationError):
        asyncio.run(fetch_changed_log_list(mirror, URL, "google", fetched.validators))


@pytest.mark.parametrize("etag", ["", "a\r\nb", "\x7f", "é", "x" * 513])
def test_a_validator_that_is_odd_is_not_sent_back(etag: str) -> None:
    fetched = asyncio.run(fetch_log_list(Mirror(document(LOG), etag), URL, None))
    assert fetched.validators == Validators()


def test_a_file_is_read_whatever_is_held(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_bytes(document(LOG))
    held = Validators('"one"')
    assert asyncio.run(fetch_changed_log_list(Shelf({}), str(path), None, held)) is not None


def test_an_entry_that_cannot_be_used_is_told_by_its_id_where_it_states_one() -> None:
    other = {**keyed(WEAK_RSA)}
    log_list = parse_log_list(document(LOG, other))
    assert log_list.unusable == {sha256(WEAK_RSA).digest()}
    assert log_list.is_whole
    for nameless in ({}, "a log", {**LOG, "log_id": "%"}, {**LOG, "log_id": "AAAA"}):
        log_list = parse_log_list(document(LOG, nameless))
        assert (log_list.unusable, log_list.is_whole) == (frozenset(), False)
    log_list = parse_log_list(document(LOG, LOG))
    assert (log_list.unusable, log_list.is_whole, len(log_list.problems)) == (frozenset(), True, 1)


# Real data


def history() -> list[Path]:
    return sorted((LISTS / "history").glob("*.json"))


@needs_real_data
def test_every_signed_list_verifies_and_is_read_without_a_problem() -> None:
    pem = (LISTS / "google_log_list_pubkey.pem").read_bytes()
    assert b"".join(pem.split()) == b"".join(GOOGLE_LOG_LIST_KEY.split())
    paths = history()
    assert len(paths) == 34
    for path in [*paths, NEWEST, LISTS / "google_v3_log_list_2026-05-29_v85.92.json"]:
        content, signature = path.read_bytes(), path.with_suffix(".sig").read_bytes()
        verify_log_list(content, signature, GOOGLE_LOG_LIST_KEY)
        at = len(content) // 2
        flipped = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        with pytest.raises(VerificationError):
            verify_log_list(flipped, signature, GOOGLE_LOG_LIST_KEY)
        log_list = parse_log_list(content)
        assert log_list.problems == ()
        assert len(log_list.logs) > 40


@needs_real_data
def test_the_history_is_accepted_in_order_of_time_and_refused_when_rolled_back() -> None:
    lists = [parse_log_list(path.read_bytes()) for path in history()]
    times = [log_list.timestamp for log_list in lists if log_list.timestamp is not None]
    assert len(times) == 34
    ordered = [lists[at] for at in sorted(range(34), key=lambda at: times[at])]
    for old, new in pairwise(ordered):
        check_supersedes(new, old)
        with pytest.raises(SourceError, match="older"):
            check_supersedes(old, new)
    refused = 0
    for old, new in pairwise(lists):  # by file name: 85.51 after 85.52
        try:
            check_supersedes(new, old)
        except SourceError:
            refused += 1
            assert (old.version, new.version) == ("85.52", "85.51")
    assert refused == 1


@needs_real_data
def test_the_newest_list_has_the_logs_that_its_json_has() -> None:
    log_list = parse_log_list(NEWEST.read_bytes())
    entries = [
        (entry["log_id"], "static" if kind == "tiled_logs" else "rfc6962")
        for operator in json.loads(NEWEST.read_bytes())["operators"]
        for kind in ("logs", "tiled_logs")
        for entry in operator[kind]
    ]
    assert [(text_of(log.log_id), str(log.api)) for log in log_list.logs] == entries
    assert len(entries) == 117
    assert log_list.version == "89.25"
    monitored = [log for log in log_list.logs if log.is_monitored]
    assert not any(log.log_type == "test" for log in monitored)
    assert sum(log.log_type == "monitoring_only" for log in monitored) > 0
    sectigo = [log for log in log_list.logs if log.final_tree_head is not None]
    sizes = {log.final_tree_head.tree_size for log in sectigo if log.final_tree_head is not None}
    assert sizes >= {57_634_084, 68_732_791} or len(sectigo) == 0


@needs_real_data
def test_placeholders_and_mimics_of_real_lists_are_never_monitored() -> None:
    bogus = [log for log in parse_log_list(NEWEST.read_bytes()).logs if "Bogus" in log.description]
    mimics = parse_log_list((LISTS / "chrome_log_mimics_2026.json").read_bytes()).logs
    assert (len(bogus), len(mimics)) == (2, 2)
    assert all(log.state is LogState.USABLE for log in mimics)
    for log in (*bogus, *mimics):
        assert log.is_placeholder
        assert not log.is_monitored
        assert not replace(log, state=LogState.USABLE).is_monitored


@needs_real_data
@pytest.mark.parametrize(
    ("name", "logs", "problems"),
    [
        ("apple_current_log_list_v511_assetv2-1013.json", None, 0),
        ("bimi_approved_2026-01-29.json", 1, 0),
        ("crtsh_v3_active_2026-08.json", None, 0),
        ("crtsh_v3_all_2026-08.json", None, 0),
        ("google_v3_all_logs_list_2025-12-13_v78.2.json", None, 0),
        ("google_v3_log_list_luct.json", None, 0),
        ("mozilla_known_logs_2026-08-11.json", 0, 48),
    ],
)
def test_the_lists_of_other_makers_are_read(name: str, logs: int | None, problems: int) -> None:
    """Mozilla's names logs without their URLs: nothing there can be polled."""
    content = (LISTS / name).read_bytes()
    log_list = parse_log_list(content)
    expected = sum(
        len(operator.get(kind, []))
        for operator in json.loads(content)["operators"]
        for kind in ("logs", "tiled_logs")
    )
    assert len(log_list.logs) == (expected - problems if logs is None else logs)
    assert len(log_list.problems) == problems


@needs_real_data
def test_a_list_of_version_1_is_refused() -> None:
    """Its operators are no frame of its logs: read as version 3 it would be an empty list."""
    with pytest.raises(SourceError, match="names no log"):
        parse_log_list((LISTS / "google_v1_all_logs_list_2018-03-03.json").read_bytes())
