"""Redirects on their way through servers that are declared and that are not, there and back, with every status; two
sessions take turns on one client with one cookie jar, and then both lay their tokens over one request.

Expected: each server sees the tokens of those sessions alone that declare it, whoever came before and wherever the way
led; who comes home carries its token again or nothing, and another's never.

    ways        of up to four hops through home, a declared server, a foreign one, and home by another name
    presented   as a bearer, in a header, a cookie, and a query, the two sessions in different ways
    clients     requests and httpx; aiohttp and niquests where they are installed
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from urllib.parse import quote, unquote

import authflow
from tests.servers import Came, Says, listening

PRESENTED: list[Mapping[str, Any]] = [
    {"headers": {"Authorization": "Bearer {access}"}},
    {"headers": {"X-Api-Key": "{access}"}},
    {"cookies": {"sid": "{access}"}},
    {"query": {"key": "{access}"}},
]
STATUSES = (301, 302, 303, 307, 308)
SEED = 7
#: Ways for each client and each pair of presentations.
WAYS = 3


class Servers:
    """`home` logs in; each sends on to where the path says: /go/STATUS/URL."""

    def __init__(self, stack: ExitStack) -> None:
        self.serial, self.lock = itertools.count(), threading.Lock()
        self.home, self.declared, self.foreign = (stack.enter_context(listening(self)) for _ in range(3))
        self.alias = self.home.url.replace("127.0.0.1", "localhost")

    def __call__(self, came: Came) -> Says:
        if came.path == "/login":
            name = json.loads(came.body)["u"]
            return Says(json={"token": f"{name}-tok3n-{next(self.serial)}"})
        if came.path.startswith("/go/"):
            _, _, status, to = came.path.split("/", 3)
            return Says(int(status), {}, {"Location": unquote(to), "Set-Cookie": f"at{came.path[4:7]}=1"})
        return Says(json={})

    @property
    def places(self) -> list[str]:
        return [self.home.url, self.declared.url, self.foreign.url, self.alias]

    def session(self, name: str, presented: Mapping[str, Any], *declared: str) -> authflow.AuthSession:
        login = {"request": {"url": "login", "json": {"u": "{username}", "p": "{password}"}}}
        granted = {"status": 200, "json": {"token": "{access}"}}
        file = {
            "name": name,
            "extends": "relogin",
            "base_url": f"{self.home.url}/",
            "insecure_url": True,
            "origins": {"present": list(declared)},
            "exchanges": {"login": {**login, "answers": {"granted": granted}}},
            "states": {"signed_in": {"present": presented}},
        }
        return authflow.AuthSession(file, username=name, password="open-sesame", untrusted="pass")

    def wrong(self, allowed: Mapping[str, set[str]]) -> Iterator[str]:
        """Which tokens a server saw that may not; `allowed` by the server's host and port."""
        for listener in (self.home, self.declared, self.foreign):
            for came in listener.seen():
                at = f"http://{came.headers['host']}"
                text = unquote(came.everything)
                for name in ("one", "two"):
                    if came.path != "/login" and f"{name}-tok3n" in text and name not in allowed[at]:
                        yield f"{at} sees the token of {name}"


def the_way(servers: Servers, dice: random.Random, *, from_home: bool = False) -> tuple[str, list[str]]:
    """A URL that leads through some servers."""
    stops = [dice.choice(servers.places) for _ in range(dice.randint(1, 4))]
    stops[0] = servers.home.url if from_home else stops[0]
    url = f"{stops[-1]}/end"
    for stop in reversed([*stops[:-1]]):
        url = f"{stop}/go/{dice.choice(STATUSES)}/{quote(url, safe='')}"
    return url, stops


Get = Callable[[str, Any, str], None]


def clients(stack: ExitStack) -> Iterator[tuple[str, Callable[[str, authflow.AuthSession, str], None]]]:
    """One client each, for all sessions."""
    for library in ("requests", "niquests"):
        if find_spec(library) is not None:
            lib: Any = import_module(library)
            own = stack.enter_context(lib.Session())
            yield (
                library,
                lambda method, session, url, own=own, library=library: own.request(
                    method, url, auth=getattr(session, library), data=b"x" if method == "POST" else None, timeout=20
                ),
            )
    for library in ("httpx", "httpx2"):
        if find_spec(library) is not None:
            client = stack.enter_context(import_module(library).Client(follow_redirects=True, timeout=20))
            yield (
                library,
                lambda method, session, url, own=client, library=library: own.request(
                    method, url, auth=getattr(session, library), content=b"x" if method == "POST" else None
                ),
            )
    if find_spec("aiohttp") is not None:
        lib = import_module("aiohttp")

        async def opened() -> Any:
            return lib.ClientSession(cookie_jar=lib.CookieJar(unsafe=True))

        runner = stack.enter_context(asyncio.Runner())
        session = runner.run(opened())
        stack.callback(lambda: runner.run(session.close()))

        def call(method: str, one: authflow.AuthSession, url: str) -> None:
            async def go() -> None:
                body = b"x" if method == "POST" else None
                async with session.request(method, url, middlewares=(one.aiohttp,), data=body) as answer:
                    await answer.read()

            runner.run(go())

        yield "aiohttp", call


def attack(ways: int = WAYS) -> Iterator[str]:
    """What went wrong."""
    dice = random.Random(SEED)
    with ExitStack() as stack:
        servers = Servers(stack)
        every = [*clients(stack)]
        allowed = {place: {"one", "two"} if place == servers.home.url else set[str]() for place in servers.places}
        allowed[servers.declared.url] = {"one"}
        for (library, call), first in itertools.product(every, PRESENTED):
            second = PRESENTED[(PRESENTED.index(first) + 1 + dice.randrange(3)) % 4]
            one = servers.session("one", first, servers.declared.url)
            two = servers.session("two", second)
            carried = 0
            for turn in range(ways):
                url, stops = the_way(servers, dice, from_home=turn == 0)
                for session in dice.sample([one, two], 2):
                    with suppress(authflow.AuthFlowError):
                        call(dice.choice(["GET", "POST"]), session, url)
                    own = "one" if session is one else "two"
                    carried += any(f"{own}-tok3n" in unquote(came.everything) for came in servers.home.came)
                    for wrong in servers.wrong({at: names & {own} for at, names in allowed.items()}):
                        yield f"{library}, {first}, {second}, {[servers.places.index(stop) for stop in stops]}: {wrong}"
            if not carried:
                yield f"{library}, {first}: no token arrives anywhere"
        yield from _both(servers, dice, allowed, ways)


def _both(servers: Servers, dice: random.Random, allowed: Mapping[str, set[str]], ways: int) -> Iterator[str]:
    """An auth object that calls both adapters, as people write it for a gateway's key beside the vendor's token."""
    import requests

    class Both(requests.auth.AuthBase):
        def __call__(self, request: Any) -> Any:
            return two.requests(one.requests(request))

    for first, second in itertools.permutations(PRESENTED, 2):
        one, two = servers.session("one", first, servers.declared.url), servers.session("two", second)
        with requests.Session() as client:
            for _ in range(ways // 3):
                url, stops = the_way(servers, dice)
                with suppress(authflow.AuthFlowError):
                    client.get(url, auth=Both(), timeout=20)
                for wrong in servers.wrong(allowed):
                    yield f"both, {first}, {second}, {[servers.places.index(stop) for stop in stops]}: {wrong}"


if __name__ == "__main__":
    found = list(attack(int(sys.argv[1]) if len(sys.argv) > 1 else WAYS))
    print("\n".join(found) or "nothing")
    sys.exit(1 if found else 0)
