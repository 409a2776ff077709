"""What does a signed request cost above a bearer's, and how much of that is the signature itself?

The hook, as in `hot_path`: from the bare request until its answer was heard, over requests and httpx. The bare
signature is the signer's own function with the same request at hand. What lies above the bearer's hook is over it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from benchmarks.measure import (
    PEERS,
    alternate,
    answer,
    child_arguments,
    fresh,
    is_short,
    is_whole,
    middle,
    timed,
    versions,
)
from benchmarks.report import Report, Table

GOAL: Final = 1.5
CLIENTS: Final = ("requests", "httpx")
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


def main() -> None:
    report = Report(
        "signing",
        "What does a signed request cost above a bearer's?",
        "Microseconds of the hook, in batches that alternate with the bearer's, and of the signer's own function. *×* "
        "is what lies above the bearer's hook over the bare signature.",
        versions=versions(("authflow-http", "cryptography", "pyjwt", "oauthlib")),
    )
    rounds, processes = (5, 1) if is_short() else (15, 3)
    for client in CLIENTS:
        columns = (("name", "", 0), ("bearer", "bearer's hook, µs", 2), ("hook", "hook, µs", 2))
        table = Table(client, (*columns, ("bare", "bare signature, µs", 2), ("ratio", "×", 2)))
        for name in list(SIGNERS)[1:]:
            row = middle([fresh("signing", client, name, rounds, python=PEERS) for _ in range(processes)])
            table.rows.append(row)
            report.goal(f"{client}: {name}", GOAL, row["ratio"], " × bare signature")
        report.tables.append(table)
    report.publish(keep=is_whole())


def child(client: str, name: str, rounds: int) -> None:
    bearer, signed = _hook(client, _session("bearer")), _hook(client, session := _session(name))
    compared = alternate(timed(bearer), timed(signed), rounds=rounds, batch=400)
    bare = alternate(timed(lambda: None), timed(_bare(session, name)), rounds=rounds, batch=400)
    above = compared.us - compared.floor_us
    row = {"bearer": compared.floor_us, "hook": compared.us, "bare": bare.us, "ratio": above / bare.us}
    answer({"name": name, **row})


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


def _hook(client: str, session: Any) -> Callable[[], object]:
    if client == "requests":
        import requests

        auth = session.requests
        whole = requests.Request("GET", URL, headers={"User-Agent": "bench", "Accept": "*/*"}).prepare()

        def asked() -> None:
            request = whole.copy()
            request.hooks = {"response": []}
            auth(request)
            response = requests.Response()
            response.status_code, response.request, response.url = 200, request, URL
            for hook in request.hooks["response"]:
                hook(response)

        return asked
    import httpx

    flow = session.httpx.sync_auth_flow

    def sent() -> None:
        request = httpx.Request("GET", URL, headers={"User-Agent": "bench"})
        steps = flow(request)
        next(steps)
        try:
            steps.send(httpx.Response(200, request=request))
        except StopIteration:
            return

    return sent


if __name__ == "__main__":
    arguments = child_arguments()
    if arguments is None:
        main()
    else:
        child(arguments[0], arguments[1], int(arguments[2]))
