from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from hashlib import sha256

import pytest

from subca_oversight.model.log import Log, LogApi, LogState

LOG = Log(
    log_id=sha256(b"key").digest(),
    key=b"key",
    description="Operator 'Log2027'",
    operator="Operator",
    api=LogApi.STATIC,
    submission_url="https://log.operator.test/2027/",
    monitoring_url="https://mon.operator.test/2027/",
    mmd=60,
    state=LogState.USABLE,
)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://log.operator.test/2027/", "log.operator.test/2027"),
        ("https://log.operator.test/", "log.operator.test"),
        ("http://127.0.0.1:8081/static/", "127.0.0.1:8081/static"),
    ],
)
def test_the_origin_is_the_submission_url_without_scheme_and_slash(url: str, origin: str) -> None:
    assert replace(LOG, submission_url=url).origin == origin


@pytest.mark.parametrize(
    ("state", "monitored"),
    [
        (LogState.PENDING, True),
        (LogState.QUALIFIED, True),
        (LogState.USABLE, True),
        (LogState.READONLY, True),
        (LogState.RETIRED, False),
        (LogState.REJECTED, False),
        (LogState.UNKNOWN, True),
    ],
)
def test_a_log_is_polled_while_it_owes_answers(state: LogState, monitored: bool) -> None:
    assert replace(LOG, state=state).is_monitored is monitored


def test_a_test_log_is_not_polled_but_a_monitoring_only_log_is() -> None:
    assert not replace(LOG, log_type="test").is_monitored
    assert replace(LOG, log_type="monitoring_only", state=LogState.UNKNOWN).is_monitored


@pytest.mark.parametrize(
    "url",
    [
        "https://ct.example.com/bogus/",
        "https://ct.example.com/bogus/ipng/",
        "https://ct-mimics.example.com/mimic1/",
        "https://CT.EXAMPLE.COM/bogus/",
        "https://ct.example.com./bogus/",
        "https://example.org/",
        "https://log.example/",
        "https://log.invalid:8443/",
    ],
)
def test_placeholders_and_mimics_are_never_polled(url: str) -> None:
    assert replace(LOG, submission_url=url).is_placeholder
    assert replace(LOG, monitoring_url=url).is_placeholder
    assert not replace(LOG, monitoring_url=url).is_monitored


@pytest.mark.parametrize(
    "url", ["https://notexample.com/", "https://example.com.operator.test/", "http://127.0.0.1:9/"]
)
def test_a_name_that_only_resembles_a_reserved_one_is_a_log(url: str) -> None:
    assert not replace(LOG, submission_url=url, monitoring_url=url).is_placeholder


def test_a_log_with_a_short_id_or_a_url_without_slash_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        replace(LOG, log_id=b"short")
    with pytest.raises(ValueError, match="end with"):
        replace(LOG, monitoring_url="https://mon.operator.test/2027")


def test_a_log_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        LOG.mmd = 1  # type: ignore[misc]  # the point of the test
