"""A wrong configuration names file, key and reason; a right one is what was written."""

from __future__ import annotations

from datetime import date
from ipaddress import ip_network
from pathlib import Path

import pytest

from subca_oversight.errors import ConfigurationError
from subca_oversight.settings import Settings, load_settings

MINIMAL = '[agent]\ncontact = "oversight@ca.example"\n'
SUBORDINATE = """
[[subordinate]]
name = "acme"
operator = "Acme"
relation = "cross-signed"
certificates = ["acme.pem"]
"""


def _load(folder: Path, text: str, *, mode: int = 0o600) -> Settings:
    path = folder / "oversight.toml"
    path.write_text(text)
    path.chmod(mode)
    return load_settings(path)


def _refusal(folder: Path, text: str, *, mode: int = 0o600) -> str:
    with pytest.raises(ConfigurationError) as caught:
        _load(folder, text, mode=mode)
    message = str(caught.value)
    assert message.startswith(f"{folder / 'oversight.toml'}: ")
    assert "\n" not in message
    assert caught.value.exit_code == 2
    return message.removeprefix(f"{folder / 'oversight.toml'}: ")


def test_a_contact_is_enough(tmp_path: Path) -> None:
    settings = _load(tmp_path, MINIMAL)
    assert settings.agent.contact == "oversight@ca.example"
    assert settings.database_url == "sqlite:////var/lib/subca-oversight/oversight.db"
    assert settings.subordinate == ()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (MINIMAL + "[agentt]\n", "agentt"),
        (MINIMAL + 'contactt = "x"\n', "agent.contactt"),
        (MINIMAL + "[http]\nretries = 3\n", "http.retries"),
        (MINIMAL + '[[ct.log_lists]]\nsource = "x"\nkey = "y"\n', "ct.log_lists.0.key"),
        (
            MINIMAL + '[alerts.smtp]\nhost = "h"\nfrom = "f"\ntls = true\n',
            "alerts.smtp.tls",
        ),
        (MINIMAL + '[alerts.webhook]\nurl = "u"\nkey = "k"\n', "alerts.webhook.key"),
        (MINIMAL + SUBORDINATE + 'nick = "a"\n', "subordinate.0.nick"),
    ],
)
def test_an_unknown_key_is_refused_at_every_level(tmp_path: Path, text: str, key: str) -> None:
    assert _refusal(tmp_path, text) == f"{key}: unknown key"


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("", "agent", "required"),
        ('[agent]\ncontact = "nobody"\n', "agent", "mail address or a URL"),
        (MINIMAL + "[http]\nattempts = 0\n", "http.attempts", "greater than or equal to 1"),
        (MINIMAL + '[http]\nproxy = "socks5://x"\n', "http", "http:// or https://"),
        (
            MINIMAL + '[http]\nallow_networks = ["10.0.0.1/8"]\n',
            "http.allow_networks.0:",
            "host bits",
        ),
        (MINIMAL + "[http]\nallow_networks = [8]\n", "http.allow_networks.0:", "as text"),
        (MINIMAL + '[ct]\nstart = "2026-13-01"\n', "ct.start", 'use "now", "all", a date'),
        (MINIMAL + "[ct]\nstart = -5\n", "ct.start", 'use "now", "all", a date'),
        (MINIMAL + '[ct]\ncanaries = ["abcdef"]\n', "ct.canaries.0", "a canary is the SHA-256"),
        (MINIMAL + "[ct]\nstart = true\n", "ct.start", 'use "now", "all", a date'),
        (MINIMAL + "[ct]\nstart = 2026-01-01T00:00:00Z\n", "ct.start", 'use "now", "all", a date'),
        (MINIMAL + SUBORDINATE + SUBORDINATE, "", 'two subordinates are named "acme"'),
        (
            MINIMAL + SUBORDINATE.replace('"acme"', '"Acme/../x"'),
            "subordinate.0.name",
            "lower-case",
        ),
        (
            MINIMAL + SUBORDINATE.replace('certificates = ["acme.pem"]', ""),
            "subordinate.0",
            "certificates or issuer_keys",
        ),
        (MINIMAL + SUBORDINATE + 'issuer_keys = ["abc"]\n', "subordinate.0.issuer_keys.0", "64"),
    ],
)
def test_a_wrong_value_names_its_key_and_the_reason(
    tmp_path: Path, text: str, key: str, reason: str
) -> None:
    message = _refusal(tmp_path, text)
    assert message.startswith(key)
    assert reason in message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml: cannot be read: No such file"):
        load_settings(tmp_path / "none.toml")


@pytest.mark.parametrize("text", ["[agent\n", "a = \n", "\x00"])
def test_bad_toml_is_named_with_its_line(tmp_path: Path, text: str) -> None:
    message = _refusal(tmp_path, text)
    assert message.startswith("not valid TOML")
    assert "line 1" in message


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "oversight.toml"
    path.write_bytes(b'[agent]\ncontact = "\xff@x"\n')
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        load_settings(path)


def test_the_environment_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBCA_AGENT__CONTACT", "other@ca.example")
    monkeypatch.setenv("SUBCA_HTTP__ATTEMPTS", "7")
    settings = _load(tmp_path, MINIMAL + 'organization = "Example CA"\n[http]\nattempts = 2\n')
    assert settings.agent.contact == "other@ca.example"
    assert settings.agent.organization == "Example CA"
    assert settings.http.attempts == 7


def test_credentials_win_over_the_file_and_lose_to_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "subca_database__url").write_text("sqlite:////from/credential.db\n")
    (credentials / "subca_http__attempts").write_text("5\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    monkeypatch.setenv("SUBCA_HTTP__ATTEMPTS", "6")
    settings = _load(tmp_path, MINIMAL + '[database]\nurl = "sqlite:////from/file.db"\n')
    assert settings.database_url == "sqlite:////from/credential.db"
    assert settings.http.attempts == 6


SMTP_SECRET = '[alerts.smtp]\nhost = "h"\nfrom = "f@x"\npassword = "hunter2"\n'
WEBHOOK_SECRET = '[alerts.webhook]\nurl = "https://h/"\nsecret = "hunter2"\n'


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
@pytest.mark.parametrize("secret", [SMTP_SECRET, WEBHOOK_SECRET])
def test_a_secret_in_a_file_that_others_can_read_is_refused(
    tmp_path: Path, secret: str, mode: int
) -> None:
    message = _refusal(tmp_path, MINIMAL + secret, mode=mode)
    assert "chmod 600" in message
    assert "hunter2" not in message


def test_a_secret_in_a_private_file_is_taken_and_never_shown(tmp_path: Path) -> None:
    settings = _load(tmp_path, MINIMAL + SMTP_SECRET)
    assert settings.alerts.smtp is not None
    assert settings.alerts.smtp.password is not None
    assert settings.alerts.smtp.password.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in settings.model_dump_json()


def test_a_proxys_password_is_not_shown_where_settings_are(tmp_path: Path) -> None:
    settings = _load(
        tmp_path, MINIMAL + '[http]\nproxy = "http://user:hunter2@proxy.example:3128"\n'
    )
    assert settings.http.proxy == "http://user:hunter2@proxy.example:3128"
    shown = settings.model_dump(mode="json")["http"]["proxy"]
    assert shown == "http://**********@proxy.example:3128"


def test_a_wrong_secret_is_not_repeated_in_the_message(tmp_path: Path) -> None:
    text = MINIMAL + SMTP_SECRET.replace('"hunter2"', '["hunter2"]')
    assert "hunter2" not in _refusal(tmp_path, text)


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = _load(
        tmp_path,
        MINIMAL
        + 'state_directory = "state"\n[http]\nca_bundle = "roots.pem"\n'
        + '[[ct.log_lists]]\nsource = "lists/one.json"\npublic_key = "list.pem"\n'
        + '[[ct.log_lists]]\nsource = "https://ca.example/list.json"\npublic_key = "google"\n'
        + '[ccadb]\nrecords = "records.csv"\ncertificates = ["pem", "https://ca.example/x.csv"]\n'
        + '[checks]\ndirectory = "own"\n'
        + SUBORDINATE
        + 'commitments = "/absolute.toml"\n',
    )
    assert settings.agent.state_directory == tmp_path / "state"
    assert settings.http.ca_bundle == tmp_path / "roots.pem"
    assert [entry.source for entry in settings.ct.log_lists] == [
        str(tmp_path / "lists/one.json"),
        "https://ca.example/list.json",
    ]
    assert [entry.public_key for entry in settings.ct.log_lists] == [
        str(tmp_path / "list.pem"),
        "google",
    ]
    assert settings.ccadb.records == str(tmp_path / "records.csv")
    assert settings.ccadb.certificates == (str(tmp_path / "pem"), "https://ca.example/x.csv")
    assert settings.checks.directory == tmp_path / "own"
    assert settings.subordinate[0].certificates == (tmp_path / "acme.pem",)
    assert settings.subordinate[0].commitments == Path("/absolute.toml")


def test_networks_of_both_kinds_are_read_and_shown_as_written(tmp_path: Path) -> None:
    settings = _load(tmp_path, MINIMAL + '[http]\nallow_networks = ["10.0.0.0/8", "fd00::/8"]\n')
    assert settings.http.allow_networks == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    dumped = settings.model_dump(mode="json")
    assert dumped["http"]["allow_networks"] == ["10.0.0.0/8", "fd00::/8"]
    schema = Settings.model_json_schema()
    assert schema["$defs"]["HttpSettings"]["properties"]["allow_networks"]["items"] == {
        "type": "string"
    }


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = _load(tmp_path, MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        settings.agent.contact = "x@y"  # type: ignore[misc]  # what is tried is the point


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ('"all"', "all"),
        ("2026-01-01", date(2026, 1, 1)),
        ('"2026-01-01"', date(2026, 1, 1)),
        ("12345", 12345),
        ('"12345"', 12345),
    ],
)
def test_reading_begins_where_the_settings_say(
    tmp_path: Path, text: str, start: str | date | int
) -> None:
    assert _load(tmp_path, MINIMAL + f"[ct]\nstart = {text}\n").ct.start == start
