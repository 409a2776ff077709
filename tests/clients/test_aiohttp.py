"""What users of aiohttp do around a request: hops, bodies, cookies, web sockets, hooks, tasks, and the loop of ours."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

import authflow
from tests.clients.test_habits import Vendor, vendor
from tests.servers import Came, Listener, Says
from tests.trust.wire import writing

aiohttp: Any = pytest.importorskip("aiohttp")
Listen = Callable[..., Listener]
TOKEN = "tok3n"


def key(url: str, present: dict[str, Any], **more: Any) -> authflow.AuthSession:
    file = {"name": "acme", "extends": "api-key", "base_url": f"{url}/", "states": {"signed_in": {"present": present}}}
    return authflow.AuthSession({**file, "insecure_url": True, **more}, api_key=TOKEN)


def run(session: authflow.AuthSession | None, use: Callable[[Any], Awaitable[Any]], **how: Any) -> Any:
    """What `use` gives, with a client that has the session's middleware."""

    async def main() -> Any:
        how.setdefault("middlewares", [session.aiohttp] if session is not None else [])
        async with aiohttp.ClientSession(**how) as http:
            return await use(http)

    return asyncio.run(main())


def test_a_cookie_of_a_rejection_goes_with_the_second_send(listen: Listen) -> None:
    acme = Vendor(listen)
    session = acme.session()
    session.token()
    acme.revoke()
    acme.rejection = Says(401, {}, {"Set-Cookie": "node=b7; Path=/"})

    async def use(http: Any) -> Any:
        http._cookie_jar = aiohttp.CookieJar(unsafe=True)  # which takes cookies of an address
        async with http.get(f"{acme.listener.url}/data", headers={"Cookie": "mine=1"}) as answer:
            return answer.status, [(one.key, one.value) for one in http.cookie_jar]

    assert run(session, use) == (200, [("node", "b7")])
    sent = [came.headers["cookie"] for came in acme.listener.came if came.path == "/data"]
    assert sent == ["mine=1", "mine=1; node=b7"]


@pytest.mark.parametrize("how", ["flag", "callable"])
def test_raise_for_status_comes_after_the_renewal(listen: Listen, how: str) -> None:
    acme = Vendor(listen)
    session = acme.session()
    session.token()
    acme.revoke()

    async def check(answer: Any) -> None:
        answer.raise_for_status()

    async def use(http: Any) -> int:
        async with http.get(f"{acme.listener.url}/data") as answer:
            return int(answer.status)

    assert run(session, use, raise_for_status=True if how == "flag" else check) == 200


def test_a_relative_redirect_is_resolved_where_the_request_went(listen: Listen) -> None:
    """aiohttp knows the URL that the caller gave, and not the one that a rewrite made of it."""
    home = listen(lambda came: Says(307, {}, {"Location": "next?a"}) if came.path == "/v2/things/1" else Says(json={}))
    rewrites = [{"from": "things/{id}", "to": "v2/things/{id}"}]
    session = key(home.url, {"headers": {"X-Key": "{api_key}"}}, rewrites=rewrites)

    async def use(http: Any) -> list[str]:
        async with http.get("things/1") as answer:
            return [str(one.url) for one in (*answer.history, answer)]

    assert run(session, use, base_url=f"{home.url}/") == [f"{home.url}/v2/things/1", f"{home.url}/v2/things/next?a"]
    assert [came.headers.get("x-key") for came in home.came] == [TOKEN, TOKEN]


def test_a_rewrite_changes_nothing_that_it_does_not_name(listen: Listen) -> None:
    home, yarl = listen(), pytest.importorskip("yarl")
    rewrites = [{"from": "things/{rest:path}", "to": "v2/{rest:path}"}]
    session = key(home.url, {"query": {"key": "{api_key}"}}, rewrites=rewrites)

    async def use(http: Any) -> None:
        for target in ("a%E9b", "a+b?flag", "x?b=%2F+&&a=1;2", "~%7E(!)"):
            await (await http.get(yarl.URL(f"{home.url}/things/{target}", encoded=True))).read()

    run(session, use)
    assert [came.target.rpartition(f"key={TOKEN}")[0] for came in home.came] == [
        *("/v2/a%E9b?", "/v2/a+b?flag&", "/v2/x?b=%2F+&&a=1;2&", "/v2/~%7E(!)?")
    ]


@pytest.mark.parametrize("kind", ["json", "form"])
def test_a_body_with_the_token_does_not_follow_a_redirect(listen: Listen, kind: str) -> None:
    foreign = listen()
    home = listen(lambda came: Says(307, {}, {"Location": f"{foreign.url}/there"}))
    session = key(home.url, {kind: {"key": "{api_key}"}})

    async def use(http: Any) -> int:
        own: dict[str, Any] = {"json": {"mine": 1}} if kind == "json" else {"data": {"mine": "1"}}
        async with http.post(f"{home.url}/x", **own) as answer:
            return int(answer.status)

    assert run(session, use) == 200
    assert TOKEN in home.came[0].everything
    assert (foreign.came[0].method, TOKEN in foreign.came[0].everything) == ("POST", False)
    assert foreign.came[0].body in (b'{"mine": 1}', b"mine=1")


@pytest.mark.parametrize("body", ["stream", "list"])
def test_a_body_that_cannot_take_the_token_is_an_error(listen: Listen, body: str) -> None:
    home = listen()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"{}"

    async def use(http: Any) -> None:
        own: dict[str, Any] = {"data": pieces()} if body == "stream" else {"json": [1]}
        await http.post(f"{home.url}/x", **own)

    with pytest.raises(authflow.ConfigurationError, match="the token travels in") as raised:
        run(key(home.url, {"json": {"key": "{api_key}"}}), use)
    assert isinstance(raised.value, aiohttp.ClientError)
    assert home.came == []


@pytest.mark.parametrize("present", [{"query": {"k": "{api_key}"}}, {"headers": {"X-Key": "{api_key}"}}])
def test_what_is_sent_shows_on_the_request_and_not_in_the_history(listen: Listen, present: Any) -> None:
    second = listen()
    home = listen(lambda came: Says(302, {}, {"Location": f"{second.url}/there"}))
    session = key(home.url, present, origins={"present": [second.url]})

    async def use(http: Any) -> list[str]:
        async with http.get(f"{home.url}/x") as answer:
            return [str(one.request_info) for one in (*answer.history, answer)]

    first, last = run(session, use)
    assert TOKEN not in first
    assert TOKEN in last


def test_a_query_that_a_redirect_echoes_goes_no_further(listen: Listen) -> None:
    foreign = listen()
    home = listen(lambda came: Says(302, {}, {"Location": f"{foreign.url}/there{came.target[2:]}"}))

    async def use(http: Any) -> None:
        await (await http.get(f"{home.url}/x?mine=1")).read()

    run(key(home.url, {"query": {"k": "{api_key}"}}), use)
    assert [came.target for came in foreign.came] == ["/there?mine=1"]


def test_another_middleware_in_a_task_hides_that_a_request_is_a_hop(listen: Listen) -> None:
    """Then an undeclared origin gets nothing, and the caller an error."""
    foreign = listen()
    home = listen(lambda came: Says(302, {}, {"Location": f"{foreign.url}/there"}))
    session = key(home.url, {"headers": {"X-Key": "{api_key}"}})

    async def apart(request: Any, handler: Any) -> Any:
        return await asyncio.create_task(handler(request))

    async def use(http: Any) -> None:
        await http.get(f"{home.url}/x")

    with pytest.raises(authflow.UntrustedOrigin):
        run(session, use, middlewares=[apart, session.aiohttp])
    assert foreign.came == []


def test_two_sessions_on_one_request(listen: Listen) -> None:
    """A gateway's key and a vendor's token, each renewed and taken along by itself."""
    acme = Vendor(listen)
    inner = acme.session()
    outer = key(acme.listener.url, {"headers": {"X-Key": "{api_key}"}}, answers={"rejected": {"status": 403}})
    inner.token()
    acme.revoke()
    acme.data = lambda came: Says(302, {}, {"Location": "/there"}) if came.path == "/data" else Says(json={})

    async def use(http: Any) -> int:
        async with http.get(f"{acme.listener.url}/data") as answer:
            return int(answer.status)

    for order in ([outer.aiohttp, inner.aiohttp], [inner.aiohttp, outer.aiohttp]):
        acme.revoke()
        acme.listener.came.clear()
        assert run(None, use, middlewares=order) == 200
        sent = [(came.path, came.headers.get("x-key")) for came in acme.listener.came if came.path != "/login"]
        assert sent == [("/data", TOKEN), ("/data", TOKEN), ("/there", TOKEN)]


def test_a_web_socket_is_opened_with_the_token(listen: Listen) -> None:
    """The handshake of a rejected token is sent once more; 101 is no answer whose body a pattern reads."""
    seen: list[str] = []

    async def talk(request: Any) -> Any:
        seen.append(request.headers.get("Authorization", ""))
        if seen[-1] != f"Bearer token-{acme.granted}":
            return aiohttp.web.Response(status=401)
        socket = aiohttp.web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("hello")
        await socket.close()
        return socket

    acme = Vendor(listen)

    async def use() -> str:
        app = aiohttp.web.Application()
        app.router.add_get("/ws", talk)
        runner = aiohttp.web.AppRunner(app)
        await runner.setup()
        await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        rejected = [{"status": 401}, {"json": {"error": "expired"}}]
        more = {"origins": {"present": [url]}, "answers": {"rejected": rejected}}
        session = authflow.AuthSession(vendor(acme.listener.url, **more), username="alice", password="s3cret")
        await session.atoken()
        acme.revoke()
        try:
            opening = url.replace("http", "ws") + "/ws"
            async with (
                aiohttp.ClientSession(middlewares=[session.aiohttp]) as http,
                http.ws_connect(opening) as socket,
            ):
                return str(await socket.receive_str())
        finally:
            await runner.cleanup()

    import aiohttp.web

    assert asyncio.run(asyncio.wait_for(use(), 20)) == "hello"
    assert seen == ["Bearer token-1", "Bearer token-3"]


@pytest.mark.parametrize(("kind", "waits"), [("text/event-stream", False), ("application/json", True)])
def test_a_body_pattern_leaves_the_body_as_it_came(kind: str, waits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream is not waited for; else a slow body is for a while, and each piece is the caller's."""
    monkeypatch.setattr("authflow.clients.aiohttp_wire.PEEK_FOR", 0.2)
    go_on = threading.Event()

    def write(connection: Any) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode() + b'5\r\n{"a":\r\n')
        go_on.wait(20)
        connection.sendall(b"3\r\n 1}\r\n0\r\n\r\n")

    async def use(http: Any) -> list[tuple[bytes, bool]]:
        async with http.get(url) as answer:
            pieces = answer.content.iter_chunks()
            first = await anext(pieces)
            assert not go_on.is_set()
            go_on.set()
            return [first, *[piece async for piece in pieces]]

    with writing(write) as url:
        session = key(url, {"headers": {"X-Key": "{api_key}"}}, answers={"rejected": {"json": {"error": "expired"}}})
        pieces = run(session, use)
    assert pieces == [(b'{"a":', True), (b" 1}", True)]


def test_a_body_pattern_judges_the_start_of_a_body(listen: Listen) -> None:
    expired: list[bool] = [True]

    def says(came: Came) -> Says:
        body = {"error": "expired"} if came.headers["authorization"] == "Bearer token-1" else {"fine": "x" * 300_000}
        return Says(json=body)

    acme = Vendor(listen)
    home = listen(says)
    more = {"origins": {"present": [home.url]}, "answers": {"rejected": {"status": 200, "json": {"error": "expired"}}}}
    session = authflow.AuthSession(vendor(acme.listener.url, **more), username="alice", password="s3cret")

    async def use(http: Any) -> int:
        async with http.get(f"{home.url}/x") as answer:
            return len(await answer.read())

    assert run(session, use) > 300_000
    assert (acme.granted, len(home.came), expired) == (2, 2, [True])


def test_the_environments_password_gives_way_and_its_proxy_serves(
    listen: Listen, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = listen()
    (tmp_path / "netrc").write_text("machine acme.localhost login u password p\n")
    for name, value in (("NETRC", str(tmp_path / "netrc")), ("http_proxy", proxy.url), ("no_proxy", "")):
        monkeypatch.setenv(name, value)

    async def use(http: Any) -> int:
        async with http.get("http://acme.localhost/x") as answer:
            return int(answer.status)

    session = key("http://acme.localhost", {"headers": {"Authorization": "Key {api_key}"}})
    assert run(session, use, trust_env=True) == 200
    assert [(came.target, came.headers["authorization"]) for came in proxy.came] == [
        ("http://acme.localhost/x", f"Key {TOKEN}")
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_has_a_loop_of_its_own(listen: Listen) -> None:
    from authflow.clients import default_sender
    from authflow.http import Request

    home, sender = listen(), default_sender("aiohttp")
    request = Request("POST", f"{home.url}/login", body=b"{}")
    assert sender.exchange(request, 10).status == 200
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if sender.exchange(request, 10).status == 200 else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_where_no_thread_can_start_the_callers_serves(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    from authflow.clients import aiohttp_sender
    from authflow.http import Request

    class Refused:
        def __init__(self, **_: Any) -> None:
            raise RuntimeError("can't start new thread")

    home = listen()
    monkeypatch.setattr(aiohttp_sender, "_running", None)
    monkeypatch.setattr(aiohttp_sender, "Thread", Refused)
    assert aiohttp_sender.AiohttpSender().exchange(Request("GET", f"{home.url}/login"), 10).status == 200
