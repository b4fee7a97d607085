import base64
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.errors import SourceError
from subca_oversight.sources.ccadb import certificates as certificates_module
from subca_oversight.sources.ccadb.certificates import (
    Certificates,
    index_certificates,
    load_certificates,
)
from tests.real_data import REAL_DATA, needs_real_data

DER = b"\x30\x03\x02\x01\x05"
SHA = hashlib.sha256(DER).hexdigest()


def pem(der: bytes, gap: str = "\n") -> str:
    text = base64.b64encode(der).decode()
    return f"-----BEGIN CERTIFICATE-----{gap}{text}{gap}-----END CERTIFICATE-----"


def export(
    *rows: tuple[str, str], header: str = "SHA-256 Fingerprint,X.509 Certificate (PEM)"
) -> bytes:
    return "\n".join([header, *(f'{sha},"{text}"' for sha, text in rows), ""]).encode()


@pytest.mark.parametrize(
    "content",
    [
        export((SHA.upper(), pem(DER))),
        export((SHA.upper(), f"'{pem(DER)}'")),
        export((f"'{SHA}'", pem(DER, gap="\n\n"))),
        b"\xef\xbb\xbf" + export((SHA, pem(DER))),
        export((SHA, pem(DER)), header='"SHA-256 Fingerprint","X.509 Certificate (PEM)"'),
        pem(DER).encode(),
        f"Subject: CN=x\n{pem(DER)}\n".encode(),
        DER,
    ],
)
def test_a_certificate_is_found_in_every_form(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    found = load_certificates(path)
    assert dict(found) == {SHA: DER}
    assert found.refused == set()


def test_a_certificate_under_a_foreign_fingerprint_is_absent(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(export(("00" * 32, pem(DER)), (SHA, pem(DER))))
    found = load_certificates(path)
    assert found.get("00" * 32) is None
    assert found[SHA] == DER
    assert found.refused == {"00" * 32}


@pytest.mark.parametrize(
    "text", ["", "no PEM", "-----BEGIN CERTIFICATE-----\n!\n-----END", "A" * 99]
)
def test_a_cell_without_a_certificate_is_absent(text: str) -> None:
    found = Certificates(index_certificates(export((SHA, text)), name="export"))
    assert found.get(SHA) is None
    assert found.refused == {SHA}


def test_a_folder_is_read_whole_and_other_files_passed_over(tmp_path: Path) -> None:
    second = b"\x30\x03\x02\x01\x06"
    (tmp_path / "a.csv").write_bytes(export((SHA, pem(DER))))
    (tmp_path / "b.PEM").write_text(pem(second))
    (tmp_path / "c.csv").write_text("CA Owner,Country\nx,y\n")
    (tmp_path / "d.txt").write_text(pem(b"\x30\x03\x02\x01\x07"))
    assert set(load_certificates(tmp_path).values()) == {DER, second}


def test_several_paths_are_joined(tmp_path: Path) -> None:
    second = b"\x30\x03\x02\x01\x06"
    (tmp_path / "a.pem").write_text(pem(DER))
    (tmp_path / "b.pem").write_text(pem(second) + "\n" + pem(DER))
    found = load_certificates(tmp_path / "a.pem", tmp_path / "b.pem")
    assert set(found.values()) == {DER, second}


def test_paths_without_a_certificate_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    page = tmp_path / "page.csv"
    page.write_text("<html></html>")
    for path, message in (
        (empty, "no certificate in any file"),
        (page, "no certificate in it"),
        (tmp_path / "absent.pem", "No such file"),
    ):
        with pytest.raises(SourceError, match=message):
            load_certificates(path)


def test_a_cut_or_oversized_export_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = export((SHA, pem(DER)))
    with pytest.raises(SourceError, match="cut off"):
        index_certificates(content[:-10], name="export")
    monkeypatch.setattr(certificates_module, "MAX_FILE_BYTES", 10)
    with pytest.raises(SourceError, match="larger than"):
        index_certificates(content, name="export")


@given(st.binary(max_size=500))
def test_any_bytes_are_indexed_or_refused(content: bytes) -> None:
    try:
        found = Certificates(index_certificates(content, name="export"))
    except SourceError:
        return
    for sha256 in found:
        der = found.get(sha256)
        assert der is None or hashlib.sha256(der).hexdigest() == sha256


@needs_real_data
def test_every_exported_certificate_hashes_to_its_fingerprint() -> None:
    found = load_certificates(REAL_DATA / "ccadb" / "pems-2026-08-21")
    assert len(found) == 10_217
    assert all(found.get(sha256) is not None for sha256 in found)
    assert found.refused == set()
