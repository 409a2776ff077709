"""A CSRF token that comes with each answer (`[[keep]]`), over every client: read, and nothing is sent again.

The server is strict: it takes only the last token that it gave, and only from the session to which it gave it.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import authflow
from authflow.http import Answer
from authflow.vendors import load
from tests.clients.drivers import Driver
from tests.servers import Came, Listener, Says

FILE = {
    "name": "csrf",
    "extends": "session-cookie",
    "exchanges": {
        "login": {
            "request": {"url": "login", "form": {"username": "{username}", "password": "{password}"}},
            "answers": {
                "granted": {"status": 200, "cookies": {"sid": "{access}"}, "headers": {"X-CSRF-Token": "{csrf}"}}
            },
        }
    },
    "states": {"signed_in": {"present": {"cookies": {"sid": "{access}"}, "headers": {"X-CSRF-Token": "{csrf}"}}}},
    "keep": [{"headers": {"X-CSRF-Token": "{csrf}"}}],
}


@dataclass
class Server:
    """Sessions, and for each the one token that it takes next. `mute`: how many answers bring none."""

    tokens: dict[str, str] = field(default_factory=dict)
    logins: int = 0
    refused: int = 0
    mute: int = 0
    status: int = 200
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def __call__(self, came: Came) -> Says:
        if came.path == "/login":
            assert b"password=secret" in came.body
            self.logins += 1
            return self.next(f"s{self.logins}", Says(200, {}, {"Set-Cookie": f"sid=s{self.logins}; HttpOnly"}))
        found = re.search(r"sid=(\w+)", came.headers.get("cookie", ""))
        session = found[1] if found else ""
        if session not in self.tokens or came.headers.get("x-csrf-token") != self.tokens[session]:
            self.refused += 1
            return Says(401, {})
        if self.mute:
            self.mute -= 1
            return Says(200, {})
        return self.next(session, Says(self.status, {}, {}))

    def next(self, session: str, says: Says) -> Says:
        self.tokens[session] = f"c{next(self.numbers)}"
        return Says(says.status, says.json, {**says.headers, "X-CSRF-Token": self.tokens[session]})


def session(listener: Listener, **more: Any) -> authflow.AuthSession:
    raw = {**FILE, "base_url": listener.url}
    return authflow.AuthSession(load(raw), username="alice", password="secret", **more)


def test_each_answer_brings_the_next_token(client: Driver, listen: Callable[..., Listener]) -> None:
    server = Server()
    listener = listen(server)
    own = session(listener)
    for method in ("GET", "POST", "GET", "POST"):
        assert client.call(own, f"{listener.url}/data", method).status == 200
    assert (server.logins, server.refused, len(listener.seen())) == (1, 0, 5)


def test_an_answer_that_brings_none_leaves_it_and_one_that_failed_takes_none(
    client: Driver, listen: Callable[..., Listener]
) -> None:
    server = Server(mute=1)
    listener = listen(server)
    own = session(listener)
    assert [client.call(own, f"{listener.url}/data").status for _ in range(2)] == [200, 200]
    server.mute, server.status = 0, 500
    client.call(own, f"{listener.url}/data")  # an error page brings a token that nobody asked for
    server.status = 200
    assert client.call(own, f"{listener.url}/data").status == 200
    assert server.logins == 2


def test_a_session_that_died_is_renewed_and_kept_on(client: Driver, listen: Callable[..., Listener]) -> None:
    server = Server()
    listener = listen(server)
    own = session(listener)
    client.call(own, f"{listener.url}/data")
    server.tokens.clear()
    assert [client.call(own, f"{listener.url}/data").status for _ in range(3)] == [200] * 3
    assert (server.logins, server.refused) == (2, 1)


def test_the_next_process_goes_on_with_the_last_token(
    client: Driver, listen: Callable[..., Listener], tmp_path: Path
) -> None:
    server = Server()
    listener = listen(server)
    with session(listener, store=tmp_path) as own:
        for _ in range(5):
            client.call(own, f"{listener.url}/data")
    assert client.call(session(listener, store=tmp_path), f"{listener.url}/data").status == 200
    assert (server.logins, server.refused) == (1, 0)


def test_it_is_stored_behind_and_at_most_once_a_second(
    client: Driver, listen: Callable[..., Listener], tmp_path: Path
) -> None:
    server, ahead, saves = Server(), [0.0], []

    class Store(authflow.stores.MemoryStore):  # type: ignore[name-defined,misc]
        def save(self, *arguments: Any, **more: Any) -> Any:
            saves.append(ahead[0])
            return super().save(*arguments, **more)

    began = time.time()
    own = session(listener := listen(server), store=Store(), clock=lambda: began + ahead[0])
    client.call(own, f"{listener.url}/data")
    settled(own)
    saves.clear()
    for step in range(30):
        ahead[0] = step / 10
        assert client.call(own, f"{listener.url}/data").status == 200
        settled(own)
    assert 2 <= len(saves) <= 4
    assert (server.logins, server.refused) == (1, 0)


def test_a_session_that_died_is_renewed_whatever_was_kept_meanwhile(listen: Callable[..., Listener]) -> None:
    """A kept value makes no other grant: who had the older one is not told to try the newer, which is as dead."""
    own = session(listener := listen(Server()))
    manager, url = own._manager, f"{listener.url}/data"
    own.token()
    first = manager.grants.current
    assert manager.on_response(first, url, Answer(200, (("X-CSRF-Token", "c9"),))) is None
    assert manager.grants.current.record.captured["csrf"] == "c9"
    again = manager.on_response(first, url, Answer(401))
    assert again is not None
    assert again.wait().record.captured["access"] == "s2"


def test_the_logout_shows_the_last_token_though_it_is_not_stored_yet(listen: Callable[..., Listener]) -> None:
    listener = listen(Server())
    bye = {
        "request": {"url": "bye", "method": "POST", "headers": {"X-CSRF-Token": "{csrf}"}},
        "answers": {"done": {"status": 401}},
    }
    file = {**FILE, "on_logout": "bye", "exchanges": {**FILE["exchanges"], "bye": bye}}  # type: ignore[dict-item]
    own = authflow.AuthSession(load({**file, "base_url": listener.url}), username="alice", password="secret")
    own.token()
    first = own._manager.grants.current
    for number in range(3):
        own._manager.on_response(first, f"{listener.url}/data", Answer(200, (("X-CSRF-Token", f"new-{number}"),)))
    own.logout()
    shown = [came.headers["x-csrf-token"] for came in listener.seen() if came.path == "/bye"]
    assert shown == ["new-2"]


def test_what_another_grant_brought_is_not_kept(listen: Callable[..., Listener]) -> None:
    own = session(listener := listen(Server()))
    own.token()
    first = own._manager.grants.current
    own.login()
    own._manager.on_response(first, f"{listener.url}/data", Answer(200, (("X-CSRF-Token", "of-the-old-one"),)))
    assert own._manager.grants.current.record.captured["csrf"] == "c2"


def settled(own: authflow.AuthSession) -> None:
    """What is stored behind is stored."""
    for flight in list(own._manager.grants.flights._under_way.values()):
        flight.wait()
