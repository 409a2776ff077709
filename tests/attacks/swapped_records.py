"""Somebody who may write to the store gives each account every other account's record, byte for byte.

Several users at several servers (two files of one name, two settings of one file) share a store. Nobody has been asked
for a password yet, so that this tells no records apart. Expected: everybody presents a token that was granted to them
by their own server, and no server sees another's refresh token.
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


class Servers:
    """Grants to whoever asks, and says in each token to whom, and where."""

    def __init__(self) -> None:
        self.serial = itertools.count()
        self.foreign: list[str] = []

    def exchange(self, request: Request, timeout: float) -> Answer:
        asked, host = json.loads(request.body or b"{}"), request.url.split("/")[2]
        if "refresh" in asked:
            user, granted_at, _ = asked["refresh"].split("|")
            if granted_at != host:
                self.foreign.append(f"{host} was sent {asked['refresh']}")
        else:
            user = asked["user"]
        token = f"{user}|{host}|{next(self.serial)}"
        return Answer(200, (), json.dumps({"access": token, "refresh": token, "in": 1000}).encode())


def file_at(base_url: str) -> dict[str, Any]:
    granted = {"json": {"access": "{access}", "refresh": "{refresh}", "in": "{expires_in:int}"}}
    return {
        "name": "one-name",
        "extends": "password",
        "base_url": base_url,
        "settings": {"zone": {"default": "eu"}},
        "exchanges": {
            "login": {
                "request": {"url": "login", "json": {"user": "{username}", "secret": "{password}"}},
                "answers": {"granted": granted},
            },
            "refresh": {
                "request": {"url": "refresh", "json": {"refresh": "{refresh}"}},
                "answers": {"granted": granted},
            },
        },
        "states": {"stale": {"missing": "signed_out"}},
    }


def attack() -> Iterator[str]:
    """What went wrong."""
    servers, store, now = Servers(), MemoryStore(), [1_800_000_000.0]
    who = [
        {"vendor": file_at(base_url), "username": user, "zone": zone}
        for base_url in ("https://prod.example/", "https://staging.example/", "https://{zone}.example/")
        for user in ("alice", "bob")
        for zone in ("eu", "us")
    ]

    def session(one: dict[str, Any]) -> authflow.AuthSession:
        own: dict[str, Any] = {"client": servers, "store": store, "clock": lambda: now[0], "password": lambda: "p"}
        return authflow.AuthSession(**one, **own)

    def host(one: dict[str, Any]) -> str:
        return str(one["vendor"]["base_url"]).split("/")[2].replace("{zone}", one["zone"])

    for one, other in itertools.permutations(who, 2):
        store._records.clear()
        session(other).token()
        (stolen,) = store._records.values()
        now[0] += 2000.0 if who.index(one) % 2 else 0.0  # some are to be refreshed
        mine = session(one)
        present = store.load(mine._manager.grants.key)
        store.save(mine._manager.grants.key, stolen.data, present.revision if present else None)
        for _ in range(2):
            user, at, _ = mine.token().access.split("|")
            if (user, at) != (one["username"], host(one)):
                yield f"{one['username']} at {host(one)} presents the token of {user} at {at}"
            now[0] += 2000.0
    yield from servers.foreign


if __name__ == "__main__":
    found = list(attack())
    print("\n".join(found) or "nothing")
    sys.exit(1 if found else 0)
