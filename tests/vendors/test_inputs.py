"""What the user gives: defaults with their placeholders, types, and which inputs there are at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

import authflow
from authflow.http import Request
from authflow.vendors.loading import load
from tests.scripted import ScriptedVendor, answered

CLIENT = {"client_id": "c:1", "client_secret": "s/1"}


def vendor_of(**more: Any) -> Any:
    return load({"name": "op", "extends": "client-credentials", "base_url": "https://op.example/", **more})


def sent_of(file: Any, **given: Any) -> Request:
    """The request that logs in."""
    scripted = ScriptedVendor()
    scripted.down = answered(200, {"access_token": "t-1", "t": "t-1"})
    authflow.AuthSession(file, client=scripted, clock=scripted.clock, **given).token()
    return scripted.sent[-1]


def settings(**entries: Any) -> dict[str, Any]:
    return {"settings": entries}


@pytest.mark.parametrize(
    ("more", "given", "url"),
    [
        (settings(token_url={"default": "token"}), {}, "https://op.example/token"),
        (settings(token_url={"default": "oauth/token", "type": "url"}), {}, "https://op.example/oauth/token"),
        (settings(token_url={"default": "/token"}), {"base_url": "https://at.example/v1"}, "https://at.example/token"),
        (
            settings(tenant={}, token_url={"default": "https://{tenant}.op.example/token"}),
            {"tenant": "acme"},
            "https://acme.op.example/token",
        ),
        (
            settings(tenant={}, token_url={"default": "https://op.example/{tenant}/token"}),
            {"tenant": "a b"},
            "https://op.example/a%20b/token",
        ),
        (
            settings(a={"default": "{b}"}, b={"default": "x"}, token_url={"default": "https://op.example/{a}"}),
            {},
            "https://op.example/x",
        ),
        (
            settings(site={"type": "url"}, token_url={"default": "{site}token"}),
            {"site": "https://at.example"},
            "https://at.example/token",
        ),
        (
            settings(site={"type": "url", "default": "https://at.example"}, token_url={"default": "{site}token"}),
            {},
            "https://at.example/token",
        ),
    ],
)
def test_a_default_may_hold_other_inputs_and_be_relative(more: Any, given: Any, url: str) -> None:
    assert sent_of(vendor_of(**more), **CLIENT, **given).url == url


def test_braces_that_name_no_input_are_text() -> None:
    vendor = vendor_of(**settings(token_url={"default": "https://op.example/token"}, scope={"default": '{"a": 1}'}))
    assert parse_qs((sent_of(vendor, **CLIENT).body or b"").decode())["scope"] == ['{"a": 1}']


def test_what_a_default_lacks_is_missing_by_name() -> None:
    vendor = vendor_of(**settings(tenant={}, token_url={"default": "https://op.example/{tenant}"}))
    with pytest.raises(authflow.ConfigurationError, match=r"the credential or setting tenant$"):
        authflow.AuthSession(vendor, **CLIENT)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (settings(a={"default": "{b}"}, b={"default": "{a}"}), "made of itself"),
        (settings(token_url={"default": "https://op.example/{client_secret}"}), "cannot stand in a default"),
    ],
)
def test_a_default_that_cannot_be(more: Any, reason: str) -> None:
    with pytest.raises(authflow.VendorFileError, match=reason):
        vendor_of(**more)


@pytest.mark.parametrize(
    ("kind", "good", "bad", "reason"),
    [
        ("url", "https://a.example/x", "a.example", "token_url must be an absolute URL"),
        ("host", "a.example:8443", "https://a.example/", "token_url must be a host name"),
        ("int", "5", "five", "token_url must be a whole number"),
        ("duration", "12h", "soon", "token_url must be a number of seconds"),
    ],
)
def test_a_type_is_checked_when_the_value_is_given(kind: str, good: str, bad: str, reason: str) -> None:
    file = {
        "name": "op",
        "extends": "relogin",
        "base_url": "https://op.example/",
        "settings": {"token_url": {"type": kind}},
        "exchanges": {
            "login": {
                "request": {"url": "login", "json": {"a": "{token_url}", "u": "{username}", "p": "{password}"}},
                "answers": {"granted": {"json": {"t": "{access}"}}},
            }
        },
    }
    user = {"username": "u", "password": "p"}
    sent_of(file, **user, token_url=good)
    with pytest.raises(authflow.ConfigurationError, match=reason):
        authflow.AuthSession(file, **user, token_url=bad)


@pytest.mark.parametrize(("given", "sent"), [({}, b"3600"), ({"life": 60}, b"60"), ({"life": "60"}, b"60")])
def test_whole_numbers_stay_numbers(given: Any, sent: bytes) -> None:
    file = {
        "name": "a",
        "extends": "relogin",
        "base_url": "https://a.example/",
        "settings": {"life": {"default": 3600}},
        "exchanges": {
            "login": {
                "request": {"url": "login", "json": {"life": "{life}", "u": "{username}", "p": "{password}"}},
                "answers": {"granted": {"json": {"t": "{access}"}}},
            }
        },
    }
    assert b'"life":' + sent in (sent_of(file, username="u", password="p", **given).body or b"")


@pytest.mark.parametrize("scope", ["a b", ["a", "b"], ("a", "b")])
def test_scopes_may_be_a_list(scope: Any) -> None:
    vendor = vendor_of(**settings(token_url={"default": "token"}))
    assert b"scope=a+b" in (sent_of(vendor, **CLIENT, scope=scope).body or b"")


@pytest.mark.parametrize(
    ("place", "header", "body"),
    [
        ("header", "Basic YyUzQTE6cyUyRjE=", False),
        ("header-raw", "Basic YzE6cy8x", False),
        ("body", None, True),
    ],
)
def test_where_the_clients_secret_stands(place: str, header: str | None, body: bool) -> None:
    vendor = vendor_of(secret_in=place, **settings(token_url={"default": "token"}))
    client = {**CLIENT, "client_id": "c1"} if place == "header-raw" else CLIENT
    request = sent_of(vendor, **client)
    assert dict(request.headers).get("Authorization") == header
    assert (b"client_secret=s%2F1" in (request.body or b"")) is body


# --- which inputs there are -------------------------------------------------------------------------------------------

OWN = {"request": {"url": "token", "form": {"id": "{client_id}", "key": "{client_secret}", "scope": "{scope}"}}}


def test_what_only_a_replaced_part_used_is_no_input() -> None:
    vendor = vendor_of(exchanges={"login": OWN})
    assert set(vendor.inputs) == {"client_id", "client_secret", "scope"}
    with pytest.raises(authflow.ConfigurationError, match="takes no 'token_url'"):
        authflow.AuthSession(vendor, **CLIENT, scope="a", token_url="https://op.example/token")


def test_what_the_file_names_stays_an_input() -> None:
    assert "token_url" in vendor_of(exchanges={"login": OWN}, **settings(token_url={})).inputs


def test_what_is_used_without_a_question_mark_must_be_given() -> None:
    with pytest.raises(authflow.ConfigurationError, match="scope"):
        authflow.AuthSession(vendor_of(exchanges={"login": OWN}), **CLIENT)


def test_what_only_the_base_url_uses_is_not_asked_for_where_that_is_given() -> None:
    file = {"name": "a", "extends": "bearer", "base_url": "https://{tenant}.example/", "settings": {"tenant": {}}}
    with pytest.raises(authflow.ConfigurationError, match="tenant"):
        authflow.AuthSession(file, token="t")
    authflow.AuthSession(file, token="t", base_url="https://other.example/")


def test_a_file_without_a_base_url_is_told_it() -> None:
    file = {"name": "a", "extends": "bearer"}
    with pytest.raises(authflow.ConfigurationError, match="base_url"):
        authflow.AuthSession(file, token="t")
    session = authflow.AuthSession(file, token="t", base_url="https://a.example")
    assert session.headers("https://a.example/x") == {"Authorization": "Bearer t"}


def test_a_file_may_extend_an_installed_vendor(tmp_path: Path) -> None:
    base = tmp_path / "acme.toml"
    base.write_text('extends = "bearer"\nbase_url = "https://acme.example/"\ntitle = "Acme"\n')
    for source in (base, {"name": "acme", "extends": "bearer", "base_url": "https://acme.example/"}, load(base)):
        vendor = load({"name": "mine", "extends": "acme"}, installed={"acme": source})
        assert (vendor.name, vendor.base_url.literal_origin()) == ("mine", "https://acme.example")
    with pytest.raises(authflow.VendorFileError, match=r"unknown preset 'acne'.*did you mean 'acme'"):
        load({"name": "mine", "extends": "acne"}, installed={"acme": base})


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"type": "host", "default": "https://a.example"}, "must be a host name"),
        ({"type": "url", "default": "ftp://a.example/"}, "must be an absolute URL"),
        ({"type": "duration", "default": "soon"}, "must be a number of seconds"),
    ],
)
def test_a_default_is_what_its_type_says(entry: dict[str, str], reason: str) -> None:
    with pytest.raises(authflow.VendorFileError) as caught:
        vendor_of(**settings(x=entry, token_url={"default": "token"}), headers={"X": "{x}"})
    (finding,) = caught.value.findings
    assert (finding.key, finding.reason.startswith(reason)) == ("settings.x.default", True)


def test_a_list_that_is_no_scope_is_told() -> None:
    file = vendor_of(**settings(parts={"default": ["a", "b"]}, token_url={"default": "t"}), headers={"X": "{parts}"})
    assert ("settings.parts.default", "only scope may be a list") in [(one.key, one.reason) for one in file.warnings]


def test_a_hole_that_nothing_fills_is_told() -> None:
    """It is sent with its braces, as it always was; a mistyped name is hardly meant so."""
    file = vendor_of(
        **settings(tenant={}, x={"default": "a/{tenent}"}, y={"default": "{{b}}"}, token_url={"default": "t"})
    )
    (told,) = [finding for finding in file.warnings if "braces" in finding.reason]
    assert (told.key, told.hint) == ("settings.x.default", "did you mean 'tenant'?")
