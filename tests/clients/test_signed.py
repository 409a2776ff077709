"""Signed requests over every client: signed anew for each send and each hop, and sent three times at most."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import authflow
from tests.clients.drivers import DRIVERS, Driver
from tests.servers import Came, Listener, Says
from tests.signers import SECRET, Strict, installed

Listen = Callable[..., Listener]
CONTENT = b"0123456789" * 200
BODIES = [(driver, kind) for driver in DRIVERS for kind in (*driver.replayable, *driver.one_shot)]


@pytest.fixture(autouse=True)
def signer() -> Iterator[None]:
    with installed():
        yield


def session(url: str, *declared: str, **more: Any) -> authflow.AuthSession:
    """A session whose logins and requests are signed."""
    vendor = {
        "name": "strict",
        "extends": "relogin",
        "base_url": f"{url}/",
        "origins": {"present": list(declared)},
        "credentials": {"secret": {"secret": True}},
        "sign": {"nonced": {"secret": "{secret}"}},
        "exchanges": {
            "login": {
                "request": {"url": "login", "json": {"username": "{username}", "password": "{password}"}},
                "answers": {"granted": {"status": 200, "json": {"token": "{access}"}}},
            }
        },
        **more,
    }
    return authflow.AuthSession(vendor, username="demo", password="open-sesame", secret=SECRET)


def logins(came: Came) -> Says:
    return Says(200, {"token": "t-1"}) if came.path == "/login" else Says(200, {"received": len(came.body)})


def test_the_first_answer_says_what_is_signed_and_then_each_request_goes_once(client: Driver, listen: Listen) -> None:
    server = Strict(logins)
    url = listen(server).url
    one = session(url)
    assert [client.call(one, f"{url}/data?a={number}").status for number in range(3)] == [200] * 3
    assert server.log == [("/login", 401), ("/login", 200), *[("/data", 200)] * 3]
    assert len(set(server.keys)) == 1


def test_nonces_that_turn_are_heard(client: Driver, listen: Listen) -> None:
    server = Strict(logins, turns=2)
    url = listen(server).url
    one = session(url)
    assert [client.call(one, f"{url}/data").status for _ in range(6)] == [200] * 6
    assert len([status for path, status in server.log if path == "/data" and status == 401]) > 1


def test_a_request_is_sent_three_times_at_most(client: Driver, listen: Listen) -> None:
    server = Strict(logins)
    url = listen(server).url
    one = session(url)
    one.token()
    server.log.clear()
    server.turns = 0
    assert client.call(one, f"{url}/data").status == 401
    assert server.log == [("/data", 401)] * 3


def test_another_nonce_and_another_token_make_three_sends(client: Driver, listen: Listen) -> None:
    tokens = iter(["t-1", "t-2"])

    def says(came: Came) -> Says:
        if came.path == "/login":
            return Says(200, {"token": next(tokens)})
        return Says(200 if came.headers["authorization"] == "Bearer t-2" else 401)

    server = Strict(says)
    url = listen(server).url
    one = session(url)
    one.token()
    server.number += 1
    server.log.clear()
    assert client.call(one, f"{url}/data").status == 200
    assert server.log == [("/data", 401), ("/data", 401), ("/login", 200), ("/data", 200)]


@pytest.mark.parametrize(("client", "kind"), BODIES, ids=lambda part: getattr(part, "name", part))
def test_every_kind_of_body_is_signed(client: Driver, kind: str, listen: Listen, tmp_path: Path) -> None:
    server = Strict(logins)
    listener = listen(server)
    one = session(listener.url)
    one.token()
    server.number += 1
    body = {**client.replayable, **client.one_shot}[kind]
    once = kind in client.one_shot
    statuses = [
        client.call(one, f"{listener.url}/data", "POST", **body(CONTENT, tmp_path)).status for _ in range(1 + once)
    ]
    # What cannot be sent twice is not: its answer is the caller's, and the next request knows the nonce.
    assert statuses == ([401, 200] if once else [200])
    assert all(CONTENT in came.body for came in listener.seen() if came.path == "/data")
    if kind not in ("file", "multipart"):  # which some clients read only as they send
        assert bool(server.unseen) is once


def test_each_hop_is_signed_anew_and_only_where_the_token_may_go(client: Driver, listen: Listen) -> None:
    away = listen(lambda came: Says(200))
    hops = {"/moved": "/data?b=2", "/gone": away.url}
    server = Strict(
        lambda came: Says(302, headers={"Location": hops[came.path]}) if came.path in hops else logins(came)
    )
    url = listen(server).url
    one = session(url)
    assert client.call(one, f"{url}/moved").status == 200
    assert server.log[-2:] == [("/moved", 302), ("/data", 200)]
    assert client.call(one, f"{url}/gone").status == 200
    assert [came.headers.get("x-sign") for came in away.seen()] == [None]


def test_a_hop_at_another_declared_origin_is_signed_for_it(client: Driver, listen: Listen) -> None:
    other = Strict()
    there = listen(other).url
    server = Strict(
        lambda came: Says(302, headers={"Location": f"{there}/data"}) if came.path == "/moved" else logins(came)
    )
    url = listen(server).url
    one = session(url, there)
    assert [client.call(one, f"{url}/moved").status for _ in range(2)] == [200, 200]
    assert other.log == [("/data", 401), ("/data", 200), ("/data", 200)]
