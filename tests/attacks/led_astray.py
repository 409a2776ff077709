"""Somebody who may write to a store plants where the token goes: the base URL, or a part of a host, that the file
itself captures; and users of one name at several servers, which a credential names, meet in one store.

Expected: a token that a login brings is presented where this login led, or at the file's own base URL, whatever lay in
the store before; a session is given no token of another server, and none of its requests are trusted there.

    planted    {state} × {what is planted} × {how the file reads it} × {how the password is given}
    tenants    a public credential in the host of the base URL, of an exchange, in a path, derived; as a value and as a
               callable; with the user's name and with `identity=` as what says whose login it is
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

import authflow
from authflow.accounts import Record
from authflow.http import Answer, Request
from authflow.stores import EncryptedStore, MemoryStore, Store, new_key

#: What each file captures beside the token, where it presents that, and what a thief would write there.
READS: dict[str, tuple[dict[str, str], dict[str, Any], dict[str, str]]] = {
    "optional base_url": ({"site": "{base_url?}"}, {}, {"base_url": "https://evil.example/"}),
    "required base_url": ({"home": "{base_url}"}, {}, {"base_url": "https://evil.example/"}),
    "zone of a host": (
        {"zone": "{zone?}"},
        {"origins": {"present": ["https://{zone}.home.example/"]}, "settings": {"zone": {"default": "eu"}}},
        {"zone": "evil"},
    ),
}
STATES = ("signed_out", "signed_in", "stale", "refused")


class Vendor:
    """Grants to whoever asks, and says in the token where; it leads nowhere."""

    def __init__(self) -> None:
        self.serial = itertools.count()

    def exchange(self, request: Request, timeout: float) -> Answer:
        host = request.url.split("/")[2]
        document = {"token": f"{next(self.serial)}@{host}{request.url.partition(host)[2]}", "refreshToken": "r"}
        return Answer(200, (), json.dumps({**document, "home": "https://home.example/"}).encode())


def file_of(reads: dict[str, str], **more: Any) -> dict[str, Any]:
    granted = {"status": 200, "json": {"token": "{access}", "refreshToken": "{refresh}", **reads}}
    login = {"request": {"url": "login", "json": {"u": "{username}", "p": "{password}"}}}
    refresh = {"request": {"url": "refresh", "json": {"r": "{refresh}"}}}
    exchanges = {"login": {**login, "answers": {"granted": granted}}}
    exchanges["refresh"] = {**refresh, "answers": {"granted": granted}}
    return {"extends": "password", "name": "led", "base_url": "https://home.example/", "exchanges": exchanges, **more}


def planted() -> Iterator[str]:
    """What went wrong."""
    for (how, (reads, more, evil)), state, asked in itertools.product(READS.items(), STATES, (False, True)):
        store, vendor = MemoryStore(), Vendor()
        own: dict[str, Any] = {"store": store, "client": vendor, "username": "u"}
        first = authflow.AuthSession(file_of(reads, **more), password="p", **own)
        first.token()
        key = first._manager.grants.key
        stored = store.load(key)
        assert stored is not None
        grant: dict[str, Any] = {"access": "planted"} if state == "signed_in" else {}
        record = Record.from_bytes(stored.data).replace(
            state=state, captured={**evil, **grant}, issued_at=1.0 if grant else 0.0, expires_at=2.0 if grant else None
        )
        store.save(key, record.to_bytes(), stored.revision)
        session = authflow.AuthSession(file_of(reads, **more), password=(lambda: "p") if asked else "p", **own)
        token = session.token().access
        for url in ("https://evil.example/x", "https://evil.home.example/x"):
            try:
                shown = session.headers(url)
            except authflow.UntrustedOrigin:
                continue
            yield f"{how}, {state}: {token} is presented at {url}: {shown}"


def tenants(store: Store) -> Iterator[str]:
    """What went wrong. The store is empty."""
    places: list[dict[str, Any]] = [
        {"base_url": "https://{tenant}.example/"},
        {"base_url": "https://{host}.example/", "derive": {"host": {"lower": "{tenant}"}}},
        {"login": "https://{tenant}.example/login", "origins": {"send": ["https://{tenant}.example"]}},
        {"login": "https://{tenant}.example:8443/login", "origins": {"send": ["https://{tenant}.example:8443"]}},
    ]
    for number, (place, said, asked) in enumerate(itertools.product(places, (None, "me"), (False, True))):
        more = {**place, "name": f"led-{number}", "identity": ["username"], "credentials": {"tenant": {}}}
        login = more.pop("login", None)
        file = file_of({}, **more)
        if login is not None:
            file["exchanges"]["login"]["request"]["url"] = login
        vendor = Vendor()
        tokens = {}
        for tenant in ("acme", "globex", "acme"):
            given: dict[str, Any] = {"tenant": (lambda it=tenant: it) if asked else tenant, "identity": said}
            own: dict[str, Any] = {"store": store, "client": vendor, "username": "u", "password": lambda: "p"}
            token = authflow.AuthSession(file, **given, **own).token().access
            if f"@{tenant}." not in token:
                yield f"{place} of {tenant}, identity={said}: {token}"
            if tokens.setdefault(tenant, token) != token:
                yield f"{place} of {tenant}, identity={said}: logged in twice"


def attack() -> Iterator[str]:
    """On stores that need no server."""
    yield from planted()
    for store in (MemoryStore(), EncryptedStore(MemoryStore(), new_key())):
        yield from tenants(store)


if __name__ == "__main__":
    found = list(attack())
    print("\n".join(found) or "nothing")
    sys.exit(1 if found else 0)
