"""Somebody who may write to the store plants refusals, in order to lock everybody out for ever.

Expected: a login that is not tried for an hour at most, after which it is; garbage is none.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

import authflow
from authflow.http import Answer, Request
from authflow.stores import MemoryStore
from tests.attacks.planted_records import FILE, HOSTILE, Server


class Refusing(Server):
    def exchange(self, request: Request, timeout: float) -> Answer:
        self.urls.append(request.url)
        return Answer(401, (), b"{}")


def attack() -> Iterator[str]:
    """What went wrong."""
    refusing, now = Refusing(), [1_800_000_000.0]

    def session(store: MemoryStore, server: Server) -> authflow.AuthSession:
        own: dict[str, Any] = {"client": server, "store": store, "clock": lambda: now[0]}
        return authflow.AuthSession(FILE, username="alice", password="p", **own)

    told = MemoryStore()
    with contextlib.suppress(authflow.CredentialsRefused):
        session(told, refusing).token()
    ((key, stored),) = ((key, stored) for key, stored in told._records.items() if "-refusals-" in key)
    names = (
        "refused",
        "accepted",
        "users",
        "changed",
        "count",
        "since",
        "wait",
        "recent",
        "failures",
        "failed",
        "pause",
    )
    lists = ([10**9], [1e11, 1e11], [[]], [{"password": "ff"}] * 9, ["ff"] * 65, {"password": "ff"}, {"nobody": "ff"})
    for name, value in itertools.product((*names, "form"), (*HOSTILE, 10**9, 1e11, 3600.0, 3, *lists)):
        planted = json.loads(stored.data)
        planted["since"] = [now[0]]
        planted[name] = value
        store = MemoryStore()
        store.save(key, json.dumps(planted).encode(), None)
        for server in (Server(), refusing, Server()):
            try:
                session(store, server).token()
            except authflow.CredentialsRefused as error:
                if error.retry_after is None or not 0 < error.retry_after <= 3600:
                    yield f"{name} = {str(value)[:40]!r}: not tried again for {error.retry_after} s"
                now[0] += 3601.0
            except Exception as error:
                yield f"{name} = {str(value)[:40]!r}: {type(error).__name__}: {error}"
        try:
            session(store, Server()).token()
        except Exception as error:
            yield f"{name} = {str(value)[:40]!r}: for ever {type(error).__name__}: {error}"


if __name__ == "__main__":
    found = list(attack())
    print("\n".join(found) or "nothing")
    sys.exit(1 if found else 0)
