"""Files from outside give their certificates, and whatever else is in them harms nothing."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subca_oversight.errors import SourceError
from subca_oversight.sources import certificate_files
from subca_oversight.sources.certificate_files import (
    FileCertificate,
    FileFlaw,
    FileLimits,
    Item,
    read_certificates,
)
from tests.unit.evidence.issuing import make_issuer, make_leaf

ISSUER = make_issuer()
LEAVES = [make_leaf(ISSUER, serial) for serial in (1, 2, 3)]


def pem(der: bytes) -> bytes:
    body = base64.encodebytes(der)
    return b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n"


def read(*paths: Path, limits: FileLimits | None = None) -> list[Item]:
    return list(read_certificates(paths, limits))


def ders(items: list[Item]) -> list[bytes]:
    return [item.der for item in items if isinstance(item, FileCertificate)]


def flaws(items: list[Item]) -> list[str]:
    return [item.reason for item in items if isinstance(item, FileFlaw)]


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return path


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\n\n"])
def test_pem_der_and_text_around_them_are_read(tmp_path: Path, end: bytes) -> None:
    many = write(tmp_path / "many.pem", b"subject=a, b\n" + b"text\n".join(map(pem, LEAVES)) + end)
    one = write(tmp_path / "one.cer", LEAVES[0])
    assert ders(read(many, one)) == [*LEAVES, LEAVES[0]]
    assert flaws(read(many, one)) == []


def test_a_csv_gives_pem_and_bare_base64_in_any_column(tmp_path: Path) -> None:
    bare = base64.b64encode(LEAVES[1]).decode()
    text = f'id;certificate\n1;"{pem(LEAVES[0]).decode()}"\n2;{bare}\n3;none\n'
    items = read(write(tmp_path / "list.csv", text.encode("utf-8-sig")))
    assert ders(items) == LEAVES[:2]
    assert flaws(items) == ["no certificate in this row"]


def test_a_fingerprint_beside_a_certificate_must_be_its_own(tmp_path: Path) -> None:
    own = [hashlib.sha256(der).hexdigest().upper() for der in LEAVES]
    rows = [f'{own[0]},"{pem(LEAVES[0]).decode()}"', f'{own[0]},"{pem(LEAVES[1]).decode()}"']
    path = write(tmp_path / "list.CSV", ("SHA-256,PEM\n" + "\n".join(rows)).encode())
    items = read(path)
    assert ders(items) == LEAVES[:1]
    assert flaws(items) == ["its SHA-256 is not the one stated beside it"]


def test_a_folder_is_read_by_name_and_its_links_are_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "given"
    (folder / "b").mkdir(parents=True)
    write(folder / "b" / "2.der", LEAVES[1])
    write(folder / "1.der", LEAVES[0])
    outside = write(tmp_path / "outside.der", LEAVES[2])
    (folder / "link.der").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    assert ders(read(folder)) == LEAVES[:2]


def test_names_in_an_archive_are_text_and_nothing_is_written(tmp_path: Path) -> None:
    members = {"../../evil.pem": pem(LEAVES[0]), "/etc/passwd": LEAVES[1], "a/": b""}
    path = archive(tmp_path / "given.zip", members)
    items = read(path)
    assert ders(items) == LEAVES[:2]
    assert [item.origin for item in items] == [
        f"{path}!../../evil.pem#1",
        f"{path}!/etc/passwd",
    ]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("line", [b"\0" * 1024, b"\0" * 1023 + b"\n"])
def test_a_bomb_is_left_after_a_fixed_amount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    monkeypatch.setattr(certificate_files, "_FREE_OCTETS", 1 << 20)
    members = {"bomb.pem": line * 8192, "good.pem": pem(LEAVES[0])}
    items = read(archive(tmp_path / "given.zip", members))
    assert ders(items) == LEAVES[:1]
    (reason,) = flaws(items)
    assert reason in {
        "it unpacks to far more than certificates can",
        "a line of more than 2,097,152 octets",
    }


def test_an_archive_in_an_archive_and_other_methods_are_refused(tmp_path: Path) -> None:
    inner = archive(tmp_path / "inner.zip", {"a.pem": pem(LEAVES[0])}).read_bytes()
    outer = archive(tmp_path / "outer.zip", {"inner.zip": inner})
    assert flaws(read(outer)) == ["an archive inside of an archive"]
    other = archive(tmp_path / "other.zip", {"a.pem": pem(LEAVES[0])}, zipfile.ZIP_BZIP2)
    assert flaws(read(other)) == ["compressed by a method other than deflate"]


def test_a_damaged_member_does_not_hide_its_neighbours(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "given.zip",
        {"a.pem": pem(LEAVES[0]), "b.pem": pem(LEAVES[1])},
        zipfile.ZIP_STORED,
    )
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    items = read(path)
    assert LEAVES[1] in ders(items)
    assert any("cannot be unpacked" in reason for reason in flaws(items))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no certificate in it, neither PEM nor DER"),
        (pem(LEAVES[0])[:-20], "cut off: it has no end"),
        (b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "broken base64"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not a certificate"),
        (b"x" * (3 << 20), "a line of more than 2,097,152 octets"),
        (b"\x30\x84" + bytes(2 << 20), "more than 1,048,576 octets"),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path: Path, content: bytes, reason: str) -> None:
    assert flaws(read(write(tmp_path / "given.pem", content))) == [reason]


def test_limits_end_the_import(tmp_path: Path) -> None:
    path = write(tmp_path / "many.pem", b"".join(map(pem, LEAVES)))
    assert len(read(path, limits=FileLimits(certificates=3))) == 3
    for limits, word in (
        (FileLimits(certificates=2), "more than 2 certificates"),
        (FileLimits(octets=100), "more than 100 octets"),
    ):
        with pytest.raises(SourceError, match=word):
            read(path, limits=limits)
    write(tmp_path / "more.pem", b"")
    with pytest.raises(SourceError, match="more than 1 files"):
        read(tmp_path, limits=FileLimits(files=1))


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        read(tmp_path / "absent")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="neither a file nor a folder"):
        read(tmp_path / "pipe")


SOUND = {
    "list.csv": b"a,b\n" + b'1,"' + pem(LEAVES[0]) + b'"\n',
    "many.pem": b"".join(map(pem, LEAVES)),
    "one.der": LEAVES[0],
}


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(sorted(SOUND)),
    zipped=st.booleans(),
    changes=st.lists(st.tuples(st.integers(0, 5000), st.binary(max_size=3)), max_size=4),
)
def test_no_change_of_bytes_raises(
    tmp_path: Path, name: str, zipped: bool, changes: list[tuple[int, bytes]]
) -> None:
    content = SOUND[name]
    if zipped:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
            opened.writestr(name, content)
        content = buffer.getvalue()
    for place, octets in changes:
        at = place % max(len(content), 1)
        content = content[:at] + octets + content[at + 1 :]
    items = read(write(tmp_path / ("given.zip" if zipped else name), content))
    assert all(len(item.origin) > 0 for item in items)
