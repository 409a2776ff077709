"""What remains of a call: nothing of ours that the client's own Basic auth would not leave, and in the history nothing.

The same calls are made with Basic and with sessions that present their token in each way there is. Then all that a
response leads to is walked through, attribute by attribute, and so are its copy and its pickle; `places` says where the
secret stands.
"""

from __future__ import annotations

import base64
import copy
import importlib
import inspect
import itertools
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

import authflow
from tests.clients.drivers import Driver
from tests.clients.test_redirects import PRESENTATIONS, TOKEN, vendor
from tests.servers import Came, Listener, Says

Listen = Callable[..., Listener]

PASSWORD = "open-sesame-1"
REFRESH = "refr3sh-that-nobody-may-see"
WAYS: Mapping[str, Mapping[str, Any]] = {
    **PRESENTATIONS,
    "json": {"json": {"t": "{access}"}},
    "form": {"form": {"t": "{access}"}},
}
#: What is asked for: an answer at once, one after a redirect, after two, and after a rejection.
PATHS = ("/land", "/go", "/first", "/api/rejected")

#: Where nothing of ours may be, whatever Basic leaves; niquests' connection keeps what it sent in `raw`.
OURS_ALONE = re.compile(r"\.history\.(?!stream|raw\._fp\.)|.*\b(_next|next_request)\b")


def places(thing: Any, secret: str) -> set[str]:
    """Where the secret stands, by the names that lead there."""
    return {path for path, text in _walk(thing, "", {}) if secret in text}


def _walk(thing: Any, path: str, known: dict[int, Any]) -> Iterator[tuple[str, str]]:
    if isinstance(thing, str | bytes | bytearray | memoryview):
        yield path, thing if isinstance(thing, str) else bytes(thing).decode("latin-1")
        return
    if thing is None or isinstance(thing, int | float | type) or id(thing) in known or inspect.isroutine(thing):
        return
    home = type(thing).__module__.partition(".")[0]
    if home in ("threading", "ssl", "socket", "asyncio", "trio", "http"):
        return
    if not isinstance(thing, list | tuple) or not all(isinstance(each, str | bytes) for each in thing):
        known[id(thing)] = thing  # lists of texts are shared by copies of niquests' headers
    if isinstance(thing, dict) or hasattr(thing, "multi_items"):
        pairs = [(str(name), (name, value)) for name, value in list(thing.items())]
    elif isinstance(thing, list | tuple | set):
        pairs = [("", value) for value in thing]
    else:
        names = [*getattr(thing, "__dict__", {})]
        names += [name for cls in type(thing).__mro__ for name in _slots(cls)] if home != "authflow" else []
        pairs = [(name, _get(thing, name)) for name in names]
    for name, value in pairs:
        yield from _walk(value, f"{path}.{name}" if name else path, known)


def _slots(cls: type) -> list[str]:
    slots = cls.__dict__.get("__slots__", ())
    return [slots] if isinstance(slots, str) else list(slots)


def _get(thing: Any, name: str) -> Any:
    own = getattr(thing, "__dict__", {})
    return own[name] if name in own else getattr(thing, name, None)


def says() -> Callable[[Came], Says]:
    serial = itertools.count(1)

    def answer(came: Came) -> Says:
        if came.path == "/api/login":
            return Says(json={"token": f"{TOKEN}-{next(serial)}", "refresh": REFRESH})
        if came.path == "/api/rejected":
            return Says(401 if f"{TOKEN}-1" in came.everything else 200, {})
        to = {"/first": "/go", "/go": "/land"}.get(came.path)
        return Says(302, {}, {"Location": to}) if to else Says(json={"ok": True})

    return answer


def file(home: Listener, way: str) -> dict[str, Any]:
    file = vendor(home, WAYS[way])
    granted = {"status": 200, "json": {"token": "{access}", "refresh": "{renew?}"}}
    login = {**file["exchanges"]["login"], "answers": {"granted": granted}}
    return {**file, "exchanges": {"login": login}}


def called(client: Driver, session: Any, home: Listener, path: str, way: str, follow: bool) -> Any:
    how: dict[str, Any] = {"json": {"a": 1}} if way == "json" else {"data": {"a": "1"}} if way == "form" else {}
    method, option = "POST" if how else "GET", "follow" if client.library.startswith("httpx") else "allow"
    return client.call(session, f"{home.url}{path}", method, **how, **{f"{option}_redirects": follow}).raw


class Basic:
    """A session of which each adapter is the client's own Basic auth."""

    def __init__(self, client: Driver) -> None:
        library: Any = importlib.import_module(client.library)
        made = getattr(library, "BasicAuth", None) or library.auth.HTTPBasicAuth
        setattr(self, client.library, made("user", PASSWORD))


def of_basic(client: Driver, listen: Listen, path: str, follow: bool) -> set[str]:
    """Where its own Basic auth remains, the names of headers left out."""
    pair = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
    return {_kind(place) for place in places(called(client, Basic(client), listen(says()), path, "", follow), pair)}


def _kind(place: str) -> str:
    """A place, whatever carries the token: a header, the URL or the body of the same request."""
    return re.sub(r"(request|__promise)\..*", r"\1", re.sub(r"^\.history(?=\.stream|\.raw\._fp)", "", place))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("path", "follow"), [*((path, True) for path in PATHS), ("/go", False)])
def test_nothing_remains_that_basic_would_not_leave(
    client: Driver, listen: Listen, way: str, path: str, follow: bool
) -> None:
    if client.library == "aiohttp":
        pytest.skip("its answers keep no request, and cannot be pickled")
    home = listen(says())
    session = authflow.AuthSession(file(home, way), username="user", password=PASSWORD)
    answer = called(client, session, home, path, way, follow)
    allowed = of_basic(client, listen, path, follow)
    for kept in (answer, copy.copy(answer), pickle.loads(pickle.dumps(answer))):
        assert places(kept, PASSWORD) | places(kept, REFRESH) == set()
        found = places(kept, TOKEN)
        assert {_kind(place) for place in found} <= allowed
        assert {place for place in found if OURS_ALONE.match(place)} == set()
    assert client.library.startswith("httpx") or TOKEN not in answer.url  # httpx's is its request's


def sent(client: Driver, request: Any) -> Any:
    with importlib.import_module(client.library).Session() as session:
        return session.send(request)


@pytest.mark.parametrize("way", WAYS)
def test_the_next_request_keeps_none_of_ours_until_it_is_sent(client: Driver, listen: Listen, way: str) -> None:
    """Of a redirect that nobody followed: the request shows what it carried, the next one what it will not."""
    if client.library == "aiohttp":
        pytest.skip("it makes no next request")
    home = listen(says())
    session = authflow.AuthSession(file(home, way), username="user", password=PASSWORD)
    for _ in range(2):  # the long way, and the short one of a token that is fresh
        answer = called(client, session, home, "/first", way, False)
        assert TOKEN in home.came[-1].everything
        assert places(answer.request, TOKEN) != set()
        following = answer.next_request if client.library.startswith("httpx") else answer.next
        assert places(following, TOKEN) | places(pickle.loads(pickle.dumps(following)), TOKEN) == set()
    if client.name in ("requests", "niquests"):  # which send it as it is; httpx asks its `auth=` again
        assert places(following.copy(), TOKEN) == set()
        last = sent(client, following)
        assert (last.status_code, last.url) == (200, f"{home.url}/land")
        assert [TOKEN in came.everything for came in home.came[-2:]] == [True, True]
        assert places(last.request, TOKEN) != set()
        assert {place for place in places(last, TOKEN) if OURS_ALONE.match(place)} == set()


@pytest.mark.parametrize("way", WAYS)
def test_a_next_request_that_leads_elsewhere_carries_nothing_when_it_is_sent(
    client: Driver, listen: Listen, way: str
) -> None:
    if client.name not in ("requests", "niquests"):
        pytest.skip("whoever sends it gives `auth=` again")
    elsewhere = listen(lambda came: Says(json={}))
    away = Says(307, {}, {"Location": elsewhere.url})
    home = listen(lambda came: says()(came) if came.path == "/api/login" else away)
    session = authflow.AuthSession(file(home, way), username="user", password=PASSWORD)
    answer = called(client, session, home, "/first", way, False)
    last = sent(client, answer.next)
    assert (last.status_code, len(elsewhere.came), TOKEN in elsewhere.came[0].everything) == (200, 1, False)
