"""What users of the clients do around a request, and expect to work as with the client's own auth."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import authflow
from tests.clients.drivers import GIVEN, LIBRARIES
from tests.servers import Came, Listener, Says
from tests.trust.wire import writing

Listen = Callable[..., Listener]
HTTPX = [library for library in LIBRARIES if library.startswith("httpx")]


def vendor(url: str, **more: Any) -> dict[str, Any]:
    login = {
        "request": {"method": "POST", "url": "login", "json": {"u": "{username}", "p": "{password}"}},
        "answers": {"granted": {"status": 200, "json": {"token": "{access}"}}},
    }
    return {"extends": "relogin", "name": "acme", "base_url": f"{url}/", "exchanges": {"login": login}, **more}


class Vendor:
    """Grants token after token, and takes the last one only; `data` answers what is asked with a good one."""

    def __init__(self, listen: Listen, data: Callable[[Came], Says] = lambda came: Says(json={})) -> None:
        self.granted = 0
        self.data, self.rejection = data, Says(401, {})
        self.listener = listen(self.says)

    def says(self, came: Came) -> Says:
        if came.path == "/login":
            self.granted += 1
            return Says(json={"token": f"token-{self.granted}"})
        good = came.headers.get("authorization") == f"Bearer token-{self.granted}"
        return self.data(came) if good else self.rejection

    def session(self, **more: Any) -> authflow.AuthSession:
        return authflow.AuthSession(vendor(self.listener.url, **more), username="alice", password="s3cret")

    def revoke(self) -> None:
        self.granted += 1


@contextlib.contextmanager
def client(library: str, session: authflow.AuthSession, **more: Any) -> Iterator[Any]:
    lib = importlib.import_module(library)
    made = lib.Session() if library not in HTTPX else lib.Client(trust_env=False, **more)
    if library not in HTTPX:
        made.trust_env = False
    made.auth = getattr(session, library)
    with made:
        yield made


@pytest.mark.parametrize("library", GIVEN)
def test_a_cookie_of_a_rejection_goes_with_the_second_send(library: str, listen: Listen) -> None:
    acme = Vendor(listen)
    session = acme.session()
    session.token()
    acme.revoke()
    acme.rejection = Says(401, {}, {"Set-Cookie": "node=b7; Path=/"})
    with client(library, session) as http:
        answer = http.get(f"{acme.listener.url}/data", headers={"Cookie": "mine=1"})
        assert (answer.status_code, http.cookies.get("node")) == (200, "b7")
    assert [came.headers["cookie"] for came in acme.listener.came if came.path == "/data"] == [
        "mine=1",
        "mine=1; node=b7",
    ]


@pytest.mark.parametrize("library", GIVEN)
def test_the_turned_away_answer_stands_in_the_history_without_the_token(library: str, listen: Listen) -> None:
    acme = Vendor(listen)
    session = acme.session()
    session.token()
    acme.revoke()
    with client(library, session) as http:
        answer = http.post(f"{acme.listener.url}/data", json={"a": 1})
    assert [earlier.status_code for earlier in answer.history] == [401]
    assert "token" not in str(dict(answer.history[0].request.headers))
    assert answer.history[0].request.method == "POST"


@pytest.mark.parametrize("library", HTTPX)
@pytest.mark.parametrize("error", ["status", "own", "anothers"])
@pytest.mark.parametrize("composed", [False, True])
def test_a_hook_that_raises_keeps_no_revoked_token_alive(
    library: str, error: str, composed: bool, listen: Listen
) -> None:
    acme, lib, audit = Vendor(listen), importlib.import_module(library), listen(lambda came: Says(404, {}))
    session = acme.session()
    session.token()

    class Composed(lib.Auth):  # type: ignore[misc]
        def auth_flow(self, request: Any) -> Any:
            yield from getattr(session, library).auth_flow(request)

    auth = Composed() if composed else getattr(session, library)

    def check(response: Any) -> None:
        if error == "status":
            response.raise_for_status()
        elif response.status_code >= 400:
            if error == "anothers":  # the answer to a request of the hook's own is not the caller's
                with lib.Client(trust_env=False, event_hooks={"response": [lib.Response.raise_for_status]}) as other:
                    other.get(audit.url)
            raise LookupError("own")

    acme.revoke()
    url = f"{acme.listener.url}/data"
    with lib.Client(auth=auth, trust_env=False, event_hooks={"response": [check]}) as http:
        with pytest.raises((lib.HTTPStatusError, LookupError)):
            http.get(url)
        assert http.get(url).status_code == 200

    async def asynchronously() -> int:
        async def check_later(response: Any) -> None:
            check(response)

        acme.revoke()
        async with lib.AsyncClient(auth=auth, trust_env=False, event_hooks={"response": [check_later]}) as http:
            with pytest.raises((lib.HTTPStatusError, LookupError)):
                await http.get(url)
            if composed:
                await session.atoken()
            return int((await http.get(url)).status_code)

    assert asyncio.run(asynchronously()) == 200


@pytest.mark.parametrize("library", GIVEN)
@pytest.mark.parametrize(
    "kind", ["text/event-stream", "application/x-ndjson", "Application/Octet-Stream; x=1", "application/geo+json-seq"]
)
def test_a_body_pattern_holds_no_stream_back(library: str, kind: str) -> None:
    go_on = threading.Event()

    def write(connection: Any) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + b"data: 1\n\n")
        go_on.wait(20)

    error = {"status": 200, "json": {"errors": [{"code": "UNAUTHENTICATED"}]}}
    with writing(write) as url:
        session = authflow.AuthSession(
            {
                "name": "acme",
                "extends": "api-key",
                "base_url": url,
                "answers": {"rejected": [{"status": 401}, error]},
            },
            api_key="k",
        )
        with client(library, session) as http:
            if library not in HTTPX:
                with http.get(url, stream=True, timeout=20) as response:
                    first = next(response.iter_lines(chunk_size=1))
            else:
                with http.stream("GET", url, timeout=20) as response:
                    first = next(response.iter_lines())
        assert first in (b"data: 1", "data: 1")
        assert not go_on.is_set()
        go_on.set()


def _slowly(go_on: threading.Event) -> Callable[[Any], None]:
    """Half a body, and the rest once its reader has seen that half."""

    def write(connection: Any) -> None:
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + b'{"a":')
        connection.sendall(b" 1}" if go_on.wait(10) else b" 0}")

    return write


def judging(url: str) -> authflow.AuthSession:
    error = {"status": 200, "json": {"errors": [{"code": "UNAUTHENTICATED"}]}}
    answers = {"rejected": [{"status": 401}, error]}
    return authflow.AuthSession({"name": "a", "extends": "api-key", "base_url": url, "answers": answers}, api_key="k")


@pytest.mark.parametrize("library", GIVEN)
def test_a_slow_body_that_the_caller_streams_is_his_after_a_second(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is good then, unjudged; each byte is the caller's, those on their way when the second was over too."""
    monkeypatch.setattr("authflow.clients.starting.PEEK_FOR", 0.2)
    for late in (True, False):
        go_on = threading.Event()
        if not late:
            go_on.set()
        with writing(_slowly(go_on)) as url, client(library, judging(url)) as http:
            if library in HTTPX:
                with http.stream("GET", url, timeout=20) as response:
                    go_on.set()
                    whole = response.read()
            else:
                with http.get(url, stream=True, timeout=20) as response:
                    first = response.raw.read(2)
                    go_on.set()
                    whole = first + b"".join(response.iter_content(3))
        assert whole == b'{"a": 1}'


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("library", HTTPX)
def test_the_same_in_an_event_loop(library: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import anyio

    lib: Any = importlib.import_module(library)
    monkeypatch.setattr("authflow.clients.starting.PEEK_FOR", 0.2)

    async def use(url: str, go_on: threading.Event, reads: bool) -> bytes:
        auth = getattr(judging(url), library)
        async with (
            lib.AsyncClient(auth=auth, trust_env=False) as http,
            http.stream("GET", url, timeout=20) as response,
            contextlib.aclosing(response.aiter_raw()) as pieces,
        ):
            first: bytes = await anext(pieces)
            if not reads:
                return first
            go_on.set()
            return first + b"".join([piece async for piece in pieces])

    for reads, whole in ((True, b'{"a": 1}'), (False, b'{"a":')):
        go_on = threading.Event()
        with writing(_slowly(go_on)) as url:
            assert anyio.run(use, url, go_on, reads, backend=backend) == whole
            go_on.set()


@pytest.mark.parametrize("library", GIVEN)
def test_a_rejection_in_the_body_of_a_stream_is_heard(library: str, listen: Listen) -> None:
    acme = Vendor(listen)
    error = {"status": 200, "json": {"errors": [{"code": "UNAUTHENTICATED"}]}}
    session = acme.session(answers={"rejected": [{"status": 401}, error]})
    session.token()
    acme.revoke()
    acme.rejection = Says(json={"errors": [{"code": "UNAUTHENTICATED"}]})
    acme.data = lambda came: Says(json={"fine": "x" * 200_000})
    url = f"{acme.listener.url}/data"
    with client(library, session) as http:
        if library in HTTPX:
            with http.stream("GET", url) as response:
                length = len(response.read())
        else:
            with http.get(url, stream=True) as response:
                length = len(response.content)
    assert (length, acme.granted) == (200_012, 3)


@pytest.mark.parametrize("library", HTTPX)
def test_auths_compose(library: str, listen: Listen) -> None:
    lib: Any = importlib.import_module(library)
    acme = Vendor(listen)
    session = acme.session()
    url = f"{acme.listener.url}/data"

    class Both(lib.Auth):  # type: ignore[misc]
        def auth_flow(self, request: Any) -> Any:
            request.headers["X-Key"] = "k"
            yield from getattr(session, library).auth_flow(request)

    with lib.Client(auth=Both(), trust_env=False) as http:
        assert http.get(url).status_code == 200
        acme.revoke()
        assert [http.get(url).status_code for _ in range(2)] == [401, 200], "the caller's, and the next one renews"
    assert {came.headers.get("x-key") for came in acme.listener.came if came.path == "/data"} == {"k"}

    async def asynchronously(fresh: authflow.AuthSession) -> int:
        class Later(lib.Auth):  # type: ignore[misc]
            def auth_flow(self, request: Any) -> Any:
                yield from getattr(fresh, library).auth_flow(request)

        async with lib.AsyncClient(auth=Later(), trust_env=False) as http:
            with pytest.raises(authflow.ConfigurationError, match=r"await session\.atoken\(\)` first"):
                await http.get(url)
            await fresh.atoken()
            return int((await http.get(url)).status_code)

    assert asyncio.run(asynchronously(acme.session())) == 200


@pytest.mark.parametrize("library", HTTPX)
def test_a_copy_that_a_transport_makes_is_no_hop(library: str, listen: Listen) -> None:
    """respx, say, looks at a copy of the request: the token stays on the one that is sent, and is renewed."""
    lib: Any = importlib.import_module(library)
    acme = Vendor(listen)
    session, seen = acme.session(), list[Any]()
    session.token()
    acme.revoke()

    class Looking(lib.HTTPTransport):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            copy = lib.Request(request.method, request.url, headers=request.headers, extensions=request.extensions)
            seen.append(copy.headers["authorization"])
            return super().handle_request(request)

    for presented in (session, acme.session()):
        with lib.Client(transport=Looking(), auth=getattr(presented, library)) as http:
            assert http.get(f"{acme.listener.url}/data").status_code == 200
    assert seen[:2] == ["Bearer token-1", "Bearer token-3"]


@pytest.mark.parametrize("library", HTTPX)
@pytest.mark.parametrize(
    "present",
    [
        {"headers": {"Authorization": "Bearer {access}"}},
        {"headers": {"X-Key": "{access}"}},
        {"query": {"key": "{access}"}},
        {"cookies": {"sid": "{access}"}},
    ],
    ids=["bearer", "key", "query", "cookie"],
)
def test_who_composes_and_lets_nobody_hear_renews_with_the_next_request(
    library: str, present: Any, listen: Listen
) -> None:
    """httpx_auth's `+` takes the first request of each flow, and drops the flow."""
    lib: Any = importlib.import_module(library)
    acme = Vendor(listen)

    def says(came: Came) -> Says:
        good = f"token-{acme.granted}" in came.everything
        return acme.says(came) if came.path == "/login" else Says(200 if good else 401, {})

    acme.listener.says = says
    session = acme.session(states={"signed_in": {"present": present}}, insecure_url=True)
    url = f"{acme.listener.url}/data"

    class Sum(lib.Auth):  # type: ignore[misc]
        def auth_flow(self, request: Any) -> Any:
            next(getattr(session, library).auth_flow(request))
            yield request

    with lib.Client(auth=Sum(), trust_env=False) as http:
        assert http.get(url).status_code == 200
        acme.revoke()
        turned_away = http.get(url)
        assert pickle.loads(pickle.dumps(turned_away)).request.method == turned_away.request.method == "GET"
        assert [turned_away.status_code, *(http.get(url).status_code for _ in range(2))] == [401, 200, 200]
        request = lib.Request("GET", url)
        next(getattr(session, library).auth_flow(request))
        assert pickle.loads(pickle.dumps(request)).method == "GET", "one that nobody has sent yet"

    async def asynchronously() -> list[int]:
        async with lib.AsyncClient(auth=Sum(), trust_env=False) as http:
            first = await http.get(url)
            await session.atoken()
            return [first.status_code, (await http.get(url)).status_code]

    acme.revoke()
    assert asyncio.run(asynchronously()) == [401, 200]


@pytest.mark.parametrize("library", HTTPX)
@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key"])
def test_a_taken_request_is_heard_behind_a_redirect(library: str, header: str) -> None:
    """Nobody shows the flow an answer; a 401 behind a redirect is heard all the same, and the next one renews."""
    lib = pytest.importorskip(library)
    logins = 0

    def says(request: Any) -> Any:
        nonlocal logins
        if request.url.path == "/login":
            logins += 1
            return lib.Response(200, json={"token": f"t{logins}"})
        if request.url.path == "/go":
            return lib.Response(302, headers={"Location": "/data"})
        return lib.Response(200 if "t2" in request.headers.get(header, "") else 401)

    transport = lib.MockTransport(says)
    file = vendor("http://localhost", states={"signed_in": {"present": {"headers": {header: "Bearer {access}"}}}})
    with lib.Client(transport=transport) as own:
        session = authflow.AuthSession(file, username="alice", password="s3cret", client=own)

        class Taken(lib.Auth):  # type: ignore[misc]
            def auth_flow(self, request: Any) -> Any:
                next(getattr(session, library).auth_flow(request))
                yield request

        with lib.Client(transport=transport, auth=Taken(), follow_redirects=True) as http:
            assert [http.get("http://localhost/go").status_code for _ in range(2)] == [401, 200]
    assert logins == 2


def test_httpx_auth_adds_a_key(listen: Listen) -> None:
    httpx_auth = pytest.importorskip("httpx_auth")
    httpx = importlib.import_module("httpx")
    acme = Vendor(listen)
    for auth in (
        httpx_auth.HeaderApiKey("k") + acme.session().httpx,
        httpx_auth.HeaderApiKey("k") & acme.session().httpx,
    ):
        with httpx.Client(auth=auth, trust_env=False) as http:
            assert http.get(f"{acme.listener.url}/data").status_code == 200
    assert {came.headers.get("x-api-key") for came in acme.listener.came if came.path == "/data"} == {"k"}
