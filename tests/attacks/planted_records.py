"""Somebody who may write to the store plants records: every field of a good one replaced by whatever JSON can hold.

Expected: nothing goes to a server that the file does not name, no session fails with anything but an error of ours,
and what is presented is a header. What is planted in the place of a token is presented at the vendor's own server, at
most: a store whose writers are enemies can do that much, and `[verify]` ends it.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

import authflow
from authflow.http import Answer, Request
from authflow.stores import MemoryStore

HOSTILE: list[Any] = [
    None,
    True,
    0,
    -1,
    1e300,
    10**40,
    "",
    "https://evil.example/",
    "//evil.example",
    "\x1b[2J\r\nX-Evil: 1",
    "a" * 5000,
    [],
    ["https://evil.example/"],
    [[[[]]]],
    {},
    {"access": "https://evil.example/", "base_url": "https://evil.example/", "host": "evil.example"},
    {"$ref": "x", "username": "mallory", "password": "hers", "refresh": {"a": 1}},
]


class Server:
    def __init__(self) -> None:
        self.urls: list[str] = []
        self.serial = itertools.count()

    def exchange(self, request: Request, timeout: float) -> Answer:
        self.urls.append(request.url)
        document = {"access": f"a-{next(self.serial)}", "refresh": "r", "in": 1000}
        return Answer(200, (), json.dumps(document).encode())


GRANTED = {"json": {"access": "{access}", "refresh": "{refresh}", "in": "{expires_in:int}"}}
FILE: dict[str, Any] = {
    "name": "planted",
    "extends": "password",
    "base_url": "https://{host}/",
    "settings": {"host": {"default": "home.example"}},
    "exchanges": {
        "login": {
            "request": {"url": "login", "json": {"user": "{username}", "secret": "{password}"}},
            "answers": {"granted": GRANTED},
        },
        "refresh": {"request": {"url": "refresh", "json": {"refresh": "{refresh}"}}, "answers": {"granted": GRANTED}},
    },
    "states": {"stale": {"missing": "signed_out"}},
}


def attack() -> Iterator[str]:
    """What went wrong."""
    server, now = Server(), [1_800_000_000.0]

    def session(store: MemoryStore, password: Any) -> authflow.AuthSession:
        own: dict[str, Any] = {"client": server, "store": store, "clock": lambda: now[0]}
        return authflow.AuthSession(FILE, username="alice", password=password, **own)

    good = MemoryStore()
    session(good, "p").token()
    ((key, stored),) = good._records.items()
    record = json.loads(stored.data)
    places = [(name,) for name in record] + [("captured", name) for name in (*record["captured"], "base_url", "host")]
    passwords = ("p", lambda: "p")
    states = ("signed_in", "stale", "signed_out", "refused")
    for place, value, password, state in itertools.product(places, HOSTILE, passwords, states):
        planted = json.loads(stored.data)
        planted["state"] = state
        (planted if len(place) == 1 else planted["captured"])[place[-1]] = value
        store = MemoryStore()
        store.save(key, json.dumps(planted).encode(), None)
        try:
            headers = session(store, password).headers("https://home.example/x")
        except authflow.AuthFlowError as error:
            yield f"{place} = {str(value)[:40]!r} in {state}: {type(error).__name__}: {error}"
            continue
        except Exception as error:
            yield f"{place} = {str(value)[:40]!r} in {state}: {type(error).__name__}"
            continue
        if list(headers) != ["Authorization"] or any(char in headers["Authorization"] for char in "\r\n\x1b"):
            yield f"{place} = {str(value)[:40]!r} in {state}: presented {headers}"
    for url in set(server.urls):
        if not url.startswith("https://home.example/"):
            yield f"an exchange went to {url}"


if __name__ == "__main__":
    found = list(attack())
    print("\n".join(found) or "nothing")
    sys.exit(1 if found else 0)
