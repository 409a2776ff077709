"""What users of a client expect: the same observations with the library's own Basic auth and with a session, over every
client, presentation and transport. Where they differ, a row of `DIFFERS` says why.

Each expectation is asked twice, once with each auth, of a server that tells what it saw, without what is ours.
"""

from __future__ import annotations

import base64
import gzip
import importlib
import io
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

import authflow
from tests.clients.drivers import DRIVERS, Driver, HttpxAsyncClient, HttpxClient
from tests.servers import Came, Listener, Says, closed_port

Listen = Callable[..., Listener]
USER, TOKEN = "demo", "tok3n-of-ours"
BASIC = "Basic " + base64.b64encode(f"{USER}:{TOKEN}".encode()).decode()
PRESENTATIONS: Mapping[str, Mapping[str, Any]] = {
    "bearer": {"headers": {"Authorization": "Bearer {api_key}"}},
    "key": {"headers": {"X-Api-Key": "{api_key}"}},
    "cookie": {"cookies": {"sid": "{api_key}"}},
    "query": {"query": {"key": "{api_key}"}},
    "basic": {"basic": [USER, "{api_key}"]},
    "json": {"json": {"key": "{api_key}"}},
    "form": {"form": {"key": "{api_key}"}},
}


# --- the server -------------------------------------------------------------------------------------------------------


def answer(came: Came) -> Says:
    """Says what it saw of the caller's own."""
    saw = seen(came)
    status = int(came.path[1:]) if came.path[1:].isdecimal() else 200
    if came.path == "/gzip":
        return Says(body=gzip.compress(b'{"packed": 1}', mtime=0), headers={"Content-Encoding": "gzip"})
    if came.path.startswith("/to/"):
        _, _, code, where = came.path.split("/")
        port = came.headers["host"].rpartition(":")[2]
        target = "/landed?x=1" if where == "here" else f"http://localhost:{port}/landed?x=1"
        return Says(int(code), {}, {"Location": target})
    return Says(status, saw, {"X-Theirs": "1"})


def seen(came: Came) -> dict[str, Any]:
    """Method, target, headers and body as the caller sent them; and whether the token came, once."""
    own = {
        name: value for name, value in came.headers.items() if name in ("x-mine", "range", "cookie", "authorization")
    }
    times = came.everything.count(TOKEN) + came.everything.count(BASIC)
    if TOKEN in own.get("authorization", "") or own.get("authorization") == BASIC:
        del own["authorization"]
    cookies = [pair for pair in own.pop("cookie", "").split("; ") if pair and TOKEN not in pair]
    path, _, query = came.target.partition("?")
    return {
        "method": came.method,
        "path": path,
        "query": [pair for pair in query.split("&") if TOKEN not in pair and pair],
        "headers": own,
        "cookies": cookies,
        "body": body(came),
        "authorised": times,
    }


def body(came: Came) -> Any:
    kind = came.headers.get("content-type", "").partition(";")[0]
    if kind == "application/json":
        return {name: value for name, value in json.loads(came.body or b"{}").items() if value != TOKEN} or ""
    if kind == "application/x-www-form-urlencoded":
        return [pair for pair in parse_qsl(came.body.decode()) if pair[1] != TOKEN] or ""
    if kind.startswith("multipart/"):
        return [b"content of it" in came.body, b'name="upload"' in came.body]
    return came.body.decode("latin-1")


# --- transports: sockets, and those that people put in their place ----------------------------------------------------


def came_of(method: str, url: str, headers: Any, content: bytes) -> Came:
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    return Came(method, target, {name.lower(): value for name, value in headers.items()}, content)


Answers = Callable[[Came], Says]


def mock(lib: Any, answer: Answers = answer) -> Any:
    def handler(request: Any) -> Any:
        said = answer(came_of(request.method, str(request.url), request.headers, request.content))
        content = json.dumps(said.json).encode() if said.body is None else said.body
        kind = {"Content-Type": "application/json", **said.headers}
        return lib.Response(said.status, headers=kind, content=content if request.method != "HEAD" else b"")

    async def later(request: Any) -> Any:
        await request.aread()
        return handler(request)

    def sync(request: Any) -> Any:
        request.read()
        return handler(request)

    return lib.MockTransport(sync), lib.MockTransport(later)


def wsgi(lib: Any, answer: Answers = answer) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        names = {"CONTENT_TYPE": "content-type", "CONTENT_LENGTH": "content-length"}
        headers = {
            names.get(name, name[5:].replace("_", "-")): str(value)
            for name, value in environ.items()
            if name in names or name.startswith("HTTP_")
        }
        target = environ["PATH_INFO"].encode("latin-1").decode("latin-1")
        query = environ.get("QUERY_STRING", "")
        came = Came(
            environ["REQUEST_METHOD"],
            target + (f"?{query}" if query else ""),
            {name.lower(): value for name, value in headers.items()},
            environ["wsgi.input"].read(),
        )
        said = answer(came)
        content = json.dumps(said.json).encode() if said.body is None else said.body
        start_response(f"{said.status} X", [*{"Content-Type": "application/json", **said.headers}.items()])
        return [content if came.method != "HEAD" else b""]

    return lib.WSGITransport(app=app)


def asgi(lib: Any, answer: Answers = answer) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        content, more = b"", True
        while more:
            message = await receive()
            content, more = content + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        query = scope["query_string"].decode()
        target = scope["raw_path"].decode() + (f"?{query}" if query else "")
        said = answer(Came(scope["method"], target, headers, content))
        out = json.dumps(said.json).encode() if said.body is None else said.body
        shown = {"Content-Type": "application/json", **said.headers}.items()
        pairs = [(name.encode(), value.encode()) for name, value in shown]
        await send({"type": "http.response.start", "status": said.status, "headers": pairs})
        await send({"type": "http.response.body", "body": out if scope["method"] != "HEAD" else b""})

    return lib.ASGITransport(app=app)


class OverSync(HttpxClient):
    def __init__(self, library: str, name: str, make: Callable[[Any], Any]) -> None:
        super().__init__(library, f"{library}-{name}")
        self.make = make

    def options(self, connections: int = 100) -> dict[str, Any]:
        return {"follow_redirects": True, "transport": self.make(self.lib)}


class OverAsync(HttpxAsyncClient):
    def __init__(self, library: str, name: str, backend: str, make: Callable[[Any], Any]) -> None:
        super().__init__(library, f"{library}-{name}-{backend}", backend)
        self.make = make

    options = OverSync.options


IN_PLACE: tuple[Driver, ...] = tuple(
    driver
    for library in ("httpx", "httpx2")
    if importlib.util.find_spec(library)
    for driver in (
        OverSync(library, "mock", lambda lib: mock(lib)[0]),
        OverSync(library, "wsgi", wsgi),
        OverAsync(library, "mock", "asyncio", lambda lib: mock(lib)[1]),
        OverAsync(library, "asgi", "asyncio", asgi),
        OverAsync(library, "asgi", "trio", asgi),
    )
)


# --- what is expected -------------------------------------------------------------------------------------------------

Asks = Callable[..., Any]


def told(reply: Any) -> dict[str, Any]:
    return {"status": reply.status, "history": [hop.status for hop in reply.history], "saw": reply.json}


def answers_of(statuses: tuple[int, ...]) -> Callable[[Asks, Driver, Path], Any]:
    return lambda ask, driver, folder: [told(ask(f"/{status}")) for status in statuses]


def shown_headers(ask: Asks, driver: Driver, folder: Path) -> Any:
    """Whatever says who asks shows on the request that was sent."""
    reply = ask("/x", headers={"X-Mine": "1"})
    return {name: reply.sent.get(name) for name in ("x-mine", "accept", "user-agent", "accept-encoding")}


def redirected(code: int, method: str, where: str) -> Callable[[Asks, Driver, Path], Any]:
    def expectation(ask: Asks, driver: Driver, folder: Path) -> Any:
        body: dict[str, Any] = {"json": {"a": 1}} if method != "GET" and where == "there" else {}
        reply = ask(f"/to/{code}/{where}", method, headers={"X-Mine": "1"}, **body)
        left = {name: value for name, value in reply.json.items() if name != "authorised" or where == "here"}
        return {**told(reply), "saw": left, "path": urlsplit(reply.url).path, "sent": [h.status for h in reply.history]}

    return expectation


EXPECTATIONS: Mapping[str, Callable[[Asks, Driver, Path], Any]] = {
    "get": lambda ask, driver, folder: told(ask("/x")),
    "params": lambda ask, driver, folder: told(ask("/x", params={"q": "a b", "r": "1"})),
    "bytes of a url": lambda ask, driver, folder: told(ask("/a%2Fb/c?flag&x=1%2B1&y=+")),
    "headers": lambda ask, driver, folder: told(ask("/x", headers={"X-Mine": "1", "Range": "bytes=0-9"})),
    "cookies": lambda ask, driver, folder: told(ask("/x", headers={"Cookie": "mine=1; other=2"})),
    "json": lambda ask, driver, folder: told(ask("/x", "POST", json={"a": 1, "b": [1, 2]})),
    "form": lambda ask, driver, folder: told(ask("/x", "POST", data={"a": "1", "b": "ü"})),
    "multipart": lambda ask, driver, folder: told(
        ask(
            "/x",
            "POST",
            **(
                {"data": {"upload": io.BytesIO(b"content of it")}}
                if driver.library == "aiohttp"
                else {"files": {"upload": ("name", b"content of it")}}
            ),
        )
    ),
    "bytes": lambda ask, driver, folder: told(ask("/x", "PUT", **driver.replayable["bytes"](b"\xff" * 99, folder))),
    "a stream": lambda ask, driver, folder: told(
        ask("/x", "POST", **next(iter(driver.one_shot.values()))(b"s" * 5000, folder))
    ),
    "methods": lambda ask, driver, folder: [told(ask("/x", method)) for method in ("DELETE", "PATCH")],
    "head": lambda ask, driver, folder: ask("/x", "HEAD").status,
    "statuses": answers_of((201, 404, 418, 500, 503)),
    "unauthorised": answers_of((401,)),
    "forbidden": answers_of((403,)),
    "gzip": lambda ask, driver, folder: ask("/gzip").json,
    "headers of the answer": lambda ask, driver, folder: {
        name.lower(): value for name, value in _headers(ask("/x")).items()
    }["x-theirs"],
    "headers that show": shown_headers,
    "303": redirected(303, "POST", "here"),
    "302": redirected(302, "GET", "here"),
    "307": redirected(307, "POST", "here"),
    "elsewhere": redirected(302, "GET", "there"),
    "elsewhere with a body": redirected(308, "POST", "there"),
    "many": lambda ask, driver, folder: [ask("/x").status for _ in range(3)],
}


def _headers(reply: Any) -> Any:
    return getattr(reply.raw, "headers", None) or reply.raw.answer.headers


#: (expectation, presentation) → why it is another than with Basic auth; "*" is any. At most ten rows.
DIFFERS: Mapping[tuple[str, str], str] = {
    ("unauthorised", "*"): "a key that is refused is said so by CredentialsRefused, and not sent again and again",
    ("json", "form"): "a token that travels in a form is an error over another body",
    ("multipart", "json"): "a token that travels in JSON is an error over another body",
    ("form", "json"): "the same",
    ("bytes", "json"): "the same",
    ("bytes", "form"): "the same",
    ("a stream", "json"): "a stream can take no token",
    ("a stream", "form"): "the same",
    ("elsewhere with a body", "form"): "its body is JSON",
}


def own_auth(driver: Driver) -> Any:
    """The library's own Basic auth, as what gives a driver its auth."""
    if driver.library == "aiohttp":

        async def middleware(request: Any, handler: Any) -> Any:  # as aiohttp's documentation has it
            request.headers["Authorization"] = BASIC
            return await handler(request)

        return SimpleNamespace(aiohttp=middleware)
    lib = importlib.import_module(driver.library)
    basic = lib.BasicAuth if driver.library.startswith("httpx") else lib.auth.HTTPBasicAuth
    return SimpleNamespace(**{driver.library: basic(USER, TOKEN)})


def session_of(base_url: str, present: Mapping[str, Any]) -> authflow.AuthSession:
    file = {
        "name": "any",
        "extends": "api-key",
        "base_url": f"{base_url}/",
        "states": {"signed_in": {"present": present}},
    }
    return authflow.AuthSession({**file, "insecure_url": True}, api_key=TOKEN)


def observed(driver: Driver, make: Callable[[], Any], base_url: str, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, expectation in EXPECTATIONS.items():
        auth = make()

        def ask(target: str, method: str = "GET", auth: Any = auth, **how: Any) -> Any:
            return driver.call(auth, f"{base_url}{target}", method, **how)

        try:
            found[name] = expectation(ask, driver, folder)
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
    return found


def differing(driver: Driver, base_url: str, tmp_path: Path) -> str:
    """What is seen otherwise with a session than with the library's own auth, but for what `DIFFERS` excuses."""
    expected = observed(driver, lambda: own_auth(driver), base_url, tmp_path)
    broken = [name for name, seen in expected.items() if isinstance(seen, str) and "Error" in seen]
    assert broken == [], "an expectation that does not hold with the library's own auth is none"
    wrong = {}
    for presentation, present in PRESENTATIONS.items():
        found = observed(driver, partial(session_of, base_url, present), base_url, tmp_path)
        for name in EXPECTATIONS:
            excused = {(name, presentation), (name, "*")} & DIFFERS.keys()
            if (found[name] != expected[name]) != bool(excused):
                wrong[presentation, name] = found[name], expected[name]
    return "\n".join(f"{key}: {pair[0]} != {pair[1]}" for key, pair in wrong.items())


@pytest.mark.slow
@pytest.mark.parametrize("driver", [*DRIVERS, *IN_PLACE], ids=lambda driver: driver.name)
def test_what_users_expect(driver: Driver, listen: Listen, tmp_path: Path) -> None:
    base_url = "http://127.0.0.1:9" if driver in IN_PLACE else listen(answer).url
    assert differing(driver, base_url, tmp_path) == ""


def test_the_table_is_short() -> None:
    assert len(DIFFERS) <= 10


@pytest.mark.parametrize("presentation", PRESENTATIONS)
def test_nobody_there_is_the_clients_own_error(client: Driver, presentation: str) -> None:
    with closed_port() as nowhere:
        errors = []
        for auth in (own_auth(client), session_of(nowhere, PRESENTATIONS[presentation])):
            with pytest.raises(client.error) as raised:
                client.call(auth, f"{nowhere}/x")
            errors.append(type(raised.value))
    assert errors[0] is errors[1]
