from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import subca_oversight
from subca_oversight.check import AuditFacts, AuthorityFacts, CertificateFacts, UnitFacts
from subca_oversight.check.api import SUBJECT_TYPES
from subca_oversight.check.registry import (
    FAMILIES,
    load_registry,
    make_registry,
    shipped_folder,
)
from subca_oversight.errors import CheckError, ConfigurationError

CHECK = '''"""The local rule.

It is local.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from subca_oversight.check import Breach, CertificateFacts, Severity, check


@dataclass(frozen=True)
class Limit:
    days: "int"


@check(id="{id}", severity=Severity.NOTICE, requirement="contract")
def rule(certificate: CertificateFacts) -> Iterator[Breach]:
    yield Breach("local")
'''


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "certificate").mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "certificate").chmod(0o755)
    return folder


def write(site: Path, name: str, check_id: str) -> Path:
    path = site / "certificate" / name
    path.write_text(CHECK.format(id=check_id))
    path.chmod(0o644)
    return path


def test_every_file_of_the_shipped_folder_is_a_check() -> None:
    files = sorted(shipped_folder().glob("*/*.py"))
    registry = load_registry()
    assert [check.id.replace("-", "_") for check in registry.checks.values()] == sorted(
        path.stem for path in files
    )
    assert {(check.family, check.id) for check in registry.checks.values()} == {
        (path.parent.name, path.stem.replace("_", "-")) for path in files
    }
    assert {check.family for check in registry.checks.values()} <= set(FAMILIES)


def test_every_check_is_found_by_the_subject_it_looks_at() -> None:
    registry = load_registry()
    found = [check.id for kind in SUBJECT_TYPES for check in registry.for_subject(kind)]
    assert sorted(found) == list(registry.checks)
    assert "serial-reuse" in [check.id for check in registry.for_subject(UnitFacts)]
    assert "weak-key" in [check.id for check in registry.for_subject(CertificateFacts)]
    assert "audit-overdue" in [check.id for check in registry.for_subject(AuditFacts)]
    assert "subordinate-expiring" in [check.id for check in registry.for_subject(AuthorityFacts)]


def test_every_shipped_check_names_its_requirement_and_explains_itself() -> None:
    for check in load_registry().checks.values():
        assert len(check.requirement) > 0
        assert len(check.documentation.splitlines()) > 3
        assert not check.title.endswith(".")


def test_a_file_of_the_site_is_registered_by_its_presence(site: Path) -> None:
    write(site, "local_rule.py", "local-rule")
    registry = load_registry(site)
    assert registry.checks["local-rule"].family == "certificate"
    assert registry.site_directory == site
    assert registry.digest != load_registry().digest
    (site / "certificate" / "local_rule.py").unlink()
    assert "local-rule" not in load_registry(site).checks


def test_hidden_files_and_caches_are_no_checks(site: Path) -> None:
    write(site, "_draft.py", "draft")
    write(site, ".local_rule.py", "local-rule")
    (site / "certificate" / "README.md").write_text("About these checks.")
    (site / "__pycache__").mkdir()
    assert load_registry(site).checks.keys() == load_registry().checks.keys()


def test_a_file_named_otherwise_than_its_check_is_refused(site: Path) -> None:
    path = write(site, "other.py", "local-rule")
    with pytest.raises(ConfigurationError, match=r"other\.py: .* belongs in local_rule\.py"):
        load_registry(site)
    assert path.exists()


def test_an_id_that_is_taken_is_refused(site: Path) -> None:
    write(site, "key_size.py", "key-size")
    with pytest.raises(ConfigurationError, match="there is another check 'key-size'"):
        load_registry(site)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "declares 0 checks"),
        (CHECK.format(id="local-rule") + "\nagain = rule\n", "declares 2 checks"),
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("def broken(", "SyntaxError"),
        ("raise SystemExit(0)", "SystemExit"),
    ],
)
def test_a_file_that_is_not_exactly_one_check_is_refused(
    site: Path, text: str, reason: str
) -> None:
    write(site, "local_rule.py", "local-rule").write_text(text)
    with pytest.raises(ConfigurationError, match=rf"local_rule\.py: {reason}"):
        load_registry(site)


def test_a_folder_that_is_no_family_is_refused(site: Path) -> None:
    (site / "certificates").mkdir()
    with pytest.raises(ConfigurationError, match="not a family of checks"):
        load_registry(site)


def test_a_check_outside_of_a_family_is_refused(site: Path) -> None:
    (site / "local_rule.py").write_text(CHECK.format(id="local-rule"))
    with pytest.raises(ConfigurationError, match="in the folder of its family"):
        load_registry(site)


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_a_folder_that_others_can_write_is_refused(site: Path, mode: int) -> None:
    for folder in (site, site / "certificate"):
        write(site, "local_rule.py", "local-rule")
        folder.chmod(mode)
        with pytest.raises(ConfigurationError, match="written by others"):
            load_registry(site)
        folder.chmod(0o755)


def test_a_file_that_others_can_write_is_never_run(site: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    path = write(site, "local_rule.py", "local-rule")
    path.write_text(f"open({str(ran)!r}, 'w').close()")
    path.chmod(0o666)
    with pytest.raises(ConfigurationError, match=r"local_rule\.py can be written by others"):
        load_registry(site)
    assert not ran.exists()


def test_a_folder_of_another_user_is_refused(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = site.stat().st_uid
    monkeypatch.setattr("subca_oversight.check.registry.TRUSTED_OWNERS", frozenset({owner + 1}))
    monkeypatch.setattr("os.geteuid", lambda: owner + 2)
    with pytest.raises(ConfigurationError, match=f"belongs to user {owner}"):
        load_registry(site)


def test_a_site_folder_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load_registry(tmp_path / "missing")


def test_the_digest_follows_versions_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = list(load_registry().checks.values())
    digest = make_registry(checks).digest
    assert make_registry(reversed(checks)).digest == digest
    assert make_registry(checks[1:]).digest != digest
    raised = dataclasses.replace(checks[0], version=checks[0].version + 1)
    assert make_registry([raised, *checks[1:]]).digest != digest
    monkeypatch.setattr(subca_oversight, "__version__", "999")
    assert make_registry(checks).digest != digest


def test_in_a_wheel_the_checks_lie_inside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "subca_oversight"
    inside = package / "_shipped" / "checks"
    inside.mkdir(parents=True)
    monkeypatch.setattr(subca_oversight, "__file__", str(package / "__init__.py"))
    assert shipped_folder() == inside
    inside.rmdir()
    with pytest.raises(CheckError, match="install it again"):
        load_registry()
