"""Names that an adversary chose stay text: on the page, in the charts and in the annexes."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subca_oversight.check.registry import Registry, load_registry
from subca_oversight.model.certificate import CertificateKind
from subca_oversight.model.finding import Revocation, SubjectKind
from subca_oversight.reports.observation import record_observation
from subca_oversight.reports.period import Quarter
from subca_oversight.reports.publication import Publication, publish
from subca_oversight.reports.quarter import ReportRequest
from subca_oversight.reports.text import csv_cell, visible
from subca_oversight.store.tables import CheckFailureRow
from tests.databases import sqlite_database
from tests.unit.reports import world
from tests.unit.reports.payloads import PAYLOADS
from tests.unit.reports.world import ANCHOR, AS_OF, DAY

Q3 = Quarter(2026, 3)
VOID = {"meta", "br", "wbr"}
ELEMENTS = VOID | {
    "html", "head", "title", "style", "body", "main", "header", "nav", "section", "article",
    "div", "span", "p", "h1", "h2", "h3", "h4", "a", "ol", "ul", "li", "dl", "dt", "dd",
    "table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "code", "strong", "i",
    "figure", "figcaption", "svg", "desc", "defs", "pattern", "rect", "circle", "path", "line",
    "text",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "http-equiv", "content", "name", "id", "class", "href", "aria-label",
    "aria-hidden", "aria-labelledby", "role", "scope", "colspan", "viewbox", "xmlns", "width",
    "height", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "d", "fill", "stroke",
    "stroke-width", "patternunits", "patterntransform",
}  # fmt: skip


class Page(HTMLParser):
    """The elements of a page, and its text; refuses what the templates never write."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ELEMENTS, tag
        for name, value in attrs:
            assert name in ATTRIBUTES, (tag, name)
            if name == "id":
                self.ids.append(str(value))
            if name == "href":
                self.links.append(str(value))
        if tag in {"h1", "h2", "h3", "h4"}:
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"line", "rect", "circle", "path"}, tag
        assert {name for name, _ in attrs} <= ATTRIBUTES

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Iterator[Publication]:
    """A report in which every text that anybody else can choose is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    with sqlite_database(folder) as database:
        with database.write() as session:
            every = "".join(PAYLOADS)
            authority = world.add_subordinate(
                session, operator=every, authority_name="<script>alert(1)</script>"
            )
            world.add_log(session, description=every, unread=9)
            for number, payload in enumerate(PAYLOADS):
                unit = world.add_unit(
                    session,
                    Q3.start + DAY + timedelta(hours=number),
                    name=payload[:60],
                    kinds=[CertificateKind.FINAL],
                )
                world.judge(
                    session, unit, AS_OF - DAY, message=payload, requirement=payload,
                    check=f"pkilint:{payload}"[:200],
                )  # fmt: skip
                world.add_unconfirmed(session, AS_OF - DAY, reason=payload)
                world.add_malformed(session, AS_OF - DAY, reason=payload)
                world.add_source(session, payload, source=f"s{number} {payload}"[:64])
                session.add(
                    CheckFailureRow(
                        check_id="key-size", subject=unit, anchor=ANCHOR, reason=payload, at=AS_OF
                    )
                )
            world.judge(
                session, authority, AS_OF - DAY, message=every, check="audit-overdue",
                kind=SubjectKind.AUTHORITY, revocation=Revocation.DAYS_7_DECISION,
            )  # fmt: skip
            world.add_snapshot(session, authority, AS_OF - DAY, name=every[:900], url=every[:900])
            session.flush()
            record_observation(session, ANCHOR, now=AS_OF)
        request = ReportRequest(ANCHOR, Q3, AS_OF, every)
        yield publish(database, registry, request, folder / "out")


def test_no_payload_becomes_markup(hostile: Publication) -> None:
    text = (hostile.folder / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    shown = "".join(page.texts)
    for payload in PAYLOADS:
        assert visible(payload)[:60] in shown, payload
    assert len(page.links) > 0
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_the_page_hides_no_character(hostile: Publication) -> None:
    text = (hostile.folder / "report.html").read_text(encoding="utf-8")
    unseen = {character for character in text if not character.isprintable()}
    assert unseen == {"\n"}


def test_the_page_forbids_scripts_and_loads_nothing(hostile: Publication) -> None:
    text = (hostile.folder / "report.html").read_text(encoding="utf-8")
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert f'content="{policy}"' in text
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_headings_stand_in_order(hostile: Publication) -> None:
    page = Page((hostile.folder / "report.html").read_text(encoding="utf-8"))
    assert page.headings[0] == 1
    assert all(below <= above + 1 for above, below in pairwise(page.headings))


def test_what_could_not_be_seen_stands_before_every_result(hostile: Publication) -> None:
    page = Page((hostile.folder / "report.html").read_text(encoding="utf-8"))
    sections = ("summary", "unseen", "scope", "issuance", "findings", "sample", "audits",
                "documents", "actions", "method")  # fmt: skip
    assert [one for one in page.ids if one in sections] == list(sections)


def test_long_tables_are_cut_and_say_so(hostile: Publication) -> None:
    text = (hostile.folder / "report.html").read_text(encoding="utf-8")
    total = hostile.report.findings.violations_total
    assert len(hostile.report.findings.violations) == 60
    assert f"{total - 60} more in <code>findings.csv</code>" in text


def test_no_cell_is_a_formula_and_every_row_is_a_line(hostile: Publication) -> None:
    for path in sorted(hostile.folder.glob("*.csv")):
        content = path.read_bytes().decode()
        rows = list(csv.reader(content.splitlines()))
        assert len(rows) == content.count("\r\n"), path.name
        assert len({len(row) for row in rows}) == 1, path.name
        for row in rows[1:]:
            for cell in row:
                assert not cell.startswith(("=", "+", "@", "\t", "\r", "\uff1d")), cell
                assert not cell.startswith("-") or cell[1:].isdigit(), cell
                assert cell.isprintable(), cell


def test_findings_csv_holds_every_message_whole(hostile: Publication) -> None:
    with (hostile.folder / "findings.csv").open(encoding="utf-8", newline="") as file:
        messages = {row["message"].removeprefix("'") for row in csv.DictReader(file)}
    for payload in PAYLOADS:
        stored = visible(payload).removeprefix("'")
        assert stored in messages or visible(payload) in messages, payload


def test_the_json_is_the_report_with_every_character_visible(hostile: Publication) -> None:
    parsed = json.loads((hostile.folder / "report.json").read_bytes())
    assert parsed["report"]["cover"]["quarter"] == "2026Q3"
    assert parsed["report"]["findings"]["total"] == hostile.report.findings.total
    assert all(text.isprintable() for text in _texts(parsed))


def test_the_hashes_on_the_page_are_those_of_the_annexes(hostile: Publication) -> None:
    manifest = json.loads((hostile.folder / "manifest.json").read_bytes())
    text = (hostile.folder / "report.html").read_text(encoding="utf-8")
    assert set(manifest["files"]) == {
        path.name for path in hostile.folder.iterdir() if path.name != "manifest.json"
    }
    for name, sha256 in manifest["files"].items():
        assert (sha256 in text) is (name != "report.html")


@given(st.text())
def test_a_guarded_cell_reads_back(text: str) -> None:
    cell = csv_cell(text)
    assert not cell.startswith(("=", "+", "-", "@"))
    back = cell.removeprefix("'")
    assert back == visible(text)
    assert all(character.isprintable() for character in cell)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)


@pytest.mark.browser
def test_a_browser_shows_the_page_and_runs_nothing(hostile: Publication, tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Debian's chromium is not installed")
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]  # fmt: skip
    page = f"file://{hostile.folder / 'report.html'}"
    dumped = subprocess.run(  # noqa: S603 - our own command line
        [*command, "--dump-dom", page], capture_output=True, check=True, timeout=120
    )
    shown = "".join(Page(dumped.stdout.decode()).texts)
    for payload in PAYLOADS:
        assert visible(payload)[:60] in shown, payload
    printed = tmp_path / "report.pdf"
    subprocess.run(  # noqa: S603 - our own command line
        [*command, "--no-pdf-header-footer", f"--print-to-pdf={printed}", page],
        capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    assert printed.read_bytes().startswith(b"%PDF-")
