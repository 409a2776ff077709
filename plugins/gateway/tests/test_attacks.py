"""A gateway as an attacker sees it: raw bytes go in, and what reaches the vendor is looked at byte by byte.

Every row of SMUGGLED is refused, or is one harmless request at the vendor; never a second one, never another path.
"""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.servers import PASSWORD, Came, Listener, Says, listening

from .conftest import ROUTE, Gateway, running
from .test_gateway import TOKEN

FILE = """
name = "acme"
extends = "password"
base_url = "{url}/api/"
[exchanges.login]
request = {{ url = "login", json = {{ user = "{{username}}", pass = "{{password}}" }} }}
answers.granted = {{ json = {{ token = "{{access}}", renew = "{{refresh}}" }}, cookies = {{ sid = "{{sid}}" }} }}
[exchanges.refresh]
request = {{ url = "renew", json = {{ renew = "{{refresh}}" }} }}
answers = "login"
[states.signed_in]
present = {{ headers = {{ X-Token = "{{access}}" }}, cookies = {{ sid = "{{sid}}" }} }}
"""
REFRESH, SID = "rfr-00aa11bb22cc33dd44", "sid-99zz88yy77xx66ww55"
SECRETS = (TOKEN, REFRESH, SID, PASSWORD)


def spelled() -> dict[str, str]:
    """Headers that tell a secret, each in a way of its own."""
    told = {
        "X-Plain": TOKEN,
        "X-Bearer": f"Bearer {TOKEN}",
        "X-Base64": base64.b64encode(f"user:{TOKEN}".encode()).decode(),
        "X-Url": quote(TOKEN.replace("-", "%2D"), safe="%"),
        "X-Hex": TOKEN.encode().hex(),
        "X-Json": json.dumps({"t": TOKEN}),
        "X-Refresh": REFRESH,
        "X-Sid": f"sid={SID}; Path=/",
        "Link": f"</api/me?token={TOKEN}>; rel=next",
        "ETag": f'"{TOKEN}"',
        "Content-Location": f"/api/me?sid={SID}",
        "Refresh": f"5; url=/api/me?t={TOKEN}",
        "Server-Timing": f'auth;desc="{TOKEN}"',
        "Access-Control-Allow-Origin": f"https://{TOKEN}.example",
    }
    return {**told, f"X-{TOKEN}": "in a name"}


def says(came: Came) -> Says:
    if came.path.endswith(("/login", "/renew")):
        return Says(json={"token": TOKEN, "renew": REFRESH}, headers={"Set-Cookie": f"sid={SID}"})
    if came.path.endswith("/echo"):
        return Says(json={}, headers={**spelled(), "X-Harmless": "stays", "Authentication-Info": 'nextnonce="1"'})
    if came.path.endswith("/moved"):
        return Says(302, headers={"Location": f"me?token={TOKEN}"}, body=b"")
    return Says(json={"path": came.target})


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Listener]]:
    folder = tmp_path_factory.mktemp("attacked")
    with listening(says) as vendor:
        (folder / "acme.toml").write_text(FILE.format(url=vendor.url), "utf-8")
        account = '[accounts.supplier]\nvendor = "acme.toml"\nstore = "memory"\nusername = "demo"\n'
        route = ROUTE.replace('"me"', '"*"') + "forwarded = true\ntimeout = 5\nmax_body = 100000\n"
        passing = route.replace("/supplier/", "/passing/").replace('"POST"', '"HEAD"') + 'redirects = "pass"\n'
        with running(folder, account + 'password = { env = "P" }\n', route + passing, P=PASSWORD) as gateway:
            with gateway.client() as client:
                assert client.get("/supplier/me").status_code == 200
            vendor.seen()
            yield gateway, vendor


def raw(gateway: Gateway, data: bytes, wait: float = 20.0) -> bytes:
    """All that comes back, until the gateway closes or says nothing for a second after its first answer."""
    place = urlsplit(gateway.url)
    heard = b""
    with closing(socket.create_connection((place.hostname or "", place.port or 0), timeout=wait)) as wire:
        wire.sendall(data)
        try:
            while part := wire.recv(65536):
                heard += part
                wire.settimeout(1.0)
        except (TimeoutError, ConnectionError):
            pass
    return heard


def statuses(heard: bytes) -> list[int]:
    return [int(part[:3]) for part in heard.split(b"HTTP/1.1 ")[1:] if part[:3] != b"100"]


INNER = "GET /supplier/stolen HTTP/1.1\r\nHost: x\r\n\r\n"
SMUGGLED = {
    "CL.TE": f"Content-Length: {len(INNER) + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{INNER}",
    "TE.CL": f"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n{INNER}\r\n0\r\n\r\n",
    "TE.TE": f"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n{INNER}",
    "TE in capitals and a tab": f"Transfer-Encoding:\tCHUNKED\r\nContent-Length: 6\r\n\r\n0\r\n\r\nX{INNER}",
    "an unknown coding": f"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{INNER}",
    "two codings": f"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{INNER}",
    "a blank before the colon": f"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{INNER}",
    "two lengths": f"Content-Length: 0\r\nContent-Length: 44\r\n\r\n{INNER}",
    "two lengths in one": f"Content-Length: 0, 44\r\n\r\n{INNER}",
    "a length with a sign": f"Content-Length: +5\r\n\r\nhello{INNER}",
    "a negative length": f"Content-Length: -1\r\n\r\n{INNER}",
    "a length in hex": f"Content-Length: 0x5\r\n\r\nhello{INNER}",
    "a length with an underscore": f"Content-Length: 1_0\r\n\r\nhellohello{INNER}",
    "a folded line": f"X-A: b\r\n Content-Length: 5\r\n\r\n{INNER}",
    "a folded coding": f"Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{INNER}",
    "a bare CR": f"X-A: b\rContent-Length: 5\r\n\r\n{INNER}",
    "a NUL": f"X-A: b\x00c\r\n\r\n{INNER}",
    "a name with a blank": f"X A: b\r\n\r\n{INNER}",
    "no colon": f"Nonsense\r\n\r\n{INNER}",
    "a negative chunk": f"Transfer-Encoding: chunked\r\n\r\n-1\r\n{INNER}",
    "an endless chunk": f"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffffffffff\r\n{INNER}",
    "a chunk that ends in a bare LF": f"Transfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n{INNER}",
    "two hosts": f"Host: y\r\n\r\n{INNER}",
    "the next request has no key": f"Content-Length: 0\r\n\r\n{INNER}",
}


@pytest.mark.parametrize("name", list(SMUGGLED))
def test_nothing_is_smuggled(both: tuple[Gateway, Listener], name: str) -> None:
    gateway, vendor = both
    vendor.seen()
    head = f"POST /supplier/me HTTP/1.1\r\nHost: x\r\nX-Gateway-Key: {gateway.key}\r\n"
    heard = raw(gateway, (head + SMUGGLED[name]).encode("latin-1"))
    came = vendor.seen()
    assert [one.path for one in came if one.path != "/api/me"] == []
    assert len(came) <= 1
    assert set(statuses(heard)) <= {200, 400, 401, 404, 501}
    assert statuses(heard).count(200) == len(came)
    assert b"stolen" not in heard


TARGETS = {
    "GET http://evil.example/supplier/me": 400,
    "GET //evil.example/supplier/me": 400,
    "GET /supplier/../healthz": 400,
    "GET /supplier/%2e%2e/x": 400,
    "GET /supplier/.%2e/x": 400,
    "GET /supplier/%252e%252e/x": 400,
    "GET /supplier/%c0%ae%c0%ae/x": 400,
    "GET /supplier/%ef%bc%8e%ef%bc%8e/x": 400,
    "GET /supplier/echo/..%5cme": 400,
    "GET /supplier/echo/a%2f..%2fme": 400,
    "GET /supplier/echo/a%252fme": 400,
    "GET /supplier/echo/a\\me": 400,
    "GET /supplier/echo/%0d%0aX-Evil:%201": 400,
    "GET /supplier/echo/..;a=b/me": 400,
    "GET /supplier/echo/%2e;a/me": 400,
    "GET /supplier/echo//me": 400,
    "GET /SUPPLIER/me": 404,
    "GET /%73upplier/me": 404,
    "GET /supplierx/me": 404,
    "GET /supplier": 404,
    "OPTIONS *": 400,
    "CONNECT vendor:443": 400,
    "TRACE /supplier/me": 405,
    "get /supplier/me": 405,
    "GET /supplier/a/b/c": 403,
    "GET /supplier/Deliveries/42": 403,
    "GET /supplier/deliver%69es/42": 403,
    "GET /supplier/deliveries;a=b/42": 403,
    "GET /supplier/deliveries./42": 403,
    "GET /supplier/deliveries%20/42": 403,
    "GET /supplier/deliveries%00/42": 400,
    "GET /supplier/deliveries/42/": 403,
    "GET /supplier/deliveries/": 403,
    "GET /supplier/echo/..%3b/me": 400,
    "GET /supplier/echo/%2e%2e%3ba": 400,
    "GET /supplier/echo/%252e%252e%253b/me": 400,
    "GET /supplier/echo/%e2%80%a5/me": 400,
    "GET /supplier/echo/%ef%bc%8fme": 400,
    "GET /supplier/echo/%5c%5cevil.example/x": 400,
    "GET /supplier/echo/a%09b": 400,
    "GET /supplier/echo/%7f": 400,
    "GET /supplier/me#x": 400,
    "GET /healthz/../supplier/me": 400,
    "GET /healthz%2f..%2fsupplier/me": 400,
    "GET supplier/me": 400,
    "GET http:/supplier/me": 400,
    "GET https://x/supplier/me": 400,
    "GeT /supplier/me": 405,
    "DELETE /supplier/me": 405,
    "HEAD /supplier/me": 405,
    "PROPFIND /supplier/me": 405,
    "M-SEARCH /supplier/me": 405,
    "OPTIONS /supplier/me": 405,
}


@pytest.mark.parametrize("target", list(TARGETS))
def test_no_target_leads_elsewhere(both: tuple[Gateway, Listener], target: str) -> None:
    gateway, vendor = both
    vendor.seen()
    head = f"{target} HTTP/1.1\r\nHost: x\r\nX-Gateway-Key: {gateway.key}\r\nConnection: close\r\n\r\n"
    assert statuses(raw(gateway, head.encode("latin-1"))) == [TARGETS[target]]
    assert vendor.seen() == []


def test_what_a_caller_says_of_itself_goes_no_further(both: tuple[Gateway, Listener]) -> None:
    """Its key and cookies, hop-by-hop headers, those that `Connection` lists, other methods and hosts by a header."""
    gateway, vendor = both
    headers = {
        "Cookie": "mine=1; sid=evil",
        "Authorization": "Bearer mine-mine-mine",
        "X-Token": "mine",
        "Host": 'evil.example";by="evil',
        "Forwarded": "for=1.2.3.4",
        "X-Forwarded-For": "1.2.3.4",
        "X-Forwarded-Host": "evil.example",
        "X-HTTP-Method-Override": "DELETE",
        "X-Original-URL": "/api/admin",
        "X-Rewrite-URL": "/api/admin",
        "Proxy": "http://evil.example",
        "Proxy-Authorization": "Basic bWluZTptaW5l",
        "TE": "trailers",
        "Upgrade": "h2c",
        "HTTP2-Settings": "AAMAAABkAARAAAAAAAIAAAAA",
        "X-Listed": "gone",
        "Connection": "close, upgrade, HTTP2-Settings, X-Listed, X-Token, Via, Cookie",
        "Expect": "100-continue",
        "X-Mine": "stays",
    }
    vendor.seen()
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"GET /supplier/me?a=1%0d%0aX-Evil:%201 HTTP/1.1\r\nX-Gateway-Key: {gateway.key}\r\n{lines}\r\n"
    heard = raw(gateway, head.encode())
    (came,) = vendor.seen()
    assert statuses(heard) == [200]
    for name in (
        "authorization",
        "upgrade",
        "te",
        "x-listed",
        "expect",
        "proxy",
        "proxy-authorization",
        "x-gateway-key",
    ):
        assert name not in came.headers
    for name in ("x-http-method-override", "x-original-url", "x-rewrite-url", "x-forwarded-for", "x-forwarded-host"):
        assert name not in came.headers
    assert "evil" not in came.everything.replace("X-Evil", "")
    assert "mine-mine" not in came.everything
    assert (came.headers["x-token"], came.headers["cookie"], came.headers["x-mine"]) == (TOKEN, f"sid={SID}", "stays")
    assert came.headers["forwarded"] == 'for="127.0.0.1";proto=http'
    assert came.target == "/api/me?a=1%0d%0aX-Evil:%201"


def test_no_header_of_an_answer_tells_a_secret(both: tuple[Gateway, Listener]) -> None:
    gateway, _ = both
    with gateway.client() as client:
        for path in ("/supplier/echo", "/passing/echo"):
            answer = client.get(path)
            assert answer.headers["x-harmless"] == "stays"
            told = {name.lower() for name in spelled()}
            assert [name for name in answer.headers if name in told] == []
            assert {"set-cookie", "authentication-info"} & set(answer.headers) == set()
        moved = client.get("/passing/moved")
        assert (moved.status_code, TOKEN in str(moved.headers)) == (302, False)


def test_large_and_many_headers_are_refused(both: tuple[Gateway, Listener]) -> None:
    gateway, vendor = both
    vendor.seen()
    head = f"GET /supplier/me HTTP/1.1\r\nHost: x\r\nX-Gateway-Key: {gateway.key}\r\n"
    large = head + f"X-Large: {'a' * 200_000}\r\n\r\n"
    many = head + "".join(f"X-{number}: {'b' * 50}\r\n" for number in range(5000)) + "\r\n"
    for data in (large, many, "GET /" + "c" * 200_000 + " HTTP/1.1\r\n\r\n"):
        assert set(statuses(raw(gateway, data.encode()))) <= {400}
    assert vendor.seen() == []


def test_slow_callers_are_not_waited_for(both: tuple[Gateway, Listener]) -> None:
    """A body that comes slowly has the route's time (5 s here), a head 20 s; others are served meanwhile."""
    gateway, vendor = both
    place = urlsplit(gateway.url)
    head = f"POST /supplier/me HTTP/1.1\r\nHost: x\r\nX-Gateway-Key: {gateway.key}\r\n"
    wires = [socket.create_connection((place.hostname or "", place.port or 0), timeout=60) for _ in range(4)]
    wires[0].sendall(f"{head}Content-Length: 1000\r\n\r\n".encode())
    wires[1].sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
    wires[2].sendall(head.encode())
    vendor.seen()
    began, ended = time.monotonic(), dict[int, float]()
    with gateway.client() as client:
        while time.monotonic() < began + 60 and len(ended) < 4:
            assert client.get("/supplier/me").status_code == 200
            for number, wire in enumerate(wires):
                if number in ended:
                    continue
                wire.settimeout(0.2)
                try:
                    heard: Any = wire.recv(4096)
                except TimeoutError:
                    drip = [b"x", b"1\r\nx\r\n", b"X-Slow: 1\r\n", b"G"][number]
                    try:
                        wire.sendall(drip if number != 3 else b"")
                    except OSError:
                        heard = b""
                    else:
                        continue
                except OSError:
                    heard = b""
                ended[number] = time.monotonic() - began
                assert heard == b"" or statuses(heard) == [408]
    for wire in wires:
        wire.close()
    assert len(ended) == 4, ended


def test_an_upgrade_to_a_web_socket_is_a_request_like_others(both: tuple[Gateway, Listener]) -> None:
    gateway, vendor = both
    vendor.seen()
    lines = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    lines += "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    stranger = raw(gateway, f"GET /supplier/me HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
    known = raw(
        gateway, f"GET /supplier/me HTTP/1.1\r\nHost: x\r\nX-Gateway-Key: {gateway.key}\r\n{lines}\r\n".encode()
    )
    assert (statuses(stranger), statuses(known)) == ([401], [200])
    (came,) = vendor.seen()
    assert "upgrade" not in came.headers


def test_nothing_of_all_this_is_in_the_log(both: tuple[Gateway, Listener], tmp_path: Path) -> None:
    gateway, _ = both
    log = gateway.log()
    for secret in (*SECRETS, gateway.key):
        assert secret not in log
