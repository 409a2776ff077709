"""What few vendors do and few callers send: interim answers, trailers, extensions, listed headers, odd locations."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.servers import PASSWORD, Came, Says, listening

from .conftest import ROUTE, Gateway, command, running
from .test_attacks import FILE, SID, raw, statuses
from .test_gateway import TOKEN

SECOND = '[accounts.supplier]\nvendor = "acme.toml"\nstore = "memory"\nusername = "demo"\npassword = { env = "P" }\n'
ANY = ROUTE.replace('"me"', '"*"') + "timeout = 20\n"
ODD = f"""HTTP/1.1 103 Early Hints
Link: </api/me?token={TOKEN}>; rel=preload
X-Early: {TOKEN}

HTTP/1.1 200 OK
Connection: keep-alive, X-Listed
Keep-Alive: timeout=5
X-Listed: gone
X-Harmless: stays
Transfer-Encoding: chunked
Trailer: X-Late

5;ext="{TOKEN}"
hello
0
X-Late: {TOKEN}

""".replace("\n", "\r\n").encode()


@contextmanager
def odd_vendor() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            said = json.dumps({"token": TOKEN, "renew": "rfr-00aa11bb22cc33dd44"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Set-Cookie", f"sid={SID}")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def do_GET(self) -> None:
            self.wfile.write(ODD)

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def test_interim_answers_trailers_and_listed_headers_stay_behind(tmp_path: Path) -> None:
    with odd_vendor() as url:
        (tmp_path / "acme.toml").write_text(FILE.format(url=url), "utf-8")
        with running(tmp_path, SECOND, ANY, P=PASSWORD) as gateway:
            head = f"GET /supplier/me HTTP/1.1\r\nHost: x\r\nX-Gateway-Key: {gateway.key}\r\nConnection: close\r\n\r\n"
            heard = raw(gateway, head.encode())
    assert statuses(heard) == [200]
    assert b"hello" in heard
    assert b"x-harmless: stays" in heard.lower()
    for name in (b"x-listed", b"keep-alive", b"trailer", b"x-late", b"x-early", b"link:", TOKEN.encode()):
        assert name not in heard.lower(), heard


SPELLINGS = {
    "plain": TOKEN,
    "escaped": TOKEN.replace("-", "%2D"),
    "every letter": "".join(f"%{ord(letter):02x}" for letter in TOKEN),
    "twice": quote(TOKEN.replace("-", "%2D")),
    "base64": base64.b64encode(TOKEN.encode()).decode(),
    "base64 for URLs": base64.urlsafe_b64encode(f"x:{TOKEN}".encode()).decode().rstrip("="),
    "hex": TOKEN.encode().hex(),
    "hex in capitals": TOKEN.encode().hex().upper(),
    "in capitals": TOKEN.upper(),
}
PLACES = ("me?token={}", "me#token={}", "{}/me", "https://away.example/?t={}", "//{}@away.example/", "me?a=b%26t%3D{}")


@contextmanager
def moving(folder: Path) -> Iterator[tuple[Gateway, list[str], list[Came]]]:
    places = [place.format(spelled) for spelled in SPELLINGS.values() for place in PLACES]

    def says(came: Came) -> Says:
        if came.path.endswith(("/login", "/renew")):
            body = {"token": TOKEN, "renew": "rfr-00aa11bb22cc33dd44"}
            return Says(json=body, headers={"Set-Cookie": f"sid={SID}"})
        if "at=" in came.target:
            return Says(302, headers={"Location": places[int(came.target.rpartition("=")[2])]}, body=b"")
        return Says(json={"received": came.body.decode()})

    with listening(says) as vendor:
        (folder / "acme.toml").write_text(FILE.format(url=vendor.url), "utf-8")
        with running(folder, SECOND, ANY + 'redirects = "pass"\n', P=PASSWORD) as gateway:
            yield gateway, places, vendor.came


def test_no_location_tells_the_token_in_any_spelling(tmp_path: Path) -> None:
    with moving(tmp_path) as (gateway, places, _), gateway.client() as client:
        told = {}
        for at, place in enumerate(places):
            answer = client.get(f"/supplier/me?at={at}")
            assert answer.status_code == 302
            if "location" in answer.headers:
                told[place] = answer.headers["location"]
    assert told == {}


LATE = "X-Late: 1\r\nX-Gateway-Key: other\r\nAuthorization: Bearer x\r\n"


@pytest.mark.parametrize("late", ["", LATE])
def test_extensions_and_trailers_of_a_caller_go_no_further(tmp_path: Path, late: str) -> None:
    with moving(tmp_path) as (gateway, _, came):
        head = f"POST /supplier/me HTTP/1.1\r\nHost: x\r\nX-Gateway-Key: {gateway.key}\r\nConnection: close\r\n"
        heard = raw(gateway, f"{head}Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n{late}\r\n".encode())
        assert statuses(heard) == [200]
        (last,) = [one for one in came if one.path == "/api/me"]
        assert last.body == b"hello"
        assert {"x-late", "authorization", "x-gateway-key", "trailer"} & set(last.headers) == set()


def test_a_key_that_is_revoked_opens_nothing_more(tmp_path: Path) -> None:
    with moving(tmp_path) as (gateway, _, came), gateway.client() as client:
        assert client.get("/supplier/me").status_code == 200
        assert command(tmp_path, "key", "revoke", "salesforce", env=gateway.env).returncode == 0
        seen = len(came)
        assert client.get("/supplier/me").status_code == 401  # on the connection that is open
        assert len(came) == seen
