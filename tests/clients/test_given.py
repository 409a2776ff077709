"""`client=`: what users give to send exchanges through, as odd as it may be; and what they give in the wrong place."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gzip
import importlib
import io
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import authflow
from tests.clients.drivers import LIBRARIES, Driver
from tests.clients.test_habits import HTTPX, vendor
from tests.servers import Came, Listener, Says, listening

Listen = Callable[..., Listener]
FAMILY = [library for library in LIBRARIES if library in ("requests", "niquests")]


def through(url: str, given: Any, **more: Any) -> authflow.AuthSession:
    return authflow.AuthSession(vendor(url), username="alice", password="s3cret", client=given, **more)


def login(status: int = 200) -> Callable[[Came], Says]:
    return lambda came: Says(status if came.path == "/login" else 200, {"token": "t"})


def retrying(library: str) -> Any:
    """A session that sends everything again, whatever it is."""
    lib = importlib.import_module(library)
    retry = importlib.import_module(f"{library}.packages").urllib3.util.Retry
    rules = retry(total=3, backoff_factor=0, status_forcelist=[401, 500, 503], allowed_methods=None)
    http = lib.Session()
    http.trust_env = False
    http.mount("http://", lib.adapters.HTTPAdapter(max_retries=rules))
    return http


@pytest.mark.parametrize("library", FAMILY)
@pytest.mark.parametrize(
    ("status", "error"), [(401, authflow.CredentialsRefused), (503, authflow.VendorUnavailable)], ids=["401", "503"]
)
def test_a_clients_own_rules_for_retries_send_no_password_twice(
    library: str, listen: Listen, status: int, error: type[Exception]
) -> None:
    home = listen(login(status))
    with retrying(library) as http:
        with pytest.raises(error):
            through(home.url, http).token()
        assert len(home.came) == 1
        assert http.get_adapter("http://").max_retries.total == 3, "his own requests are tried again as before"


@pytest.mark.parametrize("library", FAMILY)
def test_an_adapter_without_a_connection_answers_exchanges(library: str, listen: Listen) -> None:
    """What makes answers by itself, for files and tests: a body in memory, or read already."""
    lib = importlib.import_module(library)

    class Answers(lib.adapters.BaseAdapter):  # type: ignore[misc]
        def __init__(self, whole: bool) -> None:
            super().__init__()
            self.whole = whole

        def send(self, request: Any, **how: Any) -> Any:
            answer = lib.Response()
            answer.status_code, answer.url, answer.request = 200, request.url, request
            answer.headers["Content-Type"], answer.raw = "application/json", io.BytesIO(b'{"token": "made"}')
            if self.whole:
                assert answer.content
            return answer

        def close(self) -> None: ...

    for whole in (False, True):
        with lib.Session() as http:
            http.mount("http://acme", Answers(whole))
            assert through("http://acme.localhost", http).token().access == "made"


# --- hooks, transports and adapters that raise ------------------------------------------------------------------------


class Own(Exception):
    """Of the user's own."""


def its_status(lib: Any, answer: Any) -> None:
    answer.raise_for_status()


def anothers_status(lib: Any, answer: Any) -> None:
    """That of a request of the hook's own, whose answer says nothing of ours."""
    with listening(lambda came: Says(402, {})) as audit:
        lib.get(audit.url).raise_for_status()


def raising(error: type[Exception] | str) -> Callable[[Any, Any], None]:
    def check(lib: Any, answer: Any) -> None:
        raise getattr(lib, error)("of the hook") if isinstance(error, str) else error("of the hook")

    return check


#: What is made of an answer that the user does not like: errors of any kind, the library's own too.
MAKES: Mapping[str, Callable[[Any, Any], None]] = {
    "its status": its_status,
    "another's status": anothers_status,
    "own": raising(Own),
    "value": raising(ValueError),
    "system": raising(PermissionError),
    "assertion": raising(AssertionError),
    "connection": raising("ConnectError"),
    "time-out": raising("ReadTimeout"),
}


def checking(library: str, check: Callable[[Any], None], place: str) -> Any:
    """A client that has `check` look at each answer: in a hook, in `send`, or in its transport."""
    lib = importlib.import_module(library)
    client = lib.Client if library in HTTPX else lib.Session
    below = lib.HTTPTransport if library in HTTPX else lib.adapters.HTTPAdapter

    def checked(self: Any, base: Any, *arguments: Any, **how: Any) -> Any:
        answer = base(*arguments, **how)
        check(answer)
        return answer

    class Sending(client):  # type: ignore[misc]
        def send(self, *arguments: Any, **how: Any) -> Any:
            return checked(self, super().send, *arguments, **how)

    class Below(below):  # type: ignore[misc]
        def send(self, *arguments: Any, **how: Any) -> Any:
            return checked(self, super().send, *arguments, **how)

        def handle_request(self, request: Any) -> Any:
            def answered(request: Any) -> Any:
                answer = base(request)
                answer.request = request
                return answer

            base = super().handle_request
            return checked(self, answered, request)

    if library in HTTPX:
        how = {"hook": {"event_hooks": {"response": [check]}}, "below": {"transport": Below()}}
        return (Sending if place == "send" else client)(trust_env=False, **how.get(place, {}))
    http = (Sending if place == "send" else client)()
    http.trust_env = False
    if place == "below":
        http.mount("http://", Below())
    return http


PLACES = [(library, "send") for library in (*FAMILY, *HTTPX)] + [(library, "hook") for library in HTTPX]
KINDS = [
    (library, place, kind)
    for library, place in PLACES
    for kind in MAKES
    if hasattr(importlib.import_module(library), "ConnectError") or kind != "connection"
]


@pytest.mark.parametrize(("library", "place", "kind"), KINDS)
@pytest.mark.parametrize("reads", [True, False])
def test_whatever_a_client_makes_of_a_refusal_it_is_one(
    library: str, place: str, kind: str, reads: bool, listen: Listen
) -> None:
    """The vendor's words are heard too, though they stand in a body that nobody has read yet."""
    lib = importlib.import_module(library)
    error = {"error": "invalid_grant", "error_description": "no such person"}
    home = listen(lambda came: Says(400, error))

    def check(answer: Any) -> None:
        assert not reads or b"person" in (answer.read() if library in HTTPX else answer.content)
        MAKES[kind](lib, answer)

    file = {
        "extends": "oauth2-password",
        "name": "acme",
        "base_url": f"{home.url}/",
        "settings": {"client_id": {"default": "app"}, "token_url": {"default": "token"}},
    }
    with checking(library, check, place) as http:
        session = authflow.AuthSession(file, username="alice", password="s3cret", client_secret="s", client=http)
        for _ in range(3):
            with pytest.raises(authflow.CredentialsRefused, match="no such person"):
                session.token()
    assert len(home.came) == 1


@pytest.mark.parametrize(("library", "place"), PLACES)
def test_a_refused_refresh_leads_to_the_login_and_a_grant_is_one_whatever_a_client_makes_of_them(
    library: str, place: str, listen: Listen, caplog: pytest.LogCaptureFixture
) -> None:
    def says(came: Came) -> Says:
        granted = {"access_token": "t", "refresh_token": "r", "expires_in": 100}
        return Says(json=granted) if b"password" in came.body else Says(400, {"error": "invalid_grant"})

    home, now = listen(says), [1e9]
    file = {
        "extends": "oauth2-password",
        "name": "acme",
        "base_url": f"{home.url}/",
        "settings": {"client_id": {"default": "app"}, "token_url": {"default": "token"}},
    }
    with checking(library, lambda answer: raising(Own)(None, answer), place) as http:
        more: Any = {"client_secret": "s", "client": http, "clock": lambda: now[0]}
        session = authflow.AuthSession(file, username="alice", password="s3cret", **more)
        for _ in range(2):
            assert session.token().access == "t"
            now[0] += 200
    assert [b"refresh_token" in came.body for came in home.came] == [False, True, False]
    assert "client= raised Own over an answer to an exchange; it counts all the same" in caplog.text
    assert "of the hook" not in caplog.text


@pytest.mark.parametrize("library", [*FAMILY, *HTTPX])
@pytest.mark.parametrize("kind", ["its status", "own", "value", "system", "assertion"])
def test_an_answer_that_a_transport_hides_is_not_provoked_again_at_once(
    library: str, kind: str, listen: Listen
) -> None:
    """An error with the answer in it is judged; of all others nobody knows what was refused."""
    lib, home, now = importlib.import_module(library), listen(login(401)), [1e9]
    with checking(library, lambda answer: MAKES[kind](lib, answer), "below") as http:
        session = through(home.url, http, clock=lambda: now[0])
        for turn in range(3):
            with pytest.raises(Exception, match=r"\S") as caught:
                session.token()
            if kind == "its status":
                assert isinstance(caught.value, authflow.CredentialsRefused)
            elif turn == 0:
                assert not isinstance(caught.value, authflow.AuthFlowError), "the user's own error"
            else:
                assert isinstance(caught.value, authflow.VendorAnswerError)
                assert caught.value.retry_after
        assert len(home.came) == 1
        now[0] += 61
        with pytest.raises(Exception, match=r"\S"):
            session.token()
    assert len(home.came) == 2


@pytest.mark.parametrize("library", HTTPX)
def test_a_hook_that_raises_before_anything_is_sent_costs_nothing(library: str, listen: Listen) -> None:
    lib, home, ready = importlib.import_module(library), listen(login()), list[bool]()

    def check(request: Any) -> None:
        if not ready:
            raise Own("not ready")

    with lib.Client(event_hooks={"request": [check]}, trust_env=False) as http:
        session = through(home.url, http)
        for _ in range(2):
            with pytest.raises(Own, match="not ready"):
                session.token()
        ready.append(True)
        assert session.token().access == "t"
    assert len(home.came) == 1


@pytest.mark.parametrize("given", [*FAMILY, *HTTPX])
def test_callers_of_every_client_hear_of_a_refusal_that_a_hook_hides(
    client: Driver, given: str, listen: Listen
) -> None:
    home = listen(login(401))
    with checking(given, lambda answer: raising(Own)(None, answer), "send") as http:
        session = through(home.url, http)
        for _ in range(3):
            with pytest.raises(authflow.CredentialsRefused) as caught:
                client.call(session, f"{home.url}/data")
            assert isinstance(caught.value, client.error)
    assert len(home.came) == 1


@pytest.mark.parametrize("library", [*FAMILY, *HTTPX])
def test_the_client_may_be_the_one_that_the_session_authorises(
    library: str, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    lib, home = importlib.import_module(library), listen(login())
    with (lib.Client if library in HTTPX else lib.Session)() as http:
        session = through(home.url, http)
        http.auth = getattr(session, library)
        http.headers["X-Mine"] = "1"
        assert http.get(f"{home.url}/data").status_code == 200
        with contextlib.closing(http if library in HTTPX else copy.deepcopy(http)) as copied:
            assert copied.get(f"{home.url}/data").status_code == 200
        trials: list[Any] = []
        dumps = pickle.dumps
        monkeypatch.setattr("authflow.session.pickle.dumps", lambda client: (trials.append(client), dumps(client)))
        with pytest.raises(authflow.ConfigurationError, match="cannot be pickled, since its client= cannot"):
            dumps(session)
        assert len(trials) == 1, "it goes round no circle"
    assert [came.path for came in home.came] == ["/login", "/data", "/data"]
    assert "authorization" not in home.came[0].headers


@pytest.mark.parametrize("library", HTTPX)
def test_a_clients_own_settings_are_not_an_exchanges(library: str, listen: Listen) -> None:
    lib, home = importlib.import_module(library), listen(login())
    own: Mapping[str, Any] = {
        "base_url": "http://elsewhere.example/v1",
        "params": {"a": "1"},
        "cookies": {"c": "1"},
        "headers": {"Authorization": "mine", "X-Mine": "1"},
        "auth": ("a", "b"),
    }
    with lib.Client(**own, trust_env=False) as http:
        assert through(home.url, http).token().access == "t"
    (came,) = home.came
    assert came.target == "/login"
    assert not {"authorization", "cookie", "x-mine"} & came.headers.keys()


@pytest.mark.parametrize("library", HTTPX)
def test_what_answers_in_a_servers_place_may_stream_and_compress(library: str) -> None:
    lib = importlib.import_module(library)
    packed = {"content": gzip.compress(b'{"token": "t"}'), "headers": {"Content-Encoding": "gzip"}}
    for how in (packed, {"content": iter([b'{"token":', b' "t"}'])}, {"text": '{"token": "t"}'}):
        transport = lib.MockTransport(lambda request, how=how: lib.Response(200, **how))
        with lib.Client(mounts={"http://": transport}) as http:
            assert through("http://acme.localhost", http).token().access == "t"


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_is_no_client_is_refused_with_what_to_give(library: str) -> None:
    lib = importlib.import_module(library)
    kind = getattr(lib, "Client", None) or getattr(lib, "Session", None) or lib.ClientSession
    session = authflow.AuthSession(vendor("http://acme.localhost"), username="u", password="p")
    for given in (kind, lib, session, getattr(session, library), library, kind.__init__):
        with pytest.raises(authflow.ConfigurationError, match=r"client= takes a requests\.Session, an httpx\.Client"):
            through("http://acme.localhost", given)


# --- in the wrong place -----------------------------------------------------------------------------------------------


def ask(library: str, auth: Any) -> Any:
    lib = importlib.import_module(library)
    if library != "aiohttp":
        return lib.get("http://127.0.0.1:9/", auth=auth)

    async def use() -> Any:
        async with lib.ClientSession(middlewares=auth if auth.__class__.__name__ == "AiohttpAuth" else [auth]) as http:
            return await http.get("http://127.0.0.1:9/")

    return asyncio.run(use())


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_was_given_to_the_wrong_client_says_what_to_write(library: str) -> None:
    session = authflow.AuthSession(vendor("http://127.0.0.1:9"), username="u", password="p")
    mine = "middlewares=[session.aiohttp]" if library == "aiohttp" else f"auth=session.{library}"
    for given in (session, *(getattr(session, other) for other in LIBRARIES if other != library)):
        with pytest.raises(authflow.ConfigurationError) as caught:
            ask(library, given)
        assert str(caught.value).endswith(f"write {mine}")
    if library == "aiohttp":
        with pytest.raises(authflow.ConfigurationError, match=r"write middlewares=\[session\.aiohttp\]"):
            ask(library, session.aiohttp)
        assert [one for one in [session.aiohttp] if one] == [session.aiohttp]
    else:
        with pytest.raises(authflow.ConfigurationError, match=r"a vendor is a plugin's name, .* not "):
            ask(library, authflow.AuthSession)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_stranger_is_told_all_that_there_is_to_write(library: str) -> None:
    """No adapter is named after whoever made the object that came in a request's place."""
    session = authflow.AuthSession(vendor("http://acme.localhost"), username="u", password="p")
    for given in (object(), None, "GET"):
        for asked in ((given,), (given, given)):
            with pytest.raises(authflow.ConfigurationError) as caught:
                getattr(session, library)(*asked)
            assert str(caught.value).endswith(
                "write auth=session.requests, auth=session.httpx, auth=session.httpx2, auth=session.niquests, "
                "middlewares=[session.aiohttp]"
            )


@pytest.mark.parametrize("library", [library for library in LIBRARIES if library != "aiohttp"])
def test_a_request_of_a_users_own_class_is_known_by_what_it_is_made_of(library: str) -> None:
    lib = importlib.import_module(library)
    kind = lib.PreparedRequest if library in FAMILY else lib.Request
    request = type("Mine", (kind,), {})(*(() if library in FAMILY else ("GET", "http://acme.localhost/")))
    session = authflow.AuthSession(vendor("http://acme.localhost"), username="u", password="p")
    with pytest.raises(authflow.ConfigurationError, match=rf"a client of {library}: write auth=session\.{library}$"):
        session(request)  # type: ignore[operator]


@pytest.mark.parametrize("library", HTTPX)
def test_headers_take_a_librarys_url(library: str, listen: Listen) -> None:
    lib, home = importlib.import_module(library), listen(login())
    session = authflow.AuthSession(vendor(home.url), username="u", password="p")
    assert session.headers(lib.URL(f"{home.url}/data")) == {"Authorization": "Bearer t"}
