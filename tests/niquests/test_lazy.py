"""Lazy answers of multiplexed connections come when they are asked for; all promises hold for them too."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import niquests
import pytest

import authflow
from tests.servers import Came, Listener, Says

Listen = Callable[[Callable[[Came], Says]], Listener]
Fetch = Callable[..., "list[Got]"]

TOKEN = "tok3n-that-nobody-else-may-see"
PRESENTATIONS: Mapping[str, Mapping[str, Any]] = {
    "authorization": {"headers": {"Authorization": "Bearer {access}"}},
    "header": {"headers": {"X-Api-Key": "{access}"}},
    "cookie": {"cookies": {"sid": "{access}"}},
    "query": {"query": {"key": "{access}"}},
}
ALL = len(PRESENTATIONS)


@dataclass
class Vendor:
    """Logs in, takes its newest token, and sends `/go` to where `onward` says."""

    onward: Callable[[], str] = str
    logins: int = 0
    good: str = ""
    locked: bool = False

    def __call__(self, came: Came) -> Says:
        if came.path == "/api/login":
            if self.locked:
                return Says(403, {})
            self.logins += 1
            self.good = f"{TOKEN}-{self.logins}"
            return Says(json={"token": self.good})
        if not self.good or self.good not in came.everything:
            return Says(401, {"error": "another token, please"})
        if came.path == "/go":
            return Says(307, {}, {"Location": self.onward()})
        return Says(json={"path": came.path, "received": len(came.body)})


@pytest.fixture
def session_for() -> Iterator[Callable[..., authflow.AuthSession]]:
    """Sessions at `home`, whose exchanges go through a client of niquests too."""
    with niquests.Session(disable_http1=True) as client:

        def made(home: Listener, presented: Mapping[str, Any], *declared: str) -> authflow.AuthSession:
            vendor = described(home, presented, *declared)
            return authflow.AuthSession(vendor, username="demo", password="open-sesame", client=client)

        yield made


def described(home: Listener, presented: Mapping[str, Any], *declared: str) -> dict[str, Any]:
    return {
        "name": "lazy",
        "extends": "relogin",
        "base_url": f"{home.url}/api/",
        "insecure_url": True,
        "origins": {"present": list(declared)},
        "exchanges": {
            "login": {
                "request": {"url": "login", "json": {"username": "{username}", "password": "{password}"}},
                "answers": {"granted": {"status": 200, "json": {"token": "{access}"}}, "denied": {"status": 403}},
            }
        },
        "states": {"signed_in": {"present": presented}},
    }


@pytest.fixture(params=PRESENTATIONS)
def presented(request: pytest.FixtureRequest) -> Mapping[str, Any]:
    return PRESENTATIONS[request.param]


# --- both kinds of session --------------------------------------------------------------------------------------------


@dataclass
class Got:
    status: int
    url: str
    json: Any
    history: list[Any]


def in_a_thread(session: authflow.AuthSession, urls: list[str], method: str = "GET", **how: Any) -> list[Got]:
    with niquests.Session(disable_http1=True, multiplexed=True, auth=session.niquests) as client:
        answers = [client.request(method, url, **how) for url in urls]
        assert all(answer.lazy for answer in answers)
        client.gather()
        return [Got(answer.status_code, answer.url, answer.json(), answer.history) for answer in answers]


def in_a_loop(session: authflow.AuthSession, urls: list[str], method: str = "GET", **how: Any) -> list[Got]:
    async def run() -> list[Got]:
        async with niquests.AsyncSession(disable_http1=True, multiplexed=True, auth=session.niquests) as client:
            answers = [await client.request(method, url, **how) for url in urls]
            assert all(answer.lazy for answer in answers)
            await client.gather()
            return [await got(answer) for answer in answers]

    async def got(answer: Any) -> Got:
        said = answer.json()
        said = await said if inspect.isawaitable(said) else said
        return Got(answer.status_code, answer.url, said, answer.history)

    return asyncio.run(run())


@pytest.fixture(params=[in_a_thread, in_a_loop], ids=["session", "asyncsession"])
def fetch(request: pytest.FixtureRequest) -> Fetch:
    function: Fetch = request.param
    return function


# --- the walk ---------------------------------------------------------------------------------------------------------


def test_lazy_answers_carry_the_token(fetch: Fetch, listen_h2: Listen, session_for: Any, presented: Any) -> None:
    home = listen_h2(Vendor())
    got = fetch(session_for(home, presented), [f"{home.url}/{number}" for number in range(5)])
    assert [(one.status, one.json["path"]) for one in got] == [(200, f"/{number}") for number in range(5)]
    assert [came.path for came in home.seen()] == ["/api/login", "/0", "/1", "/2", "/3", "/4"]


def test_a_rejection_is_seen_when_the_answer_comes(
    fetch: Fetch, listen_h2: Listen, session_for: Any, presented: Any
) -> None:
    vendor = Vendor()
    home = listen_h2(vendor)
    session = session_for(home, presented)
    session.token()
    vendor.good = "another"
    got = fetch(session, [f"{home.url}/{number}" for number in range(5)], "POST", data=b"x" * 1000)
    assert [(one.status, one.json) for one in got] == [(200, {"path": f"/{n}", "received": 1000}) for n in range(5)]
    assert vendor.logins == 2
    assert len(home.seen()) == 2 + 2 * 5


def test_the_second_rejection_is_the_callers(fetch: Fetch, listen_h2: Listen, session_for: Any) -> None:
    vendor = Vendor()
    home = listen_h2(lambda came: vendor(came) if came.path == "/api/login" else Says(401, {"error": "forbidden"}))
    (one,) = fetch(session_for(home, PRESENTATIONS["header"]), [f"{home.url}/x"])
    assert (one.status, one.json) == (401, {"error": "forbidden"})
    assert [came.path for came in home.seen()] == ["/api/login", "/x", "/api/login", "/x"]


def test_a_refused_password_is_an_error_of_niquests(fetch: Fetch, listen_h2: Listen, session_for: Any) -> None:
    vendor = Vendor()
    home = listen_h2(vendor)
    session = session_for(home, PRESENTATIONS["header"])
    session.token()
    vendor.good, vendor.locked = "another", True
    with pytest.raises(authflow.CredentialsRefused) as caught:
        fetch(session, [f"{home.url}/x"])
    assert isinstance(caught.value, niquests.RequestException)


# --- redirects --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rejected", [False, True])
def test_the_same_origin_keeps_the_token_and_the_history_none(
    fetch: Fetch, listen_h2: Listen, session_for: Any, presented: Any, rejected: bool
) -> None:
    vendor = Vendor(lambda: "/landing")
    home = listen_h2(vendor)
    session = session_for(home, presented)
    session.token()
    if rejected:
        vendor.good = "another"
    (one,) = fetch(session, [f"{home.url}/go"])
    assert (one.status, one.json["path"], vendor.logins) == (200, "/landing", 1 + rejected)
    assert [hop.status_code for hop in one.history] == [307]
    assert TOKEN not in "".join(f"{hop.url} {hop.request.url} {dict(hop.request.headers)}" for hop in one.history)


@pytest.mark.parametrize("rejected", [False, True])
@pytest.mark.parametrize("declared", [False, True])
def test_another_origin_gets_the_token_only_if_it_is_declared(
    fetch: Fetch, listen_h2: Listen, session_for: Any, presented: Any, declared: bool, rejected: bool
) -> None:
    other = listen_h2(lambda came: Says(json={"path": came.path}))
    vendor = Vendor(lambda: f"{other.url}/landing?mine=1")
    home = listen_h2(vendor)
    session = session_for(home, presented, *([other.url] if declared else []))
    session.token()
    if rejected:
        vendor.good = "another"
    (one,) = fetch(session, [f"{home.url}/go"])
    assert (one.status, one.json) == (200, {"path": "/landing"})
    (came,) = other.seen()
    assert (TOKEN in came.everything, "mine=1" in came.target) == (declared, True)


@pytest.mark.parametrize("lenient", [False, True])
def test_the_clients_own_rules_are_not_relied_on(
    fetch: Fetch, listen_h2: Listen, session_for: Any, presented: Any, lenient: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lenient:
        for kind in (niquests.Session, niquests.AsyncSession):
            monkeypatch.setattr(kind, "should_strip_auth", lambda self, old, new: False)
    vendor = Vendor()
    home = listen_h2(vendor)
    other = listen_h2(lambda came: Says(302, {}, {"Location": f"{home.url}/landing"}))
    vendor.onward = lambda: f"{other.url}/on"
    session = session_for(home, presented)
    session.token()
    (one,) = fetch(session, [f"{home.url}/go"])
    assert (one.status, one.json["path"], vendor.logins) == (200, "/landing", 1)
    (came,) = other.seen()
    assert TOKEN not in came.everything


def test_a_redirect_to_where_the_token_does_not_go_is_logged(
    fetch: Fetch, listen_h2: Listen, session_for: Any, presented: Any, caplog: pytest.LogCaptureFixture
) -> None:
    other = listen_h2(lambda came: Says(json={"path": came.path}))
    home = listen_h2(Vendor(lambda: f"{other.url}/landing"))
    session = session_for(home, presented)
    session.token()
    with caplog.at_level("INFO", logger="authflow"):
        fetch(session, [f"{home.url}/go"])
    told = [record.getMessage() for record in caplog.records if "a redirect to" in record.getMessage()]
    assert [line.partition(" is followed")[0] for line in told] == [f"lazy: a redirect to {other.url}/landing"]


def test_a_redirect_that_shall_not_be_followed_is_not(fetch: Fetch, listen_h2: Listen, session_for: Any) -> None:
    vendor = Vendor(lambda: "/landing")
    home = listen_h2(vendor)
    session = session_for(home, PRESENTATIONS["header"])
    for _ in range(2):
        vendor.good = "another"
        (one,) = fetch(session, [f"{home.url}/go"], allow_redirects=False)
        assert (one.status, one.history) == (307, [])
    assert "/landing" not in [came.path for came in home.seen()]
