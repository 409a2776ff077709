"""What users do with a client itself, beyond one request: the same observations with the library's own Basic auth and
with a session, for each presentation. Each habit is a function of the library, an auth and a server's URL.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import importlib
import io
import pickle
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.clients.drivers import LIBRARIES
from tests.clients.test_expectations import PRESENTATIONS, answer, own_auth, seen, session_of
from tests.servers import Came, Listener, Says

Listen = Callable[..., Listener]
Habit = Callable[[Any, Any, str], Any]
HTTPX = [library for library in LIBRARIES if library.startswith("httpx")]
FAMILY = [library for library in LIBRARIES if library in ("requests", "niquests")]


class Server:
    """Says what it saw; `/set` gives a cookie, `/flaky` fails twice, `/loop` leads to itself."""

    def __init__(self) -> None:
        self.flaky = 0

    def __call__(self, came: Came) -> Says:
        if came.path == "/set":
            return Says(200, {}, {"Set-Cookie": "theirs=1; Path=/"})
        if came.path == "/flaky":
            self.flaky += 1
            return Says(503 if self.flaky % 3 else 200, {"at": self.flaky % 3})
        if came.path == "/loop":
            return Says(302, {}, {"Location": "/loop"})
        if came.path == "/lines":
            return Says(body=b"one\ntwo\nthree\n", headers={"Content-Type": "text/plain"})
        if came.path == "/big":
            return Says(body=b"x" * 500_000)
        if came.path == "/slow":
            threading.Event().wait(0.5)
        if came.path == "/to/mine":
            return Says(307, {}, {"Location": "/landed?mine=1"})
        if came.path == "/wraps":
            return Says(json={**seen(came), "wrapped": came.headers.get("x-w")})
        return answer(came)


# --- requests and niquests --------------------------------------------------------------------------------------------


def session(lib: Any, auth: Any) -> Any:
    made = lib.Session()
    made.trust_env, made.auth = False, auth
    return made


def saw(answer: Any) -> Any:
    return answer.status_code, answer.json()


def cookie_jar(lib: Any, auth: Any, url: str) -> Any:
    with session(lib, auth) as http:
        http.get(f"{url}/set")
        http.cookies.set("mine", "2")
        return saw(http.get(f"{url}/x", cookies={"this": "3"})), sorted(http.cookies.keys())


def prepared_twice(lib: Any, auth: Any, url: str) -> Any:
    with session(lib, None) as one, session(lib, None) as other:
        request = lib.Request("POST", f"{url}/x?q=1", json={"a": 1}, auth=auth).prepare()
        return [saw(http.send(request)) for http in (one, one, other)], saw(one.send(request.copy()))


def prepared_by_session(lib: Any, auth: Any, url: str) -> Any:
    with session(lib, auth) as http:
        http.headers["X-Mine"], http.params = "1", {"p": "1"}
        return saw(http.send(http.prepare_request(lib.Request("GET", f"{url}/x", params={"q": "2"}))))


def no_redirect(lib: Any, auth: Any, url: str) -> Any:
    with session(lib, auth) as http:
        answer = http.get(f"{url}/to/mine", allow_redirects=False)
        following = answer.next
        return answer.status_code, following.method, following.url == f"{url}/landed?mine=1", saw(http.send(following))


def too_many(lib: Any, auth: Any, url: str) -> Any:
    with session(lib, auth) as http:
        http.max_redirects = 3
        try:
            http.get(f"{url}/loop")
        except lib.TooManyRedirects as error:
            return type(error).__name__, error.response.status_code, len(error.response.history)


def early_close(lib: Any, auth: Any, url: str) -> Any:
    with session(lib, auth) as http:
        with http.get(f"{url}/big", stream=True) as answer:
            first = next(answer.iter_content(10))
        lines = list(http.get(f"{url}/lines", stream=True).iter_lines())
        raw = http.get(f"{url}/lines", stream=True).raw.read()
        return first, lines, raw, saw(http.get(f"{url}/x"))


def verbs(lib: Any, auth: Any, url: str) -> Any:
    with session(lib, auth) as http:
        return (
            http.head(f"{url}/x").status_code,
            http.options(f"{url}/x").status_code,
            http.head(f"{url}/to/mine").status_code,
        )


def hooks(lib: Any, auth: Any, url: str) -> Any:
    """One sees, one replaces, one raises."""
    heard: list[Any] = []
    with session(lib, auth) as http, session(lib, None) as bare:
        other = bare.get(f"{url}/418")
        http.hooks["response"].append(lambda answer, **how: heard.append((answer.status_code, sorted(how)[:1])))
        first = saw(http.get(f"{url}/to/mine"))
        replaced = http.get(f"{url}/x", hooks={"response": lambda answer, **how: other})
        with pytest.raises(LookupError):
            http.get(f"{url}/x", hooks={"response": lambda answer, **how: {}["no"]})
        return first, replaced.status_code, heard, saw(http.get(f"{url}/x"))


def retries(lib: Any, auth: Any, url: str) -> Any:
    retry = importlib.import_module(f"{lib.__name__}.packages").urllib3.util.Retry
    with session(lib, auth) as http:
        http.mount("http://", lib.adapters.HTTPAdapter(max_retries=retry(total=3, status_forcelist=[503])))
        return saw(http.get(f"{url}/flaky"))


def rebuilt(lib: Any, auth: Any, url: str) -> Any:
    """A Session that has its own idea of what a redirect keeps."""

    class Mine(lib.Session):  # type: ignore[misc]
        def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
            prepared_request.headers["X-Mine"] = "rebuilt"

    http = Mine()
    http.trust_env, http.auth = False, auth
    return saw(http.get(f"{url}/to/mine"))


def copies(lib: Any, auth: Any, url: str) -> Any:
    with session(lib, auth) as http:
        http.headers["X-Mine"] = "1"
        return [saw(made.get(f"{url}/x")) for made in (copy.deepcopy(http), pickle.loads(pickle.dumps(http)))]


def wrapped(lib: Any, auth: Any, url: str) -> Any:
    class Wrapper(lib.auth.AuthBase):  # type: ignore[misc]
        def __call__(self, request: Any) -> Any:
            request.headers["X-W"] = "before"
            request = auth(request)
            request.headers["X-W"] += " after"
            return request

    with session(lib, None) as http:
        return [saw(http.get(f"{url}/wraps", auth=how)) for how in (Wrapper(), lambda request: auth(request))]


def own_adapter(lib: Any, auth: Any, url: str) -> Any:
    sent: list[Any] = []

    class Looking(lib.adapters.HTTPAdapter):  # type: ignore[misc]
        def send(self, request: Any, **how: Any) -> Any:
            sent.append((request.method, request.path_url.split("?")[0], sorted(how)))
            return super().send(request, **how)

    with session(lib, auth) as http:
        http.mount("http://", Looking())
        return saw(http.get(f"{url}/to/mine")), sent


def uploads(lib: Any, auth: Any, url: str) -> Any:
    files = [("upload", ("a", io.BytesIO(b"content of it"))), ("other", ("b", b"2", "text/plain"))]
    with session(lib, auth) as http:
        return saw(http.post(f"{url}/x", files=files, data={"f": "1"}))


def generated(lib: Any, auth: Any, url: str) -> Any:
    with session(lib, auth) as http:
        return saw(http.post(f"{url}/x", data=iter([b"a", b"b"])))


def says_what(lib: Any, auth: Any, url: str) -> Any:
    with session(lib, auth) as http:
        answer = http.get(f"{url}/to/mine")
        return (
            answer.elapsed.total_seconds() > 0,
            answer.reason,
            [hop.status_code for hop in answer.history],
            answer.url == f"{url}/landed?mine=1",
            answer.request.method,
            answer.ok,
            bool(answer.raw.headers.getlist("content-type")) if lib.__name__ == "requests" else True,
        )


def patience(lib: Any, auth: Any, url: str) -> Any:
    with session(lib, auth) as http, pytest.raises(lib.RequestException) as caught:
        http.get(f"{url}/slow", timeout=0.1)
    return (type(caught.value).__name__,)


OF_REQUESTS: Mapping[str, Habit] = {
    habit.__name__: habit
    for habit in (
        *(cookie_jar, prepared_twice, prepared_by_session, no_redirect, too_many, early_close, verbs, hooks, retries),
        *(rebuilt, copies, wrapped, own_adapter, uploads, generated, says_what, patience),
    )
}


# --- httpx and httpx2 -------------------------------------------------------------------------------------------------


async def its(thing: Any) -> Any:
    return await thing if hasattr(thing, "__await__") else thing


@contextlib.asynccontextmanager
async def entered(thing: Any) -> AsyncIterator[Any]:
    if hasattr(thing, "__aenter__"):
        async with thing as made:
            yield made
    else:
        with thing as made:
            yield made


async def every(pieces: Any) -> list[Any]:
    return [piece async for piece in pieces] if hasattr(pieces, "__aiter__") else list(pieces)


async def x_cookies(lib: Any, make: Any, auth: Any, url: str) -> Any:
    async with entered(make(auth=auth, cookies={"mine": "2"})) as http:
        await its(http.get(f"{url}/set"))
        return saw(await its(http.get(f"{url}/x"))), sorted(http.cookies)


async def x_merging(lib: Any, make: Any, auth: Any, url: str) -> Any:
    async with entered(make(auth=auth, base_url=f"{url}/", params={"p": "1"}, headers={"X-Mine": "1"})) as http:
        return [saw(await its(http.get(where, params={"q": "2"}))) for where in ("x", "/x", f"{url}/x")]


async def x_sent_twice(lib: Any, make: Any, auth: Any, url: str) -> Any:
    async with entered(make(auth=auth)) as http, entered(make(auth=auth)) as other, entered(make()) as bare:
        request = http.build_request("POST", f"{url}/x?q=1", json={"a": 1})
        found = [saw(await its(one.send(request))) for one in (http, http, other)]
        alone = bare.build_request("GET", f"{url}/x")
        return found, [saw(await its(bare.send(alone, auth=auth))) for _ in range(2)]


async def x_redirects(lib: Any, make: Any, auth: Any, url: str) -> Any:
    async with entered(make(auth=auth)) as http:
        answer = await its(http.get(f"{url}/to/mine"))
        following = answer.next_request
        followed = await its(http.get(f"{url}/to/mine", follow_redirects=True))
        return (
            (answer.status_code, following.method, str(following.url) == f"{url}/landed?mine=1"),
            saw(await its(http.send(following))),
            saw(followed),
            [hop.status_code for hop in followed.history],
        )


async def x_too_many(lib: Any, make: Any, auth: Any, url: str) -> Any:
    async with entered(make(auth=auth, max_redirects=3)) as http:
        with pytest.raises(lib.TooManyRedirects) as caught:
            await its(http.get(f"{url}/loop", follow_redirects=True))
        return caught.value.request.url.path, saw(await its(http.get(f"{url}/x")))


async def x_streams(lib: Any, make: Any, auth: Any, url: str) -> Any:
    asynchronous = make.func is lib.AsyncClient
    async with entered(make(auth=auth)) as http:
        async with entered(http.stream("GET", f"{url}/big")) as answer:
            pieces = answer.aiter_raw(10) if asynchronous else answer.iter_raw(10)
            first = await anext(pieces) if asynchronous else next(pieces)
        async with entered(http.stream("GET", f"{url}/lines")) as answer:
            lines = await every(answer.aiter_lines() if asynchronous else answer.iter_lines())
        async with entered(http.stream("GET", f"{url}/gzip")) as answer:
            whole = await its(answer.aread() if asynchronous else answer.read())
        return first, lines, whole, answer.num_bytes_downloaded, saw(await its(http.get(f"{url}/x")))


async def x_verbs(lib: Any, make: Any, auth: Any, url: str) -> Any:
    async with entered(make(auth=auth)) as http:
        return (await its(http.head(f"{url}/x"))).status_code, (await its(http.options(f"{url}/x"))).status_code


async def x_hooks(lib: Any, make: Any, auth: Any, url: str) -> Any:
    heard: list[Any] = []

    def requested(request: Any) -> None:
        heard.append(("request", request.method, request.url.path))
        request.headers["X-Mine"] = "hooked"

    def answered(response: Any) -> None:
        heard.append((response.status_code, response.request.url.path))
        if response.request.url.path == "/404":
            response.raise_for_status()

    async def later(thing: Any) -> None:
        requested(thing) if isinstance(thing, lib.Request) else answered(thing)

    asynchronous = make.func is lib.AsyncClient
    listeners = {"request": [later if asynchronous else requested], "response": [later if asynchronous else answered]}
    async with entered(make(auth=auth, event_hooks=listeners, follow_redirects=True)) as http:
        first = saw(await its(http.get(f"{url}/to/mine")))
        with pytest.raises(lib.HTTPStatusError):
            await its(http.get(f"{url}/404"))
        return first, heard, saw(await its(http.get(f"{url}/x")))


async def x_mounts(lib: Any, make: Any, auth: Any, url: str) -> Any:
    asked: list[str] = []

    def mocked(request: Any) -> Any:
        asked.append(request.url.path)
        return lib.Response(200, json={"mocked": request.headers.get("x-mine")})

    async with entered(make(auth=auth, mounts={url: lib.MockTransport(mocked)})) as http:
        return saw(await its(http.get(f"{url}/x", headers={"X-Mine": "1"}))), asked


async def x_off_and_on(lib: Any, make: Any, auth: Any, url: str) -> Any:
    async with entered(make(auth=auth)) as http, entered(make()) as bare:
        bare.auth = auth
        found = [saw(await its(http.get(f"{url}/x", auth=None))), saw(await its(bare.get(f"{url}/x")))]
        return found, saw(await its(http.get(f"{url}/x", auth=("other", "one"))))


async def x_duplicates(lib: Any, make: Any, auth: Any, url: str) -> Any:
    async with entered(make(auth=auth)) as http:
        answer = await its(http.get(f"{url}/x", headers=[("X-Mine", "1"), ("X-Mine", "2"), ("x-odd", "a")]))
        sent = answer.request.headers
        return (
            sent.get_list("x-mine"),
            [pair for pair in sent.raw if pair[0].lower().startswith(b"x-")][:3],
            saw(answer),
        )


async def x_pickled(lib: Any, make: Any, auth: Any, url: str) -> Any:
    async with entered(make(auth=auth)) as http:
        request = http.build_request("GET", f"{url}/x", headers={"X-Mine": "1"})
        again = pickle.loads(pickle.dumps(request))
        answer = await its(http.send(request))
        kept = pickle.loads(pickle.dumps(answer))
        return saw(answer), saw(kept), kept.request.method, again.headers["X-Mine"], saw(await its(http.send(request)))


async def x_composed(lib: Any, make: Any, auth: Any, url: str) -> Any:
    class Flow(lib.Auth):  # type: ignore[misc]
        requires_request_body = True

        def auth_flow(self, request: Any) -> Any:
            request.headers["X-W"] = str(len(request.content))
            yield from auth.auth_flow(request)

    class Sides(lib.Auth):  # type: ignore[misc]
        def sync_auth_flow(self, request: Any) -> Any:
            request.headers["X-W"] = "sync"
            yield from auth.sync_auth_flow(request)

        async def async_auth_flow(self, request: Any) -> Any:
            request.headers["X-W"] = "sync"
            flow = auth.async_auth_flow(request)
            answer = yield await anext(flow)
            with contextlib.suppress(StopAsyncIteration):
                while True:
                    answer = yield await flow.asend(answer)

    found = []
    for how in (Flow(), Sides()):
        async with entered(make(auth=how)) as http:
            found.append(saw(await its(http.post(f"{url}/wraps", json={"a": 1}))))
    return found


async def x_extensions(lib: Any, make: Any, auth: Any, url: str) -> Any:
    base = lib.AsyncHTTPTransport if make.func is lib.AsyncClient else lib.HTTPTransport
    noted: list[Any] = []

    class Looking(base):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            noted.append((request.extensions.get("mine"), "timeout" in request.extensions))
            return super().handle_request(request)

        async def handle_async_request(self, request: Any) -> Any:
            noted.append((request.extensions.get("mine"), "timeout" in request.extensions))
            return await super().handle_async_request(request)

    async with entered(make(auth=auth, transport=Looking(retries=1), follow_redirects=True)) as http:
        answer = await its(http.get(f"{url}/to/mine", extensions={"mine": 1}))
        return saw(answer), noted, answer.extensions["http_version"], answer.elapsed.total_seconds() > 0


async def x_bodies(lib: Any, make: Any, auth: Any, url: str) -> Any:
    async with entered(make(auth=auth)) as http:
        files = [("upload", ("a", io.BytesIO(b"content of it"))), ("other", ("b", b"2", "text/plain"))]
        return saw(await its(http.post(f"{url}/x", files=files, data={"f": "1"})))


async def x_patience(lib: Any, make: Any, auth: Any, url: str) -> Any:
    async with entered(make(auth=auth)) as http:
        with pytest.raises(lib.RequestError) as caught:
            await its(http.get(f"{url}/slow", timeout=0.1))
        return type(caught.value).__name__, caught.value.request.url.path


OF_HTTPX: Mapping[str, Any] = {
    habit.__name__: habit
    for habit in (
        *(x_cookies, x_merging, x_sent_twice, x_redirects, x_too_many, x_streams, x_verbs, x_hooks, x_mounts),
        *(x_off_and_on, x_duplicates, x_pickled, x_composed, x_extensions, x_bodies, x_patience),
    )
}


# --- aiohttp ----------------------------------------------------------------------------------------------------------


async def a_saw(answer: Any) -> Any:
    return answer.status, await answer.json()


async def a_cookies(aiohttp: Any, make: Any, url: str) -> Any:
    async with make(cookies={"mine": "2"}, cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        (await http.get(f"{url}/set")).release()
        return await a_saw(await http.get(f"{url}/x", cookies={"this": "3"})), sorted(
            one.key for one in http.cookie_jar
        )


async def a_base_url(aiohttp: Any, make: Any, url: str) -> Any:
    async with make(base_url=f"{url}/", headers={"X-Mine": "1"}) as http:
        return [await a_saw(await http.get(where, params={"q": "2"})) for where in ("x", "/x")]


async def a_redirects(aiohttp: Any, make: Any, url: str) -> Any:
    async with make() as http:
        answer = await http.get(f"{url}/to/mine", allow_redirects=False)
        answer.release()
        followed = await http.get(f"{url}/to/mine")
        with pytest.raises(aiohttp.TooManyRedirects) as caught:
            await http.get(f"{url}/loop", max_redirects=3)
        return (
            (answer.status, answer.headers["Location"]),
            await a_saw(followed),
            [hop.status for hop in followed.history],
            len(caught.value.history),
            str(caught.value.request_info.real_url).partition("?")[0],
        )


async def a_streams(aiohttp: Any, make: Any, url: str) -> Any:
    async with make() as http:
        async with http.get(f"{url}/big") as answer:
            first = await answer.content.read(10)
            answer.close()
        async with http.get(f"{url}/lines") as answer:
            lines = [line async for line in answer.content]
        return first, lines, await a_saw(await http.get(f"{url}/x"))


async def a_verbs(aiohttp: Any, make: Any, url: str) -> Any:
    async with make() as http, http.head(f"{url}/x") as head, http.options(f"{url}/x") as options:
        return head.status, options.status


async def a_raising(aiohttp: Any, make: Any, url: str) -> Any:
    heard: list[int] = []

    async def check(answer: Any) -> None:
        heard.append(answer.status)
        if answer.status == 418:
            raise LookupError

    async with make(raise_for_status=True) as http:
        with pytest.raises(aiohttp.ClientResponseError) as caught:
            await http.get(f"{url}/404")
        left = caught.value.status, await a_saw(await http.get(f"{url}/x"))
    async with make(raise_for_status=check) as http:
        with pytest.raises(LookupError):
            await http.get(f"{url}/418")
        return left, await a_saw(await http.get(f"{url}/x")), heard


async def a_traces(aiohttp: Any, make: Any, url: str) -> Any:
    heard: list[Any] = []
    trace = aiohttp.TraceConfig()

    async def began(session: Any, context: Any, about: Any) -> None:
        heard.append(("began", about.method, about.url.path))

    async def ended(session: Any, context: Any, about: Any) -> None:
        heard.append(("ended", about.response.status, about.url.path))

    trace.on_request_start.append(began)
    trace.on_request_end.append(ended)
    async with make(trace_configs=[trace]) as http:
        (await http.get(f"{url}/to/mine")).release()
        return heard


async def a_middlewares(aiohttp: Any, make: Any, url: str) -> Any:
    async def mine(request: Any, handler: Any) -> Any:
        request.headers["X-W"] = "mine"
        answer = await handler(request)
        return await handler(request) if answer.status == 503 else answer

    async with make(also=[mine]) as http:
        return await a_saw(await http.get(f"{url}/wraps")), await a_saw(await http.get(f"{url}/x", middlewares=()))


async def a_bodies(aiohttp: Any, make: Any, url: str) -> Any:
    form = aiohttp.FormData()
    form.add_field("upload", io.BytesIO(b"content of it"), filename="a")
    async with make() as http:
        return await a_saw(await http.post(f"{url}/x", data=form))


async def a_says_what(aiohttp: Any, make: Any, url: str) -> Any:
    async with make() as http, http.get(f"{url}/to/mine") as answer:
        return answer.reason, answer.url.path, answer.method, answer.ok, answer.request_info.method, answer.host


async def a_patience(aiohttp: Any, make: Any, url: str) -> Any:
    async with make() as http:
        with pytest.raises(TimeoutError) as caught:
            await http.get(f"{url}/slow", timeout=aiohttp.ClientTimeout(total=0.1))
        return (type(caught.value).__name__,)


OF_AIOHTTP: Mapping[str, Any] = {
    habit.__name__: habit
    for habit in (
        *(a_cookies, a_base_url, a_redirects, a_streams, a_verbs, a_raising, a_traces, a_middlewares, a_bodies),
        *(a_says_what, a_patience),
    )
}


# --- the comparison ---------------------------------------------------------------------------------------------------


def _outcome(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def habits_of(library: str) -> Iterator[tuple[str, Callable[[Any, str], Any]]]:
    lib = importlib.import_module(library)
    if library in FAMILY:
        for name, habit in OF_REQUESTS.items():
            yield name, lambda auth, url, habit=habit: habit(lib, auth, url)  # type: ignore[misc]
    elif library in HTTPX:
        for name, habit in OF_HTTPX.items():
            for kind in (lib.Client, lib.AsyncClient):
                make = partial(kind, trust_env=False, verify=False)
                yield (
                    f"{name} {kind.__name__}",
                    lambda auth, url, habit=habit, make=make: asyncio.run(  # type: ignore[misc]
                        habit(lib, make, auth, url)
                    ),
                )
    else:
        for name, habit in OF_AIOHTTP.items():

            def ask(auth: Any, url: str, habit: Any = habit) -> Any:
                def make(also: Any = (), **how: Any) -> Any:
                    return lib.ClientSession(middlewares=[auth, *also], **how)

                return asyncio.run(habit(lib, make, url))

            yield name, ask


def compared(library: str, url: str) -> Iterator[tuple[str, str, Any, Any]]:
    """What was seen with a session that is not what was seen with the library's own auth."""
    for name, habit in habits_of(library):
        expected = _outcome(partial(habit, getattr(own_auth(SimpleNamespace(library=library)), library), url))
        assert not isinstance(expected, str), f"{name} does not hold with the library's own auth: {expected}"
        for presentation, present in PRESENTATIONS.items():
            found = _outcome(partial(habit, getattr(session_of(url, present), library), url))
            # As in `test_expectations.DIFFERS`: not every body can take a token.
            takes_none = isinstance(found, str) and "the token travels in" in found and presentation in ("json", "form")
            if found != expected and not takes_none:
                yield name, presentation, found, expected


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
def test_what_users_do_with_a_client(library: str, listen: Listen) -> None:
    # In a process of its own: urllib3-future leaves sockets to the collector, which would warn in other tests.
    code = "import sys; from tests.clients.test_usual import compared; print(*compared(*sys.argv[1:]), sep='\\n')"
    command = [sys.executable, "-W", "ignore", "-c", code, library, listen(Server()).url]
    root = Path(__file__).parents[2]
    told = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300, check=True)
    assert told.stdout.strip() == ""
