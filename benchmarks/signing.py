"""What does a signed request cost above a bearer's, and how much of that is the signature itself?

The hook, as in `hot_path`: from the bare request until its answer was heard, over each client. Beside it stands what
the same signature costs who writes an auth class for that client by hand: it reads the request as that client shows it,
calls the very function that our signer is, lays the headers on and looks at the answer's status. What signing adds to
our bearer's hook is over what it adds to a hand-written one, in instructions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
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
BEARER: Final = f"Bearer {TOKEN}"
CHALLENGE: Final = 'Digest realm="r", nonce="n-1", qop="auth", algorithm=SHA-256'
#: The statuses of answers that may ask for another signature.
REFUSES: Final = frozenset({400, 401, 403})
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
    "{client}: beside what the hand-written class does, a session shows the signer the request as it will be sent "
    "(with the token on it), checks what the signer says for line breaks, and remembers with the request what it "
    "carries, so that a redirect or a second send takes exactly that off again. That is some {rest:,.0f} "
    "instructions for each request, and the ratio says how they compare with the signature: {dear}."
)


def main() -> None:
    report = Report(
        "signing",
        "What does a signed request cost above a bearer's?",
        "Machine instructions. *Above*: of the hook, more than the bearer's. *By hand*: how much more than with a "
        "header a hand-written auth class of that client costs that signs with the same function: to read method, URL, "
        "headers and body as the client shows them is part of any signature there. *×*: above over by hand. *Signer "
        "alone*: that function, with the request at hand. *Usual library*: what people use today, whole (the client's "
        "own Digest, requests-oauthlib, botocore in an auth class of five lines). Microseconds of the hooks "
        "beside them.",
        versions=versions(("authflow-http", "cryptography", "pyjwt", "oauthlib", "botocore", "requests-oauthlib")),
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
                ("by_hand", "by hand, instructions", 0),
                ("ratio", "×", 2),
                ("bare", "signer alone, instructions", 0),
                ("usual", "usual library, instructions", 0),
                ("hook_us", "hook, µs", 1),
                ("bearer_us", "bearer's hook, µs", 1),
            ),
        )
        counted = found[client]
        for name in SIGNED:
            times = fresh("signing", "time", client, name, 3 if is_short() else 9, python=python)
            if counted is not None:
                above = counted[name] - counted["bearer"]
                by_hand = counted[f"by hand {name}"] - counted["by hand bearer"]
                times |= {"above": above, "by_hand": by_hand, "ratio": above / by_hand}
                times |= {"bare": counted[f"bare {name}"], "usual": counted.get(f"usual {name}")}
                report.goal(f"{client}: {name}", GOAL, above / by_hand, " × by hand")
            table.rows.append(times)
        report.tables.append(table)
        if counted is not None and not all(goal.met for goal in report.goals if goal.what.startswith(f"{client}:")):
            rest = min(row["above"] - row["by_hand"] for row in table.rows)
            dear = ", ".join(f"{row['name']} {row['by_hand']:,.0f}" for row in table.rows)
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
        parts = {name: _hook(client, getattr(one, client), calls + 20) for name, one in sessions.items()}
        for name, session in sessions.items():
            parts[f"by hand {name}"] = _hook(client, _by_hand(client, session, name), calls + 20)
        for name in SIGNED:
            parts[f"bare {name}"] = _times(_bare(sessions[name], name))
            if (usual := _usual(client, name)) is not None:
                parts[f"usual {name}"] = _hook(client, usual, calls + 21)
        count(parts, calls)
    elif what == "profile":
        import cProfile

        from benchmarks.measure import hottest

        run, profiler = _hook(client, getattr(_session(rest[0]), client), 3000), cProfile.Profile()
        run(100)
        profiler.runcall(run, 2000)
        answer({"lines": hottest(profiler, 8)})
    else:
        name, rounds = rest[0], int(rest[1])
        most = 200 * (2 * rounds + 1)
        hooks = [_hook(client, getattr(_session(one), client), most) for one in ("bearer", name)]
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
        manager: Any = session._manager
        grant, request = manager.grants.current, Request("GET", URL, (), b"")
        assert manager.heard(grant, lambda: request, Answer(401, (("WWW-Authenticate", CHALLENGE),)))
    return session


def _signature(session: Any, name: str) -> Callable[[Any], Mapping[str, str]]:
    """The signer's own function, of any request; nothing, for a bearer."""
    from authflow.vendors import Signing

    if name == "bearer":
        return lambda request: {}
    kept = dict(session._manager.grants.current.record.signers.get(name, {}))
    sign, parameters = session._manager._signers._made[name].sign, SIGNERS[name][name]
    return lambda request: sign(request, Signing(parameters, kept, time.time()))


def _bare(session: Any, name: str) -> Callable[[], object]:
    """The signature alone, of the request with the token on it."""
    from authflow.http import Request

    headers = (("User-Agent", "bench"), ("Accept", "*/*"), ("Authorization", BEARER))
    request, sign = Request("GET", URL, headers, b""), _signature(session, name)
    return lambda: sign(request)


def _times(call: Callable[[], object]) -> Callable[[int], float]:
    def run(times: int) -> float:
        for _ in range(times):
            call()
        return 0.0

    return run


# --- by hand, and with the library that people use --------------------------------------------------------------------


def _by_hand(client: str, session: Any, name: str) -> Any:
    """What a user writes who has the signer's function, and a token: an auth class of that client."""
    from authflow.http import Request

    sign = _signature(session, name)

    def check(status: int) -> None:
        if status in REFUSES:
            raise LookupError  # here another nonce would be read

    def heard(response: Any, **kwargs: Any) -> None:
        check(response.status_code)

    class ForRequests:
        def __call__(self, request: Any) -> Any:
            request.headers["Authorization"] = BEARER
            if name != "bearer":
                headers = tuple(request.headers.items())
                whole = Request(request.method, request.url, headers, request.body or b"")
                request.headers.update(sign(whole))
            request.hooks["response"].append(heard)
            return request

    class ForHttpx:
        def sync_auth_flow(self, request: Any) -> Any:
            request.headers["Authorization"] = BEARER
            if name != "bearer":
                headers = tuple(request.headers.multi_items())
                whole = Request(request.method, str(request.url), headers, request.content)
                for header, value in sign(whole).items():
                    request.headers[header] = value
            response = yield request
            check(response.status_code)

    async def for_aiohttp(request: Any, handler: Any) -> Any:
        request.headers["Authorization"] = BEARER
        if name != "bearer":
            body = await request.body.as_bytes() if request.body else b""
            headers = tuple((str(header), value) for header, value in request.headers.items())
            request.headers.update(sign(Request(request.method, str(request.url), headers, body)))
        response = await handler(request)
        check(response.status)
        return response

    by_client: dict[str, Any] = {"httpx": ForHttpx(), "aiohttp": for_aiohttp}
    return by_client.get(client, ForRequests())


def _usual(client: str, name: str) -> Any:
    """What people use today for such a signature, ready to sign at once; None where the client has nothing usual."""
    if client == "niquests":
        return None
    if name == "digest":
        return _usual_digest(client)
    if (client, name) == ("requests", "oauth1"):
        from requests_oauthlib import OAuth1

        return OAuth1("key", "secret")
    if name != "aws-sigv4":
        return None
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    signer = SigV4Auth(Credentials(KEYS["key"], KEYS["secret"]), KEYS["service"], KEYS["region"])

    def signed(request: Any, body: Any) -> Any:
        aws = AWSRequest(method=request.method, url=str(request.url), data=body, headers=dict(request.headers.items()))
        signer.add_auth(aws)
        request.headers.update(dict(aws.headers.items()))
        return request

    class ForHttpx:
        def sync_auth_flow(self, request: Any) -> Any:
            yield signed(request, request.content)

    async def for_aiohttp(request: Any, handler: Any) -> Any:
        return await handler(signed(request, await request.body.as_bytes() if request.body else b""))

    return {"httpx": ForHttpx(), "aiohttp": for_aiohttp}.get(client, lambda request: signed(request, request.body))


def _usual_digest(client: str) -> Any:
    if client == "httpx":
        import httpx

        auth: Any = httpx.DigestAuth("demo", "open-sesame")
        steps = auth.sync_auth_flow(httpx.Request("GET", URL))
        request = next(steps)
        steps.send(httpx.Response(401, headers={"WWW-Authenticate": CHALLENGE}, request=request))
        return auth
    if client == "aiohttp":
        import aiohttp

        return aiohttp.DigestAuthMiddleware("demo", "open-sesame")  # its first answer is a challenge: `_aiohttp`
    from requests.auth import HTTPDigestAuth

    auth = HTTPDigestAuth("demo", "open-sesame")
    auth.init_per_thread_state()
    auth._thread_local.last_nonce = "n-1"
    auth._thread_local.chal = {"realm": "r", "nonce": "n-1", "qop": "auth", "algorithm": "SHA-256"}
    return auth


# --- the hook ---------------------------------------------------------------------------------------------------------


def _hook(client: str, auth: Any, most: int) -> Callable[[int], float]:
    """What runs the hook of one request so many times, `most` in all; and says how long that took."""
    if client == "aiohttp":
        return _aiohttp(auth, most)
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
    response: Any = SimpleNamespace(status=200, headers={}, url=yarl.URL(URL))
    challenge = SimpleNamespace(status=401, headers={"www-authenticate": CHALLENGE}, url=yarl.URL(URL))

    async def stop(request: Any, handler: Any) -> Any:
        made.append(request)
        raise LookupError

    async def handler(request: Any) -> Any:
        return response

    async def challenged(request: Any) -> Any:
        return response if "Authorization" in request.headers else challenge

    async def make() -> None:
        async with aiohttp.ClientSession(trust_env=False, headers={"User-Agent": "bench"}) as http:
            for _ in range(most):
                try:
                    await http.get(yarl.URL(URL), middlewares=(stop,))
                except LookupError:
                    continue
        if isinstance(middleware, aiohttp.DigestAuthMiddleware):
            await middleware(made.pop(), challenged)

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
