"""Where a token may go: every way to write another place as if it were the vendor's, and every way back."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import authflow
from authflow.accounts.grants import ANONYMOUS
from authflow.clients import default_sender, sender_for
from authflow.http import Origin, Request, origin_of
from authflow.templates import Outcome
from tests.clients.drivers import DRIVERS, Driver
from tests.scripted import LADDER, ScriptedVendor
from tests.servers import Came, Listener, Says
from tests.trust.wire import ladder_at

Listen = Callable[..., Listener]

# --- one origin, however it is written --------------------------------------------------------------------------------

SAME = [
    "https://vendor.example/x",
    "HTTPS://VENDOR.example/x",
    "https://vendor.example:443/x",
    "https://vendor.example:0443/x",
    "https://vendor.example./x",
    "https://vendor.example?x=@elsewhere.example",
    "https://vendor.example#@elsewhere.example",
]
OTHER = [
    "http://vendor.example/",
    "https://vendor.example:444/",
    "https://vendor.example:80/",
    "https://elsewhere.example/vendor.example",
    "https://elsewhere.example/?https://vendor.example/",
    "https://elsewhere.example#https://vendor.example/",
    "https://sub.vendor.example/",
    "https://vendor.example.elsewhere.example/",
    "https://vendorxexample/",
    "https://xn--vendr-jua.example/",
]
NONE = [
    "//vendor.example/x",
    "///vendor.example/x",
    "/\\vendor.example/x",
    "https:vendor.example/x",
    "https:/vendor.example/x",
    "https:///vendor.example/x",
    "https:\\\\vendor.example\\x",
    "https://vendor.example\\@elsewhere.example/",
    "https://elsewhere.example\\@vendor.example/",
    "https://vendor.example@elsewhere.example/",
    "https://user:password@vendor.example/",
    "https://@vendor.example/",
    "https://vendor.example%2eelsewhere.example/",
    "https://vendor%2eexample/",
    "https://vendor.example%00.elsewhere.example/",
    "https://vendor.example%40elsewhere.example/",
    "https://vendor.example..",
    "https://vendor..example/",
    f"https://{'a' * 64}.example/",
    "https://" + "a." * 127 + "example/",
    "https://.vendor.example/",
    "https://vendor.example;elsewhere.example/",
    "https://vendor.example,elsewhere.example/",
    "https://vendor.example:443:443/",
    "https://vendor.example:443@elsewhere.example/",
    "https://vendor.example:99999/",
    "https://vendor.example:-443/",
    "https://vendor.example:４４３/",
    "https://vendor.example\t/",
    "https://ven\ndor.example/",
    " https://vendor.example/",
    "https://vendor.example\x00/",
    "https://[vendor.example]/",
    "https://[v1.vendor.example]/",
    "https://[::1/",
    "https://vendor。example/",
    "https://ⓥendor.example/",
    "https://ＶＥＮＤＯＲ.example/",
    "https://vendor\u00ad.example/",
    "https://vendor.example\u2028/",
    "ftp://vendor.example/",
    "javascript://vendor.example/",
    "file://vendor.example/x",
    "",
    "vendor.example",
]


@pytest.mark.parametrize("url", SAME)
def test_the_origin_is_the_same_however_it_is_written(vendor: ScriptedVendor, url: str) -> None:
    assert origin_of(url) == Origin("https", "vendor.example", 443)
    session = vendor.session()
    session.token()
    assert session.headers(url)["Authorization"] == "Bearer access-1"


@pytest.mark.parametrize("url", ["wss://vendor.example/x", "WSS://Vendor.Example:443/x"])
def test_a_websocket_is_where_the_request_that_opens_it_goes(vendor: ScriptedVendor, url: str) -> None:
    session = vendor.session()
    for _ in range(2):  # without a token, and with one
        assert session.headers(url)["Authorization"] == "Bearer access-1"
    for other in ("ws://vendor.example/x", "ws://vendor.example:443/x", "wss://vendor.example:444/x"):
        with pytest.raises(authflow.UntrustedOrigin):
            session.headers(other)


@pytest.mark.parametrize("url", [*OTHER, *NONE], ids=ascii)
def test_what_is_written_to_look_like_it_gets_nothing(vendor: ScriptedVendor, url: str) -> None:
    passing = vendor.session(untrusted="pass")
    for logged_in in (False, True):
        if logged_in:
            passing.token()
        assert passing._manager.authorize(url).grant is ANONYMOUS
        with pytest.raises(authflow.UntrustedOrigin):
            vendor.session()._manager.authorize(url)


@pytest.mark.parametrize("url", NONE, ids=ascii)
def test_what_two_parsers_could_read_differently_has_no_origin(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        origin_of(url)


@pytest.mark.skipif(find_spec("httpx") is None, reason="it is about httpx, which is not installed here")
@given(st.text(st.sampled_from("vendor.example:/@\\#?%[]4 \t\u3002ß"), max_size=30))
def test_whatever_follows_the_scheme_it_is_the_vendors_only_if_the_clients_say_so_too(tail: str) -> None:
    import httpx
    from urllib3.util import parse_url

    url = f"https://{tail}"
    try:
        origin = origin_of(url)
        host = httpx.URL(url).raw_host.decode()
    except (ValueError, httpx.InvalidURL):  # one of them refuses it, and nothing is sent
        return
    assert host.removesuffix(".") == origin.host
    if url.isascii():
        assert parse_url(url).host in (origin.host, f"{origin.host}.", f"[{origin.host}]")


def test_two_spellings_of_a_name_are_one_host_or_none() -> None:
    """`ß` is `ss` to one parser and `xn--…` to the next; what all read alike is taken as it is."""
    assert origin_of("https://bücher.example/") == origin_of("https://xn--bcher-kva.example/")
    for name in ("straße", "ﬀ", "faß", "βόλος", "a\u200db"):
        with pytest.raises(ValueError, match=r"."):
            origin_of(f"https://{name}.example/")


@pytest.mark.parametrize(
    ("url", "secure"),
    [
        ("http://127.0.0.1/", True),
        ("http://127.8.9.1/", True),
        ("http://[::1]/", True),
        ("http://[0:0:0:0:0:0:0:1]/", True),
        ("http://localhost/", True),
        ("http://LOCALHOST./", True),
        ("http://127.1/", False),
        ("http://2130706433/", False),
        ("http://0x7f.0.0.1/", False),
        ("http://0.0.0.0/", False),
        ("http://[::]/", False),
        ("http://localhost.example/", False),
        ("http://127.0.0.1.example/", False),
    ],
)
def test_plain_http_is_for_this_machine_alone(vendor: ScriptedVendor, url: str, secure: bool) -> None:
    assert origin_of(url).secure == secure
    if secure:
        vendor.session({**LADDER, "base_url": url})
        return
    with pytest.raises(authflow.VendorFileError, match="plain http"):
        vendor.session({**LADDER, "base_url": url})


# --- rewriting --------------------------------------------------------------------------------------------------------

REWRITING = {**LADDER, "rewrites": [{"from": "deliveries/{id}", "to": "../tracking/{id}"}]}


@pytest.mark.parametrize("tail", ["..", ".", "%2e%2e", "%2E", "%2e."])
def test_a_segment_that_would_lead_out_is_refused(vendor: ScriptedVendor, tail: str) -> None:
    session = vendor.session(REWRITING)
    session.token()
    with pytest.raises(authflow.ConfigurationError, match="cannot be rewritten"):
        session._manager.authorize(f"https://vendor.example/api/deliveries/{tail}")


@pytest.mark.parametrize("tail", ["a%2f..%2f..%2fb", "%2f%2felsewhere.example", "%5c%5celsewhere.example", "%0d%0aX:y"])
def test_a_segment_stays_one_segment(vendor: ScriptedVendor, tail: str) -> None:
    session = vendor.session(REWRITING)
    session.token()
    url = session._manager.authorize(f"https://vendor.example/api/deliveries/{tail}").url
    assert url.startswith("https://vendor.example/tracking/")
    assert url.count("/") == 4


# --- what is sent where -----------------------------------------------------------------------------------------------


def test_the_host_header_moves_nothing(client: Driver, listen: Listen) -> None:
    home, foreign = listen(granting()), listen()
    session = authflow.AuthSession(ladder_at(home.url), username="u", password="p")
    with pytest.raises(authflow.UntrustedOrigin):
        client.call(session, f"{foreign.url}/x", headers={"Host": home.url.removeprefix("http://")})
    assert foreign.seen() == []


def granting(location: Callable[[Came], str] | None = None, status: int = 307) -> Callable[[Came], Says]:
    """A server that logs in, and sends all else elsewhere if told where."""
    serial = itertools.count(1)

    def says(came: Came) -> Says:
        if came.path == "/login":
            return Says(json={"access": f"access-{next(serial)}", "in": 1000})
        if location is not None and (where := location(came)):
            return Says(status, {}, {"Location": where})
        return Says(json={})

    return says


def test_a_redirect_from_https_to_http_carries_nothing(vendor: ScriptedVendor) -> None:
    """By the origin alone: `http://vendor.example` is another than `https://vendor.example`, whatever the port."""
    session = vendor.session()
    session.token()
    for url in ("http://vendor.example/", "http://vendor.example:443/", "http://vendor.example:80/"):
        assert not session._manager.trusts(session._manager.grants.current, url)


@pytest.mark.parametrize("redirects", [False, True])
def test_an_exchange_follows_a_redirect_only_if_the_file_says_so(listen: Listen, redirects: bool) -> None:
    moved = listen(granting())
    home = listen(lambda came: Says(307, {}, {"Location": f"{moved.url}/login"}))
    login = {**LADDER["exchanges"]["login"], "redirects": redirects}
    file = ladder_at(
        home.url, exchanges={**LADDER["exchanges"], "login": login}, origins={"send": [moved.url], "present": []}
    )
    session = authflow.AuthSession(file, username="u", password="p4ss-word")
    if redirects:
        assert session.token().access == "access-1"
        assert b"p4ss-word" in moved.seen()[0].body
    else:
        with pytest.raises(authflow.VendorAnswerError):
            session.token()
        assert moved.seen() == []


def test_a_redirected_exchange_goes_to_no_undeclared_origin(listen: Listen) -> None:
    foreign = listen()
    home = listen(lambda came: Says(307, {}, {"Location": f"{foreign.url}/login"}))
    login = {**LADDER["exchanges"]["login"], "redirects": True}
    file = ladder_at(home.url, exchanges={**LADDER["exchanges"], "login": login})
    with pytest.raises(authflow.UntrustedOrigin, match="login may not be sent to"):
        authflow.AuthSession(file, username="u", password="p").token()
    assert foreign.seen() == []


def test_an_exchange_that_is_redirected_for_ever_ends(listen: Listen) -> None:
    home = listen(lambda came: Says(307, {}, {"Location": "/login"}))
    login = {**LADDER["exchanges"]["login"], "redirects": True}
    file = ladder_at(home.url, exchanges={**LADDER["exchanges"], "login": login})
    with pytest.raises(authflow.VendorUnavailable, match="redirected too often"):
        authflow.AuthSession(file, username="u", password="p").token()
    assert len(home.seen()) == 5


@pytest.mark.parametrize("library", sorted({driver.library for driver in DRIVERS}))
def test_a_password_for_this_machine_goes_through_no_proxy(
    listen: Listen, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, proxy = listen(granting()), listen()
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    senders = [default_sender(library)]
    if hasattr(lib := importlib.import_module(library), "Session"):
        senders.append(sender_for(lib.Session()))  # httpx's clients look at the environment when they are made
    for sender in senders:
        assert sender.exchange(Request("POST", f"{home.url}/login", body=b"{}"), 10).status == 200
        assert (len(home.seen()), proxy.seen()) == (1, [])


HOSTS: dict[str, Any] = {"": None, "a b": None, "a@b": None, "a/b": None, "a.b:80": "a.b:80", "a.b\\c": None}


@pytest.mark.parametrize("host", HOSTS, ids=ascii)
def test_a_host_from_a_setting_is_a_host_and_nothing_more(vendor: ScriptedVendor, host: str) -> None:
    file = {**LADDER, "settings": {"host": {}}, "base_url": "https://{host}/api/"}
    if HOSTS[host]:
        assert vendor.session(file, host=host).token().access
        return
    with pytest.raises(authflow.ConfigurationError, match="host"):
        vendor.session(file, host=host)


# --- a base URL that an answer brings ---------------------------------------------------------------------------------


def moved(request: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The login says where the data is; the refresh is as the test has it."""
    login = LADDER["exchanges"]["login"]
    answers = {"granted": {"json": {"access": "{access}", "refresh": "{refresh?}", "at": "{base_url?}"}}}
    refresh = {"request": request, "answers": answers}
    return {**LADDER, "exchanges": {"login": {**login, "answers": answers}, "refresh": refresh}, **more}


def renewed_at(vendor: ScriptedVendor, file: dict[str, Any]) -> list[str]:
    """Where a login, and a renewal after it, went."""
    session = vendor.session(file)
    vendor.says("login", 200, {"access": "a", "refresh": "r", "at": "https://eu.example/"})
    session.token()
    vendor.says("refresh", 200, {"access": "b"})
    flight: Any = session._manager.grants.renewed(
        (), session._manager.grants.current, Outcome("rejected", {}), replayable=True
    )
    flight.wait()
    assert session.headers("https://eu.example/x")
    return [request.url for request in vendor.sent]


def test_a_captured_base_url_moves_no_exchange_silently(vendor: ScriptedVendor) -> None:
    home = "https://vendor.example/api"
    relative = moved({"url": "refresh", "json": {"refresh": "{refresh}"}})
    assert renewed_at(vendor, relative) == [f"{home}/login", f"{home}/refresh"]
    vendor.sent.clear()
    by_name = moved({"url": "{base_url}/refresh", "json": {"refresh": "{refresh}"}})
    assert renewed_at(vendor, by_name) == [f"{home}/login", "https://eu.example/refresh"]


def test_a_captured_base_url_gets_no_password(vendor: ScriptedVendor) -> None:
    request = {"url": "{base_url}/refresh", "json": {"refresh": "{refresh}", "password": "{password}"}}
    with pytest.raises(authflow.UntrustedOrigin, match=r"refresh may not be sent to https://eu\.example"):
        renewed_at(vendor, moved(request))
    vendor.sent.clear()
    declared = moved(request, origins={"send": ["https://eu.example"]})
    assert renewed_at(vendor, declared)[-1] == "https://eu.example/refresh"
