"""What each address of a served world answers, without a socket."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from subca_oversight.demo.world.log_list import PUBLIC_KEY, sign_log_list
from subca_oversight.demo.world.manifest import FILE_NAME, WorldManifest
from subca_oversight.demo.world.rfc6962_answers import BadQuery, Rfc6962Answers

_SAFE_PATH = re.compile(r"(?:/(?!\.)[A-Za-z0-9._-]+)+")
_PUBLISHED = (
    (re.compile(rb"http://crl\.[a-z.-]+\.example\.(?:com|net|org)/"), "crl"),
    (re.compile(rb"https://cps\.[a-z.-]+\.example\.(?:com|net|org)/"), "cps"),
)
_CONTENT_TYPES = {
    ".json": "application/json",
    ".csv": "text/csv; charset=utf-8",
    ".crl": "application/pkix-crl",
    ".crt": "application/pkix-cert",
    ".html": "text/html; charset=utf-8",
    ".pem": "application/x-pem-file",
}
_TEXT = "text/plain; charset=utf-8"
_FILES = ("ca/", "ccadb/", "cps/", FILE_NAME, PUBLIC_KEY)

Query = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/octet-stream"
    headers: Mapping[str, str] = field(default_factory=dict)


Interceptor = Callable[[str, Answer], Answer]
"""Sees a request's path and query and the true answer; what it returns is sent."""


class Site:
    """The world built in a directory, as it is seen at an address."""

    def __init__(self, directory: Path, manifest: WorldManifest, base_url: str) -> None:
        self._directory = directory
        self._base_url = base_url
        sizes = {
            log.api: {stage: at.size for stage, at in log.stages.items()} for log in manifest.logs
        }
        self._rfc6962 = Rfc6962Answers(directory / "rfc6962", sizes["rfc6962"])
        self._list, self._list_signature = sign_log_list(directory, base_url)
        self._routes: tuple[tuple[str, Callable[[int, str, Query], Answer]], ...] = (
            ("/rfc6962/ct/v1/", self._rfc6962_call),
            ("/static/issuer/", self._issuer),
            ("/static/tile/data/", self._data_tile),
            ("/static/", self._static),
            ("/log_list.", self._log_list),
            ("/ccadb/AllCertificateRecordsCSVFormatV5", self._records),
            ("/ccadb/AllCertificatePEMsCSVFormat", self._certificates),
            ("/crl/", self._revocation_list),
            ("/ping", self._ping),
            ("/", self._other_file),
        )

    def answer(self, stage: int, target: str) -> Answer:
        """The answer to a GET for a path and query, at a stage of the world."""
        parts = urlsplit(target)
        if _SAFE_PATH.fullmatch(parts.path) is None:
            return refusal(HTTPStatus.NOT_FOUND, "no such address")
        prefix, route = next(each for each in self._routes if parts.path.startswith(each[0]))
        return route(stage, parts.path.removeprefix(prefix), dict(parse_qsl(parts.query)))

    def _rfc6962_call(self, stage: int, call: str, query: Query) -> Answer:
        try:
            body = self._rfc6962.answer(stage, call, query)
        except BadQuery as error:
            return refusal(HTTPStatus.BAD_REQUEST, str(error))
        if body is None:
            return refusal(HTTPStatus.NOT_FOUND, "no such call")
        return Answer(HTTPStatus.OK, body, "application/json")

    def _issuer(self, _stage: int, fingerprint: str, _query: Query) -> Answer:
        return self._file(f"static/issuer/{fingerprint}", "application/pkix-cert")

    def _data_tile(self, stage: int, number: str, _query: Query) -> Answer:
        return self._file(f"static/{stage}/tile/data/{number}", encoding="gzip")

    def _static(self, stage: int, path: str, _query: Query) -> Answer:
        return self._file(f"static/{stage}/{path}", _TEXT if path == "checkpoint" else None)

    def _log_list(self, _stage: int, suffix: str, _query: Query) -> Answer:
        if suffix == "json":
            return Answer(HTTPStatus.OK, self._list, "application/json")
        if suffix == "sig":
            return Answer(HTTPStatus.OK, self._list_signature)
        return refusal(HTTPStatus.NOT_FOUND, "no such address")

    def _records(self, _stage: int, _rest: str, query: Query) -> Answer:
        """The records report, its CRL and policy addresses led to this server.

        ``?raw=1`` leaves them as CCADB would have them, and as the certificates do.
        """
        content = (self._directory / "ccadb" / "records.csv").read_bytes()
        if query.get("raw") != "1":
            for pattern, folder in _PUBLISHED:
                content = pattern.sub(f"{self._base_url}/{folder}/".encode(), content)
        return Answer(HTTPStatus.OK, content, _CONTENT_TYPES[".csv"])

    def _certificates(self, _stage: int, _rest: str, query: Query) -> Answer:
        year = query.get("NotBeforeYear", "")
        if not (year.isascii() and year.isdigit()):
            return refusal(HTTPStatus.BAD_REQUEST, "name a NotBeforeYear")
        return self._file(f"ccadb/pems-{year}.csv")

    def _revocation_list(self, stage: int, name: str, _query: Query) -> Answer:
        return self._file(f"crl/{stage}/{name}")

    def _ping(self, _stage: int, _rest: str, _query: Query) -> Answer:
        return Answer(HTTPStatus.OK, b"OK\n", _TEXT)

    def _other_file(self, _stage: int, path: str, _query: Query) -> Answer:
        if not path.startswith(_FILES):
            return refusal(HTTPStatus.NOT_FOUND, "no such address")
        return self._file(path)

    def _file(
        self, relative: str, content_type: str | None = None, encoding: str | None = None
    ) -> Answer:
        path = self._directory / relative
        if not path.is_file():
            return refusal(HTTPStatus.NOT_FOUND, "no such file")
        if content_type is None:
            content_type = _CONTENT_TYPES.get(path.suffix, "application/octet-stream")
        headers = {} if encoding is None else {"Content-Encoding": encoding}
        return Answer(HTTPStatus.OK, path.read_bytes(), content_type, headers)


def refusal(status: int, text: str) -> Answer:
    """A short answer that says what was wrong with the request."""
    return Answer(status, text.encode() + b"\n", _TEXT)
