"""A service calls its vendor for many users, over one client and one store, in threads and tasks at once. Tokens last
for a moment, and many of them are rejected before that.

Expected: each call carries a token that was granted to its own user, whatever else is under way; a refused user is told
so alone, and waits for nobody.

    client      one user id of a client for each (client-credentials), some of them with a wrong secret
    exchanged   one client, and each user's own token (token-exchange), as a value and as a callable
    refreshed   one client, and a refresh token for each, which rotates
    header      one client, and each request says as whom (`identity=`)
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qs

import authflow
from authflow.stores import EncryptedStore, MemoryStore, Store, new_key
from tests.servers import Came, Listener, Says, listening

USERS = [f"user-{number}" for number in range(6)]
CALLS = 8


class Vendor:
    """The token endpoint and the API; a token says to whom it was granted, and is good for a few calls."""

    def __init__(self) -> None:
        self.serial, self.lock = itertools.count(), threading.Lock()
        self.wrong: list[str] = []
        self.spent: set[str] = set()

    def __call__(self, came: Came) -> Says:
        if came.path == "/token":
            return self.grants(came)
        carried = came.headers.get("authorization", "")
        wanted = came.path.rpartition("/")[2]
        token = carried.removeprefix("Bearer ")
        if token.split("|")[0] != wanted:
            self.wrong.append(f"{came.path} carries {carried!r}")
        with self.lock:
            return Says(401) if next(self.serial) % 5 == 0 else Says(200)

    def grants(self, came: Came) -> Says:
        form = {name: values[0] for name, values in parse_qs(came.body.decode()).items()}
        client, _, secret = base64.b64decode(came.headers["authorization"].partition(" ")[2]).decode().partition(":")
        user = form.get("subject_token") or form.get("refresh_token") or came.headers.get("x-as") or client
        if secret != "right":
            return Says(401, body=b'{"error": "invalid_client"}')
        with self.lock:
            if form.get("refresh_token") in self.spent:
                self.wrong.append(f"{form['refresh_token']} is spent twice")
            self.spent.add(form.get("refresh_token", ""))
            number = next(self.serial)
        token = f"{user.split('|')[0]}|{number}"
        document = {"access_token": token, "expires_in": 2, "token_type": "Bearer"}
        if "refresh_token" in form:
            document["refresh_token"] = token
        return Says(200, body=json.dumps(document).encode())


def sessions(how: str, url: str, store: Store) -> list[tuple[str, authflow.AuthSession]]:
    file: dict[str, Any] = {"name": how, "base_url": url + "/", "settings": {"token_url": {"default": url + "/token"}}}
    given: dict[str, dict[str, Any]]
    if how == "client":
        file |= {"extends": "client-credentials"}
        given = {user: {"client_id": user, "client_secret": "right"} for user in USERS}
        given["mallory"] = {"client_id": USERS[0], "client_secret": "wrong"}
    elif how == "exchanged":
        file |= {"extends": "token-exchange"}
        client = {"client_id": "app", "client_secret": "right"}
        given = {user: {**client, "subject_token": user} for user in USERS[:3]}
        given |= {user: {**client, "subject_token": lambda user=user: user} for user in USERS[3:]}
    elif how == "refreshed":
        file |= {"extends": "refresh-token"}
        given = {user: {"client_id": "app", "client_secret": "right", "refresh": user} for user in USERS}
    else:
        request = {
            "url": "{token_url}",
            "method": "POST",
            "headers": {"X-As": "{as}"},
            "client_basic": ["{client_id}", "{client_secret}"],
            "form": {"grant_type": "client_credentials"},
        }
        file |= {"extends": "client-credentials", "exchanges": {"login": {"request": request}}}
        file["settings"]["as"] = {}
        given = {user: {"client_id": "app", "client_secret": "right", "as": user} for user in USERS}
        given |= {user: {**given[user], "identity": "the-service"} for user in USERS[3:]}
    own: dict[str, Any] = {"store": store, "timeout": 20.0}
    return [(user, authflow.AuthSession(file, **one, **own)) for user, one in given.items()]


def attack() -> Iterator[str]:
    """What went wrong."""
    for how in ("client", "exchanged", "refreshed", "header"):
        for store in (MemoryStore(), EncryptedStore(MemoryStore(), new_key())):
            for client in ("requests", "httpx", "tasks"):
                vendor = Vendor()
                with listening(vendor) as listener:
                    users = sessions(how, listener.url, store)
                    yield from (f"{how}, {client}: {one}" for one in _called(client, users, listener))
                yield from (f"{how}, {client}: {wrong}" for wrong in vendor.wrong)


def _called(client: str, users: list[tuple[str, authflow.AuthSession]], listener: Listener) -> list[str]:
    calls = [one for _ in range(CALLS) for one in users]
    if client == "tasks":
        return asyncio.run(_in_tasks(calls, listener.url))
    if client == "httpx":
        import httpx

        opened: Any = httpx.Client(timeout=30.0)
    else:
        import requests

        opened = requests.Session()

    def call(one: tuple[str, authflow.AuthSession]) -> str:
        user, session = one
        try:
            opened.get(f"{listener.url}/{user}", auth=getattr(session, client))
        except authflow.CredentialsRefused:
            return "" if user == "mallory" else f"{user} is refused"
        except authflow.AuthFlowError as error:
            return f"{user}: {type(error).__name__}: {error}"
        return "mallory is let in" if user == "mallory" else ""

    with closing(opened), ThreadPoolExecutor(8) as pool:
        return [wrong for wrong in pool.map(call, calls) if wrong]


async def _in_tasks(calls: list[tuple[str, authflow.AuthSession]], url: str) -> list[str]:
    import httpx

    async with httpx.AsyncClient(timeout=30.0) as client:

        async def call(user: str, session: authflow.AuthSession) -> str:
            try:
                await client.get(f"{url}/{user}", auth=session.httpx)
            except authflow.CredentialsRefused:
                return "" if user == "mallory" else f"{user} is refused"
            except authflow.AuthFlowError as error:
                return f"{user}: {type(error).__name__}: {error}"
            return "mallory is let in" if user == "mallory" else ""

        return [wrong for wrong in await asyncio.gather(*(call(*one) for one in calls)) if wrong]


if __name__ == "__main__":
    found = list(attack()) if find_spec("httpx") and find_spec("requests") else ["requests and httpx are wanted"]
    print("\n".join(found) or "nothing")
    sys.exit(1 if found else 0)
