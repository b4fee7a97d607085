from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.errors import EvidenceError, SourceError, VerificationError
from subca_oversight.evidence.merkle import EMPTY_ROOT
from subca_oversight.evidence.signatures import (
    Checkpoint,
    parse_checkpoint,
    parse_tree_head,
    verify_checkpoint,
    verify_log_list,
    verify_tree_head,
)
from subca_oversight.model.log import Log, LogApi, LogState, TreeHead
from subca_oversight.sources.log_list import parse_log_list
from tests.real_data import REAL_DATA, needs_real_data

CT = REAL_DATA / "ct"
EC_KEY = ec.derive_private_key(0x5EED, ec.SECP256R1())
ROOT = sha256(b"a root").digest()
SIZE, TIMESTAMP = 820_495_916, 1_767_225_600_123


def octets(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def text_of(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def flips(octets: bytes) -> Iterable[bytes]:
    for bit in range(len(octets) * 8):
        changed = bytearray(octets)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def log_of(spki: bytes, url: str = "https://log.operator.test/2027/") -> Log:
    return Log(
        log_id=sha256(spki).digest(),
        key=spki,
        description="Operator 'Log2027'",
        operator="Operator",
        api=LogApi.STATIC,
        submission_url=url,
        monitoring_url=url,
        mmd=60,
        state=LogState.USABLE,
    )


def spki_of(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


LOG = log_of(spki_of(EC_KEY.public_key()))


def signed_bytes(timestamp: int, size: int, root: bytes) -> bytes:
    return b"\x00\x01" + timestamp.to_bytes(8) + size.to_bytes(8) + root


def digitally_signed(algorithm: int, signature: bytes) -> bytes:
    return bytes([4, algorithm]) + len(signature).to_bytes(2) + signature


def ec_signature(timestamp: int = TIMESTAMP, size: int = SIZE, root: bytes = ROOT) -> bytes:
    signed = signed_bytes(timestamp, size, root)
    return digitally_signed(
        3, EC_KEY.sign(signed, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    )


def head_of(log: Log, signature: bytes) -> TreeHead:
    return TreeHead(log.log_id, SIZE, TIMESTAMP, ROOT, signature, raw=b"")


def key_id(name: str, log: Log) -> bytes:
    return sha256(name.encode() + b"\n\x05" + log.log_id).digest()[:4]


def signature_line(timestamp: int = TIMESTAMP, *, name: str = LOG.origin) -> str:
    body = key_id(name, LOG) + timestamp.to_bytes(8) + ec_signature(timestamp)
    return f"— {name} {text_of(body)}\n"


def note(*lines: str, origin: str = LOG.origin, size: str = str(SIZE)) -> bytes:
    return f"{origin}\n{size}\n{text_of(ROOT)}\n\n{''.join(lines)}".encode()


@cache
def known_logs() -> tuple[Log, ...]:
    logs: dict[bytes, Log] = {}
    for name in (
        "google_v3_all_logs_list_2025-12-13_v78.2.json",
        "apple_current_log_list_v511_assetv2-1013.json",
        "crtsh_v3_all_2026-08.json",
        "google_v3_all_logs_list_2026-08-20_v89.25.json",
    ):
        for log in parse_log_list((CT / "loglists" / name).read_bytes()).logs:
            logs.setdefault(log.log_id, log)
    return tuple(logs.values())


def known_log(description: str) -> Log:
    [log] = [log for log in known_logs() if description in log.description]
    return log


def signers(raw: bytes) -> list[Log]:
    """Every known log whose key verifies the head."""
    found = []
    for log in known_logs():
        try:
            verify_tree_head(log, parse_tree_head(raw, log))
        except VerificationError:
            continue
        found.append(log)
    return found


# Tree heads


def test_a_head_signed_with_ecdsa_or_rsa_verifies() -> None:
    verify_tree_head(LOG, head_of(LOG, ec_signature()))
    key = rsa.generate_private_key(65537, 2048)
    log = log_of(spki_of(key.public_key()))
    signed = signed_bytes(TIMESTAMP, SIZE, ROOT)
    signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    verify_tree_head(log, head_of(log, digitally_signed(1, signature)))
    with pytest.raises(VerificationError, match="algorithm"):
        verify_tree_head(log, head_of(log, digitally_signed(3, signature)))
    with pytest.raises(VerificationError, match="does not verify"):
        verify_tree_head(log, head_of(log, digitally_signed(1, signature[:-1] + b"\x00")))


def test_a_head_of_another_log_is_refused() -> None:
    other = log_of(spki_of(ec.derive_private_key(7, ec.SECP256R1()).public_key()))
    with pytest.raises(VerificationError, match="another log"):
        verify_tree_head(other, head_of(LOG, ec_signature()))
    with pytest.raises(VerificationError, match="does not verify"):
        verify_tree_head(other, head_of(other, ec_signature()))


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"\x30\x00",
        Ed25519PublicKey.from_public_bytes(b"\x01" * 32).public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        ),
    ],
)
def test_a_log_with_an_unusable_key_verifies_nothing(key: bytes) -> None:
    log = log_of(key)
    with pytest.raises(VerificationError, match="key"):
        verify_tree_head(log, head_of(log, ec_signature()))


def test_a_head_of_another_shape_is_refused() -> None:
    head = head_of(LOG, ec_signature())
    for change in (
        replace(head, signature=b""),
        replace(head, signature=head.signature[:3]),
        replace(head, signature=head.signature[:-1]),
        replace(head, signature=head.signature + b"\x00"),
        replace(head, root_hash=head.root_hash[:31]),
        replace(head, root_hash=head.root_hash + b"\x00"),
        replace(head, tree_size=-1),
        replace(head, tree_size=2**64),
        replace(head, timestamp_ms=2**64 + TIMESTAMP),
        replace(head, timestamp_ms=SIZE, tree_size=TIMESTAMP),
    ):
        with pytest.raises(VerificationError):
            verify_tree_head(LOG, change)


GOOD = {
    "tree_size": SIZE,
    "timestamp": TIMESTAMP,
    "sha256_root_hash": text_of(ROOT),
    "tree_head_signature": text_of(ec_signature()),
}


def test_a_get_sth_answer_is_read_and_kept_as_served() -> None:
    raw = json.dumps({**GOOD, "an_unknown_key": []}).encode()
    head = parse_tree_head(raw, LOG)
    verify_tree_head(LOG, head)
    assert (head.tree_size, head.timestamp_ms, head.root_hash) == (SIZE, TIMESTAMP, ROOT)
    assert head.raw == raw


NO_TREE_HEADS = [
    b"",
    b"<html><title>502 Bad Gateway</title></html>",
    b"[]",
    b"null",
    b"\xff",
    b"[" * 5000,
    b" " * 100_000 + json.dumps(GOOD).encode(),
    *(
        json.dumps({**GOOD, **change}).encode()
        for change in (
            {"tree_size": -1},
            {"tree_size": True},
            {"tree_size": 1.0},
            {"tree_size": "1"},
            {"tree_size": 2**63},
            {"tree_size": 2**70},
            {"timestamp": None},
            {"timestamp": 2**64},
            {"sha256_root_hash": text_of(ROOT[:31])},
            {"sha256_root_hash": text_of(ROOT).rstrip("=")},
            {"sha256_root_hash": text_of(ROOT)[:-2] + "F="},
            {"sha256_root_hash": text_of(ROOT) + "\n"},
            {"sha256_root_hash": "ü" * 44},
            {"sha256_root_hash": 5},
            {"tree_head_signature": "-_-_"},
            {"tree_head_signature": None},
        )
    ),
    *(json.dumps({key: GOOD[key] for key in GOOD if key != missing}).encode() for missing in GOOD),
]


@pytest.mark.parametrize("number", range(len(NO_TREE_HEADS)))
def test_an_answer_that_is_no_tree_head_is_the_sources_failure(number: int) -> None:
    with pytest.raises(SourceError):
        parse_tree_head(NO_TREE_HEADS[number], LOG)


@needs_real_data
def test_one_bit_changed_anywhere_in_a_real_head_is_noticed() -> None:
    raw = (CT / "sth" / "argon2020" / "get-sth.json").read_bytes()
    log = known_log("Google 'Argon2020'")
    head = parse_tree_head(raw, log)
    verify_tree_head(log, head)
    changes = [
        *(replace(head, signature=changed) for changed in flips(head.signature)),
        *(replace(head, root_hash=changed) for changed in flips(head.root_hash)),
        *(replace(head, tree_size=head.tree_size ^ 1 << bit) for bit in range(64)),
        *(replace(head, timestamp_ms=head.timestamp_ms ^ 1 << bit) for bit in range(64)),
    ]
    assert len(changes) == 8 * len(head.signature) + 256 + 128
    for change in changes:
        with pytest.raises(VerificationError):
            verify_tree_head(log, change)
    for changed in flips(raw):
        with pytest.raises((SourceError, VerificationError)):
            verify_tree_head(log, parse_tree_head(changed, log))


@needs_real_data
@pytest.mark.parametrize(
    ("path", "description"),
    [
        ("argon2020/get-sth.json", "Argon2020"),
        ("argon2025h1/get-sth_1425614114.json", "Argon2025h1"),
        ("argon2025h1/get-sth_1425633154.json", "Argon2025h1"),
        ("yeti2022_incident/get-sth_65551225.json", "Yeti2022 Log"),
        ("yeti2022_incident/get-sth_65569149.json", "Yeti2022 Log"),
    ],
)
def test_a_real_head_is_signed_by_its_log_and_no_other(path: str, description: str) -> None:
    [signer] = signers((CT / "sth" / path).read_bytes())
    assert description in signer.description


@needs_real_data
def test_the_assorted_real_heads_verify_except_the_one_of_an_unknown_log() -> None:
    heads = json.loads((CT / "sth" / "misc_real_sths.json").read_bytes())
    verdicts = []
    for head in heads:
        raw = json.dumps(head).encode()
        signer_keys = {log.key for log in signers(raw)}
        stated = {octets(entry["key"]) for entry in head["verified_with"]}
        for key in stated:
            log = log_of(key)
            verify_tree_head(log, parse_tree_head(raw, log))
        assert signer_keys <= stated
        verdicts.append(len(stated) > 0)
    assert verdicts.count(True) == 6
    assert verdicts.count(False) == 1


@needs_real_data
def test_the_final_head_of_a_frozen_log_is_the_one_that_its_list_states() -> None:
    aviator = json.loads((CT / "sth" / "aviator_final_tree_head.json").read_bytes())
    log = log_of(octets(aviator["key"]))
    assert log.log_id == octets(aviator["log_id"])
    head = parse_tree_head(json.dumps(aviator["final_sth"]).encode(), log)
    verify_tree_head(log, head)
    stated = aviator["state"]["readonly"]["final_tree_head"]
    assert head.tree_size == stated["tree_size"]
    assert head.root_hash == octets(stated["sha256_root_hash"])


@needs_real_data
def test_the_incident_head_is_signed_although_its_entries_hash_to_another_root() -> None:
    folder = CT / "sth" / "yeti2022_incident"
    observation = json.loads((folder / "monitor_observation.json").read_bytes())
    served = octets(observation["root_computed_from_served_entries_at_65569149"])
    raw = (folder / "get-sth_65569149.json").read_bytes()
    [log] = signers(raw)
    head = parse_tree_head(raw, log)
    assert head.root_hash != served
    with pytest.raises(VerificationError):
        verify_tree_head(log, replace(head, root_hash=served))


# Checkpoints


def test_a_checkpoint_is_verified_and_carries_the_signed_time() -> None:
    raw = note(signature_line())
    head = verify_checkpoint(LOG, raw)
    assert (head.tree_size, head.timestamp_ms, head.root_hash) == (SIZE, TIMESTAMP, ROOT)
    assert head.raw == raw
    assert head.log_id == LOG.log_id


def test_signatures_of_others_and_junk_are_ignored_in_any_number_and_order() -> None:
    junk = [
        "— grease.invalid DLzQSDHFSzQAoz8n\n",
        f"— {LOG.origin} {text_of(b'abc')}\n",
        f"— {LOG.origin} {text_of(b'abcd')}\n",
        f"— {LOG.origin} {text_of(b'another key')}\n",
        f"— witness.test/w1 {text_of(key_id(LOG.origin, LOG) + bytes(72))}\n",
    ] * 4
    assert verify_checkpoint(LOG, note(*junk, signature_line(), *junk)).tree_size == SIZE
    with pytest.raises(VerificationError, match="not signed by the log"):
        verify_checkpoint(LOG, note(*junk))


def test_the_newest_of_several_signatures_gives_the_time_and_all_must_verify() -> None:
    lines = [signature_line(TIMESTAMP + later) for later in (0, 2, 1)]
    assert verify_checkpoint(LOG, note(*lines)).timestamp_ms == TIMESTAMP + 2
    forged = f"— {LOG.origin} {text_of(key_id(LOG.origin, LOG) + bytes(8) + ec_signature())}\n"
    with pytest.raises(VerificationError, match="does not verify"):
        verify_checkpoint(LOG, note(*lines, forged))
    truncated = f"— {LOG.origin} {text_of(key_id(LOG.origin, LOG) + bytes(7))}\n"
    with pytest.raises(VerificationError, match="truncated"):
        verify_checkpoint(LOG, note(truncated))


def test_a_signature_under_another_name_or_origin_is_not_the_logs() -> None:
    renamed = note(signature_line(name="log.operator.test/2028"))
    with pytest.raises(VerificationError, match="not signed by the log"):
        verify_checkpoint(LOG, renamed)
    moved = note(signature_line(), origin="log.operator.test/2028")
    with pytest.raises(VerificationError, match="origin"):
        verify_checkpoint(LOG, moved)


def test_extension_lines_are_read_but_not_believed() -> None:
    raw = note(signature_line()).replace(b"\n\n", b"\nextension 1\nextension 2\n\n")
    assert parse_checkpoint(raw).extensions == ("extension 1", "extension 2")
    with pytest.raises(VerificationError, match="extension lines"):
        verify_checkpoint(LOG, raw)


@pytest.mark.parametrize("size", ["0", "1", str(2**63 - 1)])
def test_a_size_is_a_plain_decimal_number(size: str) -> None:
    assert parse_checkpoint(note(signature_line(), size=size)).tree_size == int(size)


@pytest.mark.parametrize(
    "size",
    ["", "-1", "+1", "01", "00", " 1", "1 ", "1_0", "0x1", "1.0", "1e3", "٣", "²", str(2**63)],
)
def test_any_other_size_is_refused(size: str) -> None:
    with pytest.raises(SourceError):
        parse_checkpoint(note(signature_line(), size=size))


LINE = signature_line()
TEXT = f"{LOG.origin}\n{SIZE}\n{text_of(ROOT)}\n"


NO_NOTES = [
    "",
    "\n",
    "\n\n",
    "<html></html>",
    TEXT,
    TEXT + "\n",
    TEXT + LINE,
    TEXT + "\n" + LINE.rstrip("\n"),
    TEXT + "\n" + LINE + "\n",
    TEXT + "\n" + LINE + "junk\n",
    TEXT + "\n\n" + LINE,
    "\n" + TEXT + "\n" + LINE,
    f"{LOG.origin}\n{SIZE}\n\n" + LINE,
    f"\n{SIZE}\n{text_of(ROOT)}\n\n" + LINE,
    TEXT.replace("\n", "\r\n") + "\n" + LINE,
    TEXT + "\n" + LINE.replace("— ", "- "),
    TEXT + "\n" + LINE.replace("— ", "—"),
    TEXT + "\n" + LINE.replace("— ", "—  "),
    TEXT + "\n" + LINE.replace(LOG.origin, ""),
    TEXT + "\n" + LINE.replace(LOG.origin, "a+b"),
    TEXT + "\n" + LINE.replace(LOG.origin, "a\u2003b"),
    TEXT + "\n" + LINE.rstrip("\n") + " \n",
    TEXT + "\n" + LINE.rstrip("\n") + "=\n",
    TEXT + "\n" + LINE.rstrip("\n") + " trailing\n",
    TEXT + "\n" + f"— {LOG.origin}\n",
    TEXT + "\n" + f"— {LOG.origin} \n",
    TEXT.replace(str(SIZE), "9" * 5000) + "\n" + LINE,
    TEXT + "\n" + f"— {LOG.origin} YWJjZGVm!\n",
    TEXT + "\n" + LINE * 200,
    TEXT + "\n" + LINE + " " * 2_000_000,
    TEXT.replace(text_of(ROOT), text_of(ROOT[:31])) + "\n" + LINE,
    TEXT.replace(text_of(ROOT), text_of(ROOT + b"\x00")) + "\n" + LINE,
    TEXT.replace(text_of(ROOT), text_of(ROOT).rstrip("=")) + "\n" + LINE,
    TEXT.replace(text_of(ROOT), ROOT.hex()) + "\n" + LINE,
    TEXT.replace(LOG.origin, LOG.origin + "\x00") + "\n" + LINE,
    TEXT.replace(LOG.origin, LOG.origin + "\t") + "\n" + LINE,
]


@pytest.mark.parametrize("number", range(len(NO_NOTES)))
def test_a_note_in_any_other_form_is_refused(number: int) -> None:
    with pytest.raises(SourceError):
        parse_checkpoint(NO_NOTES[number].encode())


def test_a_note_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(SourceError, match="UTF-8"):
        parse_checkpoint(note(LINE) + b"\xff")


def written(checkpoint: Checkpoint) -> bytes:
    lines = [checkpoint.origin, str(checkpoint.tree_size), text_of(checkpoint.root_hash)]
    lines += [*checkpoint.extensions, ""]
    lines += [f"— {s.name} {text_of(s.key_id + s.body)}" for s in checkpoint.signatures]
    return "".join(f"{line}\n" for line in lines).encode()


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_any_bytes_are_a_checkpoint_or_a_source_error(raw: bytes) -> None:
    is_read_whole_or_refused(raw)


@given(
    st.lists(st.text(st.sampled_from("— \n+a0=/AB9\u2028é"), max_size=9), max_size=6),
    st.lists(st.binary(min_size=1, max_size=80), max_size=20),
)
def test_what_is_read_writes_back_to_the_same_bytes(lines: list[str], bodies: list[bytes]) -> None:
    signatures = [f"— name{at} {text_of(body)}\n" for at, body in enumerate(bodies)]
    is_read_whole_or_refused((TEXT + "".join(lines) + "\n" + "".join(signatures)).encode())
    is_read_whole_or_refused(("".join(lines) + TEXT + "\n" + "".join(signatures)).encode())
    if len(bodies) > 0:
        raw = (TEXT + "\n" + "".join(signatures)).encode()
        assert written(parse_checkpoint(raw)) == raw


def is_read_whole_or_refused(raw: bytes) -> None:
    try:
        checkpoint = parse_checkpoint(raw)
    except SourceError:
        return
    assert written(checkpoint) == raw


def real_checkpoint(name: str) -> tuple[Log, bytes]:
    raw = (CT / "checkpoints" / name).read_bytes()
    keys = json.loads((CT / "checkpoints" / "keys.json").read_bytes())
    origin = raw.decode().partition("\n")[0]
    return log_of(octets(keys[origin]), f"https://{origin}/"), raw


@needs_real_data
@pytest.mark.parametrize(
    ("name", "size", "year", "signatures"),
    [
        ("arche2026h1_1822167730_witnessed.txt", 1_822_167_730, 2026, 7),
        ("cloudflare-dev2024h2b_5_grease_3sigs.txt", 5, 2025, 4),
    ],
)
def test_real_checkpoints_verify_among_foreign_signatures(
    name: str, size: int, year: int, signatures: int
) -> None:
    log, raw = real_checkpoint(name)
    head = verify_checkpoint(log, raw)
    assert head.tree_size == size
    assert datetime.fromtimestamp(head.timestamp_ms / 1000, UTC).year == year
    checkpoint = parse_checkpoint(raw)
    assert len(checkpoint.signatures) == signatures
    assert written(checkpoint) == raw


@needs_real_data
@pytest.mark.parametrize(
    "name",
    ["arche2026h1_1822167730_witnessed.txt", "cloudflare-dev2024h2b_5_grease_3sigs.txt"],
)
def test_one_bit_changed_in_a_real_checkpoint_is_noticed(name: str) -> None:
    """In the text and the log's own signature always; elsewhere the head stays what it was."""
    log, raw = real_checkpoint(name)
    head = verify_checkpoint(log, raw)
    own = text_of(key_id(log.origin, log) + head.timestamp_ms.to_bytes(8) + head.signature)
    line = f"— {log.origin} {own}\n".encode()
    begin = raw.index(line)
    protected = {*range(raw.index(b"\n\n") + 2), *range(begin, begin + len(line))}
    accepted = 0
    for bit, changed in enumerate(flips(raw)):
        try:
            seen = verify_checkpoint(log, changed)
        except (SourceError, VerificationError):
            continue
        accepted += 1
        assert bit // 8 not in protected
        assert replace(seen, raw=raw) == head
    assert accepted > 0


@needs_real_data
def test_a_real_checkpoint_without_its_key_is_read_but_not_verified() -> None:
    raw = (CT / "checkpoints" / "sycamore2024h2_820495916.txt").read_bytes()
    assert parse_checkpoint(raw).tree_size == SIZE
    for log in known_logs():
        with pytest.raises(VerificationError):
            verify_checkpoint(
                replace(log, submission_url="https://sycamore.ct.letsencrypt.org/2024h2/"), raw
            )


@needs_real_data
def test_the_checkpoints_of_a_log_of_another_kind_are_read_but_are_no_ct_heads() -> None:
    folder = CT / "checkpoints" / "tlog-tiles_tessera_testlog"
    _name, _id, key_text = (folder / "vkey").read_text().strip().split("+", 2)
    key = octets(key_text)
    assert key[0] == 1
    ed25519 = Ed25519PublicKey.from_public_bytes(key[1:])
    for size in range(16):
        raw = (folder / f"checkpoint.{size}").read_bytes()
        checkpoint = parse_checkpoint(raw)
        assert checkpoint.tree_size == size
        assert (checkpoint.root_hash == EMPTY_ROOT) is (size == 0)
        [signature] = checkpoint.signatures
        ed25519.verify(signature.body, checkpoint.text)
        with pytest.raises(VerificationError):
            verify_checkpoint(log_of(LOG.key, f"https://{checkpoint.origin}/"), raw)


# Signed lists: the rest is in tests/unit/sources/test_log_list.py


@needs_real_data
def test_a_flipped_bit_in_a_signed_list_is_noticed() -> None:
    folder = CT / "loglists"
    pem = (folder / "google_log_list_pubkey.pem").read_bytes()
    path: Path = folder / "google_v3_all_logs_list_2026-08-20_v89.25.json"
    content, signature = path.read_bytes(), path.with_suffix(".sig").read_bytes()
    verify_log_list(content, signature, pem)
    for changed in flips(signature):
        with pytest.raises(EvidenceError):
            verify_log_list(content, changed, pem)
    for at in range(0, len(content), 997):
        wrong = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        with pytest.raises(VerificationError):
            verify_log_list(wrong, signature, pem)
