"""Redirects, each hop judged anew: a declared origin gets the token, another nothing of it, however it is presented."""

from __future__ import annotations

import html
import importlib
import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

import authflow
from tests.clients.drivers import Driver
from tests.servers import Came, Listener, Says

Listen = Callable[..., Listener]
SessionFor = Callable[..., authflow.AuthSession]

PRESENTATIONS: Mapping[str, Mapping[str, Any]] = {
    "authorization": {"headers": {"Authorization": "Bearer {access}"}},
    "header": {"headers": {"X-Api-Key": "{access}"}},
    "cookie": {"cookies": {"sid": "{access}"}},
    "query": {"query": {"key": "{access}"}},
}
TOKEN = "tok3n-that-nobody-else-may-see"


@pytest.fixture(params=PRESENTATIONS)
def presented(request: pytest.FixtureRequest) -> Mapping[str, Any]:
    """Each way to present a token in turn."""
    return PRESENTATIONS[request.param]


def vendor(home: Listener, presented: Mapping[str, Any], *declared: str) -> dict[str, Any]:
    """A vendor whose login is at `home`, and whose token may be presented there and at the declared origins."""
    return {
        "name": "redirecting",
        "extends": "relogin",
        "base_url": f"{home.url}/api/",
        "insecure_url": True,
        "origins": {"present": list(declared)},
        "exchanges": {
            "login": {
                "request": {"url": "login", "json": {"username": "{username}", "password": "{password}"}},
                "answers": {"granted": {"status": 200, "json": {"token": "{access}"}}},
            }
        },
        "states": {"signed_in": {"present": presented}},
    }


@pytest.fixture(params=[False, True], ids=["first", "later"])
def session_for(request: pytest.FixtureRequest) -> SessionFor:
    """Make a session for `vendor`: before its first request, or with a token, so that the short cut is taken."""

    def make(home: Listener, presented: Mapping[str, Any], *declared: str) -> authflow.AuthSession:
        session = authflow.AuthSession(vendor(home, presented, *declared), username="demo", password="open-sesame")
        if request.param:
            session.token()
        return session

    return make


def going(to: Callable[[], str] = str, status: int = 307) -> Callable[[Came], Says]:
    """A server that logs in, and sends `/go` elsewhere."""
    serial = itertools.count(1)

    def says(came: Came) -> Says:
        if came.path == "/api/login":
            return Says(json={"token": f"{TOKEN}-{next(serial)}"})
        if came.path == "/go":
            return Says(status, {}, {"Location": to()})
        return Says(json={"received": len(came.body)})

    return says


def caller_requests(listener: Listener) -> list[Came]:
    return [came for came in listener.seen() if came.path != "/api/login"]


@pytest.mark.parametrize("status", [302, 307])
def test_an_undeclared_origin_gets_nothing(
    client: Driver, listen: Listen, session_for: SessionFor, presented: Mapping[str, Any], status: int
) -> None:
    foreign = listen()
    home = listen(going(lambda: f"{foreign.url}/landing?mine=1", status))
    assert client.call(session_for(home, presented), f"{home.url}/go").status == 200
    (left,) = caller_requests(home)
    (came,) = foreign.seen()
    assert TOKEN in left.everything
    assert came.target == "/landing?mine=1"
    assert TOKEN not in came.everything


def test_a_declared_origin_gets_the_token(
    client: Driver, listen: Listen, session_for: SessionFor, presented: Mapping[str, Any]
) -> None:
    second = listen()
    home = listen(going(lambda: f"{second.url}/landing?mine=1"))
    session = session_for(home, presented, second.url)
    for _ in range(2):
        assert client.call(session, f"{home.url}/go").status == 200
        (came,) = second.seen()
        assert TOKEN in came.everything
        assert ("mine", "1") in parse_qsl(urlsplit(came.target).query)
        assert len(caller_requests(home)) == 1


def test_the_same_origin_keeps_the_token(
    client: Driver, listen: Listen, session_for: SessionFor, presented: Mapping[str, Any]
) -> None:
    home = listen(going(lambda: "/landing"))
    reply = client.call(session_for(home, presented), f"{home.url}/go")
    assert [TOKEN in came.everything for came in caller_requests(home)] == [True, True]
    assert reply.status == 200


def test_the_way_back_from_an_undeclared_origin_is_judged_anew(
    client: Driver, listen: Listen, session_for: SessionFor, presented: Mapping[str, Any]
) -> None:
    home: Listener
    foreign = listen(lambda came: Says(307, {}, {"Location": f"{home.url}/landing"}))
    home = listen(going(lambda: f"{foreign.url}/bounce"))
    assert client.call(session_for(home, presented), f"{home.url}/go").status == 200
    assert [TOKEN in came.everything for came in foreign.seen()] == [False]
    # httpx drops `Authorization` on the way out, below auth: on the way back it may take a second request to bring it.
    sent = [TOKEN in came.everything for came in caller_requests(home)]
    assert sent[0]
    assert sent[-1]


def test_no_hop_of_the_history_holds_the_token(
    client: Driver, listen: Listen, session_for: SessionFor, presented: Mapping[str, Any]
) -> None:
    second = listen()
    home = listen(going(lambda: f"{second.url}/landing"))
    reply = client.call(session_for(home, presented, second.url), f"{home.url}/go")
    assert [hop.status for hop in reply.history] == [307]
    for hop in reply.history:
        assert TOKEN not in f"{hop.url} {dict(hop.sent)}"


def test_a_body_follows_to_a_declared_origin_once(
    client: Driver, listen: Listen, session_for: SessionFor, presented: Mapping[str, Any], tmp_path: Any
) -> None:
    second = listen()
    home = listen(going(lambda: f"{second.url}/landing"))
    body = client.replayable["bytes"](b"x" * 5000, tmp_path)
    reply = client.call(session_for(home, presented, second.url), f"{home.url}/go", "POST", **body)
    (came,) = second.seen()
    assert (came.method, len(came.body), TOKEN in came.everything) == ("POST", 5000, True)
    assert reply.json == {"received": 5000}
    assert [came.method for came in caller_requests(home)] == ["POST"]


def test_redirects_that_never_end_end(client: Driver, listen: Listen, session_for: SessionFor) -> None:
    home = listen(going(lambda: "/go"))
    with pytest.raises(client.error) as raised:
        client.call(session_for(home, PRESENTATIONS["header"]), f"{home.url}/go")
    assert "redirects" in f"{type(raised.value).__name__} {raised.value}".lower()
    assert 0 < len(caller_requests(home)) <= 60


def test_an_exchange_follows_no_redirect(client: Driver, listen: Listen, session_for: SessionFor) -> None:
    foreign = listen()
    home = listen(lambda came: Says(307, {}, {"Location": f"{foreign.url}/login"}))
    with pytest.raises(authflow.VendorAnswerError):
        client.call(session_for(home, PRESENTATIONS["header"]), f"{home.url}/data")
    assert foreign.seen() == []


def test_a_redirect_to_an_undeclared_origin_is_told_once(
    client: Driver, listen: Listen, session_for: SessionFor, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = listen()
    home = listen(going(lambda: f"{foreign.url}/landed?secret=in-the-query", 302))
    session = session_for(home, PRESENTATIONS["header"])
    with caplog.at_level("INFO", logger="authflow"):
        for _ in range(3):
            assert client.call(session, f"{home.url}/go").status == 200
    told = [record.getMessage() for record in caplog.records if "a redirect to" in record.getMessage()]
    (line,) = told
    assert line.startswith(f"redirecting: a redirect to {foreign.url}")
    assert line.endswith(f'write origins.present = ["{foreign.url}"]')
    assert session.status().strangers == (foreign.url,)
    with session.record() as seen:
        for _ in range(2):
            client.call(session, f"{home.url}/go")
    ends = [asked.end for asked in seen.asked if asked.method == seen.hop and asked.error]
    (end,) = {*ends}
    assert len(ends) == 2
    assert end.startswith(f"without the token: {foreign.url} is not declared")
    assert end.endswith(f'origins.present = ["{foreign.url}"]')
    assert re.search(rf'class="own (?:stopped|told) bad[^>]*>.*landed <b>{re.escape(html.escape(end))}', seen.html())


# --- two sessions on one request, and one request used twice ----------------------------------------------------------


def _both(one: authflow.AuthSession, other: authflow.AuthSession, library: str) -> Any:
    """An auth object that gives a request both sessions' tokens: a gateway's key and a vendor's token, say."""
    base: Any = importlib.import_module(f"{library}.auth").AuthBase

    class Both(base):  # type: ignore[misc]
        def __call__(self, request: Any) -> Any:
            for session in (one, other):
                request = getattr(session, library)(request)
            return request

    return Both()


@pytest.mark.parametrize("library", ["requests", "niquests"])
def test_each_of_two_sessions_takes_back_its_own(listen: Listen, library: str, presented: Mapping[str, Any]) -> None:
    lib: Any = pytest.importorskip(library)
    foreign, second = listen(), listen()
    own: dict[str, Any] = {"username": "demo", "password": "open-sesame"}
    declared: tuple[str, ...]
    for elsewhere, declared in ((foreign, ()), (second, (second.url,))):
        home = listen(going(lambda elsewhere=elsewhere: f"{elsewhere.url}/landing"))  # type: ignore[misc]
        key = {"headers": {"X-Gateway-Key": "{access}"}}
        gateway = authflow.AuthSession(vendor(home, key, *declared), **own)
        api = authflow.AuthSession(vendor(home, presented), **own)
        for one, other in ((gateway, api), (api, gateway)) * 2:
            lib.get(f"{home.url}/go", auth=_both(one, other, library))
            (came,) = elsewhere.seen()
            # The gateway's may go to the second origin, the other nowhere.
            assert came.everything.count(TOKEN) == len(declared)
            assert ("x-gateway-key" in came.everything.lower()) is bool(declared)


@pytest.mark.parametrize("fresh", [False, True], ids=["first", "later"])
def test_a_request_that_is_used_again_elsewhere_carries_nothing_of_the_first_time(
    listen: Listen, presented: Mapping[str, Any], fresh: bool
) -> None:
    httpx: Any = pytest.importorskip("httpx")
    import requests

    home, foreign = listen(going()), listen()
    own: dict[str, Any] = {"username": "demo", "password": "open-sesame", "untrusted": "pass"}
    session = authflow.AuthSession(vendor(home, presented), **own)
    if fresh:
        session.token()
    with httpx.Client(auth=session.httpx) as client:
        again = client.build_request("GET", f"{home.url}/x")
        client.send(again)
        again.url, again.headers["Host"] = httpx.URL(f"{foreign.url}/x"), urlsplit(foreign.url).netloc
        client.send(again)
    with requests.Session() as plain:
        prepared = requests.Request("GET", f"{home.url}/x", auth=session.requests).prepare()
        plain.send(prepared)
        prepared.url = f"{foreign.url}/x"
        prepared.prepare_auth(session.requests)
        plain.send(prepared)
    assert [TOKEN in came.everything for came in caller_requests(home)] == [True, True]
    assert [TOKEN in came.everything for came in foreign.seen()] == [False, False]


@pytest.mark.parametrize("presentation", PRESENTATIONS)
def test_an_answer_on_the_way_of_a_redirect_is_judged(client: Driver, listen: Listen, presentation: str) -> None:
    """One that leads to a page where people log in is a rejection, if the file says so; another is followed."""
    granted, forbidden, data = [0], [False], [0]

    def says(came: Came) -> Says:
        if came.path == "/api/login":
            granted[0] += 1
            return Says(json={"token": f"{TOKEN}-{granted[0]}"})
        if came.path == "/signin":
            return Says(body=b"<html>", headers={"Content-Type": "text/html"})
        if forbidden[0] or f"{TOKEN}-{granted[0]}" not in came.everything:
            return Says(302, {}, {"Location": "/signin?next=1"})
        data[0] += came.path == "/data"
        return Says(302, {}, {"Location": "/data"}) if came.path == "/go" else Says(json={"fine": came.method})

    home = listen(says)
    rejected = {"status": 302, "headers": {"Location": "/signin?{_}"}}
    file = {**vendor(home, PRESENTATIONS[presentation]), "answers": {"rejected": rejected}}
    session = authflow.AuthSession(file, username="demo", password="open-sesame")
    session.token()
    for turn in range(2):
        granted[0] += 1
        reply = client.call(session, f"{home.url}/go", "GET" if turn else "POST")
        assert (reply.status, reply.json, data[0]) == (200, {"fine": "GET"}, turn + 1)
        assert [hop.status for hop in reply.history][-1] == 302
        assert TOKEN not in str([(hop.url, dict(hop.sent)) for hop in reply.history])
    assert granted[0] == 5, "each revocation cost one login"
    forbidden[0] = True
    for _ in range(12):
        assert client.call(session, f"{home.url}/data").content == b"<html>", "the second answer is the caller's"
    assert granted[0] <= 5 + 7


@pytest.mark.parametrize("echo", ["?k={plain}", "?k={token}", "?next=%2Fdata%3Fmine%3D1%26k%3D{twice}"])
def test_a_query_that_a_redirect_echoes_goes_nowhere_else(client: Driver, listen: Listen, echo: str) -> None:
    """As it was sent, escaped otherwise, or in a URL to come back to."""
    token = "t0k=/S3CRET"
    shown = {"plain": "t0k=/S3CRET", "token": "t0k%3D%2FS3CRET", "twice": "t0k%253D%252FS3CRET"}
    elsewhere = listen(lambda came: Says(json={}))

    def says(came: Came) -> Says:
        if came.path == "/api/login":
            return Says(json={"token": token})
        return Says(302, {}, {"Location": f"{elsewhere.url}/x{echo.format(**shown)}"})

    home = listen(says)
    session = authflow.AuthSession(vendor(home, {"query": {"k": "{access}"}}), username="demo", password="open-sesame")
    assert client.call(session, f"{home.url}/data?mine=1").status == 200
    (came,) = elsewhere.seen()
    assert came.target == "/x" if "next" not in echo else unquote(came.target) == "/x?next=/data?mine=1"
