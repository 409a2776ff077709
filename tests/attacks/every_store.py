"""Somebody who may write to a store, whatever its kind, lays records where they do not belong; and a user who logs out
takes all that is theirs along, and nothing else.

Expected: whoever gives a password presents a token that was granted to them, by their own server, for that password;
no server sees another's refresh token; where a record cannot be read the error is ours.

    moves       each record, byte for byte, in every other's place: users, servers, files of another name
    forgeries   the same, with the key, the servers or the settings written as if it had been made for that place
    replays     a record of before the password became another, brought back
    strangers   what is no grant in a grant's place: refusals, the key of labels, half a record, two of them
    slots       grants that `vary` tells apart, of which only other processes know, and a planted list of them
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import authflow
from authflow.accounts.fingerprints import LABELS
from authflow.http import Answer, Request
from authflow.stores import EncryptedStore, FileStore, MemoryStore, Store, new_key
from tests.attacks.crowded_store import Crowd, file_of, spelled

FILES = {
    "a": file_of(),
    "b": file_of(base_url="https://b.example/"),
    "other name": file_of("crowd-2"),
    "zoned": file_of(settings={"zone": {"default": "eu"}}),
}
WHO = [(label, user) for label in FILES for user in ("alice", "bob")]


def session(crowd: Crowd, label: str, user: str, password: str | None = None) -> authflow.AuthSession:
    own: dict[str, Any] = {"client": crowd.server, "store": crowd.store, "clock": lambda: crowd.now}
    return authflow.AuthSession(FILES[label], username=user, password=password or user[::-1], **own)


def put(store: Store, key: str, data: bytes) -> None:
    store.delete(key)
    store.save(key, data, None)


def attack_on(store: Store) -> Iterator[str]:
    """What went wrong. The store is empty, and an encrypted one's records are reached below it, as they are."""
    raw: Store = store._inner if isinstance(store, EncryptedStore) else store
    sealed = raw is not store
    crowd = Crowd(store)
    keys = {who: session(crowd, *who)._manager.grants.key for who in WHO}
    if len(set(keys.values())) != len(WHO):
        yield "two of them have one key"

    def begin() -> dict[tuple[str, str], bytes]:
        for who in WHO:
            raw.delete(keys[who])
            crowd.token(FILES[who[0]], who[1])
        return {who: _data(raw, keys[who]) for who in WHO}

    def look(how: str, who: tuple[str, str]) -> Iterator[str]:
        label, user = who
        for _ in range(2):
            token = crowd.token(FILES[label], user)
            at = str(FILES[label]["base_url"]).rstrip("/")
            if token.split("|")[:2] != [spelled(user), at] and not (sealed and not token):
                yield f"{how}: {user} at {label} presents {token!r}"
            crowd.now += 2000.0

    records = begin()
    for one, other in itertools.permutations(WHO, 2):
        put(raw, keys[one], records[other])
        yield from look(f"moved from {other}", one)
        forged = {"key": keys[one]}
        for more in ({}, {"servers": _table(records[one]).get("servers")}, {"settings": "0" * 32}):
            if not sealed and one[1] != other[1]:
                put(raw, keys[one], json.dumps({**_table(records[other]), **forged, **more}).encode())
                yield from look(f"forged from {other} with {[*more]}", one)
        put(raw, keys[one], records[one])
    yield from _replays(crowd, raw, begin(), keys)
    records = begin()
    who = WHO[0]
    strangers = [records[who][: len(records[who]) // 2], records[who] * 2, b"", b"null", bytes(32)]
    for label in (session(crowd, *who)._manager.grants.identity_now()[1].refusals, LABELS):
        stored = raw.load(label)
        strangers += [stored.data] if stored is not None else []
    for data in strangers:
        put(raw, keys[who], data)
        yield from look(f"{data[:20]!r}", who)
        raw.delete(keys[who])
    yield from crowd.server.strange


def _replays(
    crowd: Crowd, raw: Store, records: dict[tuple[str, str], bytes], keys: dict[tuple[str, str], str]
) -> Iterator[str]:
    """Another password has got nothing: neither the grant, nor the one that comes back."""
    for who in WHO[:2]:
        before = crowd.token(FILES[who[0]], who[1])
        for _ in range(2):
            put(raw, keys[who], records[who])
            token = session(crowd, *who, password="guess")
            try:
                if token.token().access:
                    yield f"{who} is let in with a guess"
            except authflow.AuthFlowError:
                pass
            if crowd.token(FILES[who[0]], who[1]).split("|")[0] != before.split("|")[0]:
                yield f"{who} has lost the token to a guess"
            crowd.now += 4000.0


def _data(store: Store, key: str) -> bytes:
    stored = store.load(key)
    return stored.data if stored is not None else b""


def _table(data: bytes) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(data)
    except ValueError:
        return {}
    return found


# --- grants that `vary` tells apart -----------------------------------------------------------------------------------


SCOPED: dict[str, Any] = {
    "name": "scoped",
    "extends": "challenge",
    "base_url": "https://a.example/",
    "origins": {"send": ["https://a.example"]},
}


class Registry:
    """Grants to whoever asks, for a scope, and says so in the token."""

    def __init__(self) -> None:
        self.serial = itertools.count()

    def exchange(self, request: Request, timeout: float) -> Answer:
        import base64

        given = dict(request.headers).get("Authorization", "").partition(" ")[2]
        user = base64.b64decode(given).decode().partition(":")[0]
        return Answer(200, (), json.dumps({"token": f"{user}|{next(self.serial)}"}).encode())


def slots_on(store: Store) -> Iterator[str]:
    """What went wrong: of two users, one logs out in a process that knows of none of her grants."""
    registry = Registry()

    def one(user: str) -> authflow.AuthSession:
        own: dict[str, Any] = {"client": registry, "store": store}
        return authflow.AuthSession(SCOPED, username=user, password="p", **own)

    def granted(user: str, scope: str) -> str:
        session = one(user)
        manager = session._manager
        url = "https://a.example/v2/"
        header = ("WWW-Authenticate", f'Bearer realm="https://a.example/token",service="s",scope="{scope}"')
        grant = manager.authorize(url).wait()
        again = manager.on_response(grant, url, Answer(401, (header,)))
        return str(dict(again.wait().presentation.headers)["Authorization"]) if again is not None else ""

    scopes = ["pull", "push", "pull,push", "pull push", 'a","b', "../x", "\u0430", "x" * 300]
    first = {(user, scope): granted(user, scope) for user in ("alice", "bob") for scope in scopes}
    for (user, scope), token in first.items():
        if f"{user}|" not in token:
            yield f"{user} for {scope!r} presents {token!r}"
        if granted(user, scope) != token:
            yield f"{user} for {scope!r} is granted twice"
    if len(set(first.values())) != len(first):
        yield "two scopes, or two users, share a grant"
    one("alice").logout()
    for (user, scope), token in first.items():
        kept = granted(user, scope) == token
        if kept is not (user == "bob"):
            yield f"after alice's logout {user}'s grant for {scope!r} is {'kept' if kept else 'gone'}"


def attack() -> Iterator[str]:
    """On the stores that need no server."""
    for store in (MemoryStore(), EncryptedStore(MemoryStore(), new_key())):
        yield from attack_on(store)
        yield from slots_on(store)
    with tempfile.TemporaryDirectory() as folder:
        yield from attack_on(FileStore(folder))
        yield from slots_on(FileStore(folder))


if __name__ == "__main__":
    found = list(attack())
    print("\n".join(found) or "nothing")
    sys.exit(1 if found else 0)
