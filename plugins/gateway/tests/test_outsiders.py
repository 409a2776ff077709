"""What an outsider tries at a gateway beside the rows of `test_attacks`: old protocols, odd heads, and no patience."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.servers import PASSWORD, Came, Listener, Says, listening

from .conftest import ROUTE, Gateway, command, running
from .test_attacks import INNER, TOKEN, both, raw, statuses
from .test_gateway import acme
from .test_operation import until

__all__ = ["both"]  # the fixture
Both = tuple[Gateway, Listener]


def head(gateway: Gateway, method: str = "GET", path: str = "/supplier/me", version: str = "1.1") -> str:
    return f"{method} {path} HTTP/{version}\r\nX-Gateway-Key: {gateway.key}\r\n"


def test_http_1_0_is_answered_without_chunks(both: Both) -> None:
    gateway, vendor = both
    vendor.seen()
    heard = raw(gateway, f"{head(gateway, version='1.0')}\r\n{INNER}".encode())
    assert statuses(heard) == [200]  # and the connection is closed: what follows is no request
    assert b"chunked" not in heard.lower()
    assert [came.path for came in vendor.seen()] == ["/api/me"]


@pytest.mark.parametrize(
    ("host", "status"), [("", 400), ("Host:\r\n", 200), ("Host: a b\r\n", 200), ("Host: x\r\nHost: x\r\n", 400)]
)
def test_a_host_that_is_none(both: Both, host: str, status: int) -> None:
    gateway, vendor = both
    vendor.seen()
    heard = raw(gateway, f"{head(gateway)}{host}Connection: close\r\n\r\n".encode())
    assert statuses(heard) in ([status], [400])
    for came in vendor.seen():
        assert "host=" not in came.headers["forwarded"]
        assert came.headers["host"] in vendor.url


def test_head_and_options_leave_the_connection_in_step(both: Both) -> None:
    gateway, vendor = both
    vendor.seen()
    asked = [head(gateway, "HEAD", "/passing/me"), head(gateway), head(gateway, "HEAD", "/supplier/me"), head(gateway)]
    heard = raw(gateway, "".join(f"{one}Host: x\r\n\r\n" for one in asked).encode())
    assert statuses(heard) == [200, 200, 405, 200]
    assert [came.method for came in vendor.seen()] == ["HEAD", "GET", "GET"]
    without = raw(gateway, b"OPTIONS /supplier/me HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.example\r\n\r\n")
    assert statuses(without) == [401]
    assert b"access-control" not in without.lower()


def test_who_is_denied_is_not_told_to_continue(both: Both) -> None:
    gateway, vendor = both
    vendor.seen()
    expects = f"Host: x\r\nExpect: 100-continue\r\nContent-Length: {len(INNER)}\r\n\r\n"
    unknown = raw(gateway, f"POST /supplier/me HTTP/1.1\r\n{expects}{INNER}".encode())
    denied = raw(gateway, f"{head(gateway, 'POST', '/supplier/a/b')}{expects}{INNER}".encode())
    assert (statuses(unknown), statuses(denied)) == ([401], [403])
    assert b" 100 " not in unknown + denied
    assert vendor.seen() == []
    place = urlsplit(gateway.url)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=20) as wire:
        wire.sendall(f"{head(gateway, 'POST')}{expects}".encode())
        assert b"100" in wire.recv(4096)
        wire.sendall(INNER.encode())
        assert b" 200 " in wire.recv(65536)
    (came,) = vendor.seen()
    assert came.body.decode() == INNER


@pytest.mark.parametrize("named", ["X_Token", "x_token", "X_HTTP_METHOD_OVERRIDE", "X_Forwarded_For", "Authorization_"])
def test_a_name_with_an_underscore_goes_no_further(both: Both, named: str) -> None:
    """A WSGI server would read it as the header that the account presents."""
    gateway, vendor = both
    vendor.seen()
    assert statuses(raw(gateway, f"{head(gateway)}Host: x\r\n{named}: mine\r\nX-Mine: 1\r\n\r\n".encode())) == [200]
    (came,) = vendor.seen()
    assert "mine" not in came.everything.replace("x-mine", "")
    assert (came.headers["x-token"], came.headers["x-mine"]) == (TOKEN, "1")


@pytest.mark.parametrize(
    "listed", ["authorization", "X-Token, Cookie", "X-Gateway-Key", "Host", "Content-Length, close"]
)
def test_what_connection_lists_takes_nothing_of_the_vendors_away(both: Both, listed: str) -> None:
    gateway, vendor = both
    vendor.seen()
    lines = f"Host: x\r\nConnection: {listed}\r\nContent-Length: 5\r\nAuthorization: Bearer mine\r\n\r\nhello"
    assert statuses(raw(gateway, f"{head(gateway, 'POST')}{lines}".encode())) == [200]
    (came,) = vendor.seen()
    assert (came.headers["x-token"], came.body) == (TOKEN, b"hello")
    assert "authorization" not in came.headers


def test_the_longer_of_two_routes_counts(tmp_path: Path) -> None:
    """Else a wide one before it would lend what the narrow one denies."""
    narrow = ROUTE.replace("/supplier/", "/supplier/echo/").replace('"GET", "POST"', '"GET"')
    with (
        listening(lambda came: Says(json={"token": TOKEN, "path": came.path})) as vendor,
        running(tmp_path, acme(tmp_path, vendor.url), ROUTE + narrow, P=PASSWORD) as gateway,
        gateway.client() as client,
    ):
        assert client.post("/supplier/me").json()["path"] == "/api/me"
        assert client.get("/supplier/echo/me").json()["path"] == "/api/me"
        assert client.post("/supplier/echo/me").status_code == 405
        assert client.get("/supplier/echo/elsewhere").status_code == 403


@contextmanager
def long_answers(folder: Path, go: threading.Event) -> Iterator[tuple[Gateway, Listener]]:
    """`silent` says one byte and then nothing until `go`; `big` is larger than all buffers on the way."""

    def says(came: Came) -> Says:
        if came.path.endswith("/login"):
            return Says(json={"token": TOKEN})
        if came.path.endswith("/silent"):
            return Says(body=b"x" * 70_000, then=lambda: go.wait(60))
        if came.path.endswith("/waits"):
            go.wait(60)
        return Says(body=b"y" * (40 << 20 if came.path.endswith("/big") else 9))

    route = ROUTE.replace('"me"', '"*"') + "timeout = 30\n"
    quick = route.replace("/supplier/", "/quick/").replace("timeout = 30", "timeout = 1.5")
    try:
        with (
            listening(says) as vendor,
            running(folder, acme(folder, vendor.url), route + quick, P=PASSWORD) as gateway,
        ):
            yield gateway, vendor
    finally:
        go.set()


def test_what_is_open_ends_with_its_key(tmp_path: Path) -> None:
    """A stream is cut, who waits gets 401; whoever has another key goes on."""
    go = threading.Event()
    with long_answers(tmp_path, go) as (gateway, _), ThreadPoolExecutor(3) as threads:
        other = command(tmp_path, "key", "add", "other", env=gateway.env).stdout.strip()

        def ask(key: str, path: str) -> str:
            try:
                answer = httpx.get(f"{gateway.url}/supplier/{path}", headers={"X-Gateway-Key": key}, timeout=60)
            except httpx.RemoteProtocolError:
                return "cut"
            return f"{answer.status_code} {len(answer.content)}"

        with gateway.client() as client, client.stream("GET", "/supplier/silent") as streamed:
            parts = streamed.iter_raw()
            assert next(parts) == b"x"
            kept, cut = threads.submit(ask, other, "silent"), threads.submit(ask, gateway.key, "silent")
            waits = threads.submit(ask, gateway.key, "waits")
            time.sleep(0.5)  # until all three are at the vendor
            assert command(tmp_path, "key", "revoke", "salesforce", env=gateway.env).returncode == 0
            with pytest.raises(httpx.RemoteProtocolError):
                next(parts)
        assert cut.result(timeout=30) == "cut"
        assert waits.result(timeout=30).startswith("401 ")
        assert not kept.done()
        go.set()
        assert kept.result(timeout=30) == "200 70000"
        until(lambda: gateway.log().count("/supplier/silent") == 3)
        log = gateway.log()
    assert "Traceback" not in log
    audited = [line.partition("INFO ")[2] for line in log.splitlines() if "/silent" in line]
    assert [json.loads(line)["caller"] for line in audited] == ["salesforce", "salesforce", "other"]


def test_an_answer_that_nobody_reads_and_one_that_stops_are_cut(tmp_path: Path) -> None:
    go = threading.Event()
    with long_answers(tmp_path, go) as (gateway, _), gateway.client() as client:
        place = urlsplit(gateway.url)
        with socket.create_connection((place.hostname or "", place.port or 0), timeout=30) as wire:
            wire.sendall(f"{head(gateway, path='/quick/big')}Host: x\r\n\r\n".encode())
            time.sleep(4)  # it reads nothing for longer than the route's time-out
            heard = 0
            try:
                while part := wire.recv(1 << 20):
                    heard += len(part)
            except ConnectionError:
                pass
        assert heard < 40 << 20
        assert client.get("/supplier/me").status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("/quick/silent")
        log = gateway.log()
    assert "Traceback" not in log
    assert TOKEN not in log


def test_a_body_that_turns_out_too_large_is_refused(both: Both) -> None:
    gateway, vendor = both
    vendor.seen()
    chunk = f"{10_000:x}\r\n{'z' * 10_000}\r\n" * 11
    heard = raw(
        gateway, f"{head(gateway, 'POST')}Host: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n".encode()
    )
    assert statuses(heard) == [413]
    assert all(len(came.body) < 110_000 for came in vendor.seen())


# --- the promises, for callers ----------------------------------------------------------------------------------------


def test_forbidden_paths_bodies_and_outages_as_the_promises_say(tmp_path: Path) -> None:
    logins, sent, away = [0], list[int](), threading.Event()

    def says(came: Came) -> Says:
        if came.path.endswith("/login"):
            logins[0] += 1
            return Says(503, {}) if away.is_set() else Says(json={"token": f"{TOKEN}-{logins[0]}"})
        sent.append(len(came.body))
        good = not came.path.endswith(("/forbidden", "/old")) or (
            came.path.endswith("/old") and not came.headers["authorization"].endswith("-1")
        )
        return Says(200, {}) if good else Says(401, {})

    route = ROUTE.replace('"me"', '"*"')
    with (
        listening(says) as vendor,
        running(tmp_path, acme(tmp_path, vendor.url), route, P=PASSWORD) as gateway,
        gateway.client() as client,
    ):
        large = client.post("/supplier/old", content=b"l" * 100_000)  # 9: it is streamed, so it is sent once
        assert (large.status_code, sent) == (502, [100_000])
        sent.clear()
        assert client.post("/supplier/old", content=b"s" * 100).status_code == 200  # 5: healed, at most two sends
        assert sent in ([100, 100], [100])
        away.set()  # 6: while a token is good, nobody asks for another
        assert [client.get("/supplier/me").status_code for _ in range(5)] == [200] * 5
        away.clear()
        before = logins[0]
        with ThreadPoolExecutor(8) as threads:  # 1: what may not be read is no reason to log in again and again
            paths = ["forbidden", "me"] * 30
            found = list(threads.map(lambda path: client.get(f"/supplier/{path}").status_code, paths))
        assert set(found) == {200, 502}
        assert found.count(200) == 30
        assert logins[0] - before <= 7
        assert client.get("/supplier/me?private=1").status_code == 200
        log = gateway.log()
    assert "Traceback" not in log
    assert "private" not in log  # httpx would tell each URL, with its query
