"""Sessions that differ in anything meet in one store, in any order. The vendor grants a token that is made of the very
request that asked for it, and so says for whom it was meant, at which server, with which secret.

Expected: whoever gives all as values presents the token that their own request would get, and nobody else's; whoever
gives what is public as a callable, too, where it says whose login it is or where it is a part of a URL's path.

    alike       inputs whose renderings are alike when they are put together: a + bc, ab + c; names that are
                spelled in two ways; numbers and texts; places that a careless reader takes for one
    places      the same in a header, a query, a form, a path, a host, a derived value, a secret
    identity    each of it with `identity` in the file in all its spellings, and with `identity=`
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

import authflow
from authflow.http import Answer, Request
from authflow.stores import EncryptedStore, MemoryStore, Store, new_key

#: Pairs that somebody might take for one.
ALIKE = [
    (("a", "bc"), ("ab", "c")),
    (("a", "b"), ("b", "a")),
    (("a", "a"), ("a", "aa")),
    (("e\u0301", "x"), ("\xe9", "x")),
    (("\u0130", "x"), ("i\u0307", "x")),
    (("stra\xdfe", "x"), ("strasse", "x")),
    (("A", "x"), ("a", "x")),
    (("a", "x"), ("\u0430", "x")),
    (("a", "x"), ("a\u200b", "x")),
    (("a ", "x"), ("a", "x")),
    (("1", "x"), ("1.0", "x")),
    (("1", "x"), ("01", "x")),
    (("None", "x"), ("null", "x")),
    (('a","b', "x"), ("a", 'b","x')),
    (("a,b", "x"), ("a", "b,x")),
    (("a|b", "c"), ("a", "b|c")),
    (("a=b", "c"), ("a", "b=c")),
    (("%61", "x"), ("a", "x")),
    (("a+b", "x"), ("a b", "x")),
    (("default", "x"), ("x", "default")),
    (("-refusals-", "x"), ("x", "-refusals-")),
]
#: Where the two inputs stand: in the exchange, in what is presented, or in both.
PLACES: dict[str, dict[str, Any]] = {
    "a form": {"request": {"form": {"one": "{one}", "two": "{two}"}}},
    "one value": {"request": {"form": {"both": "{one}{two}"}}},
    "a header": {"request": {"headers": {"X-Tenant": "{both}"}}, "derive": {"both": {"base64url": "{one}{two}"}}},
    "a query": {"request": {"query": {"as": "{one}", "of": "{two}"}}},
    "a path": {"url": "at/{one}/{two}/login"},
    "a path behind the base URL": {"base_url": "https://home.example/{one}/{two}/"},
    "a derived path": {"url": "at/{both}/login", "derive": {"both": {"base64url": "{one}{two}"}}},
}


class Echo:
    """Grants whatever it is asked for; a refresh says whose it was."""

    def exchange(self, request: Request, timeout: float) -> Answer:
        token = granted_for(request)
        return Answer(200, (), json.dumps({"token": token, "again": token}).encode())


def granted_for(request: Request) -> str:
    headers = sorted((name.lower(), value) for name, value in request.headers)
    seen = [request.method, request.url, headers, (request.body or b"").decode("latin-1")]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()


def file_of(place: dict[str, Any], kind: str, identity: Any, **more: Any) -> dict[str, Any]:
    """`kind`: what the two inputs are."""
    form = {"u": "{username}", "p": "{password}", **place.get("request", {}).get("form", {})}
    request = {"method": "POST", "url": place.get("url", "login"), **place.get("request", {}), "form": form}
    secret = {"secret": True} if kind == "secrets" else {}
    inputs = {"settings" if kind == "settings" else "credentials": {"one": secret, "two": secret}}
    said = {} if identity is None else {"identity": identity}
    return {
        "name": "echo",
        "extends": "relogin",
        "base_url": place.get("base_url", "https://home.example/"),
        "insecure_url": True,
        "derive": place.get("derive", {}),
        "exchanges": {
            "login": {"request": request, "answers": {"granted": {"status": 200, "json": {"token": "{access}"}}}}
        },
        **inputs,
        **said,
        **more,
    }


def attack() -> Iterator[str]:
    """What went wrong."""
    for store in (MemoryStore(), EncryptedStore(MemoryStore(), new_key())):
        yield from _alike(store)
    yield from _asked(MemoryStore())
    yield from _servers(MemoryStore())


def _token(file: dict[str, Any], store: Store, given: dict[str, Any]) -> str:
    own: dict[str, Any] = {"client": Echo(), "store": store, "clock": lambda: 1_800_000_000.0}
    try:
        return authflow.AuthSession(file, **{"username": "u", "password": "p", **given}, **own).token().access
    except authflow.AuthFlowError as error:
        return f"{type(error).__name__}: {error}"


def _compared(how: str, file: dict[str, Any], store: Store, users: list[dict[str, Any]]) -> Iterator[str]:
    """Each comes twice, in the store of all, and gets what it gets in a store of its own."""
    wanted = [_token(file, MemoryStore(), given) for given in users]
    for given, own in [*zip(users, wanted, strict=True)] * 2:
        if (found := _token(file, store, given)) != own:
            yield f"{how}, {given}: presents {found[:60]}, and its own is {own[:60]}"


def _alike(store: Store) -> Iterator[str]:
    kinds = ("settings", "public", "secrets")
    identities: list[Any] = [None, ["username"], ["one", "two", "username"], ["password"], []]
    if not isinstance(store, MemoryStore):  # secrets are hashed slowly there
        kinds, identities = kinds[:1], identities[:1]
    for (where, place), kind, identity in itertools.product(PLACES.items(), kinds, identities):
        name = f"alike-{len(where)}-{kind}-{'-'.join(identity or ['none'])}"
        file = file_of(place, kind, identity) | {"name": name}
        users = [{"one": one, "two": two} for pair in ALIKE for one, two in pair]
        if kind == "public" and identity is not None and not {"one", "two"} <= set(identity) and "path" not in where:
            continue  # the file says that they tell nobody apart
        yield from _compared(f"{where}, {kind}, identity = {identity}", file, store, users)


def _asked(store: Store) -> Iterator[str]:
    """The same with callables, where they say whose it is or where it is."""
    for where, place in PLACES.items():
        for identity in (["username", "one", "two"], ["username"]):
            if identity == ["username"] and "path" not in where:
                continue
            file = file_of(place, "public", identity) | {"name": f"asked-{len(where)}-{len(identity)}"}
            users = [{"one": one, "two": two} for pair in ALIKE for one, two in pair]
            wanted = [_token(file, MemoryStore(), given) for given in users]
            for given, own in [*zip(users, wanted, strict=True)] * 2:
                asked = {name: (lambda it=value: it) for name, value in given.items()}
                if (found := _token(file, store, {**asked, "password": lambda: "p"})) != own:
                    yield f"{where}, asked, identity = {identity}, {given}: presents {found[:60]}"


#: Base URLs that are spelled alike, or lead to another place than it seems.
BASES = [
    "https://home.example/",
    "https://home.example/a/",
    "https://home.example/A/",
    "https://home.example/a%2Fb/",
    "https://home.example/a/b/",
    "https://home.example/%61/",
    "https://home.example:8443/",
    "https://home.example.evil.example/",
    "https://homeexample/",
    "https://a.home.example/",
    "https://xn--hme-fla.example/",
    "https://h\xf6me.example/",
    "https://home.example/?a=b",
    "http://localhost:80/",
    "http://127.0.0.1:80/",
    "http://[::1]:80/",
]


def _servers(store: Store) -> Iterator[str]:
    for said in (None, "alice"):
        file = file_of(PLACES["a form"], "settings", None) | {"name": f"servers-{said}"}
        users = [{"one": "1", "two": "2", "base_url": base, "identity": said} for base in BASES]
        yield from _compared("base_url=", file, store, users)
    for form in ("path", "host"):
        written = {"path": "https://home.example/{zone}/", "host": "https://{zone}.home.example/"}[form]
        file = file_of(PLACES["a form"], "settings", None, settings={"one": {}, "two": {}, "zone": {}})
        users = [{"one": "1", "two": "2", "zone": zone} for zone in ("eu", "EU", "e-u", "eu1", "1", "01")]
        yield from _compared(f"a {form}", file | {"base_url": written, "name": f"servers-{form}"}, store, users)


if __name__ == "__main__":
    found = list(attack())
    print("\n".join(found) or "nothing")
    sys.exit(1 if found else 0)
