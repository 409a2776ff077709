"""What does a signed request cost above a bearer's, and how much of that is the signature itself?

The hook, as in `hot_path`: from the bare request until its answer was heard, over each client. The bare signature is
the signer's own function with the same request at hand. What lies above the bearer's hook is over it, in instructions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, Final

from benchmarks.measure import (
    NIQUESTS,
    PEERS,
    alternate,
    answer,
    child_arguments,
    clock,
    count,
    counts,
    fresh,
    is_short,
    is_whole,
    versions,
)
from benchmarks.report import Report, Table

GOAL: Final = 1.5
#: Client → the environment in which it lives.
CLIENTS: Final = {"requests": PEERS, "httpx": PEERS, "aiohttp": PEERS, "niquests": NIQUESTS}
URL: Final = "https://api.example/v1/orders/7?page=2"
TOKEN: Final = "a-token-of-some-length-as-vendors-give-them"
KEYS: Final = {"key": "AKIDEXAMPLE", "secret": "wJalrXUtnFEMI/K7MDENG", "region": "eu-1", "service": "execute-api"}
#: How a signer is written in the file. The bearer's file has none.
SIGNERS: Final[dict[str, dict[str, Any]]] = {
    "bearer": {},
    "dpop": {"dpop": {}},
    "aws-sigv4": {"aws-sigv4": KEYS},
    "oauth1": {"oauth1": {"client_key": "key", "client_secret": "secret"}},
    "digest": {"digest": {"username": "demo", "password": "open-sesame"}},
}
SIGNED: Final = tuple(SIGNERS)[1:]
#: Why a ratio is what it is, where the signature is cheap.
CHEAP: Final = (
    "{client}: a session adds the same to every signature. The request is shown to the signer as a plain value (its "
    "method, URL and headers copied, since a signer may be anybody's), what the signer said is checked for line breaks "
    "and laid over the request, and the answer is heard by a hook of this request alone. That is some {rest:,.0f} "
    "instructions, and the ratio says how they compare with the signature: {dear}."
)


def main() -> None:
    report = Report(
        "signing",
        "What does a signed request cost above a bearer's?",
        "Machine instructions of the hook and of the signer's own function, and microseconds beside them. *×* is what "
        "lies above the bearer's hook over the bare signature, in instructions.",
        versions=versions(("authflow-http", "cryptography", "pyjwt", "oauthlib")),
    )
    calls = 20 if is_short() else 200
    with ThreadPoolExecutor(2) as workers:
        each = workers.map(lambda one: counts("signing", one, calls, python=CLIENTS[one]), CLIENTS)
        found = dict(zip(CLIENTS, each, strict=True))
    for client, python in CLIENTS.items():
        table = Table(
            client,
            (
                ("name", "", 0),
                ("above", "above the bearer's hook, instructions", 0),
                ("bare", "bare signature, instructions", 0),
                ("ratio", "×", 2),
                ("hook_us", "hook, µs", 1),
                ("bearer_us", "bearer's hook, µs", 1),
            ),
        )
        counted = found[client]
        for name in SIGNED:
            times = fresh("signing", "time", client, name, 3 if is_short() else 9, python=python)
            if counted is not None:
                bare = counted[f"bare {name}"]
                above = counted[name] - counted["bearer"]
                times |= {"above": above, "bare": bare, "ratio": above / bare}
                report.goal(f"{client}: {name}", GOAL, above / bare, " × bare signature")
            table.rows.append(times)
        report.tables.append(table)
        if counted is not None and not all(goal.met for goal in report.goals if goal.what.startswith(f"{client}:")):
            rest = min(row["above"] - row["bare"] for row in table.rows)
            dear = ", ".join(f"{row['name']} {row['bare']:,.0f}" for row in table.rows)
            report.notes.append(CHEAP.format(rest=rest, client=client, dear=dear))
            worst = max(table.rows, key=lambda row: float(row["ratio"]))
            told = fresh("signing", "profile", client, worst["name"], python=python)["lines"]
            report.profile += [f"{client}, {worst['name']}, where the time of the hook goes:", *told]
    report.publish(keep=is_whole())


# --- in a fresh interpreter -------------------------------------------------------------------------------------------


def child(what: str, client: str, *rest: str) -> None:
    if what == "count":
        calls = int(rest[0])
        sessions = {name: _session(name) for name in SIGNERS}
        parts = {name: _hook(client, session, calls + 20) for name, session in sessions.items()}
        bare = {f"bare {name}": _times(_bare(sessions[name], name)) for name in SIGNED}
        count({**parts, **bare}, calls)
    elif what == "profile":
        import cProfile

        from benchmarks.measure import hottest

        run, profiler = _hook(client, _session(rest[0]), 3000), cProfile.Profile()
        run(100)
        profiler.runcall(run, 2000)
        answer({"lines": hottest(profiler, 8)})
    else:
        name, rounds = rest[0], int(rest[1])
        hooks = [_hook(client, _session(one), 200 * (2 * rounds + 1)) for one in ("bearer", name)]
        compared = alternate(*hooks, rounds=rounds, batch=200)
        answer({"name": name, "bearer_us": compared.floor_us, "hook_us": compared.us})


def _session(name: str) -> Any:
    """A session that holds a good token, and whose signer has heard what it must."""
    from authflow import AuthSession
    from authflow.http import Answer, Request

    vendor = {
        "name": "bench",
        "extends": "relogin",
        "base_url": "https://api.example/",
        "sign": SIGNERS[name],
        "exchanges": {
            "login": {
                "request": {"url": "login", "json": {"u": "{username}", "p": "{password}"}},
                "answers": {"granted": {"status": 200, "json": {"token": "{access}"}}},
            }
        },
        "states": {"signed_in": {"present": {"headers": {"Authorization": "Bearer {access}"}}}},
    }

    class Sender:
        def exchange(self, request: Request, timeout: float) -> Answer:
            return Answer(200, (), b'{"token": "%s"}' % TOKEN.encode())

    session = AuthSession(vendor, client=Sender(), username="demo", password="open-sesame")
    session.token()
    if name == "digest":
        asked = 'Digest realm="r", nonce="n-1", qop="auth", algorithm=SHA-256'
        manager: Any = session._manager
        grant, request = manager.grants.current, Request("GET", URL, (), b"")
        assert manager.heard(grant, lambda: request, Answer(401, (("WWW-Authenticate", asked),)))
    return session


def _bare(session: Any, name: str) -> Callable[[], object]:
    """The signature alone, of the request with the token on it."""
    from authflow.http import Request
    from authflow.vendors import Signing

    signers = session._manager._signers
    headers = (("User-Agent", "bench"), ("Accept", "*/*"), ("Authorization", f"Bearer {TOKEN}"))
    request = Request("GET", URL, headers, b"")
    kept = dict(session._manager.grants.current.record.signers.get(name, {}))
    sign, parameters = signers._made[name].sign, SIGNERS[name][name]
    return lambda: sign(request, Signing(parameters, kept, time.time()))


def _times(call: Callable[[], object]) -> Callable[[int], float]:
    def run(times: int) -> float:
        for _ in range(times):
            call()
        return 0.0

    return run


def _hook(client: str, session: Any, most: int) -> Callable[[int], float]:
    """What runs the hook of one request so many times, `most` in all; and says how long that took."""
    if client == "aiohttp":
        return _aiohttp(session.aiohttp, most)
    auth = getattr(session, client)
    if client == "httpx":
        import httpx

        made = iter([(httpx.Request("GET", URL, headers={"User-Agent": "bench"})) for _ in range(most)])
        answers = httpx.Response(200)

        def sent(times: int) -> float:
            started = clock()
            for _ in range(times):
                request = next(made)
                steps = auth.sync_auth_flow(request)
                next(steps)
                answers.request = request
                try:
                    steps.send(answers)
                except StopIteration:
                    continue
            return clock() - started

        return sent
    import importlib

    lib: Any = importlib.import_module(client)
    pairs = []
    for _ in range(most):
        response = lib.Response()
        response.request = lib.Request("GET", URL, headers={"User-Agent": "bench", "Accept": "*/*"}).prepare()
        response.status_code, response.url = 200, URL
        pairs.append(response)
    left = iter(pairs)

    def asked(times: int) -> float:
        started = clock()
        for _ in range(times):
            response = next(left)
            auth(response.request)
            for hook in response.request.hooks["response"]:
                hook(response)
        return clock() - started

    return asked


def _aiohttp(middleware: Any, most: int) -> Callable[[int], float]:
    import aiohttp
    import yarl

    runner, made = asyncio.Runner(), list[Any]()
    response = SimpleNamespace(status=200, headers={})

    async def stop(request: Any, handler: Any) -> Any:
        made.append(request)
        raise LookupError

    async def handler(request: Any) -> Any:
        return response

    async def make() -> None:
        async with aiohttp.ClientSession(trust_env=False, headers={"User-Agent": "bench"}) as http:
            for _ in range(most):
                try:
                    await http.get(yarl.URL(URL), middlewares=(stop,))
                except LookupError:
                    continue

    async def run(times: int) -> float:
        started = clock()
        for _ in range(times):
            await middleware(made.pop(), handler)
        return clock() - started

    runner.run(make())
    return lambda times: runner.run(run(times))


if __name__ == "__main__":
    arguments = child_arguments()
    if arguments is None:
        main()
    else:
        child(*arguments)
