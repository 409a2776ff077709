"""Where secrets may go: the origins of the file, of settings, and never of an answer alone."""

from __future__ import annotations

from typing import Any

import pytest

import authflow
from authflow.accounts.trust import check_settings, presents_at, sends_to
from authflow.errors import ConfigurationError, VendorFileError
from authflow.http import Answer, Request, origin_of
from authflow.vendors import Given
from authflow.vendors.loading import load
from tests.scripted import served

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
SETTINGS = {
    "host": "api.example",
    "key": "k",
    "token_url": "https://login.example/token",
    "data": "https://data.example",
}
GIVEN = Given(SETTINGS)


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
    assert {str(origin) for origin in presents_at(VENDOR, Given({"host": "api.example"}), {})} == {
        "https://api.example",
        "https://files.example",
    }
    assert "https://eu.example" in {
        str(origin) for origin in presents_at(VENDOR, GIVEN, {"base_url": "https://eu.example/x"})
    }
    assert presents_at(VENDOR, {**SETTINGS, "base_url": "http://plain.example/"}, {}) == presents_at(
        VENDOR, {**SETTINGS, "host": "bad host"}, {}
    )
    assert {str(origin) for origin in presents_at(VENDOR, {**SETTINGS, "base_url": "http://127.0.0.1:8000/"}, {})} >= {
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
        check_settings(VENDOR, {**SETTINGS, **change})
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
        check_settings(vendor, {**SETTINGS, **defaults})
    assert error.value.findings[0].key.startswith(key)
    check_settings(vendor, GIVEN)


def test_loopback_is_fine_in_plain_http() -> None:
    check_settings(VENDOR, {**SETTINGS, "base_url": "http://127.0.0.1:1/", "token_url": "http://localhost:2/t"})


ANY_INSTANCE = {
    **RAW,
    "origins": {"present": ["https://{_}.data.example"], "send": ["https://eu.{_}.{host}.auth.example"]},
}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://na1.data.example", True),
        ("https://NA1.data.example:443", True),
        ("https://data.example", False),
        ("https://a.b.data.example", False),
        ("https://na1.data.example:8443", False),
        ("http://na1.data.example", False),
        ("https://na1.evil-data.example", False),
        ("https://evil.example", False),
    ],
)
def test_one_label_of_an_origin_may_be_any(url: str, shown: bool) -> None:
    origins = presents_at(load(ANY_INSTANCE), GIVEN, {})
    assert (origin_of(url) in origins) is shown
    assert "https://*.data.example" in map(str, origins)


def test_any_label_of_an_origin_that_is_sent_to() -> None:
    vendor = load(ANY_INSTANCE)
    assert sends_to(vendor, GIVEN, {}, "https://eu.x.api.example.auth.example/")
    assert not sends_to(vendor, GIVEN, {}, "https://us.x.api.example.auth.example/")
    check_settings(vendor, GIVEN)


@pytest.mark.parametrize(
    "origin",
    [
        "https://{_}.example",
        "https://{_}",
        "https://{_}.{host}",
        "https://a-{_}.data.example",
        "https://{_}b.data.example",
        "https://{_}.{_}.data.example",
        "https://{_}.0.0.1",
        "https://data.example/{_}",
        "https://{_}.data.example:{_}",
    ],
)
def test_any_label_wants_two_literal_ones_behind_it(origin: str) -> None:
    with pytest.raises(VendorFileError, match="one whole label"):
        load({**RAW, "origins": {"present": [origin]}})


PRIVATE = [
    *("192.168.1.1", "10.0.0.1", "172.31.255.255", "169.254.1.1", "[fd00::1]", "[fe80::1]"),
    *("nas.local", "NAS.lan", "a.b.home.arpa", "x.internal", "router", "localhost", "127.0.0.1"),
]
PUBLIC = [
    *(
        "172.32.0.1",
        "11.0.0.1",
        "100.64.0.1",
        "8.8.8.8",
        "134744072",
        "0x08080808",
        "[2001:db8::1]",
        "[::ffff:10.0.0.1]",
    ),
    *("a.example", "local.example", "xlocal.example.lan.com", "home.arpa.example", "10.0.0.1.example"),
]


@pytest.mark.parametrize("host", PRIVATE + PUBLIC)
@pytest.mark.parametrize("allowed", [True, False])
def test_plain_http_stays_at_home(host: str, allowed: bool) -> None:
    vendor = load({**RAW, "base_url": "http://{host}/", "insecure_http": allowed, "origins": {}})
    given = Given({"host": host, "key": "k"})
    if host in PRIVATE and (allowed or host in ("localhost", "127.0.0.1")):
        check_settings(vendor, given)
        assert sends_to(vendor, given, {}, f"http://{host}/")
        assert origin_of(f"http://{host}") in presents_at(vendor, given, {})
    else:
        with pytest.raises(ConfigurationError, match="insecure_http = true" if host in PRIVATE else "plain http"):
            check_settings(vendor, given)
        assert not sends_to(vendor, given, {}, f"http://{host}/")
        assert not presents_at(vendor, given, {})


def test_plain_http_in_the_file_itself() -> None:
    raw = {key: value for key, value in RAW.items() if key != "origins"}
    load({**raw, "base_url": "http://nas.local/", "insecure_http": True})
    with pytest.raises(VendorFileError, match=r"insecure_http = true"):
        load({**raw, "base_url": "http://nas.local/"})
    with pytest.raises(VendorFileError, match=r"plain http.*loopback"):
        load({**raw, "base_url": "http://api.example/", "insecure_http": True})


@pytest.mark.parametrize(
    ("url", "to", "trusted"),
    [
        ("https://login.example/token", "https://login.example/other", True),
        ("https://sts.{host}/token?a={key}", "https://sts.api.example/", True),
        ("https://sts.{host}:8443/{next}", "https://sts.api.example:8443/", True),
        ("https://sts.{host}/", "https://sts.evil.example/", False),
        ("https://{next}.example/token", "https://evil.example/token", False),
        ("https://{key}.example/token", "https://k.example/token", False),
    ],
)
def test_an_absolute_url_of_an_exchange_declares_itself_and_its_settings(url: str, to: str, trusted: bool) -> None:
    login = {**RAW["exchanges"]["login"], "request": {"url": url, "form": {"k": "{key}"}}}
    states = {**RAW["states"], "out": {"send": "login", "ok": "second", "missing": "in"}}
    vendor = load({**RAW, "insecure_url": True, "exchanges": {**RAW["exchanges"], "login": login}, "states": states})
    assert sends_to(vendor, GIVEN, {"next": "evil"}, to, carries=True) is trusted


def test_no_callable_is_asked_for_where_a_url_leads() -> None:
    url = "https://login.example/{key}"
    login = {**RAW["exchanges"]["login"], "request": {"url": url, "form": {"k": "{key}"}}}
    vendor = load({**RAW, "insecure_url": True, "exchanges": {**RAW["exchanges"], "login": login}})
    given = Given({**SETTINGS, "key": lambda: pytest.fail("asked")})
    check_settings(vendor, given)
    assert sends_to(vendor, given, {}, "https://login.example/x")


@pytest.mark.parametrize(
    ("realm", "sent"),
    [("https://auth.example/token", True), ("https://data.example/pastebin", False), ("https://evil.example/", False)],
)
def test_a_challenge_leads_only_to_where_the_file_sends(realm: str, sent: bool) -> None:
    """Whoever may write something at the base URL could else have the password posted there."""
    asked: list[str] = []

    class Server:
        def exchange(self, request: Request, timeout: float) -> Answer:
            asked.append(request.url.partition("?")[0])
            return Answer(200, (), b'{"token": "t", "expires_in": 60}')

    file = {"extends": "challenge", "name": "registry", "base_url": "https://data.example/"}
    own = {"client": Server(), "token_server": "https://auth.example/"}
    manager = authflow.AuthSession(file, username="u", password="p", **own)._manager
    url = "https://data.example/v2/a"
    grant = served(manager.authorize(url))
    challenge = Answer(401, (("WWW-Authenticate", f'Bearer realm="{realm}?of=registry",service="s",scope="x"'),))
    if sent:
        assert served(manager.on_response(grant, url, challenge)).record.captured["access"] == "t"
    else:
        with pytest.raises(authflow.UntrustedOrigin):
            served(manager.on_response(grant, url, challenge))
    assert asked == [realm] * sent
