"""What odd callers send and odd vendors answer: nobody gets a 500, and nothing crosses from one side to the other."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import pytest

from authflow_gateway.forwarding import located, plain
from tests.servers import PASSWORD

from .conftest import ROUTE, Gateway, running
from .test_attacks import FILE, SID, raw, statuses
from .test_gateway import TOKEN
from .test_wire import SECOND

ANSWERS = {
    "101": "101 Switching Protocols\nConnection: Upgrade\nUpgrade: x\n\n",
    "two-lengths": "200 OK\nContent-Length: 2\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n",
    "not-modified": "304 Not Modified\nContent-Length: 99\n\n",
    "reset": "205 Reset Content\nContent-Length: 0\n\n",
    "snow": "302 Found\nLocation: /api/\xe2\x98\x83\nContent-Length: 0\n\n",
    "bracket": "302 Found\nLocation: http://[::1/x\nContent-Length: 0\n\n",
    "port": "302 Found\nLocation: http://a:99999999/x\nContent-Length: 0\n\n",
    "latin": "200 OK\nX-Who: M\xfcller\nContent-Length: 0\n\n",
    "999": "999 Odd\nContent-Length: 0\n\n",
    "520": "520 Odd\nContent-Length: 0\n\n",
    "loop": "302 Found\nLocation: loop\nContent-Length: 0\n\n",
    "307": "307 Temporary Redirect\nLocation: me\nContent-Length: 0\n\n",
    "gzip": "200 OK\nContent-Encoding: gzip\nContent-Length: 5\n\nnogzp",
    "sets": "302 Found\nSet-Cookie: who=A; Path=/\nLocation: me\nContent-Length: 0\n\n",
    "moved": "302 Found\nLocation: me\nContent-Length: 0\n\n",
    "proxied": "200 OK\nX-Accel-Redirect: /internal\nX-Sendfile: /etc/passwd\nX-Accel-Expires: 9\nX-Reproxy-URL: /x\n"
    "Clear-Site-Data: *\nOptional-WWW-Authenticate: Basic\nX-Forwarded-Host: a\nContent-Length: 0\n\n",
}


class Vendor(NamedTuple):
    url: str
    heads: list[str]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Vendor]]:
    folder, heads = tmp_path_factory.mktemp("odd"), list[str]()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"] or 0))
            name = self.path.partition("?")[0].rpartition("/")[2]
            answer = ANSWERS.get(name, "200 OK\nContent-Length: 2\n\n{}")
            if name in ("login", "renew"):
                said = json.dumps({"token": TOKEN, "renew": "rfr-00aa11bb22cc33dd44"})
                answer = f"200 OK\nSet-Cookie: sid={SID}\nContent-Length: {len(said)}\n\n{said}"
            else:
                lines = "".join(f"{name.lower()}: {value}\n" for name, value in self.headers.raw_items())
                heads.append(f"{self.requestline}\n{lines}{len(body)}")
            self.wfile.write(f"HTTP/1.1 {answer}".replace("\n", "\r\n").encode("latin-1"))

        do_POST = do_GET

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        (folder / "acme.toml").write_text(FILE.format(url=url), "utf-8")
        route = ROUTE.replace('"me"', '"**"') + "timeout = 5\n"
        passing = route.replace("/supplier/", "/passing/") + 'redirects = "pass"\n'
        try:
            with running(folder, SECOND, route + passing, P=PASSWORD) as gateway:
                yield gateway, Vendor(url, heads)
        finally:
            server.shutdown()


def ask(gateway: Gateway, path: str, lines: str = "", method: str = "GET", host: str = "x", body: str = "") -> str:
    """The answer, with its names in small letters."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nX-Gateway-Key: {gateway.key}\r\nConnection: close\r\n"
    heard = raw(gateway, f"{head}{lines}\r\n{body}".encode("latin-1")).decode("latin-1")
    return re.sub("(?m)^[A-Za-z-]+:", lambda found: found[0].lower(), heard)


FOLLOWED = {"two-lengths": 200, "not-modified": 304, "reset": 205, "snow": 200, "latin": 200, "520": 520, "gzip": 200}
PASSED = {**FOLLOWED, "snow": 302, "port": 302, "loop": 302, "307": 307, "sets": 302, "moved": 302, "proxied": 200}


@pytest.mark.parametrize("name", list(ANSWERS))
def test_no_answer_of_a_vendor_breaks_the_gateway(odd: tuple[Gateway, Vendor], name: str) -> None:
    gateway, _ = odd
    large = {"lines": "Content-Length: 100000\r\n", "method": "POST", "body": "x" * 100_000}
    followed = {**FOLLOWED, "307": 200, "sets": 200, "moved": 200, "proxied": 200}
    for path, foreseen, more in (
        (f"/supplier/{name}", followed, {}),
        (f"/passing/{name}", PASSED, {}),
        (f"/supplier/{name}", {**followed, "307": 502}, large),  # a body that is streamed is sent once
    ):
        heard = ask(gateway, path, **more)
        assert statuses(heard.encode("latin-1")) == [foreseen.get(name, 502)], heard
    assert "Traceback" not in gateway.log()


def test_what_goes_on_of_odd_answers(odd: tuple[Gateway, Vendor]) -> None:
    gateway, _ = odd
    two = ask(gateway, "/supplier/two-lengths")
    assert "content-length" not in two  # the chunks are what counts
    assert "hello" in two
    assert "x-who: M\xfcller" in ask(gateway, "/supplier/latin")
    assert "location: /passing/%E2%98%83\r" in ask(gateway, "/passing/snow")
    names = re.findall("(?m)^([a-z-]+):", ask(gateway, "/supplier/proxied"))
    assert sorted(names) == ["connection", "content-length", "date", "vary", "via"]


def test_caches_give_nobody_what_anothers_key_got(odd: tuple[Gateway, Vendor]) -> None:
    """The vendor saw `Authorization`, and a cache in front sees none (RFC 9111 §3.5)."""
    assert "vary: Authorization, X-Gateway-Key\r" in ask(odd[0], "/supplier/me")


def test_a_cookie_goes_with_its_own_redirects_alone(odd: tuple[Gateway, Vendor]) -> None:
    gateway, vendor = odd
    vendor.heads.clear()
    for path in ("/supplier/sets", "/supplier/moved"):
        assert " 200 " in ask(gateway, path)
    assert ["who=A" in head for head in vendor.heads] == [False, True, False, False]


CALLS = {
    "a header in Latin-1": ("me", "X-Who: M\xfcller\r\n", "x", 200),
    "a header in UTF-8": ("me", "X-Who: \xe2\x98\x83\r\n", "x", 200),
    "a long query": ("me?" + "a" * 65_000, "", "x", 200),
    "a query that is none": ("me?a=%zz&b=\"<>|^`{}'", "", "x", 200),
    "a fragment": ("me?a=1#&_method=DELETE", "", "x", 400),
    "a host that ends before the query": ("me?_method=DELETE", "", "x#", 405),
    "a path that does": ("m%23e?_method=DELETE", "", "x", 405),
    "a semicolon": ("me?a=1;_method=DELETE", "", "x", 405),
    "a dot, as PHP reads it": ("me?.method=DELETE", "", "x", 405),
    "a bracket, as PHP reads it": ("me?[method=DELETE", "", "x", 405),
    "an array": ("me?_method[]=DELETE", "", "x", 405),
    "a blank": ("me?%20_method=DELETE", "", "x", 405),
    "a NUL": ("me?_method%00a=DELETE", "", "x", 405),
    "a header's name": ("me?X-HTTP-Method-Override=DELETE", "", "x", 405),
    "three dots": ("echo/.../x", "", "x", 400),
    "dots and blanks": ("echo/.%20./x", "", "x", 400),
    "escaped thrice": ("echo/%25252e%25252e/x", "", "x", 400),
    "escaped without end": ("echo/%" + "25" * 20_000, "", "x", 400),
    "a file that begins with a dot": ("echo/.well-known", "", "x", 200),
}


@pytest.mark.parametrize("name", list(CALLS))
def test_no_call_breaks_the_gateway_or_asks_for_another_method(odd: tuple[Gateway, Vendor], name: str) -> None:
    gateway, vendor = odd
    path, lines, host, status = CALLS[name]
    vendor.heads.clear()
    heard = ask(gateway, f"/supplier/{path}", lines, host=host)
    assert statuses(heard.encode("latin-1")) == [status], heard
    assert len(vendor.heads) == (status == 200)
    assert lines.lower().replace("\r", "") in (vendor.heads or [""])[0].lower()
    assert "Traceback" not in gateway.log()


@pytest.mark.parametrize(
    "name",
    [
        *("Destination", "X-Override-URL", "X-HTTP-Host-Override", "X-HTTP-Path-Override", "X-HTTP-DestinationURL"),
        *("X-Forwarded", "X-Forwarded-Uri", "X-Envoy-Original-Path", "X-Original-URI", "X-Rewrite-URL", "X-Client-IP"),
        *("True-Client-IP", "X-Method-Override", "X-Accel-Redirect", "X-Sendfile", "Cookie2", "X-Gateway-Key"),
    ],
)
def test_no_header_leads_the_vendor_elsewhere(odd: tuple[Gateway, Vendor], name: str) -> None:
    gateway, vendor = odd
    vendor.heads.clear()
    assert " 200 " in ask(gateway, "/supplier/me", f"{name}: /elsewhere\r\n")
    assert "elsewhere" not in vendor.heads[0]


def test_a_key_in_a_path_is_not_audited(odd: tuple[Gateway, Vendor]) -> None:
    gateway, _ = odd
    ask(gateway, f"/supplier/{gateway.key}")
    assert gateway.key not in gateway.log()
    assert '"/supplier/agw_***"' in gateway.log()


BASE = "https://vendor.example/api/"
LED = {
    "me": "/gate/a/me",
    "/api/me?a=b#c": "/gate/me?a=b#c",
    "HTTPS://Vendor.Example:443/api/me": "/gate/me",
    "//vendor.example/api/me": "/gate/me",
    "https://vendor.example./api/me": "/gate/me",
    "": "/gate/a/b",
    "#there": "/gate/a/b#there",
    "../c": "/gate/c",
    # Not below the base URL: a caller must not take it for a path of the gateway's, which may be another account's.
    "/other/me": "https://vendor.example/other/me",
    "../../other/me": "https://vendor.example/other/me",
    "/api": "https://vendor.example/api",
    "/apix/me": "https://vendor.example/apix/me",
    "https://vendor.example:8443/api/me": "https://vendor.example:8443/api/me",
    "http://vendor.example/api/me": "http://vendor.example/api/me",
    "https://vendor.example.evil/api/me": "https://vendor.example.evil/api/me",
    "//evil.example/me": "https://evil.example/me",
    "/api//evil.example": "https://vendor.example/api//evil.example",
    "/api/%2e%2e/other/me": "https://vendor.example/api/%2e%2e/other/me",
    "mailto:somebody@vendor.example": "mailto:somebody@vendor.example",
    # Nobody can tell where these lead.
    "https://user:pass@vendor.example/api/me": None,
    "https://vendor.example:99999/api/me": None,
    "https://[::1/api/me": None,
    "/\\evil.example": None,
    "https://vendor.example\\@evil.example/api/me": None,
}


@pytest.mark.parametrize("location", list(LED))
def test_where_a_location_leads(location: str) -> None:
    assert located(location, f"{BASE}a/b", f"{BASE}a/b", BASE, "/gate/") == LED[location]


def test_a_location_beside_what_was_rewritten_leads_through_the_gateway() -> None:
    came = "https://data.example/v2/deliveries/42"
    assert located("43", f"{BASE}deliveries/42", came, BASE, "/gate/") == "/gate/deliveries/43"
    assert located("/v2/x", f"{BASE}deliveries/42", came, BASE, "/gate/") == "https://data.example/v2/x"


def test_a_path_is_read_to_its_end_in_little_time() -> None:
    assert not plain("/%" + "25" * 30_000)
    assert plain("/" + "%25" * 20_000)
