"""Run where the wheel and one client are installed, and nothing else: `python alone.py CLIENT`; or not even that.

One client is enough to log in and to fetch; the others are not there, and asking for one says how to install it.
Without any, what needs no exchange works.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence

import authflow
from authflow.testing import Simulator, serving

CLIENTS = ("requests", "httpx", "httpx2", "niquests", "aiohttp")
VENDOR = {
    "extends": "relogin",
    "name": "alone",
    "base_url": "https://alone.example/",
    "exchanges": {
        "login": {
            "request": {"url": "login", "json": {"username": "{username}", "password": "{password}"}},
            "answers": {"granted": {"status": 200, "json": {"token": "{access}"}}},
        }
    },
}
KEY = {"extends": "api-key", "name": "key"}


def main(arguments: Sequence[str]) -> int:
    absent = {name for name in CLIENTS if importlib.util.find_spec(name) is None}
    assert absent == set(CLIENTS) - set(arguments), "other clients are installed than are meant"
    simulator = Simulator(VENDOR)
    with serving(simulator) as base_url:
        session = authflow.AuthSession(VENDOR, base_url=base_url, **simulator.inputs)
        for other in absent:
            said = refusal(lambda name=other: getattr(session, name))
            assert said == f"{other} is not installed: pip install 'authflow-http[{other}]'", said
        for client in arguments:
            assert session.token().access
            assert (by_aiohttp if client == "aiohttp" else by_auth)(client, session, base_url) == 200
            print(f"{client} is enough")
        if not arguments:
            said = refusal(session.token)
            assert said.startswith("no HTTP client is installed: pip install 'authflow-http["), said
            with_a_key = authflow.AuthSession({**KEY, "base_url": base_url}, api_key="a-key")
            assert with_a_key.headers(base_url) == {"X-API-Key": "a-key"}
            print("none is needed where nothing is exchanged")
    return 0


def by_auth(client: str, session: authflow.AuthSession, url: str) -> int:
    return int(importlib.import_module(client).get(url, auth=getattr(session, client)).status_code)


def by_aiohttp(client: str, session: authflow.AuthSession, url: str) -> int:
    async def get() -> int:
        async with importlib.import_module(client).ClientSession(middlewares=[session.aiohttp]) as http:
            return int((await http.get(url)).status)

    return asyncio.run(get())


def refusal(ask: Callable[[], object]) -> str:
    try:
        return f"there is {ask()!r}"
    except authflow.ConfigurationError as error:
        return str(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
