"""URLs that hang on what a login brings: the login comes first, and a second login may move them once more."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pytest

import authflow
from tests.clients.drivers import Driver


class Moving(http.server.ThreadingHTTPServer):
    """Each login gets another zone, and the next of `sites`; `revoked` tokens are rejected. `seen`: the paths of the
    data, and who asked.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        self.logins = 0
        self.revoked: set[str] = set()
        self.seen: list[tuple[str, str]] = []
        self.sites = [self.url]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Moving

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.logins += 1
        site = self.server.sites[min(self.server.logins, len(self.server.sites)) - 1]
        self.answer(200, {"token": f"t{self.server.logins}", "zone": f"z{self.server.logins}", "site": site})

    def do_GET(self) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.server.seen.append((self.path, token))
        self.answer(401 if token in self.server.revoked else 200, {})

    def answer(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def serving() -> Iterator[Moving]:
    with Moving() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def moving() -> Iterator[Moving]:
    with serving() as server:
        yield server


def test_a_rewrite_that_needs_a_captured_value_waits_for_the_login(client: Driver, moving: Moving) -> None:
    login = {
        "request": {"url": "login", "json": {"u": "{username}", "p": "{password}"}},
        "answers": {"granted": {"json": {"token": "{access}", "zone": "{zone}"}}},
    }
    file = {
        "extends": "relogin",
        "name": "moving",
        "base_url": moving.url,
        "exchanges": {"login": login},
        "rewrites": [{"from": "v1/{rest:path}", "to": "{zone}/v1/{rest:path}"}],
    }
    session = authflow.AuthSession(file, username="u", password="p")
    assert client.call(session, f"{moving.url}v1/a/b?c=d").status == 200
    moving.revoked.add("t1")
    assert client.call(session, f"{moving.url}v1/e").status == 200
    moving.revoked.add("t2")
    assert client.call(session, f"{moving.url}other").status == 200
    assert moving.seen == [
        ("/z1/v1/a/b?c=d", "t1"),
        *[("/z1/v1/e", "t1"), ("/z2/v1/e", "t2")],
        *[("/other", "t2"), ("/other", "t3")],
    ]


@pytest.mark.parametrize("untrusted", ["raise", "pass"])
def test_a_login_that_leads_elsewhere_gives_nothing_to_where_the_last_one_led(
    client: Driver, moving: Moving, untrusted: Literal["raise", "pass"]
) -> None:
    with serving() as old, serving() as new:
        moving.sites = [old.url, new.url]
        login = {
            "request": {"url": "login", "json": {"u": "{username}", "p": "{password}"}},
            "answers": {"granted": {"json": {"token": "{access}", "site": "{base_url}"}}},
        }
        file = {"extends": "relogin", "name": "led", "base_url": moving.url, "exchanges": {"login": login}}
        session = authflow.AuthSession(file, username="u", password="p", untrusted=untrusted)
        session.login()
        assert client.call(session, f"{old.url}a").status == 200
        old.revoked.add("t1")
        if untrusted == "raise":
            with pytest.raises(authflow.UntrustedOrigin):
                client.call(session, f"{old.url}b")
        else:
            client.call(session, f"{old.url}b")
        assert client.call(session, f"{new.url}c").status == 200
        assert {token for _, token in old.seen} <= {"t1", ""}
        assert new.seen == [("/c", "t2")]
