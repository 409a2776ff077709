"""A server makes its sessions, and uses some, before it forks; its children, and theirs, serve other users from one
store, in a folder and in memory, with names and keys that are given, asked for, or said by `identity=`.

Expected: each process presents what was granted to the user that it serves there, also where what tells users apart is
first asked for after the fork; a child's logout and renewals take nothing from another's user; nobody waits for a lock,
a flight or a thread that stayed behind in the parent.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import authflow
from authflow.http import Answer, Request
from authflow.stores import FileStore, MemoryStore, Store

FORKS = 4
NOW = [1_800_000_000.0]


class Vendor:
    """A token says to whom, and with which key, it was granted."""

    def exchange(self, request: Request, timeout: float) -> Answer:
        said = json.loads(request.body or b"{}")
        who = said.get("again") or f"{said['u']}|{said['p']}|{said.get('k', '')}"
        return Answer(200, (), json.dumps({"token": who, "again": who, "in": 60}).encode())


def file_of(name: str, **more: Any) -> dict[str, Any]:
    granted = {"status": 200, "json": {"token": "{access}", "again": "{refresh}", "in": "{expires_in}"}}
    login = {"url": "login", "json": {"u": "{username}", "p": "{password}", "k": "{key?}"}}
    return {
        "name": name,
        "extends": "password",
        "base_url": "https://home.example/",
        "credentials": {"key": {"secret": True, "optional": True}},
        "exchanges": {
            "login": {"request": login, "answers": {"granted": granted}},
            "refresh": {"request": {"url": "again", "json": {"again": "{refresh}"}}, "answers": {"granted": granted}},
        },
        **more,
    }


#: Who a process serves: children are told apart by their number.
USER = ["parent"]


def sessions(store: Store) -> dict[str, tuple[authflow.AuthSession, Callable[[], str]]]:
    """Each with the token that it must present in the process where it is asked."""
    own: dict[str, Any] = {"store": store, "client": Vendor(), "clock": lambda: NOW[0], "password": "p"}
    asked = {"username": "u", "password": lambda: f"p-{USER[0]}"}

    def session(name: str, **more: Any) -> authflow.AuthSession:
        return authflow.AuthSession(file_of(name), **{**own, **more})

    said = {"identity": ["username", "key"]}
    keyed = authflow.AuthSession(
        file_of("keyed", **said), **{**own, "username": "u", "key": lambda: f"k-{USER[0]}", "password": "p"}
    )
    return {
        "a name that is asked for": (session("named", username=lambda: USER[0]), lambda: f"{USER[0]}|p|"),
        "a key that is asked for": (keyed, lambda: f"u|p|k-{USER[0]}"),
        "values": (session("values", username="u", key="k"), lambda: "u|p|k"),
        "asked for nothing": (session("asked", **asked, identity="me"), lambda: ""),
    }


def in_children(what: Callable[[int], Iterator[str]]) -> Iterator[str]:
    """What went wrong in children of this process, all at once."""
    ends = []
    for number in range(FORKS):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            try:
                said = "\n".join(what(number))
            except BaseException:
                said = traceback.format_exc()
            os.write(write, said.encode()[:60_000])
            os._exit(0)
        os.close(write)
        ends.append((child, read))
    for child, read in ends:
        with os.fdopen(read) as file:
            yield from file.read().splitlines()
        os.waitpid(child, 0)


def attack() -> Iterator[str]:
    """What went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        for used in (False, True):
            for store in (FileStore(f"{folder}/{used}"), MemoryStore()):
                yield from _forked(store, used)


def _forked(store: Store, used: bool) -> Iterator[str]:
    kind = f"{type(store).__name__}, {'used' if used else 'not used'} before"
    USER[0] = "parent"
    made = sessions(store)
    for name, (session, _) in made.items() if used else ():
        if name != "a name that is asked for":  # a session is for one user, who is asked for once
            session.token()

    def child(number: int) -> Iterator[str]:
        USER[0] = f"child-{number}"
        for turn in range(3):
            NOW[0] += 100
            for name, (session, own) in made.items():
                found = session.token().access
                if own() and found != own():
                    yield f"{kind}, turn {turn}: {name}: child {number} presents {found}, and its own is {own()}"
        mine = authflow.AuthSession(
            file_of("named"), username=USER[0], password="p", store=store, client=Vendor(), clock=lambda: NOW[0]
        )
        if (found := mine.token().access) != f"{USER[0]}|p|":
            yield f"{kind}: a new session of child {number} presents {found}"
        mine.logout()
        if number == 0:
            yield from in_children(grandchild)

    def grandchild(number: int) -> Iterator[str]:
        USER[0] = f"grandchild-{number}"
        session, own = made["a key that is asked for"]
        NOW[0] += 100
        if (found := session.token().access) != own():
            yield f"{kind}: grandchild {number} presents {found}, and its own is {own()}"

    yield from in_children(child)
    USER[0] = "parent"
    for name, (session, own) in made.items():
        NOW[0] += 100
        if own() and (found := session.token().access) != own():
            yield f"{kind}: {name}: the parent presents {found} afterwards, and its own is {own()}"


if __name__ == "__main__":
    found = list(attack())
    print("\n".join(found) or "nothing")
    sys.exit(1 if found else 0)
