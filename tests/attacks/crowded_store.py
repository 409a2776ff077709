"""A crowd shares one store: users, servers, settings, `identity=` and given tokens, and nothing but the door of the
library is used. Somebody who knows every name but no password tries to come by another's token.

Expected: each attempt ends with a login of one's own, a refusal, or an error of ours; never with another's token.

    renames     files whose names, settings and paths are put together so that their keys might be spelled alike
    guesses     a session with another's name and a wrong password, given as a value and as a callable
    impostors   `identity=` that spells what another's credentials spell; names in other spellings of Unicode
    moves       the records of a file-based store renamed, linked to one another, and cut short
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import authflow
from authflow.http import Answer, Request
from authflow.stores import FileStore, MemoryStore, Store

GRANTED = {"json": {"access": "{access}", "refresh": "{refresh}", "in": "{expires_in:int}"}}
#: Names that a careless key would spell alike, or that a terminal or a file system shows alike.
LIKE = [
    "alice",
    "Alice",
    "alice ",
    "alice\x00",
    "\u0430lice",
    "alice,x",
    'alice","x',
    "alice-refusals-",
    "ali",
    "e\u0301",
    "\xe9",
]


def spelled(user: str) -> str:
    """A name as a token may hold it."""
    return user.encode().hex()


class Server:
    """Grants to whoever has the right password, which is the user's name backwards, and says so in the token."""

    def __init__(self) -> None:
        self.serial = itertools.count()
        self.strange: list[str] = []

    def exchange(self, request: Request, timeout: float) -> Answer:
        asked, where = json.loads(request.body or b"{}"), request.url
        if "refresh" in asked:
            name, at, _ = asked["refresh"].split("|")
            if at != where.rsplit("/", 1)[0]:
                self.strange.append(f"{where} was sent a refresh token of {at}")
        elif asked["secret"] != asked["user"][::-1]:
            return Answer(401, (), b"{}")
        else:
            name = spelled(asked["user"])
        token = f"{name}|{where.rsplit('/', 1)[0]}|{next(self.serial)}"
        return Answer(200, (), json.dumps({"access": token, "refresh": token, "in": 1000}).encode())


def file_of(name: str = "crowd", base_url: str = "https://a.example/", **more: Any) -> dict[str, Any]:
    login = {"request": {"url": "login", "json": {"user": "{username}", "secret": "{password}"}}}
    refresh = {"request": {"url": "refresh", "json": {"refresh": "{refresh}"}}}
    return {
        "name": name,
        "extends": "password",
        "base_url": base_url,
        "exchanges": {
            "login": {**login, "answers": {"granted": GRANTED, "denied": {"status": 401}}},
            "refresh": {**refresh, "answers": {"granted": GRANTED, "denied": {"status": 401}}},
        },
        "states": {"stale": {"missing": "signed_out"}},
        **more,
    }


class Crowd:
    def __init__(self, store: Store) -> None:
        self.server, self.store, self.now = Server(), store, 1_800_000_000.0

    def token(self, file: Any, user: str, password: Any = None, **more: Any) -> str:
        own: dict[str, Any] = {"client": self.server, "store": self.store, "clock": lambda: self.now}
        password = user[::-1] if password is None else password
        try:
            return authflow.AuthSession(file, username=user, password=password, **own, **more).token().access
        except authflow.AuthFlowError:
            return ""


def attack() -> Iterator[str]:
    """What went wrong."""
    yield from _renames()
    yield from _guesses()
    yield from _moves()


def _renames() -> Iterator[str]:
    crowd = Crowd(MemoryStore())
    zones: dict[str, Any] = {"settings": {"zone": {"default": "eu"}, "part": {"default": "x"}}}
    sends: dict[str, Any] = {"origins": {"send": ["https://b.example"]}}
    files = {
        "plain": file_of(),
        "of a longer name": file_of("crowd-refusals"),
        "in a folder": file_of(base_url="https://a.example/b/"),
        "at another port": file_of(base_url="https://a.example:444/"),
        "at another host": file_of(base_url="https://a.example.b.example/"),
        "with settings": file_of(**zones),
        "with an origin": file_of(**sends),
    }
    who = [(label, user) for label in files for user in LIKE]
    given: list[tuple[str, str, dict[str, str]]] = [(label, user, {}) for label, user in who]
    given += [("with settings", "alice", {"zone": zone, "part": part}) for zone in ("e", "us") for part in ("ux", "x")]
    for _ in range(2):
        seen: dict[str, Any] = {}
        for one in given:
            label, user, settings = one
            token = crowd.token(files[label], user, **settings)
            at = str(files[label]["base_url"]).rstrip("/")
            if token and token.split("|")[:2] != [spelled(user), at]:
                yield f"{user!r} of a file {label} presents {token!r}"
            if token and token in seen:
                yield f"{one} and {seen[token]} present one token"
            seen[token] = one
        crowd.now += 2000.0
    yield from crowd.server.strange


def _guesses() -> Iterator[str]:
    for user, guess in itertools.product(["alice", "\u0430lice"], ["", "wrong", "alice", "ecil", "ecilaa"]):
        crowd = Crowd(MemoryStore())
        if not crowd.token(file_of(), user):
            yield f"{user!r} cannot log in"
        for secret in (guess, guess + "\x00"):
            if token := crowd.token(file_of(), user, secret):
                yield f"{user!r} with the password {secret!r} presents {token!r}"
        for said in (user, f"{user} ", json.dumps(user), "default"):
            if token := crowd.token(file_of(), user, "wrong", identity=said):
                yield f"identity={said!r} presents {token!r} with a wrong password"
        if not crowd.token(file_of(), user).startswith(f"{spelled(user)}|"):
            yield f"{user!r} has lost the token to a guess"


def _moves() -> Iterator[str]:
    for how in ("rename", "link", "symlink", "cut", "append"):
        with tempfile.TemporaryDirectory() as folder:
            crowd = Crowd(FileStore(folder))
            if not (crowd.token(file_of(), "alice") and crowd.token(file_of(), "bob")):
                yield "nobody can log in"
            records = sorted(path for path in Path(folder).glob("*.json") if b"access" in path.read_bytes())
            for here, there in itertools.permutations(records, 2):
                data = here.read_bytes()
                there.unlink()
                if how == "rename":
                    there.write_bytes(data)
                    os.chmod(there, 0o600)
                elif how in ("link", "symlink"):
                    getattr(os, how)(here, there)
                else:
                    there.write_bytes(data[: len(data) // 2] if how == "cut" else data + data)
                for user in ("alice", "bob"):
                    token = crowd.token(file_of(), user)
                    if token and not token.startswith(f"{spelled(user)}|"):
                        yield f"{how}: {user} presents {token!r}"
                for path in (here, there):
                    if path.is_symlink():
                        path.unlink()
                    if not path.exists():
                        path.write_bytes(data)


if __name__ == "__main__":
    found = list(attack())
    print("\n".join(found) or "nothing")
    sys.exit(1 if found else 0)
