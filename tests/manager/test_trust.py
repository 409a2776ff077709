"""Where secrets may go: the origins of the file, of settings, and never of an answer alone."""

from __future__ import annotations

from typing import Any

import pytest

from authflow.errors import ConfigurationError, VendorFileError
from authflow.manager.trust import check_settings, presents_at, sends_to
from authflow.vendors.loading import load

RAW: dict[str, Any] = {
    "name": "trust",
    "base_url": "https://{host}/v1/",
    "start": "out",
    "settings": {"host": {}, "token_url": {"optional": True}, "data": {"optional": True}},
    "credentials": {"key": {"secret": True}},
    "origins": {"send": ["https://auth.example"], "present": ["{data}", "https://files.example/x"]},
    "exchanges": {
        "login": {
            "request": {"url": "{token_url}", "form": {"k": "{key}"}},
            "answers": {"ok": {"json": {"t": "{access}", "next": "{next}", "base": "{base_url?}"}}},
        },
        "more": {"request": {"url": "{next}"}, "answers": {"ok": {}}},
    },
    "states": {
        "out": {"send": "login", "ok": "second", "missing": "in"},
        "second": {"send": "more", "ok": "in"},
        "in": {"present": {"headers": {"A": "{access?}"}}},
    },
}
VENDOR = load(RAW)
GIVEN = {"host": "api.example", "key": "k", "token_url": "https://login.example/token", "data": "https://data.example"}


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        ("https://api.example/v1/login", True),
        ("https://API.example:443/other", True),
        ("https://auth.example/t", True),
        ("https://login.example/else", True),
        ("https://data.example/x", False),
        ("https://files.example/x", False),
        ("http://api.example/v1/login", False),
        ("https://api.example:8443/", False),
        ("https://api.example.evil.example/", False),
        ("https://user@api.example/", False),
        ("https://evil.example\\@api.example/", False),
        ("/v1/login", False),
        ("", False),
    ],
)
def test_where_exchanges_go(url: str, trusted: bool) -> None:
    assert sends_to(VENDOR, GIVEN, {}, url) is trusted


def test_an_answer_declares_nothing() -> None:
    captured = {"next": "https://evil.example/", "token_url": "https://evil.example/", "host": "evil.example"}
    assert not sends_to(VENDOR, GIVEN, {"next": "https://evil.example/"}, "https://evil.example/steal")
    assert not sends_to(VENDOR, GIVEN, {"token_url": captured["token_url"]}, "https://evil.example/steal")
    assert sends_to(VENDOR, GIVEN, {"base_url": "https://eu.example/"}, "https://eu.example/x")
    assert sends_to(VENDOR, GIVEN, {"base_url": "https://eu.example/"}, "https://api.example/x")


def test_where_the_token_goes() -> None:
    assert {str(origin) for origin in presents_at(VENDOR, GIVEN, {})} == {
        "https://api.example",
        "https://data.example",
        "https://files.example",
    }
    assert {str(origin) for origin in presents_at(VENDOR, {"host": "api.example"}, {})} == {
        "https://api.example",
        "https://files.example",
    }
    assert "https://eu.example" in {
        str(origin) for origin in presents_at(VENDOR, GIVEN, {"base_url": "https://eu.example/x"})
    }
    assert presents_at(VENDOR, {**GIVEN, "base_url": "http://plain.example/"}, {}) == presents_at(
        VENDOR, {**GIVEN, "host": "bad host"}, {}
    )
    assert {str(origin) for origin in presents_at(VENDOR, {**GIVEN, "base_url": "http://127.0.0.1:8000/"}, {})} >= {
        "http://127.0.0.1:8000"
    }


@pytest.mark.parametrize(
    "change",
    [
        {"base_url": "http://api.example/"},
        {"base_url": "not a url"},
        {"base_url": "api.example"},
        {"host": "a/b"},
        {"token_url": "http://login.example/"},
        {"token_url": "https://user:pw@login.example/"},
        {"token_url": "nope"},
        {"data": "http://data.example"},
        {"data": "data.example"},
        {"data": ""},
        {"data": "//data.example"},
    ],
    ids=str,
)
def test_settings_are_checked_when_the_session_is_made(change: dict[str, str]) -> None:
    """And it is said whose fault it is: that of who gave them."""
    check_settings(VENDOR, GIVEN)
    (name,) = change
    with pytest.raises(ConfigurationError, match=f"trust: {name}: ") as error:
        check_settings(VENDOR, {**GIVEN, **change})
    assert "pw" not in str(error.value)


@pytest.mark.parametrize(
    ("setting", "key"),
    [
        ({"host": {"default": "a/b"}}, "base_url"),
        ({"token_url": {"default": "http://login.example/"}}, "exchanges"),
        ({"data": {"default": "data.example"}}, "origins.present"),
    ],
)
def test_a_default_that_is_no_url_is_the_files_fault(setting: dict[str, Any], key: str) -> None:
    vendor = load({**RAW, "settings": {**RAW["settings"], **setting}})
    defaults = {name: entry["default"] for name, entry in setting.items()}
    with pytest.raises(VendorFileError) as error:
        check_settings(vendor, {**GIVEN, **defaults})
    assert error.value.findings[0].key.startswith(key)
    check_settings(vendor, GIVEN)


def test_loopback_is_fine_in_plain_http() -> None:
    check_settings(VENDOR, {**GIVEN, "base_url": "http://127.0.0.1:1/", "token_url": "http://localhost:2/t"})
