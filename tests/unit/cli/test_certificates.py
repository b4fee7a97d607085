"""``certificates import`` and ``crosscheck`` as a user meets them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from subca_oversight.evidence.registration import read_configured, register_subordinates
from subca_oversight.model.subordinate import Relation
from subca_oversight.settings import SubordinateSettings
from subca_oversight.store.tables import CertificateRow, SightingRow, UnitRow
from tests.unit.cli.installation import Installation
from tests.unit.evidence.issuing import Issuer, make_issuer, make_leaf
from tests.unit.jobs.holdings import NOW

ISSUER = make_issuer()
STRANGER = make_issuer("Stranger CA")


@pytest.fixture
def store(installed: Installation) -> Installation:
    installed.make_database()
    path = installed.folder / "issuer.pem"
    path.write_bytes(ISSUER.pem)
    entry = SubordinateSettings(
        name="acme", operator="Acme", relation=Relation.CROSS_SIGNED, certificates=(path,)
    )
    database = installed.open()
    with database.write() as session:
        register_subordinates(session, read_configured([entry]), now=NOW)
    database.close()
    return installed


def leaf(serial: int, issuer: Issuer = ISSUER) -> bytes:
    return make_leaf(issuer, serial, not_before=NOW, not_after=NOW + timedelta(days=60))


def give(store: Installation, *ders: bytes) -> tuple[int, dict[str, object]]:
    folder = store.folder / "given"
    folder.mkdir(exist_ok=True)
    for number, der in enumerate(ders):
        (folder / f"{number}.der").write_bytes(der)
    words = ("certificates", "import", str(folder), "--subordinate", "acme", "--json")
    code, out, _ = store.run(*words)
    return code, json.loads(out)


def listed(store: Installation) -> list[dict[str, object]]:
    code, out, _ = store.run("certificates", "list", "--subordinate", "acme", "--json")
    assert code == 0
    found: list[dict[str, object]] = json.loads(out)
    return found


def test_given_certificates_are_kept_by_signature_and_never_as_logged(store: Installation) -> None:
    code, tally = give(store, leaf(7), leaf(8), leaf(9, STRANGER), b"\x30\x80junk")
    assert (code, tally["new"], tally["refused"], tally["logged"]) == (1, 2, 2, 0)
    units = listed(store)
    assert {unit["serial"] for unit in units} == {"07", "08"}
    for unit in units:
        assert unit["first_logged"] is None
        assert unit["sightings"] == []
        assert unit["key_provenance"] == "configuration"
        assert str(unit["operator_files"]).endswith(".der']")
    code, tally = give(store, leaf(7))
    assert tally["known"] in {1, 2}
    assert len(listed(store)) == 2


def test_a_unit_that_grows_by_what_was_given_is_judged_again(store: Installation) -> None:
    give(store, leaf(7))
    store.execute(f"update unit set checked_with = '{'a' * 64}', confirmed = 0")
    again = make_leaf(ISSUER, 7, not_before=NOW, not_after=NOW + timedelta(days=61))
    give(store, again)
    database = store.open()
    with database.read() as session:
        (unit,) = session.exec(select(UnitRow)).all()
        assert (unit.checked_with, unit.confirmed) == (None, True)
        assert len(session.exec(select(CertificateRow)).all()) == 2
        assert len(session.exec(select(SightingRow)).all()) == 0
    database.close()


def test_nothing_can_be_accepted_without_a_key(installed: Installation) -> None:
    installed.make_database()
    code, said = installed.refuse("certificates", "import", "x", "--subordinate", "acme")
    assert code == 2
    assert "no subordinate is called acme" in said


def crosscheck(store: Installation, path: Path) -> dict[str, object]:
    words = ("certificates", "crosscheck", str(path), "--subordinate", "acme", "--json")
    code, out, _ = store.run(*words)
    assert code == 0
    found: dict[str, object] = json.loads(out)
    return found


def test_serials_are_compared_within_what_both_can_know(store: Installation) -> None:
    give(store, *(leaf(serial) for serial in (0x80, 0x81, 0x82)))
    store.execute("update unit set first_logged_ms = 1 where serial_hex != '0082'")
    path = store.folder / "crt.json"
    day = NOW.strftime("%Y-%m-%dT00:00:00")
    entry = {"issuer_ca_id": 7, "not_before": day}
    serials: list[object] = ["80", "0080", "1234", None]
    path.write_text(json.dumps([entry | {"serial_number": one} for one in serials] + [5]))
    before = store.path.read_bytes()
    found = crosscheck(store, path)
    assert (found["in_both"], found["only_there"], found["only_here"]) == (1, ["1234"], ["81"])
    assert (found["not_compared"], found["unusable"]) == (0, 2)
    assert found["authorities"] == ["7"]
    assert store.path.read_bytes() == before


@pytest.mark.parametrize("text", ["", "{}", "<html>", "[" * 100_000])
def test_an_answer_that_is_no_list_is_refused(store: Installation, text: str) -> None:
    path = store.folder / "crt.json"
    path.write_text(text)
    code, said = store.refuse("certificates", "crosscheck", str(path), "--subordinate", "acme")
    assert code == 3
    assert "crt.json" in said
