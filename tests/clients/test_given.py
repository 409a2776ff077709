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
from tests.clients.drivers import LIBRARIES
from tests.clients.test_habits import HTTPX, vendor
from tests.servers import Came, Listener, Says

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


@pytest.mark.parametrize("library", HTTPX)
@pytest.mark.parametrize("reads", [True, False])
def test_a_hook_of_the_client_that_raises_hides_no_refusal(library: str, reads: bool, listen: Listen) -> None:
    lib, home = importlib.import_module(library), listen(login(401))

    def check(answer: Any) -> None:
        if reads:
            answer.read()
        answer.raise_for_status()

    with lib.Client(event_hooks={"response": [check]}, trust_env=False) as http:
        session = through(home.url, http)
        for _ in range(3):
            with pytest.raises(authflow.CredentialsRefused):
                session.token()
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
