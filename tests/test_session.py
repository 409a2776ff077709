"""The session manager by itself: what a request shall carry, and what its answer means. No network, no real clock."""

from __future__ import annotations

import copy
import itertools
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import requests

import authflow
from authflow.accounts.grants import ANONYMOUS
from authflow.http import Answer, Request
from authflow.manager.cache import MOST_GRANTS
from authflow.manager.manager import SessionManager
from authflow.stores.memory import MemoryStore
from tests.scripted import (
    LADDER,
    LIFETIME,
    REGISTRY,
    URL,
    Clock,
    ScriptedVendor,
    answered,
    bearer,
    body_of,
    finished,
    pull,
    served,
)


@pytest.fixture
def vendor() -> ScriptedVendor:
    return ScriptedVendor()


# --- enter ------------------------------------------------------------------------------------------------------------

#: Seconds into a lifetime of 1000; does the request wait; is there an exchange? The advisory window begins between
#: 900 and 920 (jitter), the mandatory one at 990.
WINDOWS = [
    (0, False, False),
    (500, False, False),
    (899, False, False),
    (921, False, True),
    (989, False, True),
    (990, True, True),
    (999, True, True),
    (1001, True, True),
    (10_000, True, True),
]


@pytest.mark.parametrize(("elapsed", "waits", "renews"), WINDOWS)
def test_what_a_request_carries(vendor: ScriptedVendor, elapsed: float, waits: bool, renews: bool) -> None:
    session = vendor.session()
    first = served(session._manager.authorize(URL))
    assert vendor.names == ["login"]
    vendor.clock.now += elapsed
    entry = session._manager.authorize(URL)
    assert (entry.grant is None) == waits
    assert (bearer(served(entry)) != bearer(first)) == waits
    finished()
    assert vendor.names == (["refresh"] if renews else [])
    assert (bearer(served(session._manager.authorize(URL))) != bearer(first)) == renews


def test_the_advisory_window_is_jittered(vendor: ScriptedVendor) -> None:
    starts = []
    for _ in range(30):
        session = vendor.session()
        session.token()
        starts.append(session._manager.grants.current.windows.advisory - vendor.clock.now)
    assert 900 <= min(starts) < max(starts) <= 920


def test_in_the_advisory_window_one_renewal_starts_and_nobody_waits(vendor: ScriptedVendor) -> None:
    session, end = vendor.session(), threading.Event()
    before = session.token()
    vendor.clock.now += 950

    def slow(request: Request) -> Answer:
        end.wait(10)
        return answered(200, {"access": "new", "in": 1000})

    vendor.says("refresh", slow)
    assert {session.token().access for _ in range(100)} == {before.access}
    end.set()
    finished()
    assert session.token().access == "new"
    assert vendor.names == ["login", "refresh"]


def test_a_renewal_that_fails_ahead_of_time_is_noticed_by_nobody(vendor: ScriptedVendor) -> None:
    """Tried again after 30 s, then a minute, doubling, jittered by a fifth; nobody waits, and nobody fails."""
    session = vendor.session()
    before = session.token()
    vendor.down = answered(503, {})
    started = vendor.clock.now = vendor.clock.now + 921
    tries: list[float] = []
    vendor.names.clear()
    vendor.sent.clear()
    while vendor.clock.now < started + 70:
        assert session.token().access == before.access
        finished()
        tries += [vendor.clock.now - started] * len(vendor.names)
        vendor.clock.now += 1
    first, second = tries
    assert (first, 24 <= second <= 31) == (0, True)
    vendor.down = None
    assert session.token().access == before.access  # it is still good, and the next try has not come
    vendor.clock.now = started - 921 + LIFETIME
    assert session.token().access != before.access


def test_requests_need_no_thought_between_the_tries_of_a_renewal_ahead(
    vendor: ScriptedVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = vendor.session()
    session.token()
    auth, authorize, thoughts = session.requests, SessionManager.authorize, []

    def thinking(manager: SessionManager, *request: Any) -> Any:
        thoughts.append(vendor.clock.now - started)
        return authorize(manager, *request)

    monkeypatch.setattr(SessionManager, "authorize", thinking)
    started = vendor.clock.now = vendor.clock.now + 921
    vendor.down = answered(503, {})
    vendor.names.clear()
    while vendor.clock.now < started + 68:  # from 69 on, a request waits
        auth(requests.Request("GET", URL).prepare())
        finished()
        vendor.clock.now += 1
    assert (len(vendor.names), len(thoughts)) == (2, 2)
    first, second = thoughts
    assert (first, 24 <= second <= 31) == (0, True)


@pytest.mark.parametrize(("elapsed", "fresh"), [(921, 30), (985, 5)])
def test_they_are_fresh_until_the_next_try_and_never_when_they_must_wait(
    vendor: ScriptedVendor, elapsed: float, fresh: float
) -> None:
    session, end = vendor.session(), threading.Event()
    session.token()
    vendor.clock.now += elapsed

    def slow(request: Request) -> Answer:
        end.wait(10)
        return answered(200, {"access": "new", "in": 1000})

    vendor.says("refresh", slow)
    session.token()
    grant = session._manager.grants.current
    assert grant.fresh_until == vendor.clock.now + fresh
    assert grant.fresh_until <= grant.windows.mandatory
    end.set()
    finished()


def test_an_outage_at_1000_calls_a_second_costs_few_exchanges(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    vendor.down = answered(503, {})
    failed = 0
    for _ in range(60_000):
        try:
            session.token()
        except authflow.VendorUnavailable:
            failed += 1
        vendor.clock.now += 0.001
    assert failed == 60_000
    assert 3 <= len(vendor.names) <= 10
    vendor.down = None
    vendor.clock.now += 31
    assert session.token().access
    assert vendor.names == ["login"]


def test_retry_after_counts_where_it_is_longer(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    vendor.says("login", 429, {}, {"Retry-After": "120"})
    for wait in (120, 61, 2):
        with pytest.raises(authflow.VendorUnavailable) as caught:
            session.token()
        assert caught.value.retry_after == pytest.approx(wait, abs=0.01)
        vendor.clock.now += 59
    assert vendor.names == ["login"]
    assert session.token().access


def test_a_clock_set_back_does_not_close_the_session_for_good(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    vendor.says("login", 503, {})
    with pytest.raises(authflow.VendorUnavailable):
        session.token()
    vendor.clock.now -= 1_000_000
    assert session.token().access


def test_an_undeclared_origin_is_refused_and_names_the_declared_ones(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    with pytest.raises(authflow.UntrustedOrigin, match=r"It goes to https://vendor\.example;"):
        session._manager.authorize("https://elsewhere.example/x?secret=1")
    assert vendor.sent == []


@pytest.mark.parametrize(
    "url",
    [
        "https://vendor.example@elsewhere.example/",
        "https://elsewhere.example\\@vendor.example/",
        "https://vendor.example:444/",
        "http://vendor.example/",
        "https://vendor.example.elsewhere.example/",
        "//vendor.example/",
        "https://vendor.example\t.elsewhere.example/",
    ],
)
def test_a_url_that_only_looks_like_the_vendors_gets_nothing(vendor: ScriptedVendor, url: str) -> None:
    session = vendor.session(untrusted="pass")
    session.token()
    assert session._manager.authorize(url).grant is ANONYMOUS
    with pytest.raises(authflow.UntrustedOrigin):
        vendor.session()._manager.authorize(url)


def test_public_requests_go_bare_and_cost_no_login(vendor: ScriptedVendor) -> None:
    session = vendor.session({**LADDER, "public": [{"method": "GET", "path": "status"}]})
    url = "https://vendor.example/api/status"
    assert session._manager.authorize(url, lambda: Request("GET", url)).grant is ANONYMOUS
    assert vendor.sent == []
    assert bearer(served(session._manager.authorize(url, lambda: Request("POST", url)))).startswith("Bearer ")


# --- hear -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 204, 301, 400, 403, 404, 429, 500, 503])
def test_an_answer_that_is_no_event_is_the_callers(vendor: ScriptedVendor, status: int) -> None:
    session = vendor.session()
    grant = served(session._manager.authorize(URL))
    assert session._manager.on_response(grant, URL, answered(status)) is None
    finished()
    assert vendor.names == ["login"]


def test_a_rejection_renewals(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    grant = served(session._manager.authorize(URL))
    assert bearer(served(session._manager.on_response(grant, URL, answered(401)))) == "Bearer access-2"
    assert vendor.names == ["login", "refresh"]


def test_the_rejection_of_an_older_token_is_answered_with_the_newer(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    old = served(session._manager.authorize(URL))
    new = served(session._manager.on_response(old, URL, answered(401)))
    entry = session._manager.on_response(old, URL, answered(401))
    assert entry is not None
    assert entry.grant is new
    assert vendor.names == ["login", "refresh"]


def test_what_cannot_be_sent_again_is_not_and_the_next_request_waits_for_the_new_token(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    grant = served(session._manager.authorize(URL))
    go = threading.Event()

    def slow(request: Request) -> Answer:
        go.wait(10)
        return answered(200, {"access": "access-2", "in": 1000})

    vendor.says("refresh", slow)
    assert session._manager.on_response(grant, URL, answered(401), replayable=False) is None
    entry = session._manager.authorize(URL)
    go.set()
    assert bearer(served(entry)) == "Bearer access-2"
    assert vendor.names == ["login", "refresh"]


def test_what_cannot_be_sent_again_gets_its_own_answer_in_an_outage_too(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    grant = served(session._manager.authorize(URL))
    vendor.down = answered(503, {})
    with pytest.raises(authflow.VendorUnavailable):
        served(session._manager.on_response(grant, URL, answered(401)))
    assert session._manager.on_response(grant, URL, answered(401), replayable=False) is None
    with pytest.raises(authflow.VendorUnavailable):
        session._manager.on_response(grant, URL, answered(401))


def test_forbidden_is_not_expired_for_a_minute(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    grant = served(session._manager.on_response(served(session._manager.authorize(URL)), URL, answered(401)))
    session._manager.on_second_response(grant, URL, answered(401))
    vendor.names.clear()
    vendor.sent.clear()
    assert session._manager.on_response(grant, URL + "?page=2", answered(401)) is None
    vendor.clock.now += 59
    assert session._manager.on_response(grant, URL, answered(401)) is None
    assert vendor.names == []
    served(session._manager.on_response(grant, URL + "/other", answered(401)))
    assert vendor.names == ["refresh"]


def test_forbidden_is_forgotten_after_a_minute(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    grant = served(session._manager.on_response(served(session._manager.authorize(URL)), URL, answered(401)))
    session._manager.on_second_response(grant, URL, answered(401))
    vendor.clock.now += 61
    assert session._manager.on_response(grant, URL, answered(401)) is not None


def test_a_second_answer_that_leads_to_a_failing_state_is_an_error(vendor: ScriptedVendor) -> None:
    locked = {
        **LADDER,
        "answers": {"rejected": {"status": 401}, "locked": {"status": 423}},
        "states": {**LADDER["states"], "signed_in": {"locked": "shut"}, "shut": {"fail": "The account is locked."}},
    }
    session = vendor.session(locked)
    grant = served(session._manager.authorize(URL))
    session._manager.on_second_response(grant, URL, answered(401))
    with pytest.raises(authflow.CredentialsRefused, match=r"^ladder: The account is locked\.$"):
        session._manager.on_second_response(grant, URL, answered(423))


def test_an_event_may_lead_back_to_its_own_state(vendor: ScriptedVendor) -> None:
    daemon = {
        "name": "daemon",
        "base_url": "https://vendor.example/rpc/",
        "start": "open",
        "states": {"open": {"present": {"headers": {"X-Session-Id": "{sid?}"}}, "conflict": "open"}},
        "answers": {"conflict": {"status": 409, "headers": {"X-Session-Id": "{sid}"}}},
    }
    session = authflow.AuthSession(daemon, client=vendor, clock=vendor.clock)
    first = served(session._manager.authorize(URL))
    assert first.presentation.headers == ()
    conflict = Answer(409, (("X-Session-Id", "s-1"),))
    second = served(session._manager.on_response(first, URL, conflict))
    assert second.presentation.headers == (("X-Session-Id", "s-1"),)
    assert served(session._manager.authorize(URL)) is second
    third = served(session._manager.on_response(second, URL, Answer(409, (("X-Session-Id", "s-2"),))))
    assert third.presentation.headers == (("X-Session-Id", "s-2"),)
    assert vendor.sent == []


# --- vary -------------------------------------------------------------------------------------------------------------


def test_one_grant_is_kept_for_each_scope(vendor: ScriptedVendor) -> None:
    session = vendor.session(REGISTRY)
    tokens = {repository: pull(session, repository) for repository in ("alpha", "beta", "gamma")}
    assert len(set(tokens.values())) == 3
    assert [request.url.partition("?")[2] for request in vendor.sent] == [
        f"scope=repository%3A{name}%3Apull" for name in tokens
    ]
    vendor.sent.clear()
    assert {repository: pull(session, repository) for repository in reversed(tokens)} == tokens
    assert vendor.sent == []


def test_the_least_recently_granted_is_dropped_beyond_64(vendor: ScriptedVendor) -> None:
    session = vendor.session(REGISTRY)
    for number in range(MOST_GRANTS + 6):
        pull(session, f"repository-{number}")
    assert len(session._manager.grants.by_slot) == MOST_GRANTS == 64
    kept = {slot[0] for slot in session._manager.grants.by_slot}
    assert "repository:repository-5:pull" not in kept
    assert "repository:repository-6:pull" in kept


# --- what people ask for ----------------------------------------------------------------------------------------------


def test_status_tells_what_is_known_and_asks_nobody(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    before = session.status()
    assert (before.vendor, before.state, before.expires_at, before.store) == (
        "ladder",
        "signed_out",
        None,
        "MemoryStore",
    )
    assert vendor.sent == []
    token = session.token()
    after = session.status()
    assert (after.state, after.expires_at) == ("signed_in", token.expires_at)
    assert token.expires_at == vendor.clock.now + LIFETIME
    assert "user" not in after.account


def test_login_starts_from_the_start_whatever_is_known(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    assert session.token().access == "access-1"
    assert session.login().access == "access-2"
    assert session.token().access == "access-2"
    assert vendor.names == ["login", "login"]


def test_login_tries_a_refused_password_once_more(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    vendor.says("login", 401, {})
    for _ in range(2):
        with pytest.raises(authflow.CredentialsRefused):
            session.token()
    assert vendor.names == ["login"]
    assert session.login().access
    assert vendor.names == ["login"]
    assert session.token().access


def test_logout_forgets_here_and_in_the_store_and_tells_the_vendor(vendor: ScriptedVendor) -> None:
    telling = {
        **LADDER,
        "on_logout": "logout",
        "exchanges": {
            **LADDER["exchanges"],
            "logout": {
                "request": {"url": "logout", "json": {"refresh": "{refresh}"}},
                "answers": {"done": {"status": 200}},
            },
        },
    }
    session = vendor.session(telling)
    session.token()
    session.logout()
    assert session.status().state == "signed_out"
    assert body_of(vendor.sent[-1]) == {"refresh": "refresh-1"}
    assert vendor.names == ["login", "logout"]
    session.token()
    assert vendor.names == ["login"]


def test_a_credential_is_asked_for_when_an_exchange_needs_it(vendor: ScriptedVendor) -> None:
    asked: list[str] = []

    def ask() -> str:
        asked.append(threading.current_thread().name)
        return f"code-{len(asked)}"

    session = vendor.session(password=ask)
    session.status()
    assert asked == []
    session.token()
    vendor.clock.now += LIFETIME + 1
    session.token()
    assert len(asked) == 1
    vendor.says("refresh", 401, {})
    vendor.clock.now += LIFETIME + 1
    session.token()
    assert len(asked) == 2
    logins = [body_of(request)["password"] for request in vendor.sent if request.url.endswith("login")]
    assert logins == ["code-1", "code-2"]


def test_a_callable_that_fails_is_the_callers_own_error_each_time(vendor: ScriptedVendor) -> None:
    def ask() -> str:
        raise LookupError("no terminal to ask at")

    session = vendor.session(password=ask)
    for _ in range(2):
        with pytest.raises(LookupError, match="no terminal"):
            session.token()
    assert vendor.sent == []


def presenting(presented: dict[str, Any]) -> dict[str, Any]:
    states = {**LADDER["states"], "signed_in": {"present": presented}}
    return {**LADDER, "insecure_url": True, "states": states}


def test_headers_are_all_that_a_request_must_carry(vendor: ScriptedVendor) -> None:
    presented = {"headers": {"X-Key": "{access}", "X-App": "mine"}, "cookies": {"sid": "{access}", "kind": "robot"}}
    session = vendor.session(presenting(presented))
    carried = {"X-Key": "access-1", "X-App": "mine", "Cookie": "sid=access-1; kind=robot"}
    for _ in range(2):
        assert session.headers(URL) == carried
    assert vendor.names == ["login"]
    vendor.clock.now += LIFETIME + 1
    assert session.headers(URL)["X-Key"] == session.token().access != "access-1"


def test_headers_are_for_the_url_as_it_is_given(vendor: ScriptedVendor) -> None:
    """The tool that is given them does not rewrite it."""
    rewrites = [
        {"from": "https://old.example/orders/{id}", "to": "orders/{id}"},
        {"from": "deliveries/{id}", "to": "tracking/{id}"},
    ]
    session = vendor.session({**LADDER, "rewrites": rewrites})
    for url, error, says in (
        ("https://old.example/orders/7", authflow.UntrustedOrigin, "old.example"),
        ("https://vendor.example/api/deliveries/7", authflow.ConfigurationError, "use .*/api/tracking/7"),
    ):
        with pytest.raises(error, match=says):
            session.headers(url)
        with pytest.raises(error, match=says):
            anyio.run(session.aheaders, url)
    assert vendor.names == []
    carried = session.headers("https://vendor.example/api/tracking/7")
    assert anyio.run(session.aheaders, "https://vendor.example/api/tracking/7") == carried
    passing = vendor.session({**LADDER, "rewrites": rewrites}, untrusted="pass")
    assert passing.headers("https://old.example/orders/7") == {}


def test_a_url_that_a_login_rewrites_is_judged_after_it_and_shows_no_token(vendor: ScriptedVendor) -> None:
    rewrites = [{"from": "api/{rest:path}", "to": "bot{access}/{rest:path}"}]
    for asked in ("headers", "aheaders"):
        session = vendor.session({**LADDER, "insecure_url": True, "rewrites": rewrites})
        with pytest.raises(authflow.UntrustedOrigin):
            session.headers("https://old.example/api/x")
        assert session.status().issued_at is None
        url = "https://vendor.example/api/api/x"
        with pytest.raises(authflow.ConfigurationError, match=r"rewritten before it is sent.*use https://") as raised:
            session.headers(url) if asked == "headers" else anyio.run(session.aheaders, url)
        token = session.token().access
        assert token not in str(raised.value)
        with pytest.raises(authflow.UntrustedOrigin) as untrusted:
            session.headers(f"https://old.example/{token}/x")
        assert token not in str(untrusted.value)


def test_what_the_vendor_said_beside_the_token(vendor: ScriptedVendor) -> None:
    login = LADDER["exchanges"]["login"]
    granted = {"json": {"access": "{access}", "site": "{base_url}", "org": "{org?}", "plan": "{plan?}"}}
    exchanges = {**LADDER["exchanges"], "login": {**login, "answers": {"granted": granted}}}
    session = vendor.session({**LADDER, "shown": ["base_url", "org"], "exchanges": exchanges})
    vendor.says("login", 200, {"access": "a", "site": "https://eu.example/", "plan": "x"})
    assert session.values() == {"base_url": "https://eu.example/"}
    for secret in ("access", "password"):
        with pytest.raises(authflow.VendorFileError, match=f"shown.0: {secret} is a secret"):
            vendor.session({**LADDER, "shown": [secret]})


@pytest.mark.parametrize(
    "presented", [{"query": {"key": "{access}"}}, {"json": {"key": "{access}"}}, {"form": {"key": "{access}"}}], ids=str
)
def test_headers_do_not_stand_for_a_token_that_travels_elsewhere(
    vendor: ScriptedVendor, presented: dict[str, Any]
) -> None:
    session = vendor.session(presenting({"headers": {"X-App": "mine"}, **presented}))
    with pytest.raises(authflow.ConfigurationError, match=r"in the query or the body.*use an adapter"):
        session.headers(URL)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_atoken_gives_the_same_token(vendor: ScriptedVendor, backend: str) -> None:
    session = vendor.session()
    assert anyio.run(session.atoken, backend=backend) == session.token()
    assert vendor.names == ["login"]


def test_a_pickled_session_has_locks_and_clients_of_its_own(vendor: ScriptedVendor) -> None:
    session = authflow.AuthSession(LADDER, username="user", password="pass-word", clock=Clock())
    again = pickle.loads(pickle.dumps(session))
    assert again.vendor.name == "ladder"
    assert again.status().state == "signed_out"
    assert "pass-word" not in f"{again!r} {again.status()!r}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"untrusted": "maybe"}, "untrusted= is 'raise' or 'pass', not 'maybe'"),
        ({"on_store_failure": "cry"}, "on_store_failure= is 'raise' or 'degrade', not 'cry'"),
        ({"timeout": 0}, "timeout= is a number of seconds, not 0"),
        ({"timeout": "3"}, "timeout= is a number of seconds, not '3'"),
        ({"password": None}, "ladder needs the credential or setting password"),
        ({"pasword": "x"}, "ladder takes no 'pasword': did you mean 'password'?"),
        ({"client": object()}, "client= takes a requests.Session, an httpx.Client or their like"),
    ],
)
def test_what_cannot_be_is_said_when_the_session_is_made(
    vendor: ScriptedVendor, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(authflow.ConfigurationError) as caught:
        vendor.session(**arguments)
    assert message in str(caught.value)


def test_threads_on_an_expired_token_share_one_exchange_and_its_failure(vendor: ScriptedVendor) -> None:
    session, go = vendor.session(), threading.Event()
    session.token()
    vendor.clock.now += LIFETIME + 1

    def slow(request: Request) -> Answer:
        go.wait(10)
        return answered(418, {})

    vendor.says("refresh", slow)
    errors: list[Exception] = []
    begun = itertools.count(1)
    all_begun = threading.Event()

    def call() -> None:
        try:
            entry = session._manager.authorize(URL)
            if next(begun) == 16:
                all_begun.set()
            served(entry)
        except authflow.AuthFlowError as error:
            errors.append(error)

    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    assert all_begun.wait(10)
    go.set()
    for thread in threads:
        thread.join(10)
    assert [type(error) for error in errors] == [authflow.VendorAnswerError] * 16
    assert len({id(error) for error in errors}) == 16
    assert vendor.names == ["login", "refresh"]


def test_the_walk_of_a_plain_request_needs_no_lock(vendor: ScriptedVendor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steady state: no store, no flight, no hook; only the clock."""
    session = vendor.session()
    grant = served(session._manager.authorize(URL))
    untouched: Callable[..., Any] = None  # type: ignore[assignment]
    for name in ("store", "flights", "_backoff", "_ahead", "_refusal"):
        monkeypatch.setattr(session._manager.grants, name, untouched)
    for _ in range(3):
        assert served(session._manager.authorize(URL)) is grant
        assert session._manager.on_response(grant, URL, answered(200)) is None


def test_an_outage_says_from_the_first_when_to_try_again(vendor: ScriptedVendor) -> None:
    vendor.says("login", 503, {})
    with pytest.raises(authflow.VendorUnavailable) as caught:
        vendor.session().token()
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 1


def test_the_session_itself_given_as_auth_names_the_adapter(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    with pytest.raises(authflow.ConfigurationError, match=r"write auth=session\.requests"):
        requests.get(URL, auth=session, timeout=1)
    with pytest.raises(authflow.ConfigurationError, match=r"write auth=session\.httpx"):
        httpx.get(URL, auth=session)  # type: ignore[arg-type]


# --- what happens at the same time ------------------------------------------------------------------------------------


class Gate:
    """An answer that comes when the test lets it pass."""

    def __init__(self, *answer: Any) -> None:
        self._answer, self._came, self._go = answered(*answer), threading.Event(), threading.Event()

    def __call__(self, request: Request) -> Answer:
        self._came.set()
        assert self._go.wait(10)
        return self._answer

    def reached(self) -> None:
        assert self._came.wait(10)

    def open(self) -> None:
        self._go.set()


def test_logout_is_not_undone_by_a_renewal_that_is_under_way(vendor: ScriptedVendor) -> None:
    session, gate = vendor.session(), Gate(200, {"access": "late", "in": 1000})
    vendor.says("login", gate)
    waiting = session._manager.authorize(URL).flight
    assert waiting is not None
    threading.Thread(target=waiting.wait).start()
    gate.reached()
    leaving = threading.Thread(target=session.logout)
    leaving.start()
    gate.open()
    assert bearer(waiting.wait()) == "Bearer late"  # who waited for it is served
    leaving.join(10)
    finished()
    assert session.status().state == "signed_out"
    session.token()
    assert vendor.names == ["login", "login"]


def test_what_a_failing_store_did_not_take_is_not_lost_by_another_renewal(vendor: ScriptedVendor) -> None:
    class Failing(MemoryStore):
        down = False

        def save(self, key: str, data: bytes, revision: str | None, *, lifetime: float | None = None) -> str:
            if self.down:
                raise authflow.StoreError("the disk is full")
            return super().save(key, data, revision, lifetime=lifetime)

    store = Failing()
    session = vendor.session(store=store, on_store_failure="degrade")
    session.token()
    gate = Gate(200, {"access": "a-2", "refresh": "r-2", "in": 1000})
    vendor.says("refresh", gate)
    vendor.says("login", 503, {})
    vendor.clock.now += LIFETIME - 1
    store.down = True
    waiting = session._manager.authorize(URL).flight
    assert waiting is not None
    threading.Thread(target=waiting.wait).start()
    gate.reached()
    heard: list[BaseException] = []

    def log_in() -> None:
        try:
            session.login()
        except authflow.VendorUnavailable as error:
            heard.append(error)

    failing = threading.Thread(target=log_in)
    failing.start()
    gate.open()
    waiting.wait()
    failing.join(10)
    assert len(heard) == 1
    store.down = False
    vendor.clock.now += LIFETIME - 1
    session.token()
    sent = [body_of(request)["refresh"] for request in vendor.sent if request.url.endswith("refresh")]
    assert sent == ["refresh-1", "r-2"]


def test_a_refusal_of_one_scope_leaves_the_accounts_own_good_token_alone(vendor: ScriptedVendor) -> None:
    file = {**LADDER, "vary": ["scope"], "answers": {"more": {"status": 403, "headers": {"X-Need": "{scope}"}}}}
    file["states"] = {
        **LADDER["states"],
        "signed_in": {
            "present": {"headers": {"Authorization": "Bearer {access}"}},
            "expired": "stale",
            "more": "signed_out",
        },
    }
    store = MemoryStore()
    session = vendor.session(file, store=store)
    grant = served(session._manager.authorize(URL))
    vendor.says("login", 403, {})
    with pytest.raises(authflow.CredentialsRefused):
        served(session._manager.on_response(grant, URL, answered(403, {}, {"X-Need": "orders"})))
    another = vendor.session(file, store=store)._manager.authorize("https://vendor.example/api/others")
    assert served(another).record.captured == grant.record.captured
    # Its password is not sent again, not even when that token has ended and cannot be renewed.
    vendor.says("refresh", 403, {})
    vendor.clock.now += 30
    with pytest.raises(authflow.CredentialsRefused):
        served(session._manager.on_response(grant, URL, answered(403, {}, {"X-Need": "parcels"})))
    assert vendor.names == ["login", "login"]


# --- copies -----------------------------------------------------------------------------------------------------------


def test_a_copy_shares_the_grant_and_keeps_the_client(vendor: ScriptedVendor) -> None:
    http = requests.Session()
    http.auth = vendor.session().requests
    token = vendor.session().token()
    for copied in (copy.deepcopy(http), copy.copy(http)):
        prepared = copied.prepare_request(requests.Request("GET", URL))
        assert prepared.headers["Authorization"].removeprefix("Bearer ") != token.access
    assert vendor.names == ["login", "login"], "one of each session"


def test_a_client_is_pickled_too_or_the_session_says_why_not() -> None:
    alone = {**LADDER, "base_url": "https://vendor.example/"}
    mine = requests.Session()
    mine.headers["X-Mine"] = "1"
    made = authflow.AuthSession(alone, username="u", password="p", client=mine)
    assert pickle.loads(pickle.dumps(made))._made.client.headers["X-Mine"] == "1"
    with httpx.Client() as client, pytest.raises(authflow.ConfigurationError, match="its client= cannot"):
        pickle.dumps(authflow.AuthSession(alone, username="u", password="p", client=client))


def test_a_relative_path_holds_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme.toml").write_text('extends = "api-key"\nbase_url = "https://vendor.example/"\n')
    monkeypatch.chdir(tmp_path)
    packed = pickle.dumps(authflow.AuthSession("acme.toml", api_key="k"))
    monkeypatch.chdir("/")
    assert pickle.loads(packed).vendor.name == "acme"


# --- rejections -------------------------------------------------------------------------------------------------------


def visited(session: authflow.AuthSession, path: str, *statuses: int) -> bool:
    """A request to a path that answers so, first and second; was it sent twice?"""
    manager, url = session._manager, f"{URL}/{path}"
    grant = served(manager.authorize(url))
    heard = manager.on_response(grant, url, answered(statuses[0]))
    if heard is not None:
        manager.on_second_response(served(heard), url, answered(statuses[1]))
    return heard is not None


def test_forbidden_paths_are_no_reason_to_log_in_again_and_again(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    session.token()
    for second in range(60):
        visited(session, f"object/{second}", 401, 401)
        assert not visited(session, "open", 200)
        vendor.clock.now += 1
    assert len(vendor.names) <= 7
    vendor.sent.clear()
    for minute in range(10):
        for second in range(60):
            visited(session, f"other/{minute}/{second}", 401, 401)
            vendor.clock.now += 1
    assert 5 <= len(vendor.names) <= 11


def test_forbidden_paths_cost_all_processes_together_no_more(vendor: ScriptedVendor) -> None:
    store = MemoryStore()
    sessions = [vendor.session(store=store) for _ in range(3)]
    for second in range(60):
        visited(sessions[second % 3], f"object/{second}", 401, 401)
        assert not visited(sessions[second % 3], "open", 200)
        vendor.clock.now += 1
    assert len(vendor.names) <= 7
    vendor.clock.now += 600
    assert visited(sessions[0], "object", 401, 200)


def test_forbidden_paths_that_cannot_be_sent_again_cost_no_more(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    for second in range(60):
        grant = served(session._manager.authorize(URL))
        assert session._manager.on_response(grant, f"{URL}/{second}", answered(401), replayable=False) is None
        finished()
        vendor.clock.now += 1
    assert len(vendor.names) <= 7


def test_a_token_that_is_really_revoked_is_renewed_at_once_again_and_again(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    session.token()
    assert [visited(session, "data", 401, 200) for _ in range(10)] == [True] * 10


def test_a_token_that_is_really_revoked_is_renewed_at_once_by_a_process_that_has_just_begun(
    vendor: ScriptedVendor, tmp_path: Path
) -> None:
    for _ in range(24):
        session = vendor.session(store=f"file://{tmp_path}")
        session.token()
        assert visited(session, "data", 401, 200)
        finished()
        vendor.clock.now += 2
    assert len(vendor.names) == 25


def test_a_renewed_token_that_another_process_takes_up_is_no_word_on_a_forbidden_path(
    vendor: ScriptedVendor, tmp_path: Path
) -> None:
    one, other = [vendor.session(store=f"file://{tmp_path}") for _ in range(2)]
    assert one.token() == other.token()
    for second in range(60):
        renewed = visited(one, f"object/{second}", 401, 401)
        vendor.clock.now += 1
        assert not renewed or visited(other, "data", 401, 200)
        finished()
    assert len(vendor.names) <= 7


def test_a_rejection_that_says_where_to_go_leads_the_login_that_follows(vendor: ScriptedVendor) -> None:
    login = {**LADDER["exchanges"]["login"], "answers": {"granted": {"json": {"access": "{access}"}}}}
    file = {
        "name": "led",
        "extends": "relogin",
        "base_url": "https://vendor.example/api/",
        "exchanges": {"login": login},
    }
    file["answers"] = {"rejected": {"status": 401, "headers": {"X-Site": "{base_url}"}}}
    session = authflow.AuthSession(file, username="u", password="p", client=vendor, clock=vendor.clock)
    grant = served(session._manager.authorize(URL))
    heard = session._manager.on_response(grant, URL, answered(401, headers={"X-Site": "https://two.example/"}))
    assert served(heard).base_url == "https://two.example/"


def test_a_key_that_was_changed_is_sent_in_the_same_call(vendor: ScriptedVendor) -> None:
    keys = ["old"]
    file = {"extends": "api-key", "name": "acme", "base_url": "https://vendor.example/"}
    session = authflow.AuthSession(file, api_key=lambda: keys[-1], client=vendor, clock=vendor.clock)
    grant = served(session._manager.authorize(URL))
    keys.append("new")
    heard = session._manager.on_response(grant, URL, answered(401))
    assert heard is not None
    assert served(heard).presentation.headers == (("X-API-Key", "new"),)
    with pytest.raises(authflow.CredentialsRefused):
        served(session._manager.on_response(served(heard), URL, answered(401)))
